"""Bootstrap intervals of a ratio of sums over windows of one text, in which neighbouring windows are alike.

Windows are drawn in blocks of neighbours, around the text's end to its beginning (the circular block bootstrap: Politis
& Romano 1992).  How many windows a block has follows from how far their differences correlate.  Blocks are cut where
windows are still alike, and vary too little for it: draws are spread out to what an autoregressive model of the
windows says their sum varies by, where that is more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
#: Below this many blocks an interval decides nothing.
ENOUGH_BLOCKS = 64
#: A text is cut into no fewer blocks than this, however far its windows correlate.
FEWEST_BLOCKS = 8
#: Numbers of blocks drawn and held at once.
_AT_ONCE = 4_000_000

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A ratio of sums, a change in bits per byte for instance, and its 95 % interval.

    It rests on as much text as `blocks` independent windows: fewer than there are, where neighbours are alike.
    """

    delta: float
    low: float
    high: float
    blocks: int

    @property
    def enough(self) -> bool:
        """Whether the text is long enough for the interval to decide anything."""
        return self.blocks >= ENOUGH_BLOCKS

    @property
    def sign(self) -> int:
        """1 or -1 where the change is surely above or below zero, 0 where that is not known."""
        return (self.low > 0) - (self.high < 0) if self.enough else 0

    def rounded(self, digits: int) -> Interval:
        delta, low, high = (round(value, digits) for value in (self.delta, self.low, self.high))
        return Interval(delta=delta, low=low, high=high, blocks=self.blocks)


def tokens_wanted(tokens: int, blocks: int) -> int:
    """Tokens of text that are worth enough blocks, where so many `tokens` are worth `blocks`.

    >>> tokens_wanted(1000, 16), tokens_wanted(1000, 64)
    (4000, 1000)
    """
    return tokens if blocks >= ENOUGH_BLOCKS else math.ceil(tokens * ENOUGH_BLOCKS / max(1, blocks))


def ratio_interval(
    amounts: Values, weights: Values, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of sum(amounts) / sum(weights), both [n] in the text's order, over blocks drawn with replacement.

    The blocks' length is that of the ratio's first-order part, amounts - ratio * weights.  Quantiles are the expanded
    ones of Hesterberg 2015 (doi:10.1080/00031305.2015.1089789): plain ones are too narrow where blocks are few.  Both
    ends are then as much farther from the ratio as its deviation is larger by `long_run_variance` than in blocks.
    Draws without any weight say nothing and are left out; where no draw has any the interval is (nan, nan).
    """
    windows = len(amounts)
    if not weights.any():
        return Interval(delta=math.nan, low=math.nan, high=math.nan, blocks=0)
    delta = float(amounts.sum()) / float(weights.sum())
    inside = amounts - weights * delta
    length = block_length(inside)
    variance, wider = _spread(inside, length)
    drawn = _drawn(amounts, weights, length, seed=seed, resamples=resamples)
    ratios = np.concatenate([over[under > 0] / under[under > 0] for over, under in drawn])
    low, high = math.nan, math.nan
    if len(ratios):
        share = _expanded(confidence, windows // length)
        ends = np.quantile(ratios, [(1 - share) / 2, (1 + share) / 2])
        low, high = map(float, delta + wider * (ends - delta))
    return Interval(delta=delta, low=low, high=high, blocks=_worth(inside, variance))


def block_length(values: Values) -> int:
    """Windows a block: the circular bootstrap's best length for the mean of values [n], at most an eighth of them.

    By Politis & White 2004 (doi:10.1081/ETC-120028836) with the correction of Patton, Politis & White 2009
    (doi:10.1080/07474930802459016), rounded up: autocovariances count, tapered, up to twice the lag behind which
    several in a row are no more than chance.

    >>> alone = np.sin(np.arange(200) ** 2)
    >>> block_length(alone), block_length(np.repeat(alone[:50], 4))
    (2, 11)
    """
    windows = len(values)
    most = min(math.ceil(3 * math.sqrt(windows)), windows // FEWEST_BLOCKS)
    if most <= 1:
        return 1
    inside = values - values.mean()
    in_a_row = max(5, int(math.log10(windows)))
    furthest = math.ceil(math.sqrt(windows)) + in_a_row
    covariances = np.array([inside[lag:] @ inside[: windows - lag] for lag in range(furthest + 1)])
    if not covariances[0]:
        return 1
    chance = 2 * math.sqrt(math.log10(windows) / windows)
    small = np.abs(covariances / covariances[0]) < chance
    lags = range(1, furthest - in_a_row + 1)
    quiet = next((lag for lag in lags if small[lag : lag + in_a_row].all()), None)
    cut = furthest if quiet is None else min(2 * quiet, furthest)
    lag = np.arange(1, cut + 1)
    tapered = np.minimum(1.0, 2 * (1 - lag / cut)) * covariances[1 : cut + 1]
    spectrum, slope = covariances[0] + 2 * tapered.sum(), 2 * (lag * tapered).sum()
    best = (1.5 * (slope / spectrum) ** 2 * windows) ** (1 / 3) if spectrum else most
    return max(1, min(math.ceil(best), most))


def long_run_variance(values: Values) -> float:
    """What the variance of the sum of values [n] is, per value, were the series as long as one likes.

    That of the autoregressive model of their autocovariances (Yule and Walker; the order by Akaike's criterion, at most
    10 log10 n), which of the usual ways comes nearest for short series (Thompson 2010, arXiv:1011.0175).  At
    most n times the variance of one: all cannot vary together more than that.  So few that one is a block tell nothing
    of their neighbours: theirs is the variance of one.

    >>> alone = np.sin(np.arange(200) ** 2)
    >>> round(long_run_variance(alone), 2), round(long_run_variance(np.repeat(alone[:50], 4)), 2)
    (0.49, 1.05)
    """
    windows = len(values)
    inside = values - values.mean()
    furthest = int(10 * math.log10(windows)) if windows >= 2 * FEWEST_BLOCKS else 0
    covariances = np.array([inside[lag:] @ inside[: windows - lag] for lag in range(furthest + 1)]) / windows
    best_cost, best = math.inf, float(covariances[0])
    weights, left = np.zeros(0), float(covariances[0])
    for order in range(furthest + 1):
        if order:
            # Levinson's recursion: one weight more, and what is left of the variance.
            next_one = (covariances[order] - weights @ covariances[order - 1 : 0 : -1]) / left
            weights = np.append(weights - next_one * weights[::-1], next_one)
            left *= 1 - next_one**2
        if left <= 0:
            break
        cost = windows * math.log(left) + 2 * order
        if cost < best_cost:
            best_cost, best = cost, left * windows / (windows - order) / (1 - float(weights.sum())) ** 2
    return float(min(best, windows * covariances[0]))


def _spread(values: Values, length: int) -> tuple[float, float]:
    """The variance per window of the sum of these [n], whose own is zero, and how much less blocks deviate by."""
    sums = _block_sums(values, length)
    in_blocks = float(sums @ sums) / length / len(values)
    if not in_blocks:
        return 0.0, 1.0
    variance = max(in_blocks, long_run_variance(values))
    return variance, math.sqrt(variance / in_blocks)


def _worth(values: Values, variance: float) -> int:
    """Independent windows whose sum would vary as little as that of these [n], of so much variance per window.

    As many as there are, where neighbours are not alike, or vary against each other.
    """
    windows, alone = len(values), float(values @ values) / len(values)
    return int(windows * min(1.0, alone / variance)) if variance else windows


def _drawn(
    amounts: Values, weights: Values, length: int, *, seed: int, resamples: int
) -> Iterator[tuple[Values, Values]]:
    """Both sums of each draw of n windows in blocks; the last block is cut to fit."""
    windows = len(amounts)
    blocks = -(-windows // length)
    left = windows - length * (blocks - 1)
    sums = [(_block_sums(values, length), _block_sums(values, left)) for values in (amounts, weights)]
    generator, step = np.random.default_rng(seed), max(1, _AT_ONCE // blocks)
    for start in range(0, resamples, step):
        first = generator.integers(0, windows, size=(min(step, resamples - start), blocks))
        over, under = (whole[first[:, :-1]].sum(1) + last[first[:, -1]] for whole, last in sums)
        yield over, under


def _block_sums(values: Values, length: int) -> Values:
    """The sum of the `length` values from each one on, around the end, [n]."""
    around = np.concatenate((values, values[: length - 1]))
    sums = np.concatenate(([0.0], np.cumsum(around)))
    found: Values = sums[length:] - sums[:-length]
    return found


def _expanded(confidence: float, blocks: int) -> float:
    """The share of draws to be within: Student's quantile, and the deviation's missing factor, as a normal's share."""
    if blocks < 2:
        return 1.0
    from scipy.special import ndtr, stdtrit  # plain installs have none

    end = float(stdtrit(blocks - 1, (1 + confidence) / 2)) * math.sqrt(blocks / (blocks - 1))
    return 2 * float(ndtr(end)) - 1
