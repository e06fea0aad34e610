"""Two sides: gates first, then what moved most, then the new side's map coloured by what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from golfbudget.report.html.maps import Colour, map_picture
from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page, file_title
from golfbudget.report.html.tables import bullets, facts, num, role_cell, row, section, table, td
from golfbudget.report.html.tree import MapLeaf, place, tree
from golfbudget.report.numbers import bytes_text, count, percent, signed


class ShownSide(msgspec.Struct, frozen=True, kw_only=True):
    """One side's totals."""

    path: str
    total_bytes: int
    sha256: str = ""
    code_bytes: int | None = None
    known: str | None = None


class ShownMove(msgspec.Struct, frozen=True, kw_only=True):
    """A role, or the whole."""

    base_bytes: int
    new_bytes: int
    delta_bytes: int
    role: str = ""


class ShownOwner(ShownMove, frozen=True, kw_only=True):
    """One owner on both sides."""

    owner: str
    status: str
    content: str | None = None


class ShownGate(msgspec.Struct, frozen=True, kw_only=True):
    """What may not grow, and whether it did; `value` is in `unit`."""

    expression: str
    passed: bool
    value: float | None
    limit: float
    unit: str


class ShownComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a saved comparison must hold."""

    base: ShownSide
    new: ShownSide
    total: ShownMove
    roles: tuple[ShownMove, ...]
    owners: tuple[ShownOwner, ...]
    gates: tuple[ShownGate, ...]
    passed: bool
    counts: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved comparison."""
    found = read(report, ShownComparison, where)
    leaves = (
        MapLeaf(path=place(each.role, each.owner), role=each.role, owner=each.owner, bytes=each.new_bytes,
             amounts={"base": each.base_bytes})
        for each in found.owners
    )  # fmt: skip
    root = tree(file_title(found.new.path), leaves)
    return Page(
        kind="compare",
        title=f"{file_title(found.base.path)} → {file_title(found.new.path)}",
        lead=tuple(_lead(found)),
        sections=tuple(_sections(found)),
        picture={"map": {"root": msgspec.to_builtins(root), "colours": _COLOURS}},
        scripts=("pick.js", "map.js", "compare.js"),
    )


_COLOURS = [Colour.CHANGE, Colour.ROLE]


def _lead(found: ShownComparison) -> Iterator[Child]:
    total = found.total
    yield el("b", f"{signed(total.delta_bytes)} bytes")
    if total.base_bytes:
        yield f" ({percent(abs(total.delta_bytes), total.base_bytes)} of the base)"
    yield f": {count(total.base_bytes)} became {count(total.new_bytes)}. "
    if found.gates:
        failed = sum(not gate.passed for gate in found.gates)
        said = f"{failed} of {len(found.gates)} gates failed." if failed else "Every gate passed."
        yield el("b", said, class_="bad" if failed else "good")


def _sections(found: ShownComparison) -> Iterator[Markup]:
    if found.gates:
        columns = ("gate", "outcome", "value#", "limit#", "unit")
        yield section("Gates", table("What may not grow", columns, map(_gate, found.gates)))
    moved = [(each, at) for at, each in enumerate(found.owners) if each.delta_bytes]
    moved.sort(key=lambda pair: _most(pair[0]))
    headings = ["owner", "role", "status", "change#", "base bytes#", "new bytes#"]
    same = len(found.owners) - len(moved)
    caption = f"{count(len(moved))} owners moved, most first; {count(same)} kept their bytes"
    yield section("What moved", table(caption, headings, (_owner(*pair) for pair in moved), id_="owners", tall=True))
    label = "Treemap of the new side's bytes, coloured by change"
    note = "Areas are the new side's bytes, colours what changed; what was removed is in the table alone."
    yield section("Where it moved", el("p", note, class_="note"), map_picture(label, _COLOURS))
    rows = [*(_role(each.role, each) for each in found.roles), _role("total", found.total)]
    headings = ["role", "change#", "base bytes#", "new bytes#"]
    yield section("By role", table("Roles on both sides", headings, rows))
    sides = [("base", _side(found.base)), ("new", _side(found.new))]
    yield section("What was compared", facts(sides), bullets(found.notes))


def _most(owner: ShownOwner) -> tuple[int, str, str]:
    return -abs(owner.delta_bytes), owner.owner, owner.role


def _gate(gate: ShownGate) -> Markup:
    said = el("b", "passed" if gate.passed else "failed", class_="good" if gate.passed else "bad")
    digits = None if gate.unit == "bytes" else 2
    cells = (td(said), num(gate.value, sign=True, digits=digits), num(gate.limit, sign=True, digits=digits))
    return row(gate.expression, *cells, td(gate.unit))


def _change(each: ShownMove) -> Markup:
    kind = "n grew" if each.delta_bytes > 0 else "n shrank" if each.delta_bytes < 0 else "n"
    return td(signed(each.delta_bytes), class_=kind)


def _owner(each: ShownOwner, at: int) -> Markup:
    status = each.status if each.content in (None, each.status) else f"{each.status}, content {each.content}"
    cells = (role_cell(each.role), td(status), _change(each))
    return row(each.owner, *cells, num(each.base_bytes), num(each.new_bytes), key=at)


def _role(name: str, each: ShownMove) -> Markup:
    return row(name, _change(each), num(each.base_bytes), num(each.new_bytes))


def _side(side: ShownSide) -> str:
    code = "" if side.code_bytes is None else f", {count(side.code_bytes)} of them code"
    known = "" if side.known is None else f" ({side.known})"
    return f"{side.path}: {bytes_text(side.total_bytes)}{code}{known}"
