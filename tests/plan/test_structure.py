"""How many rows are planted: found whatever the grid, and tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from support.models import WIDTH, repeated_head, save, state
from test_plan import planned

from golfbudget.evidence import Evidence
from golfbudget.plan import structure
from golfbudget.plan.results import Winner
from golfbudget.plan.structure import structural_codes
from golfbudget.schemes.agglomeration import merge_tree

COPIES, ROWS = 300, 1024


def copies(noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(COPIES, WIDTH, generator=generator)
    of = torch.cat((torch.arange(COPIES), torch.randint(COPIES, (ROWS - COPIES,), generator=generator)))
    return base[of] + noise * torch.randn(ROWS, WIDTH, generator=generator)


def int8(rows: torch.Tensor) -> torch.Tensor:
    scale = rows.abs().amax(1, keepdim=True) / 127
    return (rows / scale).round() * scale


@pytest.mark.parametrize("noise", [0.0, 1e-5, 1e-3, 0.02, 0.2])
def test_what_is_planted_is_found_under_noise_and_rounding(noise: float) -> None:
    assert structural_codes(copies(noise).numpy(), 0.0) == (COPIES,)
    assert structural_codes(int8(copies(noise)).numpy(), 0.0)[0] == COPIES


def test_where_nothing_is_planted_nothing_is_found() -> None:
    generator = torch.Generator().manual_seed(1)
    assert structural_codes(torch.randn(ROWS, WIDTH, generator=generator).numpy(), 0.0) == ()
    # Two halves apart, as frequent and rare tokens are, are no copies.
    halves = torch.randn(ROWS, WIDTH, generator=generator) + 3 * (torch.arange(ROWS) % 2)[:, None]
    assert structural_codes(halves.numpy(), 0.0) == ()
    assert structural_codes(np.ones((2, 4)), 0.0) == ()


def test_one_row_and_no_row_are_told_apart() -> None:
    assert structural_codes(np.ones((9, 4)), 0.0) == (1,)


def test_a_size_whose_error_is_allowed_is_found_without_a_step() -> None:
    """Nine rows in pairs ever farther apart: no step, and an error that grows by known amounts."""
    rows = np.cumsum(2.0 ** np.arange(16) ** 0.5)[:, None] * np.ones((1, 3))
    costs = merge_tree(rows).costs
    assert structural_codes(rows, 0.0) == ()
    assert structural_codes(rows, float(costs[:12].sum()) * 1.0001) == (4,)
    # Over half the rows, an unrounded codebook is no smaller than rows of a byte a value.
    assert structural_codes(rows, float(costs[:3].sum()) * 1.0001) == ()


def test_merges_cost_what_another_implementation_says() -> None:
    """scikit-learn's own Ward tree, by its distances: sqrt of twice the error that a merge adds."""
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(2)).double().numpy()
    tree = AgglomerativeClustering(linkage="ward", compute_distances=True).fit(rows)
    assert np.allclose(merge_tree(rows).costs, np.sort(tree.distances_) ** 2 / 2, rtol=1e-9)
    assert merge_tree(rows).costs.sum() == pytest.approx(((rows - rows.mean(0)) ** 2).sum())


def test_of_very_many_rows_equal_ones_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MOST_ROWS", 100)
    assert structural_codes(copies().numpy(), 0.0) == (COPIES,)
    assert structural_codes(copies(0.1).numpy(), 0.0) == ()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_planted_number_wins_though_it_is_in_no_grid(noise: float, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    trunk = [torch.randn(512, 2 * WIDTH, generator=generator)]
    plan = planned(save(tmp_path, state(copies(noise), trunk)), schemes=("scalar", "vq-logits", "vq-logits-int"))
    assert plan.verdict.winner is Winner.HEAD
    assert plan.verdict.evidence is Evidence.EQUAL_ERROR
    assert plan.verdict.best_head in (f"head-vq{COPIES}-shared", f"head-vq-int-k{COPIES}-b8-shared")
    best = plan.trial(plan.verdict.best_head)
    assert best is not None
    # Of exact copies the codec sees what lies within its window already.
    assert best.saved_bytes > 30_000


@pytest.mark.slow
def test_noise_under_the_recipes_step_leaves_the_planted_number(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(4)
    tensors = state(repeated_head(generator, 100), [torch.randn(512, 2 * WIDTH, generator=generator)])
    plan = planned(save(tmp_path, tensors), schemes=("scalar", "vq-logits-int", "vq-logits"))
    assert plan.verdict.best_head == "head-vq100-shared"
