"""Clusters of a matrix's rows, in any number, from one tree."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from golfbudget.schemes.agglomeration import MOST_ROWS, Floats, Tree, merge_tree
from golfbudget.schemes.neighbour_tree import neighbour_tree

#: Trees of the last matrices, by digest: every size of codebook of one matrix is cut from one tree.
_LAST: dict[str, Tree] = {}
_KEPT = 4


def tree_of(rows: NDArray[np.floating], weights: Floats | None) -> Tree:
    """Ward's tree of rows [rows, width] by weights [rows], or its first merges where they are very many.

    Taken from before for the same rows and weights.
    """
    key = hashlib.sha256(repr(rows.shape).encode())
    for part in (rows, weights):
        key.update(b"" if part is None else np.ascontiguousarray(part).data)
    name = key.hexdigest()
    tree = _LAST.pop(name, None)
    if tree is None:
        tree = merge_tree(rows, weights) if len(rows) <= MOST_ROWS else neighbour_tree(rows, weights)
    _LAST[name] = tree
    for old in list(_LAST)[:-_KEPT]:
        del _LAST[old]
    return tree


def clusters_of(rows: NDArray[np.floating], weights: Floats | None, count: int) -> NDArray[np.int64] | None:
    """The cluster of each of the rows [rows, width], by weights [rows], int64 [rows], where so many are left.

    None where the tree has no so few: of very many rows it ends early.
    """
    tree = tree_of(rows, weights)
    return tree.cut(count) if len(tree.pairs) >= len(rows) - count else None


def means(rows: NDArray[np.floating], weights: Floats | None, cluster: NDArray[np.int64]) -> Floats:
    """The mean of each cluster's rows [rows, width] by weights [rows]: [clusters, width].

    Every number up to the highest must occur in `cluster` [rows].
    """
    mass = np.ones(len(rows)) if weights is None else weights
    sums = np.zeros((int(cluster.max()) + 1, rows.shape[1]))
    np.add.at(sums, cluster, rows * mass[:, None])
    return sums / np.bincount(cluster, weights=mass)[:, None]
