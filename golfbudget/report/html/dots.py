"""What a picture of amounts in rows shows: points of several series, with intervals and the cap."""

from __future__ import annotations

from msgspec import Struct


class Dot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount, or an interval where the amount itself is not known."""

    row: str
    series: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Rows(Struct, frozen=True, kw_only=True):
    """Dots in rows; `across`: the number whose values the rows are, where lines join the dots of a series."""

    axis: str
    cap: int | None
    series: tuple[str, ...]
    dots: tuple[Dot, ...]
    across: str | None = None
