"""Adam's rates of a short training: how they rise and fall, and which peaks a few trials find best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

#: Peaks that may be tried.
PEAKS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
#: The rate rises over this share of the steps, so that Adam's second moments are known before it is high, and then
#: falls in a straight line to zero: the last steps settle what rounds up and what rounds down.
RISE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Adam's rates at their peaks: of what a candidate stores in its own way, and of everything else."""

    own: float
    rest: float


#: Where the search begins: for what is nearly as it was trained, and for a codebook and the model that gets used to it.
#: On the embedded example, 30 steps at these leave less than at any of their neighbours that were tried.
_FINISHED, _CODED = Rates(own=3e-4, rest=3e-4), Rates(own=3e-3, rest=1e-3)


def best_rates(lost: Callable[[Rates], float], *, own: bool, coded: bool) -> Rates:
    """The peaks at which short trials lose least, found by walking up or down one at a time, its own first.

    `own` says whether anything learns at a rate of its own, `coded` whether that is a codebook.
    """
    tried: dict[Rates, float] = {}

    def loss(rates: Rates) -> float:
        if rates not in tried:
            tried[rates] = lost(rates)
        return tried[rates]

    best = _CODED if coded else _FINISHED
    for kind in ("own", "rest") if own else ("rest",):
        for direction in (1, -1):
            start = best
            while (further := _beside(best, kind, direction)) is not None and loss(further) < loss(best):
                best = further
            if best != start:
                break
    return best


def _beside(rates: Rates, kind: str, direction: int) -> Rates | None:
    at = PEAKS.index(getattr(rates, kind)) + direction
    return replace(rates, **{kind: PEAKS[at]}) if 0 <= at < len(PEAKS) else None


def share_of_peak(step: int, steps: int) -> float:
    """The rate at a step, counted from zero, over its peak: it rises to that and falls to nearly zero.

    >>> [round(share_of_peak(step, 10), 2) for step in (0, 1, 5, 9)]
    [1.0, 0.9, 0.5, 0.1]
    """
    rise = max(1, round(RISE * steps))
    return min((step + 1) / rise, (steps - step) / max(1, steps - rise + 1))
