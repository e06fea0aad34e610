"""Loss by frequency band, and divergence, on cases small enough to work by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golfbudget.errors import ModelError, UsageError
from golfbudget.quality.bands import frequency_bands, loss_by_band
from golfbudget.quality.evaluate import divergence


def test_bands_are_cut_by_running_share() -> None:
    # Most frequent first: 50, 30, 15, 4, 1 of 100, and one token never seen.
    bands = frequency_bands(np.array([4, 50, 0, 15, 30, 1]), (0.5, 0.8, 0.95, 1.0))
    assert bands.of_token.tolist() == [3, 0, 4, 2, 1, 3]
    assert bands.labels == ("most frequent 50 %", "50 to 80 %", "80 to 95 %", "95 to 100 %", "not counted")
    # One token may take more than a band: those after it go where they fall.
    assert frequency_bands(np.array([1, 9, 90]), (0.5, 0.8, 1.0)).of_token.tolist() == [2, 2, 0]
    assert frequency_bands(np.array([5, 5, 5, 5]), (0.5, 1.0)).of_token.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("counts", "shares", "message"),
    [
        ([1, 2], (0.5,), "shares that rise from above 0 to 1, found 0.5"),
        ([1, 2], (), "shares that rise"),
        ([1, 2], (0.0, 1.0), "shares that rise"),
        ([1, 2], (0.8, 0.5, 1.0), "shares that rise"),
        ([0, 0], (1.0,), "some are positive"),
        ([2, -1], (1.0,), "none is negative"),
    ],
)
def test_bands_that_cannot_be_cut_are_refused(counts: list[int], shares: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        frequency_bands(np.array(counts), shares)


def test_loss_by_band_by_hand() -> None:
    bands = frequency_bands(np.array([6, 2, 1, 0]), (0.6, 1.0))
    targets = np.array([[0, 0, 1], [0, 2, 0]])
    base = np.array([[1.0, 2.0, 3.0], [1.0, 5.0, 2.0]])
    new = np.array([[1.0, 2.0, 4.0], [1.0, 8.0, 2.0]])
    frequent, rare, unseen = loss_by_band(bands, targets, base, new, seed=0)
    assert (frequent.tokens, frequent.occurrences, frequent.base, frequent.delta) == (1, 4, 1.5, 0.0)
    assert (frequent.low, frequent.high, frequent.share_of_change) == (0.0, 0.0, 0.0)
    assert (rare.tokens, rare.occurrences, rare.base, rare.delta, rare.share_of_change) == (2, 2, 4.0, 2.0, 1.0)
    # Two windows: drawn twice the one, both, or twice the other, the band changes by 1, 2 or 3.
    assert (rare.low, rare.high) == (1.0, 3.0)
    assert (unseen.tokens, unseen.occurrences, unseen.base, unseen.delta, unseen.low) == (1, 0, None, None, None)
    assert [change.share_of_change for change in loss_by_band(bands, targets, base, base, seed=0)] == [None] * 3


@given(st.integers(0, 2**32 - 1))
def test_bands_account_for_the_whole_change(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 20, (4, 9))
    base, new = rng.exponential(size=(4, 9)), rng.exponential(size=(4, 9))
    bands = frequency_bands(np.bincount(targets.ravel(), minlength=20))
    found = loss_by_band(bands, targets, base, new, seed=0, resamples=20)
    assert sum(change.occurrences for change in found) == 36
    assert sum(change.tokens for change in found) == 20
    assert found[-1].occurrences == 0
    assert sum(c.delta * c.occurrences for c in found if c.delta is not None) == pytest.approx((new - base).sum())
    assert sum(c.share_of_change or 0 for c in found) == pytest.approx(1.0)


def test_losses_of_other_shapes_are_refused() -> None:
    bands = frequency_bands(np.array([1, 1]))
    with pytest.raises(UsageError, match=r"found \[2, 3\], \[2, 3\] and \[2, 2\]"):
        loss_by_band(bands, np.zeros((2, 3), int), np.zeros((2, 3)), np.zeros((2, 2)), seed=0)


def logs(*shares: float) -> torch.Tensor:
    return torch.tensor([math.log(share) if share else -math.inf for share in shares])


def test_divergence_by_hand() -> None:
    base, new = logs(0.5, 0.25, 0.25), logs(0.25, 0.25, 0.5)
    expected = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert float(divergence(base, new)) == pytest.approx(expected, abs=1e-7)
    # Logits are known up to a constant; and a batch goes position by position.
    both = divergence(torch.stack((base, base)) + 7, torch.stack((new, base)) - 3)
    assert both.tolist() == pytest.approx([expected, 0.0], abs=1e-6)
    assert float(divergence(logs(1.0, 0.0), logs(0.5, 0.5))) == pytest.approx(math.log(2))
    assert float(divergence(logs(0.5, 0.5), logs(1.0, 0.0))) == math.inf
    assert float(divergence(torch.tensor([0.0, -2000.0]), logs(1.0, 0.0))) == math.inf
    assert float(divergence(logs(1.0, 0.0), logs(1.0, 0.0))) == 0.0
    with pytest.raises(ModelError, match=r"found \[3\] and \[2\]"):
        divergence(base, logs(0.5, 0.5))


@given(st.integers(0, 2**32 - 1))
def test_divergence_is_expected_excess_loss(seed: int) -> None:
    """KL(p || q) is what q loses over p on tokens drawn from p: never negative, zero only where they agree."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    found = float(divergence(torch.from_numpy(np.log(p)), torch.from_numpy(np.log(q))))
    assert found == pytest.approx(float(p @ (np.log(p) - np.log(q))), abs=1e-12)
    assert found > 0
