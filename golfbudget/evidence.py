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
