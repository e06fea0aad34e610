"""A fitted file: what it comes to and what it loses, where it is in the plane, and what every matrix got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from golfbudget.evidence import ends
from golfbudget.fit.fit_json import SavedFit
from golfbudget.fit.results import FitChoice
from golfbudget.report.html.inspect import role_strips
from golfbudget.report.html.maps import Colour, map_picture
from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.plane import Plane, PlanePoint
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page, file_title
from golfbudget.report.html.tables import bar, bullets, facts, num, picture, role_cell, row, section, sized, table, td
from golfbudget.report.html.tree import MapLeaf, MapNode, place, tree
from golfbudget.report.numbers import bytes_text, count, human

_COLOURS = [Colour.BITS, Colour.ROLE]
#: The bytes of a role that are no matrix of the fit.
_REST = "[everything else]"


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved fit."""
    fit = read(report, SavedFit, where)
    plane = _plane(fit)
    pictures: dict[str, object] = {"map": {"root": msgspec.to_builtins(_tree(fit)), "colours": _COLOURS}}
    if plane is not None:
        pictures["plane"] = msgspec.to_builtins(plane)
    scripts = ("pick.js", "map.js", *(() if plane is None else ("plane.js",)), "fit.js")
    return Page(
        kind="fit",
        title=file_title(fit.source.path),
        lead=tuple(_lead(fit)),
        sections=tuple(_sections(fit, pictured=plane is not None)),
        picture=pictures,
        scripts=scripts,
    )


def _used(fit: SavedFit) -> int:
    return fit.counted_bytes + (fit.code_bytes or 0)


def _lead(fit: SavedFit) -> Iterator[Child]:
    yield el("b", f"Fitted: {count(_used(fit))} of {count(fit.cap)} bytes")
    quality = fit.quality
    if quality.delta is None:
        yield ". No model was run: the squared error was made least."
    elif quality.low is not None and quality.high is not None:
        yield f"; {quality.delta:+.4f} bits per byte {ends(quality.low, quality.high)} "
        yield f"against the recipe's own file of {count(fit.baseline.artifact_bytes)} ({quality.evidence})."


def _sections(fit: SavedFit, *, pictured: bool) -> Iterator[Markup]:
    size = fit.artifact_bytes
    parts = [*role_strips(fit.roles), ("loader", "role-code", fit.decoder_bytes)]
    if fit.code_bytes:
        parts.append(("code beside it", "role-code", fit.code_bytes))
    parts.append(("headroom", "headroom", fit.headroom))
    yield section(
        "Under the cap",
        bar(f"The cap of {human(fit.cap)}", parts, max(fit.cap, _used(fit))),
        facts(_facts(fit)),
        bullets(fit.notes),
    )
    if pictured:
        yield section("What bytes cost", picture("plane", "The fitted file and the recipe's own, by bytes and loss"))
    label = "Treemap of the fitted file's bytes: role, block, matrix"
    yield section(f"What each matrix got, in {bytes_text(size)}", map_picture(label, _COLOURS))
    headings = (
        "matrix", "role", "stored as", "coder", "parameters#", "stored bytes#", "bits per parameter#",
        "next kB is worth, µbpb#",
    )  # fmt: skip
    rows = (_row(each, at) for at, each in enumerate(fit.choices))
    yield section("Every matrix", table(f"{count(len(fit.choices))} matrices", headings, rows, id_="owners"))
    loader = el(
        "div",
        el("pre", el("code", Markup(_lines(fit.loader)))),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="The loader",
    )
    yield section(
        "The loader to paste", el("details", el("summary", f"{count(fit.decoder_bytes)} bytes packed"), loader)
    )


def _lines(program: str) -> str:
    """A program as text in which lines stay lines."""
    from golfbudget.report.html.markup import text

    return "\n".join(text(line) for line in program.split("\n"))


def _facts(fit: SavedFit) -> Iterator[tuple[str, Child]]:
    yield "artifact", f"{bytes_text(fit.artifact_bytes)}, {fit.container}"
    yield "chosen on", fit.quality.chosen_on
    yield "measured on", fit.quality.reported_on
    yield "recipe", fit.recipe
    yield "SHA-256", el("code", fit.sha256)


def _stored_as(each: FitChoice) -> str:
    return " ".join([each.scheme, *(f"{name}={value}" for name, value in each.options.items())])


def _row(each: FitChoice, at: int) -> Markup:
    return row(
        each.owner, role_cell(each.role), td(_stored_as(each)),
        td(each.coder), *sized(each.parameters, each.stored_bytes),
        num(each.next_kilobyte, digits=1), key=at,
    )  # fmt: skip


def _tree(fit: SavedFit) -> MapNode:
    """Matrices in their roles, and in each role what is none: all of them sum to the file."""
    leaves, left = [], {str(role.role): role.stored_bytes for role in fit.roles}
    for each in fit.choices:
        role = str(each.role)
        left[role] = left.get(role, 0) - each.stored_bytes
        leaves.append(_leaf(role, each.owner, each.stored_bytes, each.parameters))
    leaves += [_leaf(role, _REST, amount, 0) for role, amount in left.items() if amount > 0]
    return tree("fitted file", leaves)


def _leaf(role: str, owner: str, amount: int, parameters: int) -> MapLeaf:
    path = (role, owner) if owner == _REST else place(role, owner)
    return MapLeaf(path=path, role=role, owner=owner, bytes=amount, amounts={"parameters": parameters})


def _plane(fit: SavedFit) -> Plane | None:
    quality, base = fit.quality, fit.baseline.artifact_bytes
    if quality.delta is None:
        return None
    own = PlanePoint(name="the recipe's own file", kind="baseline", x=0, y=0.0)
    made = PlanePoint(
        name="the fitted file", kind="fitted", x=base - fit.counted_bytes, y=quality.delta, low=quality.low,
        high=quality.high,
    )  # fmt: skip
    cap = base + (fit.code_bytes or 0) - fit.cap
    return Plane(
        x="bytes saved", y="change in bits per byte", signed=True, points=(own, made), cap=cap if cap > 0 else None
    )
