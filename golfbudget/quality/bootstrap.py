"""Paired bootstrap intervals over windows: the same windows are drawn for both models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
#: Drawn window numbers held at once.
_AT_ONCE = 4_000_000

Values = NDArray[np.float64]


def ratio_interval(
    amounts: Values, weights: Values, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Percentile interval of sum(amounts) / sum(weights), both [n], over windows drawn with replacement.

    Draws without any weight say nothing and are left out; where no draw has any the interval is (nan, nan).
    """
    if not weights.any():
        return float("nan"), float("nan")
    generator, windows = np.random.default_rng(seed), len(amounts)
    parts, step = [], max(1, _AT_ONCE // windows)
    for start in range(0, resamples, step):
        drawn = generator.integers(0, windows, size=(min(step, resamples - start), windows))
        over, under = amounts[drawn].sum(1), weights[drawn].sum(1)
        parts.append(over[under > 0] / under[under > 0])
    ratios = np.concatenate(parts)
    if not len(ratios):
        return float("nan"), float("nan")
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mean_interval(
    amounts: Values, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Percentile interval of the mean of amounts per token, [n, length], over windows drawn with replacement."""
    weights = np.full(len(amounts), float(amounts.shape[1]))
    return ratio_interval(amounts.sum(1), weights, seed=seed, resamples=resamples, confidence=confidence)
