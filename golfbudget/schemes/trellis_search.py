"""The search of trellis-coded quantisation: for each row the cheapest path through a machine of 4 or 8 states.

In state s a stored integer c means the level 2c + p(s), and takes the machine to another state, so levels are as sparse
as those of a scalar quantiser at each column and their union over the states is twice as fine.  Marcellin and Fischer
(1990) describe it; the machine's taps are f = 2k + 1 and g = k for 4k states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from golfbudget.schemes.rate_distortion import thresholds

#: Levels modulo 4 say what the machine does with them.
_COSETS = 4
LOWEST, HIGHEST = -128, 127
#: Rows searched together: few enough to stay in the processor's cache.
_ROWS = 2048
_FEEDBACK_ROWS = 512
#: Columns decided together under error feedback, and those looked ahead at before that.
_BLOCK, _AHEAD = 32, 16


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of 4k states: k is 1 or 2."""

    k: int

    @property
    def states(self) -> int:
        return 4 * self.k

    def before(self) -> Tensor:
        """The two states from which each state is reached, int64 [2, states]."""
        half = torch.arange(self.states) >> 1
        return torch.stack((half, half + self.states // 2))

    def cosets(self) -> Tensor:
        """Levels modulo 4 that lead from those states to each, int64 [2, states]."""
        before = self.before()
        odd = (torch.arange(self.states) ^ before ^ before // (2 * self.k)) & 1
        return before // self.k % 2 + 2 * odd

    def levels(self, stored: Tensor) -> Tensor:
        """What int8 integers [rows, columns] stand for, in steps: int16 [rows, columns]."""
        columns = np.ascontiguousarray(stored.numpy().T.astype(np.int16))
        state = np.zeros(columns.shape[1], dtype=np.int16)
        found = np.empty_like(columns)
        for column, values in enumerate(columns):
            found[column] = 2 * values + state // self.k % 2
            state = (2 * state + ((values ^ state ^ state // (2 * self.k)) & 1)) % self.states
        return torch.from_numpy(found.T.copy())


@dataclass(frozen=True, slots=True)
class LevelGrid:
    """Levels by coset [cosets, levels], the stored integer of each, and its λ·bits."""

    levels: Tensor
    stored: Tensor
    costs: Tensor

    def starts(self, weight: float) -> Tensor:
        """Thresholds between the levels of each coset where squared errors count `weight` times."""
        return thresholds(self.levels, self.costs / weight).float()


def grid(largest: float, rate: float, counts: Tensor | None = None) -> LevelGrid:
    """Levels that reach `largest`; `counts` [256] of stored integers from -128 say their bits, none: all are free.

    An integer that is not in use counts a half.
    """
    reach = min(HIGHEST + 1, int(largest / 2) + 4) // 2
    coset, number = torch.arange(_COSETS)[:, None], torch.arange(-reach, reach)
    stored = 2 * number + coset // 2
    costs = torch.zeros(stored.shape)
    if counts is not None:
        bits = -(counts.double().clamp_min(0.5) / counts.sum()).log2()
        costs = (rate * bits[stored - LOWEST]).float()
    return LevelGrid((2 * stored + coset % 2).float(), stored.to(torch.int8), costs)


def search(scaled: Tensor, machine: Machine, levels: LevelGrid, weights: Tensor | None = None) -> Tensor:
    """Integers of each row's path of least squared error + λ·bits, int8 [rows, columns].

    `scaled` are weights in units of their step, float32; `weights` are those of squared errors, by column.
    """
    columns = scaled.shape[1]
    each = [1.0] * columns if weights is None else weights.tolist()
    starts = [levels.starts(1.0)] * columns if weights is None else [levels.starts(weight) for weight in each]
    return torch.cat([_viterbi(part.T.contiguous(), machine, levels, starts, each) for part in scaled.split(_ROWS)])


def _viterbi(scaled: Tensor, machine: Machine, levels: LevelGrid, starts: list[Tensor], weights: list[float]) -> Tensor:
    columns, rows = scaled.shape
    (first, second), cosets = machine.before(), machine.cosets()
    cost = torch.full((machine.states, rows), torch.inf)
    cost[0] = 0
    places = torch.empty(columns, _COSETS, rows, dtype=torch.uint8)
    taken = torch.empty(columns, machine.states, rows, dtype=torch.bool)
    for column in range(columns):
        wide = scaled[column].expand(_COSETS, rows).contiguous()
        place = torch.searchsorted(starts[column], wide, right=True).sub_(1)
        step = wide.sub_(levels.levels.gather(1, place)).square_().mul_(weights[column])
        step.add_(levels.costs.gather(1, place))
        one, other = cost[first].add_(step[cosets[0]]), cost[second].add_(step[cosets[1]])
        places[column] = place
        torch.lt(other, one, out=taken[column])
        cost = torch.minimum(one, other)
    state, found = cost.argmin(0), torch.empty(columns, rows, dtype=torch.int8)
    everyone = torch.arange(rows)
    for column in range(columns - 1, -1, -1):
        way = taken[column][state, everyone].long()
        coset = cosets[way, state]
        found[column] = levels.stored[coset, places[column][coset, everyone].long()]
        state = machine.before()[way, state]
    return found.T.contiguous()


def search_with_feedback(
    scaled: Tensor, machine: Machine, levels: LevelGrid, factor: Tensor, weights: Tensor
) -> Tensor:
    """As `search`, each column's error made up for by later ones: every surviving path has its own errors.

    `factor` is the upper Cholesky factor of the inputs' inverse covariance [columns, columns], and `weights` what
    squared errors of a column count.
    """
    starts = [levels.starts(weight) for weight in weights.tolist()]
    return torch.cat([_fed(part, machine, levels, starts, factor, weights) for part in scaled.split(_FEEDBACK_ROWS)])


def _fed(
    scaled: Tensor, machine: Machine, levels: LevelGrid, starts: list[Tensor], factor: Tensor, weights: Tensor
) -> Tensor:
    """Blocks of columns are decided in turn, with a look ahead at some of the next."""
    (rows, columns), left = scaled.shape, scaled.double()
    found = torch.empty(rows, columns, dtype=torch.int8)
    state = torch.zeros(rows, dtype=torch.int64)
    for begin in range(0, columns, _BLOCK):
        stop, end = min(begin + _BLOCK, columns), min(begin + _BLOCK + _AHEAD, columns)
        ways = _Survivors(machine, levels, rows, state, end - begin)
        for column in range(begin, end):
            own = left[:, column].float()
            ways.step(own, factor[begin : column + 1, column].float(), starts[column], float(weights[column]))
        found[:, begin:stop], errors, state = ways.decided(stop - begin)
        left[:, stop:] -= errors.double() @ factor[begin:stop, stop:]
    return found


class _Survivors:
    """The best path to each state over a block of columns, with the errors it has made there."""

    def __init__(self, machine: Machine, levels: LevelGrid, rows: int, state: Tensor, columns: int) -> None:
        self._before, self._cosets, self._levels = machine.before(), machine.cosets(), levels
        self._everyone = torch.arange(rows)
        self._cost = torch.full((machine.states, rows), torch.inf)
        self._cost[state, self._everyone] = 0
        self._errors = torch.zeros(machine.states * rows, columns)
        self._sources: list[Tensor] = []
        self._stored: list[Tensor] = []

    def step(self, own: Tensor, factor: Tensor, starts: Tensor, weight: float) -> None:
        """One column: its weights [rows], and the factor's entries above and on the diagonal for the block."""
        (states, rows), done = self._cost.shape, len(self._sources)
        moved = own - (self._errors[:, :done] @ factor[:done]).view(states, rows)
        wide = moved[self._before].view(2 * states, rows)
        cosets = self._cosets.flatten()
        place = torch.searchsorted(starts[cosets], wide, right=True).sub_(1)
        missed = wide - self._levels.levels[cosets].gather(1, place)
        cost = missed.square().mul_(weight).add_(self._levels.costs[cosets].gather(1, place))
        cost = cost.view(2, states, rows) + self._cost[self._before]
        second = cost[1] < cost[0]
        self._cost = torch.minimum(cost[0], cost[1])

        def chosen(pairs: Tensor) -> Tensor:
            return torch.where(second, pairs[1], pairs[0])

        source = chosen(self._before[:, :, None])
        self._errors = self._errors.index_select(0, (source * rows + self._everyone).flatten())
        self._errors[:, done] = chosen(missed.view(2, states, rows)).flatten() / factor[done]
        self._sources.append(source)
        self._stored.append(chosen(self._levels.stored[cosets].gather(1, place).view(2, states, rows)))

    def decided(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Integers [rows, count] and errors [rows, count] of the first columns on the best path, and its state then."""
        best = self._cost.argmin(0)
        errors = self._errors.view(*self._cost.shape, -1)[best, self._everyone, :count]
        state, stored, after = best, list[Tensor](), best
        for number in range(len(self._sources) - 1, -1, -1):
            if number == count - 1:
                after = state
            if number < count:
                stored.append(self._stored[number][state, self._everyone])
            state = self._sources[number][state, self._everyone]
        return torch.stack(stored[::-1], dim=1), errors, after
