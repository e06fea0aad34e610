"""What a model will take before it is trained: one estimate, or a sweep as lines under the cap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from golfbudget.report.html.dots import Dot, Rows
from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page
from golfbudget.report.html.tables import DASH, bullets, chart, facts, num, row, section, table, td
from golfbudget.report.numbers import bytes_text, count


class ShownAmount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount or its range, and how it is known."""

    value: int | None
    low: int | None
    high: int | None
    evidence: str


class ShownName(msgspec.Struct, frozen=True, kw_only=True):
    """A model or a recipe."""

    name: str


class ShownCap(msgspec.Struct, frozen=True, kw_only=True):
    """What counts against the cap; `fits` is None where the range lies across it."""

    bytes: int
    code_bytes: int | None
    used: int
    headroom: int
    fits: bool | None


class ShownEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """One model's estimate."""

    model: ShownName
    recipe: ShownName
    parameters: int
    payload_bytes: int
    artifact_bytes: ShownAmount
    cap: ShownCap
    container_bytes: int | None = None
    settings: Mapping[str, int | float | str] = {}
    depends_on_training: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """Its settings in a sweep, its model's name alone."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items()) or self.model.name


class ShownSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Several."""

    points: tuple[ShownEstimate, ...]


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved estimate or sweep."""
    points = read(report, ShownSweep, where).points if "points" in report else (read(report, ShownEstimate, where),)
    names = dict.fromkeys(point.model.name for point in points)
    return Page(
        kind="estimate",
        title=", ".join(names),
        lead=tuple(_lead(points)),
        sections=tuple(_sections(points)),
        picture={"dots": msgspec.to_builtins(_rows(points))},
        scripts=("pick.js", "dots.js"),
    )


def _lead(points: tuple[ShownEstimate, ...]) -> Iterator[Child]:
    if len(points) > 1:
        fits = sum(point.cap.fits is True for point in points)
        over = sum(point.cap.fits is False for point in points)
        yield f"{len(points)} models: {fits} surely fit, {over} surely do not, {len(points) - fits - over} may."
    for point in points[:1] if len(points) == 1 else ():
        said = {True: "It fits", False: "It does not fit", None: "It may fit"}[point.cap.fits]
        yield el("b", said, class_=_kind(point))
        yield f" the cap of {count(point.cap.bytes)}: {_range(point.artifact_bytes)} ({point.artifact_bytes.evidence})."


def _kind(point: ShownEstimate) -> str | None:
    return None if point.cap.fits is None else "good" if point.cap.fits else "bad"


def _range(amount: ShownAmount) -> str:
    if amount.value is not None:
        return bytes_text(amount.value)
    if amount.low is None or amount.high is None:
        return "bytes that are not known"
    return f"{count(amount.low)} to {count(amount.high)} bytes"


def _sections(points: tuple[ShownEstimate, ...]) -> Iterator[Markup]:
    yield section("Under the cap", chart("Bytes of each model's artifact, with the cap as a line"))
    headings = ("model", "parameters#", "payload bytes#", "artifact bytes#", "low#", "high#", "fits", "how known")
    caption = "Before training: the payload is exact, the artifact as its evidence says"
    yield section("In numbers", table(caption, headings, map(_row, points), id_="rows"))
    first = points[0] if points else None
    if first is not None:
        said = [
            ("recipe", first.recipe.name),
            ("code", DASH if first.cap.code_bytes is None else f"{count(first.cap.code_bytes)} bytes"),
        ]
        yield section(
            "What it rests on", facts(said), bullets(dict.fromkeys((*first.depends_on_training, *first.notes)))
        )


def _row(point: ShownEstimate) -> Markup:
    amount = point.artifact_bytes
    fits = {True: "yes", False: "no", None: "open"}[point.cap.fits]
    return row(
        point.called, num(point.parameters), num(point.payload_bytes), num(amount.value), num(amount.low),
        num(amount.high), td(el("b", fits, class_=_kind(point))), td(amount.evidence),
    )  # fmt: skip


def _rows(points: tuple[ShownEstimate, ...]) -> Rows:
    """Where the first setting is a number it is the axis, and the other settings name the lines."""
    cap = points[0].cap.bytes - (points[0].cap.code_bytes or 0) if points else None
    across = next(iter(points[0].settings), None) if points else None
    if across is None or not all(isinstance(point.settings.get(across), int | float) for point in points):
        across = None
    dots = []
    for point in points:
        amount, others = point.artifact_bytes, {k: v for k, v in point.settings.items() if k != across}
        named = ", ".join(f"{name}={value}" for name, value in others.items()) or "artifact"
        series = named if across is not None else "artifact"
        at = str(point.settings[across]) if across is not None else point.called
        dots.append(Dot(row=at, series=series, value=amount.value, low=amount.low, high=amount.high))
    series_names = tuple(dict.fromkeys(dot.series for dot in dots))
    return Rows(axis="artifact bytes", cap=cap, series=series_names, dots=tuple(dots), across=across)
