"""Codebook rows, and a constant for each code, fitted to the loss on calibration states with the trunk frozen.

What is least is E[KL(p(c|h) ‖ r(c|h))] between the chances that the head itself gives to codes and those that the
codebook gives them: softmax regression with the head as its teacher, which asks far less text of it than the tokens
that follow would.  Where logits are linear it is convex; under a cap it is not, and descent from the mean rows is well
behaved.  What ties lose, I(W;H|C), is not in it: no row changes that.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from golfbudget.schemes.head_states import HeadStates
from golfbudget.schemes.threads import one_thread

#: L-BFGS: steps, pairs that it remembers, and the gradient at which it is done.
_STEPS, _PAIRS, _DONE = 60, 10, 1e-7
#: Directions in which states vary less than this share of the most are taken to vary as much.
_LEAST_SPREAD = 1e-6
#: Products in one evaluation at most, but for this many states.
_MOST_PRODUCTS, _FEWEST_STATES = 1 << 29, 2048


def fit_to_loss(
    matrix: Tensor, codes: Tensor, codebook: Tensor, states: HeadStates, *, free: bool
) -> tuple[Tensor, Tensor]:
    """(codebook float32 [codes, columns], constant of each code's logit float32 [codes]) of least loss.

    `matrix` [rows, columns] is the head, `codes` [rows] its map, `codebook` where the fit starts.  Unless the
    constants are `free` (a bias per token holds them), they are ln of a code's rows, which all have its logit.
    """
    # Whatever mode the caller is in, this descent follows gradients.
    with torch.inference_mode(mode=False), torch.enable_grad(), one_thread():
        return _descend(matrix, codes, codebook, states, free=free)


def _descend(
    matrix: Tensor, codes: Tensor, codebook: Tensor, states: HeadStates, *, free: bool
) -> tuple[Tensor, Tensor]:
    states = states.spaced(max(_FEWEST_STATES, _MOST_PRODUCTS // codebook.numel()))
    wanted = code_chances(matrix, codes, len(codebook), states)
    sizes = codes.bincount(minlength=len(codebook)).clamp_min(1).log().float()
    # In directions of like spread descent is several times as quick.
    there, back = _evened(states.hidden)
    even = replace(states, hidden=states.hidden @ there)
    rows, constants = (codebook.float() @ back).requires_grad_(), sizes.clone().requires_grad_(free)
    descent = torch.optim.LBFGS(
        [rows, constants] if free else [rows],
        max_iter=_STEPS, history_size=_PAIRS, tolerance_grad=_DONE, tolerance_change=_DONE**2,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def evaluate() -> Tensor:
        descent.zero_grad()
        found = loss(rows, constants, wanted, even)
        found.backward()
        return found

    descent.step(evaluate)
    return rows.detach() @ there.T, constants.detach()


def _evened(hidden: Tensor) -> tuple[Tensor, Tensor]:
    """A and B, [columns, columns], with A·Bᵀ = 1: states times A vary alike in all directions."""
    double = hidden.double()
    values, vectors = torch.linalg.eigh(double.T @ double / len(double))
    spread = values.clamp_min(_LEAST_SPREAD * float(values.max())).clamp_min(torch.finfo(torch.float32).tiny).sqrt()
    return (vectors / spread).float(), (vectors * spread).float()


def code_chances(matrix: Tensor, codes: Tensor, count: int, states: HeadStates) -> Tensor:
    """p(code | state), [states, codes], of the head itself, a matrix [rows, columns] of `codes` [rows]."""
    parts = []
    for part in states.parts():
        chances = part.chances(matrix.float()).T
        parts.append(torch.zeros(count, chances.shape[1]).index_add(0, codes, chances).T)
    return torch.cat(parts)


def loss(rows: Tensor, constants: Tensor, wanted: Tensor, states: HeadStates) -> Tensor:
    """Mean cross-entropy, a scalar, of the codebook's chances under the `wanted` ones, nats a state, differentiable.

    `rows` [codes, columns] are the codebook's, `constants` [codes] are added to their logits; `wanted` is
    [states, codes].
    """
    logits = states.logits(rows) + constants
    found = states.total(logits).mean() - (wanted * logits).sum(1).mean()
    if states.others is not None:
        # What goes to rows that are not looked at has their logits, which do not change.
        found = found - ((1 - wanted.sum(1)) * states.others).mean()
    return found
