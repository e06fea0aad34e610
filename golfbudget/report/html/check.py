"""Submissions: a row for each, what every convention counts, and where that is under the cap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

import msgspec

from golfbudget.report.html.dots import Dot, Rows
from golfbudget.report.html.markup import Child, Markup, el, join
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page, file_title
from golfbudget.report.html.tables import DASH, bullets, chart, row, section, table, td
from golfbudget.report.numbers import count, left_text


class ShownTally(msgspec.Struct, frozen=True, kw_only=True):
    """What one convention counts; why it cannot where it does not."""

    total_bytes: int | None
    code_bytes: int | None = None
    model_bytes: int | None = None
    headroom: int | None = None
    fits: bool | None = None
    missing: str | None = None


class ShownFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something to mend, or to know."""

    severity: str
    code: str
    message: str


class ShownClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A number that the submission states."""

    source: str
    key: str
    bytes: float
    agrees_with: str | list[str] | None = None


class ShownSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """One folder."""

    path: str
    conventions: Mapping[str, ShownTally]
    findings: tuple[ShownFinding, ...]
    claims: tuple[ShownClaim, ...]
    verdict: str
    passed: bool


class ShownCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a saved check must hold."""

    rules: str
    cap: int
    convention: str
    submissions: tuple[ShownSubmission, ...]
    passed: bool


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved check."""
    found = read(report, ShownCheck, where)
    only = found.submissions[0].path if len(found.submissions) == 1 else None
    return Page(
        kind="check",
        title=f"{count(len(found.submissions))} submissions" if only is None else file_title(only),
        lead=tuple(_lead(found)),
        sections=tuple(_sections(found)),
        picture={"dots": msgspec.to_builtins(_dots(found))},
        scripts=("pick.js", "dots.js"),
    )


def _lead(found: ShownCheck) -> Iterator[Child]:
    counts: dict[str, int] = {}
    for each in found.submissions:
        counts[each.verdict] = counts.get(each.verdict, 0) + 1
    said = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    yield el("b", said, class_="good" if found.passed else "bad")
    yield f" by the rules {found.rules}, which decide by the convention “{found.convention}” "
    yield f"under a cap of {count(found.cap)} bytes."


def _names(found: ShownCheck) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in found.submissions for name in each.conventions))


def _sections(found: ShownCheck) -> Iterator[Markup]:
    names = _names(found)
    label = "Bytes of each submission by each convention, with the cap as a line"
    yield section("Against the cap", chart(label))
    headings = ("submission", "verdict", *(f"{name}#" for name in names), "findings")
    short = _short([each.path for each in found.submissions])
    rows = [_submission(each, short[each.path], names, found.convention) for each in found.submissions]
    yield section("Every submission", table("Bytes by convention, and what is left", headings, rows, id_="rows"))
    for each in found.submissions:
        if each.findings:
            lines = [join((el("b", f"{one.severity} {one.code}"), f" {one.message}"), "") for one in each.findings]
            opened = len(found.submissions) == 1
            summary = el("summary", f"{short[each.path]}: {len(each.findings)} findings")
            yield el("details", summary, bullets(lines), open=opened)


def _short(paths: list[str]) -> dict[str, str]:
    """Paths without the folder that all of them are in; one alone by its own name."""
    parents = [PurePath(path).parent.parts for path in paths]
    shared = 0
    while parents and all(len(parts) > shared and parts[shared] == parents[0][shared] for parts in parents):
        shared += 1
    return {path: str(PurePath(*PurePath(path).parts[shared:])) for path in paths}


def _submission(each: ShownSubmission, name: str, names: tuple[str, ...], convention: str) -> Markup:
    kind = "good" if each.passed else "bad"
    cells = [td(el("b", each.verdict, class_=kind))]
    cells += [_tally(each.conventions.get(name), decides=name == convention) for name in names]
    counts: dict[str, int] = {}
    for one in each.findings:
        counts[one.severity] = counts.get(one.severity, 0) + 1
    return row(name, *cells, td(", ".join(f"{n} {kind}" for kind, n in counts.items())))


def _tally(tally: ShownTally | None, *, decides: bool) -> Markup:
    if tally is None or tally.total_bytes is None:
        return el("td", DASH, class_="n", title=None if tally is None else tally.missing)
    total = count(tally.total_bytes)
    left = tally.headroom or 0
    said = el("small", left_text(left, ""))
    return td(el("b", total) if decides else total, el("br"), said, class_="n" if left >= 0 else "n bad")


def _dots(found: ShownCheck) -> Rows:
    short = _short([each.path for each in found.submissions])
    dots = [
        Dot(row=short[each.path], series=name, value=tally.total_bytes)
        for each in found.submissions
        for name, tally in each.conventions.items()
        if tally.total_bytes is not None
    ]
    return Rows(axis="bytes that count", cap=found.cap, series=_names(found), dots=tuple(dots))
