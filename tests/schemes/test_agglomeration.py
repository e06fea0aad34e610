"""Ward's tree with weights, against scipy's where weights are alike and against exhaustive merging where not; and
the tree of near rows alone against the whole one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage

from golfbudget.schemes import clusters as trees
from golfbudget.schemes.agglomeration import merge_tree
from golfbudget.schemes.base import Context
from golfbudget.schemes.clusters import clusters_of, means, tree_of
from golfbudget.schemes.neighbour_tree import neighbour_tree
from golfbudget.schemes.vq_logits import fit_codebook, nearest


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
    found = clusters_of(rows, weights, 10)
    assert found is not None
    assert np.allclose(np.sort(means(rows, weights, found), axis=0), np.sort(points(10, 4, 5), axis=0))
    assert merge_tree(rows[:1]).cut(1).tolist() == [0]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_where_all_rows_are_neighbours_both_trees_are_one(rows: int, seed: int) -> None:
    given_rows, weights = points(rows, 3, seed), np.exp(points(rows, 1, seed + 1)[:, 0])
    whole, near = merge_tree(given_rows, weights), neighbour_tree(given_rows, weights)
    assert len(near.pairs) == rows - 1
    assert np.allclose(near.costs, whole.costs, rtol=1e-4)
    for clusters in range(1, rows + 1):
        assert same_partition(near.cut(clusters), whole.cut(clusters))


@pytest.mark.parametrize("share", [0.125, 0.25, 0.5, 0.75])
def test_the_tree_of_near_rows_leaves_hardly_more_error_than_the_whole(share: float) -> None:
    centres = points(200, 8, 1)
    rows = np.repeat(centres, 5, axis=0) + 0.3 * points(1000, 8, 2)
    weights = 1 + np.random.default_rng(3).pareto(1.0, 1000)
    count = round(share * 1000)
    whole = error(rows, weights, merge_tree(rows, weights).cut(count))
    assert error(rows, weights, neighbour_tree(rows, weights).cut(count)) <= 1.03 * whole


def test_of_very_many_rows_trees_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_ROWS", 500)
    rows = points(640, 4, 7)
    found = clusters_of(rows, None, 160)
    assert found is not None
    assert len(set(found)) == 160
    assert clusters_of(rows, None, 9) is None
    codebook = fit_codebook(torch.from_numpy(rows).float(), 9, Context(seed=0))
    assert codebook.shape == (9, 4)
    # Rows that are copies of a few have those for codes, however few rows are near.
    copies = torch.from_numpy(np.tile(points(40, 4, 8), (16, 1))).float()
    assert same_partition(
        nearest(copies, fit_codebook(copies, 40, Context(seed=0))).numpy(), np.tile(np.arange(40), 16)
    )
