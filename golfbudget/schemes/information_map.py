"""Maps of tokens to codes that keep what states say of the next token: I(C;H) as great as moves make it.

What a code's tokens lose by sharing a row is I(W;H|C) = I(W;H) - I(C;H) at least, whatever the row (see
`quality.information`).  The map starts from Ward's clusters of rows in the metric that small losses have, each row
weighted by its token's chance and each direction by the states' covariance; then every token goes to the code whose
chances follow the states as its own do, all at once while that helps (Dhillon, Mallela and Kumar, 2003: divisive
information-theoretic clustering), and then one at a time for each code, by the exact change.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.schemes.clusters import clusters_of
from golfbudget.schemes.head_states import HeadStates

_TOGETHER, _ALONE = 20, 15
#: Codes that a token may go to alone: those that fit best.
_NEAREST = 2
#: Chances held at once, in numbers, and states that are looked at however large the vocabulary.
_MOST_CHANCES, _FEWEST_STATES = 1 << 22, 2048
#: Gains under this many nats a token are arithmetic's.
_LEAST_GAIN = 1e-9
_TINY = 1e-30


def information_map(matrix: Tensor, codes: int, states: HeadStates) -> Tensor:
    """A code for each row of a head's matrix [rows, columns], int64 [rows], at most `codes` of them."""
    states = states.spaced(max(_FEWEST_STATES, _MOST_CHANCES // len(matrix)))
    chances = states.chances(matrix.float()).T.contiguous()
    found = _start(matrix, min(codes, len(matrix)), states, chances.mean(1, dtype=torch.float64))
    found = together(chances, found, codes)
    renumbered: Tensor = alone(chances, found, codes).unique(return_inverse=True)[1]
    return renumbered


def _start(matrix: Tensor, codes: int, states: HeadStates, weight: Tensor) -> Tensor:
    """Ward's clusters of the rows under the states' covariance; of many rows in few codes, the likeliest's nearest."""
    hidden = states.hidden.double()
    centred = hidden - hidden.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(hidden))
    points = matrix.double() @ (vectors * values.clamp_min(0).sqrt())
    found = clusters_of(points.numpy(), weight.clamp_min(_TINY).numpy(), codes)
    if found is None:
        centres = points[weight.sort(descending=True, stable=True).indices[:codes]]
        return torch.cat([torch.cdist(part, centres).argmin(1) for part in points.split(1024)])
    return torch.from_numpy(found)


def kept(chances: Tensor, codes: Tensor, count: int) -> float:
    """I(C;H) in nats a state, of chances [rows, states] under a map, codes [rows]."""
    summed = _summed(chances, codes, count)
    mean = summed.mean(1, dtype=torch.float64)
    states = torch.special.xlogy(summed, summed).sum(dtype=torch.float64) / chances.shape[1]
    return float(states - torch.special.xlogy(mean, mean).sum())


def _summed(chances: Tensor, codes: Tensor, count: int) -> Tensor:
    return torch.zeros(count, chances.shape[1]).index_add(0, codes, chances)


def _fit(chances: Tensor, summed: Tensor) -> Tensor:
    """How well each code's chances follow the states as each row's do: [rows, codes], for comparing in a row."""
    total = summed.sum(1).clamp_min(_TINY)
    score = chances @ summed.clamp_min(_TINY).log().T
    return score - chances.sum(1)[:, None] * total.log()


def together(chances: Tensor, codes: Tensor, count: int) -> Tensor:
    """The map [rows] after all rows have gone to the codes that fit them, again and again while I(C;H) grows.

    `chances` are [rows, states], `codes` [rows] is the map before.
    """
    best, value = codes, kept(chances, codes, count)
    for _ in range(_TOGETHER):
        codes = _fit(chances, _summed(chances, codes, count)).argmax(1)
        found = kept(chances, codes, count)
        if found <= value + _LEAST_GAIN:
            break
        best, value = codes, found
    return best


def alone(chances: Tensor, codes: Tensor, count: int) -> Tensor:
    """The map after single moves: in each round every code gives or takes one row at most, where that gains most.

    Map [rows], chances [rows, states] and codes [rows] are as of `together`.
    """
    codes = codes.clone()
    for _ in range(_ALONE):
        gain, target = _moves(chances, codes, count)
        touched, moved = torch.zeros(count, dtype=torch.bool), 0
        for row in gain.sort(descending=True, stable=True).indices.tolist():
            own, other = int(codes[row]), int(target[row])
            if float(gain[row]) <= _LEAST_GAIN:
                break
            if not (touched[own] or touched[other]):
                touched[own] = touched[other] = True
                codes[row] = other
                moved += 1
        if not moved:
            break
    return codes


def _moves(chances: Tensor, codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(nats a state gained, code) of each row's best move to another code."""
    summed = _summed(chances, codes, count)
    fit = _fit(chances, summed)
    fit[torch.arange(len(codes)), codes] = -torch.inf
    idle = torch.nonzero(summed.sum(1) == 0).squeeze(1)
    # To an idle code a row loses nothing: it is looked at first.
    fit[:, idle[:1]] = torch.inf
    nearest = fit.topk(min(_NEAREST, count), dim=1).indices
    states = chances.shape[1]
    entropy = _terms(summed, states)
    left = _terms(summed[codes] - chances, states) - entropy[codes]
    gains = torch.stack([left + _terms(summed[c] + chances, states) - entropy[c] for c in nearest.T], dim=1)
    gains[nearest == codes[:, None]] = -torch.inf
    gain, place = gains.max(1)
    return gain, nearest.gather(1, place[:, None]).squeeze(1)


def _terms(summed: Tensor, states: int) -> Tensor:
    """What codes of these chances [codes, states] have of I(C;H), float64 [codes]."""
    summed = summed.clamp_min(0)
    mean = summed.mean(1, dtype=torch.float64)
    of_states = torch.special.xlogy(summed, summed).sum(1, dtype=torch.float64) / states
    found: Tensor = of_states - torch.special.xlogy(mean, mean)
    return found
