"""The search of trellis-coded quantisation: for each row the cheapest path through a machine of 4 or 8 states.

In state s a stored integer c means the level 2c + p(s), and takes the machine to another state, so levels are as sparse
as those of a scalar quantiser at each column and their union over the states is twice as fine.  Marcellin and Fischer
(1990) describe it; the machine's taps are f = 2k + 1 and g = k for 4k states.

Columns go one by one, with many rows at once, in numpy: its operations cost least to call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.codecs.rans.machine import levels
from golfbudget.schemes.rate_distortion import thresholds

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
_Number = TypeVar("_Number", np.float32, np.int64)

#: Levels modulo 4 say what the machine does with them.
_COSETS = 4
LOWEST, HIGHEST = -128, 127
#: Rows searched together: few enough to stay in the processor's cache, and enough to outweigh the calls.
_ROWS, _FEEDBACK_ROWS = 2048, 512
#: Columns decided together under error feedback, and those looked ahead at before that.
_BLOCK, _AHEAD = 32, 16
#: Thresholds computed together.
_MEETINGS = 1 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of 4k states: k is 1 or 2."""

    k: int

    @property
    def states(self) -> int:
        return 4 * self.k

    def cosets(self) -> Integers:
        """Levels modulo 4 that lead to each state, [2, states], from its half and from its half + states / 2."""
        after = np.arange(self.states)
        before = np.stack((after >> 1, (after >> 1) + self.states // 2))
        odd = (after ^ before ^ before // (2 * self.k)) & 1
        cosets: Integers = before // self.k % 2 + 2 * odd
        return cosets

    def levels(self, stored: Tensor) -> Tensor:
        """What int8 integers [rows, columns] stand for, in steps: int16 [rows, columns]."""
        return torch.from_numpy(levels(stored.numpy(), self.k))


@dataclass(frozen=True, slots=True)
class LevelGrid:
    """Levels by coset [cosets, levels], the stored integer of each, and its λ·bits."""

    levels: Tensor
    stored: Tensor
    costs: Tensor


@dataclass(frozen=True, slots=True)
class _Cells:
    """The number line cut where a coset's best level changes: `starts` [cells], float32, rise from minus infinity.

    In each cell, by coset [cosets, cells], the best level, its λ·bits, and the stored integer.
    """

    starts: Tensor
    levels: Floats
    costs: Floats
    stored: NDArray[np.int8]

    def of(self, values: Floats) -> Integers:
        """The cell of each value."""
        return torch.searchsorted(self.starts, torch.from_numpy(values), right=True).sub_(1).numpy()


def _cells(grid: LevelGrid, weights: Tensor) -> list[_Cells]:
    """The cells of each column, where its squared errors count so many times."""
    wide, found = grid.levels.shape[1], list[_Cells]()
    for part in weights.double().split(max(1, _MEETINGS // (_COSETS * wide * wide))):
        starts = thresholds(grid.levels, grid.costs / part[:, None, None]).float()
        every = starts.flatten(1).sort().values
        place = torch.searchsorted(starts, every[:, None].expand(-1, _COSETS, -1).contiguous(), right=True).sub_(1)
        picked = [
            tensor.expand(len(part), _COSETS, wide).gather(2, place).numpy()
            for tensor in (grid.levels, grid.costs, grid.stored)
        ]
        found += [_Cells(*cells) for cells in zip(every, *picked, strict=True)]
    return found


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

    `scaled` [rows, columns] are weights in units of their step, float32; `weights` [columns] are those of squared
    errors.
    """
    columns = scaled.shape[1]
    if weights is None:
        each, cells = [1.0] * columns, _cells(levels, torch.ones(1)) * columns
    else:
        each, cells = weights.tolist(), _cells(levels, weights)
    parts = [part.T.contiguous().numpy() for part in scaled.split(_ROWS)]
    return torch.cat([torch.from_numpy(_viterbi(part, machine, cells, each)) for part in parts])


def _viterbi(scaled: Floats, machine: Machine, cells: list[_Cells], weights: list[float]) -> NDArray[np.int8]:
    """Integers [rows, columns] of weights [columns, rows]."""
    (columns, rows), states, cosets = scaled.shape, machine.states, machine.cosets()
    cost = np.full((states, rows), np.inf, dtype=np.float32)
    cost[0] = 0
    added, bits = (np.empty((_COSETS, rows), dtype=np.float32) for _ in range(2))
    ways = np.empty((2, states, rows), dtype=np.float32)
    before, onwards = _from(cost), _to(ways)
    taken, places = np.empty((columns, states, rows), dtype=np.bool_), np.empty((columns, rows), dtype=np.int64)
    for column, (wanted, weight, cell) in enumerate(zip(scaled, weights, cells, strict=True)):
        places[column] = cell.of(wanted)
        cell.levels.take(places[column], axis=1, out=added, mode="clip")
        cell.costs.take(places[column], axis=1, out=bits, mode="clip")
        added -= wanted
        added *= added
        added *= np.float32(weight)
        added += bits
        added.take(cosets, axis=0, out=ways, mode="clip")
        onwards += before
        np.less(ways[1], ways[0], out=taken[column])
        np.minimum(ways[0], ways[1], out=cost)
    state, everyone = cost.argmin(axis=0), np.arange(rows)
    found = np.empty((columns, rows), dtype=np.int8)
    for column in range(columns - 1, -1, -1):
        second = taken[column, state, everyone].astype(np.int64)
        found[column] = cells[column].stored[cosets[second, state], places[column]]
        state = (state >> 1) + states // 2 * second
    return np.ascontiguousarray(found.T)


def _from(values: NDArray[_Number]) -> NDArray[_Number]:
    """A view of what states [states, rows] hold, to be added to `_to`.

    States 2i and 2i + 1 are reached from i and i + states / 2 alone, so that all ways are one array [2, i, 2, rows].
    """
    states, rows = values.shape
    return values.reshape(2, states // 2, 1, rows)


def _to(ways: NDArray[_Number]) -> NDArray[_Number]:
    """A view [2, i, 2, rows] of the two ways to each state [2, states, rows]."""
    _, states, rows = ways.shape
    return ways.reshape(2, states // 2, 2, rows)


def search_with_feedback(
    scaled: Tensor, machine: Machine, levels: LevelGrid, factor: Tensor, weights: Tensor
) -> Tensor:
    """As `search`, each column's error made up for by later ones: every surviving path has its own errors.

    Of the other arguments the shapes as of `search`; `factor` is the upper Cholesky factor of the inputs' inverse
    covariance [columns, columns], and `weights` what squared errors of a column count.
    """
    cells = _cells(levels, weights)
    return torch.cat([_fed(part, machine, cells, factor, weights) for part in scaled.split(_FEEDBACK_ROWS)])


def _fed(scaled: Tensor, machine: Machine, cells: list[_Cells], factor: Tensor, weights: Tensor) -> Tensor:
    """Blocks of columns are decided in turn, with a look ahead at some of the next."""
    (rows, columns), left = scaled.shape, scaled.T.double()
    found = np.empty((columns, rows), dtype=np.int8)
    state = np.zeros(rows, dtype=np.int64)
    for begin in range(0, columns, _BLOCK):
        stop, end = min(begin + _BLOCK, columns), min(begin + _BLOCK + _AHEAD, columns)
        ways = _Survivors(machine, state, end - begin)
        for column in range(begin, end):
            own = left[column].float().numpy()
            ways.step(own, factor[begin : column + 1, column].float(), cells[column], float(weights[column]))
        found[begin:stop], errors, state = ways.decided(stop - begin)
        left[stop:] -= factor[begin:stop, stop:].T @ torch.from_numpy(errors).double()
    return torch.from_numpy(found.T.copy())


class _Survivors:
    """The best path to each state over a block of columns, with the errors it has made there.

    Products are torch's, which a caller can hold to one thread.
    """

    def __init__(self, machine: Machine, state: Integers, columns: int) -> None:
        self._cosets, rows = machine.cosets()[:, :, None], len(state)
        self._everyone = np.arange(rows)
        self._cost = np.full((machine.states, rows), np.inf, dtype=np.float32)
        self._cost[state, self._everyone] = 0
        self._errors, self._moved = (np.empty((columns, machine.states * rows), dtype=np.float32) for _ in range(2))
        self._steps: list[tuple[NDArray[np.bool_], Integers, _Cells]] = []
        self._missed, self._bits = (np.empty((2, machine.states, rows), dtype=np.float32) for _ in range(2))

    def step(self, own: Floats, factor: Tensor, cells: _Cells, weight: float) -> None:
        """One column: its weights [rows], and the factor's entries above and on the diagonal for the block."""
        (states, rows), done, missed, bits = self._cost.shape, len(self._steps), self._missed, self._bits
        fed = torch.mv(torch.from_numpy(self._errors[:done]).T, factor[:done]).numpy().reshape(states, rows)
        wanted = own - fed
        places = np.empty((2, states, rows), dtype=np.int64)
        np.add(_from(cells.of(wanted)), _to(self._cosets * cells.levels.shape[1]), out=_to(places))
        cells.levels.take(places, out=missed, mode="clip")
        np.subtract(_from(wanted), _to(missed), out=_to(missed))
        cells.costs.take(places, out=bits, mode="clip")
        ways = missed * missed
        ways *= np.float32(weight)
        ways += bits
        onwards = _to(ways)
        onwards += _from(self._cost)
        second = ways[1] < ways[0]
        np.minimum(ways[0], ways[1], out=self._cost)
        source = (second * (states // 2) + (np.arange(states) >> 1)[:, None]) * rows + self._everyone
        self._errors[:done].take(source.ravel(), axis=1, out=self._moved[:done], mode="clip")
        chosen = np.where(second, missed[1], missed[0])
        np.divide(chosen.ravel(), np.float32(factor[done]), out=self._moved[done])
        self._errors, self._moved = self._moved, self._errors
        self._steps.append((second, np.where(second, places[1], places[0]), cells))

    def decided(self, count: int) -> tuple[NDArray[np.int8], Floats, Integers]:
        """Integers [count, rows] and errors [count, rows] of the first columns on the best path, and its state then."""
        (states, rows), state = self._cost.shape, self._cost.argmin(axis=0)
        errors = self._errors[:count].take(state * rows + self._everyone, axis=1)
        stored, after = np.empty((count, rows), dtype=np.int8), state
        for number in range(len(self._steps) - 1, -1, -1):
            second, places, cells = self._steps[number]
            if number == count - 1:
                after = state
            if number < count:
                stored[number] = cells.stored.take(places[state, self._everyone])
            state = (state >> 1) + states // 2 * second[state, self._everyone]
        return stored, errors, after
