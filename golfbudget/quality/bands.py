"""The change in loss by bands of token frequency, with paired bootstrap intervals.

A change to the head damages rare tokens first, and a mean over all tokens hides it.  Bands are made of whole tokens,
the most frequent first, and cut where the running share of the counts passes a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from golfbudget.errors import UsageError
from golfbudget.quality.intervals import RESAMPLES, Values, ratio_interval

SHARES = (0.5, 0.8, 0.95, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyBands:
    """Which band each token is in: `of_token` int64 [vocabulary].

    Band i holds the tokens before which, most frequent first, at least `shares[i - 1]` and less than `shares[i]` of
    all counts lie; one more band after these holds the tokens that were never counted.
    """

    shares: tuple[float, ...]
    of_token: NDArray[np.int64]

    @property
    def labels(self) -> tuple[str, ...]:
        """What to call each band.

        >>> frequency_bands(np.array([2, 1, 1, 0]), (0.5, 1.0)).labels
        ('most frequent 50 %', '50 to 100 %', 'not counted')
        """
        percent = [f"{100 * share:g}" for share in self.shares]
        between = [f"{low} to {high} %" for low, high in pairwise(percent)]
        return (f"most frequent {percent[0]} %", *between, "not counted")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandChange:
    """Loss in one band: `tokens` of the vocabulary, `occurrences` in the text, nats per occurrence.

    `base` and `delta` are means over the band's occurrences, None where there are none; `low` and `high` bound
    `delta`.  `share_of_change` is the band's part of the text's whole change, None where nothing changed.
    """

    label: str
    tokens: int
    occurrences: int
    base: float | None
    delta: float | None
    low: float | None
    high: float | None
    share_of_change: float | None


def frequency_bands(counts: NDArray[np.integer], shares: Sequence[float] = SHARES) -> FrequencyBands:
    """Cut the vocabulary by counts [vocabulary]; ties go to the lower token id.

    A token belongs where the share of the tokens before it falls, so the first band always has the most frequent
    one.  `UsageError` unless the shares rise from above 0 to 1 and something was counted.
    """
    marks = tuple(float(share) for share in shares)
    if not marks or marks[0] <= 0 or marks[-1] != 1.0 or any(a >= b for a, b in pairwise(marks)):
        raise UsageError(f"bands are cut at shares that rise from above 0 to 1, found {', '.join(map(str, marks))}")
    total = int(counts.sum())
    if total <= 0 or (counts < 0).any():
        raise UsageError("bands need token counts of which none is negative and some are positive")
    order = np.argsort(-counts.astype(np.int64), kind="stable")
    ranked = counts[order].astype(np.int64)
    share_before = (np.cumsum(ranked) - ranked) / total
    band = np.searchsorted(np.array(marks), share_before, side="right")
    of_token = np.empty(len(counts), dtype=np.int64)
    of_token[order] = np.where(ranked > 0, band, len(marks))
    return FrequencyBands(shares=marks, of_token=of_token)


def loss_by_band(
    bands: FrequencyBands,
    targets: NDArray[np.integer],
    base: Values,
    new: Values,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[BandChange]:
    """The change from `base` to `new`, nats per token, for each band of the `targets`; all [windows, length].

    The occurrence-weighted deltas of all bands sum to the text's mean change.  Intervals are paired bootstraps over
    blocks of windows.  `UsageError` when shapes differ.
    """
    if not targets.shape == base.shape == new.shape or targets.ndim != 2:
        raise UsageError(
            "losses by band need targets and losses of one shape [windows, length], "
            f"found {list(targets.shape)}, {list(base.shape)} and {list(new.shape)}"
        )
    where, change = bands.of_token[targets], new - base
    total = float(change.sum())
    found = []
    for number, label in enumerate(bands.labels):
        inside = where == number
        occurrences = int(inside.sum())
        amount = np.where(inside, change, 0.0).sum(1)
        interval = ratio_interval(amount, inside.sum(1).astype(np.float64), seed=seed, resamples=resamples)
        found.append(
            BandChange(
                label=label,
                tokens=int((bands.of_token == number).sum()),
                occurrences=occurrences,
                base=float(base[inside].mean()) if occurrences else None,
                delta=float(change[inside].mean()) if occurrences else None,
                low=interval.low if occurrences else None,
                high=interval.high if occurrences else None,
                share_of_change=float(amount.sum()) / total if total else None,
            )
        )
    return found
