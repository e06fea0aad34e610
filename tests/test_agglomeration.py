"""Ward's tree with weights, against scipy's where weights are alike and against exhaustive merging where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage

from golfbudget.schemes.agglomeration import cluster_means, means, merge_tree, tree_of


def points(rows: int, width: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(rows, width))


def same_partition(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    return bool(np.array_equal(one[:, None] == one[None], other[:, None] == other[None]))


def error(rows: NDArray[np.float64], weights: NDArray[np.float64], cluster: NDArray[np.int64]) -> float:
    left = rows - means(rows, weights, cluster)[cluster]
    return float((np.square(left).sum(1) * weights).sum())


@pytest.mark.parametrize("clusters", [1, 2, 7, 40, 80])
def test_rows_of_one_weight_are_merged_as_scipy_merges_them(clusters: int) -> None:
    rows = points(80, 6, 0)
    theirs = linkage(rows, "ward")
    tree = merge_tree(rows)
    assert np.allclose(tree.costs, np.square(theirs[:, 2]) / 2, rtol=1e-9)
    assert same_partition(tree.cut(clusters), cut_tree(theirs, n_clusters=clusters)[:, 0])


def greedy(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    """What every merge adds, the pair that adds least taken each time: of all pairs, by their errors."""
    clusters = [[row] for row in range(len(rows))]
    added = []
    while len(clusters) > 1:

        def of(members: list[int]) -> float:
            return error(rows[members], weights[members], np.zeros(len(members), dtype=np.int64))

        pairs = [(one, other) for at, one in enumerate(clusters) for other in clusters[at + 1 :]]
        cost, one, other = min((of(one + other) - of(one) - of(other), one, other) for one, other in pairs)
        clusters = [members for members in clusters if members not in (one, other)] + [one + other]
        added.append(cost)
    return added


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_weighted_rows_are_merged_greedily(rows: int, seed: int) -> None:
    given_rows = points(rows, 3, seed)
    weights = np.exp(2 * points(rows, 1, seed + 1)[:, 0])
    tree = merge_tree(given_rows, weights)
    assert np.allclose(tree.costs, sorted(greedy(given_rows, weights)), rtol=1e-6)
    for clusters in range(1, rows + 1):
        cluster = tree.cut(clusters)
        assert len(set(cluster)) == clusters
        assert error(given_rows, weights, cluster) == pytest.approx(
            tree.costs[: rows - clusters].sum(), rel=1e-6, abs=1e-9
        )


def test_a_tree_is_made_once_and_equal_rows_cost_nothing() -> None:
    rows = np.repeat(points(10, 4, 5), 3, axis=0)
    weights = np.arange(1.0, 31.0)
    assert tree_of(rows, weights) is tree_of(rows.copy(), weights.copy())
    assert tree_of(rows, weights) is not tree_of(rows, None)
    assert np.allclose(merge_tree(rows).costs[:20], 0, atol=1e-12)
    assert np.allclose(np.sort(cluster_means(rows, weights, 10), axis=0), np.sort(points(10, 4, 5), axis=0))
    assert merge_tree(rows[:1]).cut(1).tolist() == [0]
