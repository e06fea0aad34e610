"""What the rate-distortion plane shows: points with intervals, lines through some of them, and marks."""

from __future__ import annotations

from msgspec import Struct


class PlanePoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file: bytes saved to the right, what it costs upwards.

    `kind` is its side; `vq`: of the VQ-Logits family; `loser`: certified, so that `y` is the least that it can lose.
    """

    name: str
    kind: str
    x: int
    y: float
    low: float | None = None
    high: float | None = None
    vq: bool = False
    loser: bool = False
    command: str | None = None


class PlaneLine(Struct, frozen=True, kw_only=True):
    """A frontier through points, from the left."""

    name: str
    kind: str
    points: tuple[tuple[int, float], ...]


class Plane(Struct, frozen=True, kw_only=True):
    """All of it.

    `signed`: the costs may be gains, and the axis is linear around nothing and logarithmic beyond it.  `cap`: what must
    be saved to fit, where that is not nothing.  `price`: bits per byte for each byte.  `first` is chosen when the page
    opens.
    """

    x: str
    y: str
    signed: bool
    points: tuple[PlanePoint, ...]
    lines: tuple[PlaneLine, ...] = ()
    cap: int | None = None
    price: float | None = None
    mark: float | None = None
    mark_name: str = ""
    first: str | None = None


def through(name: str, kind: str, points: list[PlanePoint]) -> PlaneLine:
    """A line through points in the order of their bytes."""
    return PlaneLine(name=name, kind=kind, points=tuple(sorted((point.x, point.y) for point in points)))
