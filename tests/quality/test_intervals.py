"""Intervals over blocks of windows: how often they cover the truth, how long blocks are, and small cases by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from scipy.stats import norm, t

from golfbudget.quality.intervals import (
    ENOUGH_BLOCKS,
    Interval,
    block_length,
    long_run_variance,
    ratio_interval,
    tokens_wanted,
)

Values = NDArray[np.float64]
WINDOWS, SIMULATIONS, RESAMPLES = 400, 400, 300
#: A seed of noise in which neighbours happen to be alike as little as they truly are.
ALONE = 2


def autoregressive(rng: np.random.Generator, rho: float, windows: int = WINDOWS) -> Values:
    """AR(1) of mean zero and variance one, begun long before."""
    noise = rng.standard_normal(windows + 200) * math.sqrt(1 - rho**2)
    found: Values = lfilter([1], [1, -rho], noise)[200:]
    return found


def two_scales(rng: np.random.Generator) -> Values:
    """Neighbours within a paragraph are alike, and those within a document a little."""
    return math.sqrt(0.8) * autoregressive(rng, 0.2) + math.sqrt(0.2) * autoregressive(rng, 0.7)


def ends_of_single_windows(amounts: Values, weights: Values, seed: int) -> tuple[float, float]:
    """The plain bootstrap, which takes windows for independent: quantiles of draws of one window at a time."""
    drawn = np.random.default_rng(seed).integers(0, len(amounts), size=(RESAMPLES, len(amounts)))
    low, high = np.quantile(amounts[drawn].sum(1) / weights[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def ends(amounts: Values, weights: Values, seed: int) -> tuple[float, float]:
    found = ratio_interval(amounts, weights, seed=seed, resamples=RESAMPLES)
    return found.low, found.high


def coverage(
    made: Callable[[np.random.Generator], Values], interval: Callable[[Values, Values, int], tuple[float, float]] = ends
) -> float:
    """How often a 95 % interval of bits per byte holds the true change, 0.01, windows having unequal bytes."""
    hits = 0
    for number in range(SIMULATIONS):
        rng = np.random.default_rng(number)
        weights = rng.integers(500, 800, WINDOWS).astype(np.float64)
        low, high = interval(made(rng) + 0.01 * weights, weights, number)
        hits += low <= 0.01 <= high
    return hits / SIMULATIONS


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_intervals_of_correlated_losses_cover_the_truth(rho: float) -> None:
    assert 0.90 <= coverage(lambda rng: autoregressive(rng, rho)) <= 0.98


def test_intervals_of_losses_that_correlate_on_two_scales_cover_the_truth() -> None:
    assert 0.90 <= coverage(two_scales) <= 0.98


def test_windows_taken_for_independent_do_not_cover_the_truth() -> None:
    assert coverage(lambda rng: autoregressive(rng, 0.5), ends_of_single_windows) < 0.8


def test_independent_windows_have_the_interval_of_single_windows() -> None:
    rng = np.random.default_rng(ALONE)
    amounts, weights = rng.standard_normal(WINDOWS), rng.integers(500, 800, WINDOWS).astype(np.float64)
    assert block_length(amounts - weights * amounts.sum() / weights.sum()) == 1
    low, high = ends_of_single_windows(amounts, weights, 3)
    found = ratio_interval(amounts, weights, seed=3, resamples=RESAMPLES)
    # The same draws; quantiles lie a little further out for as many windows.
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02 * (high - low))
    assert found.low <= low < high <= found.high
    assert found.blocks == WINDOWS


def test_the_more_neighbours_are_alike_the_wider_the_interval_and_the_less_the_text_is_worth() -> None:
    found = []
    for rho in (0.0, 0.3, 0.6, 0.9):
        values = autoregressive(np.random.default_rng(1), rho)
        found.append(ratio_interval(values, np.ones(WINDOWS), seed=0))
    widths, worth = [one.high - one.low for one in found], [one.blocks for one in found]
    assert widths == sorted(widths)
    assert worth == sorted(worth, reverse=True)
    # Of AR(1), n windows are worth n (1 - rho) / (1 + rho).
    assert worth[2] == pytest.approx(WINDOWS * 0.4 / 1.6, rel=0.3)
    assert worth[3] < ENOUGH_BLOCKS


def driven(rho: float, windows: int) -> Values:
    """AR(1) on noise that is the same everywhere, sin(i²)."""
    found: Values = lfilter([1], [1, -rho], np.sin(np.arange(windows) ** 2))
    return found


#: `optimal_block_length(driven(rho, windows)).circular` of the package arch, 8.0.0.
ARCH = {
    (200, 0.0): 1.2520513, (200, -0.4): 3.3216681, (200, 0.4): 7.0782523, (200, 0.9): 17.4965478,
    (400, 0.0): 2.5137187, (400, 0.2): 3.0514602, (400, 0.6): 10.5910993, (400, 0.9): 23.6705267,
    (1000, 0.0): 2.2600033, (1000, 0.2): 7.3116002, (1000, 0.6): 16.1552482, (1000, 0.9): 21.8562088,
}  # fmt: skip


@pytest.mark.parametrize(("windows", "rho"), ARCH)
def test_blocks_are_as_long_as_another_implementation_says(windows: int, rho: float) -> None:
    assert block_length(driven(rho, windows)) == math.ceil(ARCH[windows, rho])


def test_blocks_are_about_as_long_as_theory_says() -> None:
    lengths = [block_length(np.random.default_rng(seed).standard_normal(WINDOWS)) for seed in range(100)]
    assert np.median(lengths) <= 2
    for rho in (0.3, 0.5):
        best = (1.5 * (2 * rho / (1 - rho**2)) ** 2 * 4000) ** (1 / 3)
        found = [block_length(autoregressive(np.random.default_rng(seed), rho, 4000)) for seed in range(20)]
        assert np.mean(found) == pytest.approx(best, rel=0.2)


def test_blocks_are_never_more_than_an_eighth_of_the_windows() -> None:
    assert block_length(np.arange(80.0)) == 10
    assert block_length(np.arange(15.0)) == block_length(np.arange(2.0)) == block_length(np.zeros(99)) == 1


def yule_walker(values: Values, order: int) -> tuple[float, float]:
    """What an autoregressive model of that order leaves of the variance, and what its sums vary by, per value."""
    inside = values - values.mean()
    covariances = np.array([inside[lag:] @ inside[: len(inside) - lag] for lag in range(order + 1)]) / len(inside)
    weights = solve_toeplitz(covariances[:-1], covariances[1:]) if order else np.zeros(0)
    left = float(covariances[0] - weights @ covariances[1:])
    return left, left * len(values) / (len(values) - order) / (1 - float(weights.sum())) ** 2


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.4, 0.9])
def test_sums_vary_as_the_autoregressive_model_of_least_cost_says(rho: float) -> None:
    values = autoregressive(np.random.default_rng(7), rho)
    fitted = [yule_walker(values, order) for order in range(int(10 * math.log10(WINDOWS)) + 1)]
    costs = [WINDOWS * math.log(left) + 2 * order for order, (left, _) in enumerate(fitted)]
    assert long_run_variance(values) == pytest.approx(fitted[int(np.argmin(costs))][1], rel=1e-6)


def test_sums_vary_as_theory_says() -> None:
    assert long_run_variance(np.zeros(99)) == 0
    for rho in (-0.3, 0.0, 0.3, 0.6):
        found = [long_run_variance(autoregressive(np.random.default_rng(seed), rho, 4000)) for seed in range(20)]
        assert np.mean(found) == pytest.approx((1 + rho) / (1 - rho), rel=0.1)
    rising = np.arange(200.0)
    assert long_run_variance(rising) <= 200 * rising.var()


def every_draw(amounts: Values, weights: Values) -> Values:
    """The ratio of each of the n^n equally likely draws of single windows."""
    count = len(amounts)
    draws = np.array(list(np.ndindex(*(count,) * count)))
    ratios: Values = amounts[draws].sum(1) / weights[draws].sum(1)
    return ratios


def test_the_interval_is_that_of_all_draws() -> None:
    amounts, weights = np.array([3.0, -1.0, 4.0, 1.0, 5.0]), np.array([2.0, 1.0, 3.0, 1.0, 2.0])
    found = ratio_interval(amounts, weights, seed=0, resamples=100_000, confidence=0.8)
    # Of five windows, ends are Student's with four degrees of freedom.
    outside = norm.cdf(t.ppf(0.1, 4) * math.sqrt(5 / 4))
    expected = np.quantile(every_draw(amounts, weights), [outside, 1 - outside])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03)
    assert found.delta == 12 / 9
    assert ratio_interval(amounts, weights, seed=0) == ratio_interval(amounts, weights, seed=0)


def test_blocks_are_drawn_around_the_end_and_the_last_is_cut_to_fit() -> None:
    values = np.repeat([0.0, 5.0, 1.0, 7.0], 6)[:23]
    assert block_length(values - values.mean()) == 2
    found, deviation = ratio_interval(values, np.ones(23), seed=0, resamples=50_000), deviation_of_pairs(values)
    # Pairs are cut where six in a row are alike.
    pairs = np.var(values + np.roll(values, -1)) / 2
    deviation *= math.sqrt(long_run_variance(values) / pairs)
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, 10) * math.sqrt(11 / 10) * deviation, rel=0.05)


def deviation_of_pairs(values: Values) -> float:
    """The standard deviation of the mean of eleven pairs and a single value, each drawn from all there are."""
    pairs = values + np.roll(values, -1)
    return math.sqrt(11 * pairs.var() + values.var()) / len(values)


def test_draws_without_weight_are_left_out() -> None:
    found = ratio_interval(np.array([0.0, 6.0]), np.array([0.0, 2.0]), seed=0)
    assert found == Interval(delta=3.0, low=3.0, high=3.0, blocks=2)
    nothing = ratio_interval(np.zeros(3), np.zeros(3), seed=0)
    assert all(math.isnan(value) for value in (nothing.delta, nothing.low, nothing.high))
    assert nothing.blocks == 0


def test_the_mean_of_a_constant_has_no_width_and_windows_are_drawn_whole() -> None:
    lengths = np.full(4, 3.0)
    found = ratio_interval(np.full((4, 3), 0.25).sum(1), lengths, seed=1)
    assert (found.low, found.high) == (0.25, 0.25)
    # Within a window the changes cancel, so every draw of windows has the same mean.
    cancelling = np.array([[1.0, -1.0], [5.0, -5.0], [2.0, -2.0]]).sum(1)
    found = ratio_interval(cancelling, np.full(3, 2.0), seed=1)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_sign_is_known_where_there_is_enough_text_and_zero_is_outside() -> None:
    def sign(low: float, high: float, blocks: int = ENOUGH_BLOCKS) -> int:
        return Interval(delta=(low + high) / 2, low=low, high=high, blocks=blocks).sign

    assert (sign(0.1, 0.2), sign(-0.2, -0.1), sign(-0.1, 0.1), sign(0.0, 0.1)) == (1, -1, 0, 0)
    assert sign(0.1, 0.2, ENOUGH_BLOCKS - 1) == 0


def test_two_windows_are_worth_two_and_want_more_text() -> None:
    found = ratio_interval(np.array([0.25, 0.5]), np.ones(2), seed=0)
    assert (found.low, found.high, found.blocks, found.sign) == (0.25, 0.5, 2, 0)
    assert tokens_wanted(512, found.blocks) == 512 * ENOUGH_BLOCKS // 2
