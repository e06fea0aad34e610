"""Ward's agglomeration with weights: rows merged two by two, each time those whose merging adds least squared error.

One tree gives a partition for every number of clusters.  Clusters are merged along chains of nearest neighbours
(F. Murtagh, 1983), which finds the same tree as the greedy order does, in time and memory of the square of the rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Costs of all pairs of this many rows take half a gigabyte.
MOST_ROWS = 8192

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """`pairs` int64 [rows - 1, 2] names one row of each of the two clusters that a merge joins, the cheapest first.

    `costs` float64 [rows - 1] is what each merge adds to the weighted squared error.
    """

    pairs: NDArray[np.int64]
    costs: Floats

    def cut(self, clusters: int) -> NDArray[np.int64]:
        """The cluster of each row, numbered from zero by first row, where so many are left: int64 [rows]."""
        above = np.arange(len(self.pairs) + 1)
        for one, other in self.pairs[: len(above) - clusters]:
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

    At most `MOST_ROWS`.  Distances are taken by products: below 1e-12 of the rows' energy they are arithmetic's.
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
    return Tree(
        pairs=np.asarray(pairs, dtype=np.int64).reshape(-1, 2)[order], costs=np.asarray(added, dtype=np.float64)[order]
    )


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


#: Trees of the last matrices, by digest: every size of codebook of one matrix is cut from one tree.
_LAST: dict[str, Tree] = {}
_KEPT = 4


def tree_of(rows: Floats, weights: Floats | None) -> Tree:
    """`merge_tree`, taken from before for the same rows and weights."""
    key = hashlib.sha256(repr(rows.shape).encode() + rows.tobytes() + (b"" if weights is None else weights.tobytes()))
    name = key.hexdigest()
    tree = _LAST.pop(name, None)
    if tree is None:
        tree = merge_tree(rows, weights)
    _LAST[name] = tree
    for old in list(_LAST)[:-_KEPT]:
        del _LAST[old]
    return tree


def cluster_means(rows: Floats, weights: Floats | None, clusters: int) -> Floats:
    """Weighted means of so many of Ward's clusters of rows [rows, width], float64 [clusters, width]."""
    return means(rows, weights, tree_of(rows, weights).cut(clusters))


def means(rows: Floats, weights: Floats | None, cluster: NDArray[np.int64]) -> Floats:
    """The weighted mean of each cluster's rows; every number up to the highest must occur."""
    mass = np.ones(len(rows)) if weights is None else weights
    sums = np.zeros((int(cluster.max()) + 1, rows.shape[1]))
    np.add.at(sums, cluster, rows * mass[:, None])
    return sums / np.bincount(cluster, weights=mass)[:, None]
