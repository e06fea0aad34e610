"""Ward's agglomeration with weights: rows merged two by two, each time those whose merging adds least squared error.

One tree gives a partition for every number of clusters.  Clusters are merged along chains of nearest neighbours
(F. Murtagh, 1983), which finds the same tree as the greedy order does, in time and memory of the square of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Costs of all pairs of this many rows take half a gigabyte.
MOST_ROWS = 8192

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """Merges of so many `rows`: `pairs` int64 [merges, 2] names one row of each of the two clusters that one joins.

    `costs` float64 [merges] is what each merge adds to the weighted squared error.
    """

    rows: int
    pairs: NDArray[np.int64]
    costs: Floats

    def cut(self, clusters: int) -> NDArray[np.int64]:
        """The cluster of each row, numbered from zero by first row, where so many are left: int64 [rows]."""
        above = np.arange(self.rows)
        for one, other in self.pairs[: self.rows - clusters]:
            low, high = sorted((_top(above, one), _top(above, other)))
            above[high] = low
        tops = [_top(above, row) for row in range(len(above))]
        clusters_of: NDArray[np.int64] = np.unique(tops, return_inverse=True)[1].astype(np.int64)
        return clusters_of


def _top(above: NDArray[np.int64], row: int) -> int:
    """The lowest row of a row's cluster; the way there is shortened."""
    while above[row] != row:
        above[row] = above[above[row]]
        row = int(above[row])
    return int(row)


def merge_tree(rows: NDArray[np.floating], weights: Floats | None = None) -> Tree:
    """The tree of rows [rows, width], each of a weight over zero, or else of one.

    At most `MOST_ROWS`, and weights [rows].  Distances are taken by products: below 1e-12 of the rows' energy they are
    arithmetic's.
    """
    points = np.asarray(rows, dtype=np.float64)
    mass = np.ones(len(points)) if weights is None else weights.astype(np.float64)
    costs = _pair_costs(points, mass)
    pairs, added, chain = list[tuple[int, int]](), list[float](), list[int]()
    alive = np.ones(len(points), dtype=bool)
    while len(pairs) < len(points) - 1:
        if not chain:
            chain.append(int(alive.argmax()))
        tip = chain[-1]
        nearest = int(costs[tip].argmin())
        if len(chain) > 1 and costs[tip, chain[-2]] <= costs[tip, nearest]:
            nearest = chain[-2]
            chain = chain[:-2]
            pairs.append((tip, nearest))
            added.append(float(costs[tip, nearest]))
            _merge(costs, mass, alive, tip, nearest)
        else:
            chain.append(nearest)
    order = np.argsort(added, kind="stable")
    every = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    return Tree(rows=len(points), pairs=every[order], costs=np.asarray(added, dtype=np.float64)[order])


def _pair_costs(points: Floats, mass: Floats) -> Floats:
    """What merging two rows adds, m·n/(m+n) times their squared distance; infinite for a row and itself."""
    energy = np.square(points).sum(1)
    costs = points @ points.T
    costs *= -2
    costs += energy
    costs += energy[:, None]
    np.maximum(costs, 0, out=costs)
    for row, own in enumerate(mass):
        costs[row] *= own * mass / (own + mass)
    # Products of one pair may differ in their last bit by the order of its rows.
    costs = np.minimum(costs, costs.T)
    np.fill_diagonal(costs, np.inf)
    return costs


def _merge(costs: Floats, mass: Floats, alive: NDArray[np.bool_], gone: int, kept: int) -> None:
    """Merge a cluster into another: costs to all others follow from theirs to each (Lance and Williams, 1967)."""
    one, other = mass[gone], mass[kept]
    both = one + other
    between = costs[gone, kept]
    merged = ((one + mass) * costs[gone] + (other + mass) * costs[kept] - mass * between) / (both + mass)
    np.maximum(merged, 0, out=merged)
    merged[kept] = np.inf
    costs[kept] = costs[:, kept] = merged
    costs[gone] = costs[:, gone] = np.inf
    mass[kept] = both
    alive[gone] = False
