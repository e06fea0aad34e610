"""The last step, scaled until the file uses up its target: a choice among few steps leaves room that is worth bits."""

from __future__ import annotations

import math

from golfbudget.fit.assembly import Assembled, Assembler
from golfbudget.fit.search import Found

#: A file that uses this much of its target is full.
FULL = 0.9995
_TRIES = 8
#: Steps are changed by at most this factor at once.
_MOST = 1.35


def filled(assembler: Assembler, found: Found, target: int) -> Assembled:
    """The file, or a larger one of at most `target` bytes whose last step is finer.

    The bytes of a matrix of n weights change by n · log2(factor) / 8 where its step is divided by the factor.  The
    matrix with most weights is taken first, and the next where that one has moved as far as it may.
    """
    best = found.assembled
    reference = assembler.desk.source.reference
    twins = found.costs.twins
    movable = sorted(
        (owner for owner in found.costs.options if best.choices[owner].scalable),
        key=lambda owner: (-reference[owner].numel(), owner),
    )
    for owner in movable:
        weights, original = reference[owner].numel() * len(twins[owner]), best.choices[owner]
        factor, low, high = 1.0, 1.0, _MOST
        current = len(best.data)
        for _ in range(_TRIES):
            if FULL * target <= len(best.data):
                return best
            # From where the last try came out, in proportion; within what is known to fit and not to fit.
            factor = _moved(factor, 0.5 * (1 + FULL) * target - current, weights)
            if not low < factor < high:
                factor = math.sqrt(low * high) if high < _MOST else min(factor, _MOST)
            if factor <= low:
                break
            choice = original.scaled(1 / factor)
            tried = assembler.file({**best.choices, **dict.fromkeys(twins[owner], choice)})
            current = len(tried.data)
            if current <= target:
                low = factor
                best = tried if current > len(best.data) else best
            else:
                high = factor
            if low >= _MOST or high / low < 1 + 1e-4:
                break
    return best


def _moved(factor: float, lacking: float, weights: int) -> float:
    """The factor that so many more bytes, or fewer, ask of a matrix of so many weights; a bit a weight at most.

    >>> _moved(1.0, 100, 1_600), _moved(1.0, -100, 800)
    (1.4142135623730951, 0.5)
    >>> _moved(1.25, 1_000_000, 16)  # no vector takes up a megabyte
    2.5
    """
    return factor * 2 ** max(-1.0, min(1.0, 8 * lacking / weights))
