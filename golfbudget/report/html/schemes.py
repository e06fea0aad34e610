"""Every way to represent a matrix, with what it stores and, for a shape, what that takes before any codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from golfbudget.report.html.dots import Dot, Rows
from golfbudget.report.html.markup import Markup, el, join
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page
from golfbudget.report.html.tables import chart, num, row, section, table, td
from golfbudget.report.numbers import count


class ShownParameter(msgspec.Struct, frozen=True, kw_only=True):
    """An option of a scheme."""

    name: str
    summary: str
    default: int | float | str | None = None


class ShownScheme(msgspec.Struct, frozen=True, kw_only=True):
    """One scheme; `raw_bytes` for a shape, or the reason why there are none."""

    name: str
    summary: str
    formula: str
    parameters: tuple[ShownParameter, ...]
    decoder_bytes: int
    options: Mapping[str, int | float | str] | None = None
    raw_bytes: int | None = None
    reason: str | None = None


class ShownSchemes(msgspec.Struct, frozen=True, kw_only=True):
    """What a saved list must hold."""

    schemes: tuple[ShownScheme, ...]
    shape: tuple[int, int] | None = None


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved list of schemes."""
    found = read(report, ShownSchemes, where)
    of = "" if found.shape is None else f" of {found.shape[0]} by {found.shape[1]}"
    sized = [each for each in found.schemes if each.raw_bytes is not None]
    return Page(
        kind="schemes",
        title=f"{count(len(found.schemes))} ways to represent a matrix{of}",
        lead=(
            "Raw bytes are those of the tables, before any codec: only a written artifact says what a scheme takes.",
        ),
        sections=tuple(_sections(found, pictured=bool(sized))),
        picture={"dots": msgspec.to_builtins(_rows(sized))} if sized else None,
        scripts=("pick.js", "dots.js") if sized else (),
    )


def _sections(found: ShownSchemes, *, pictured: bool) -> Iterator[Markup]:
    if pictured:
        yield section("Raw bytes", chart("Raw bytes of each scheme for this shape"))
    headings = ["scheme", "what it stores", "raw bytes by formula", "options", "decoder bytes#"]
    if found.shape is not None:
        headings.insert(4, "raw bytes#")
    yield section(
        "Every scheme", table("Schemes by name", headings, (_row(each, found) for each in found.schemes), id_="rows")
    )


def _row(each: ShownScheme, found: ShownSchemes) -> Markup:
    options = join((join((el("b", option.name), f" {option.summary}"), "") for option in each.parameters), "; ")
    cells = [td(each.summary), td(el("code", each.formula)), td(options or "none")]
    if found.shape is not None:
        cells.append(num(each.raw_bytes) if each.raw_bytes is not None else td(each.reason or ""))
    return row(each.name, *cells, num(each.decoder_bytes))


def _rows(sized: list[ShownScheme]) -> Rows:
    dots = sorted(
        (Dot(row=each.name, series="raw bytes", value=each.raw_bytes) for each in sized), key=lambda dot: dot.value or 0
    )
    return Rows(axis="raw bytes", cap=None, series=("raw bytes",), dots=tuple(dots))
