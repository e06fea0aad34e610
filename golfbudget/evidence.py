"""How a figure is known: one word each, the same in code, tables and JSON."""

from __future__ import annotations

from enum import StrEnum


class Evidence(StrEnum):
    """How a figure is known, strongest first."""

    CERTIFIED = "certified"
    MEASURED = "measured"
    EQUAL_ERROR = "equal-error"
    SYNTHETIC = "measured on synthetic weights"
    MODELLED = "modelled"
    CLAIMED = "claimed"
    UNKNOWN = "unknown"


def ends(low: float | None, high: float | None) -> str:
    """The ends of an interval of changes, in bits per byte; a dash where there is none.

    >>> ends(-0.00012, 0.5), ends(None, None)
    ('[-0.0001, +0.5000]', '–')
    """
    return "–" if low is None or high is None else f"[{low:+.4f}, {high:+.4f}]"
