"""Ward's agglomeration of very many rows: only clusters with near rows in common may merge.

Which rows are near is found once (`faiss`); clusters that merge have the neighbours of both.  Time is that of one
product of all rows with all, and memory that of the graph, where `agglomeration` takes the square of the rows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golfbudget.schemes.agglomeration import Floats, Tree
from golfbudget.schemes.threads import one_faiss_thread

#: Near rows of each row.
_NEIGHBOURS = 12
#: One cluster in this many rows is left: below, all have so many neighbours that the graph says little.
_LEFT = 64


def neighbour_tree(rows: NDArray[np.floating], weights: Floats | None = None) -> Tree:
    """The first merges of rows [rows, width], each of a weight over zero, or else of one, in the order of merging.

    Weights are [rows].  Costs are what each merge adds to the weighted squared error; unlike those of the whole tree
    they may fall from one to the next.  The merges end where one cluster in `_LEFT` rows is left, or where no two left
    are neighbours.
    """
    points = np.array(rows, dtype=np.float32, order="C")
    forest = _Forest(
        points=points,
        mass=np.ones(len(points)) if weights is None else weights.astype(np.float64),
        near=_graph(points),
    )
    while forest.left > max(1, len(points) // _LEFT) and forest.merge():
        pass
    pairs = np.asarray(forest.pairs, dtype=np.int64).reshape(-1, 2)
    return Tree(rows=len(points), pairs=pairs, costs=np.asarray(forest.costs, dtype=np.float64))


def _graph(points: NDArray[np.float32]) -> list[set[int]]:
    """The near rows of each row, on either's word."""
    import faiss

    with one_faiss_thread():
        _, found = faiss.knn(points, points, min(_NEIGHBOURS + 1, len(points)))
    near: list[set[int]] = [set() for _ in points]
    for row, others in enumerate(found.tolist()):
        for other in others:
            if other not in (row, -1):
                near[row].add(other)
                near[other].add(row)
    return near


@dataclass(slots=True, kw_only=True, eq=False)
class _Forest:
    """Clusters by one of their rows: its place in `points` holds their mean, and in `mass` their weight.

    Each knows the neighbour whose merging with it adds least, `partner`, and what it adds, `least`.  `waiting` has
    offers (least, cluster, how often its partner had changed): where it has changed since they are stale.
    """

    points: NDArray[np.float32]
    mass: Floats
    near: list[set[int]]
    least: Floats = field(init=False)
    partner: NDArray[np.int64] = field(init=False)
    changes: list[int] = field(init=False)
    waiting: list[tuple[float, int, int]] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.least, self.partner = np.full(len(self.near), np.inf), np.full(len(self.near), -1, dtype=np.int64)
        self.changes = [0] * len(self.near)
        for row in range(len(self.near)):
            self._choose(row)

    @property
    def left(self) -> int:
        return len(self.near) - len(self.pairs)

    def merge(self) -> bool:
        """Merge the two neighbours whose merging adds least; False where none are left."""
        while self.waiting:
            cost, row, changes = heapq.heappop(self.waiting)
            if self.changes[row] == changes:
                one, gone = sorted((row, int(self.partner[row])))
                self._join(one, gone)
                self.pairs.append((gone, one))
                self.costs.append(cost)
                return True
        return False

    def _join(self, one: int, gone: int) -> None:
        total = self.mass[one] + self.mass[gone]
        self.points[one] += (self.points[gone] - self.points[one]) * np.float32(self.mass[gone] / total)
        self.mass[one] = total
        self.changes[gone] = -1
        for other in self.near[gone]:
            self.near[other].discard(gone)
            if other != one:
                self.near[other].add(one)
                self.near[one].add(other)
        self.near[gone] = set()
        others, added = self._choose(one)
        partners, nearer = self.partner[others], added <= self.least[others]
        for other in others[((partners == gone) | (partners == one)) & ~nearer].tolist():
            self._choose(other)
        for other, cost in zip(others[nearer].tolist(), added[nearer].tolist(), strict=True):
            self._offer(other, one, cost)

    def _choose(self, row: int) -> tuple[NDArray[np.int64], Floats]:
        """Find a cluster's partner; its neighbours, and what merging with each adds.

        That is m·n/(m+n) times the squared distance of two means.
        """
        others = np.array(sorted(self.near[row]), dtype=np.int64)
        apart, mass = self.points[others] - self.points[row], self.mass[others]
        added: Floats = np.einsum("ij,ij->i", apart, apart) * (mass * self.mass[row] / (mass + self.mass[row]))
        if len(others):
            at = int(added.argmin())
            self._offer(row, int(others[at]), float(added[at]))
        else:
            self.changes[row] += 1
        return others, added

    def _offer(self, row: int, partner: int, cost: float) -> None:
        self.least[row], self.partner[row] = cost, partner
        self.changes[row] += 1
        heapq.heappush(self.waiting, (cost, row, self.changes[row]))
