"""An inspected artifact: where its bytes are, as a map that sums to the file, under the cap, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

import msgspec
from msgspec import UNSET

from golfbudget.inspection.report import EntryReport, InspectReport, LayerReport, OwnerReport, RoleReport
from golfbudget.report.html.maps import Colour, map_picture
from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.shell import Page, file_title
from golfbudget.report.html.tables import bar, bullets, facts, num, role_cell, row, section, share, sized, table, td
from golfbudget.report.html.tree import MapLeaf, MapNode, place, tree
from golfbudget.report.numbers import bytes_text, count, human, percent


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved inspection; the errors of `InspectReport.read`."""
    found = InspectReport.read(report, where=where)
    return Page(
        kind="inspect",
        title=file_title(found.source.path),
        lead=tuple(_lead(found)),
        sections=(_cap(found), _map(found), _roles(found), _owners(found), _nesting(found)),
        picture={"map": {"root": msgspec.to_builtins(ledger_tree(found)), "colours": _colours(found)}},
        scripts=("pick.js", "map.js", "inspect.js"),
    )


def ledger_tree(found: InspectReport) -> MapNode:
    """File, role, block, owner, account: every byte once."""
    return tree(PurePath(found.source.path).name, map(_leaf, found.entries))


def _leaf(entry: EntryReport) -> MapLeaf:
    amounts = {"parameters": entry.parameters}
    if isinstance(entry.slack_bytes, int):
        amounts |= {"slack": entry.slack_bytes, "floor": entry.entropy_floor_bytes or 0}
    account = str(entry.account) if entry.account is not UNSET else "bytes"
    path = (*place(str(entry.role), entry.owner), account)
    return MapLeaf(path=path, role=str(entry.role), owner=entry.owner, bytes=entry.stored_bytes, amounts=amounts)


def _colours(found: InspectReport) -> list[str]:
    slack = any(isinstance(entry.slack_bytes, int) for entry in found.entries)
    return [Colour.ROLE, Colour.BITS, *([Colour.SLACK] if slack else [])]


def _lead(found: InspectReport) -> Iterator[Child]:
    size = found.source.bytes
    largest = sorted(found.roles, key=lambda role: -role.stored_bytes)[:3]
    named = ", ".join(f"{role.role} {percent(role.stored_bytes, size)}" for role in largest if role.stored_bytes)
    yield el("b", bytes_text(size))
    yield f": {named}. "
    cap = found.cap
    if isinstance(cap.bytes, int) and isinstance(cap.headroom, int):
        counted = "code not counted" if cap.code_bytes is None else f"with {count(cap.code_bytes)} bytes of code"
        if cap.headroom >= 0:
            yield f"{count(cap.headroom)} bytes are left under the cap of {count(cap.bytes)}, {counted}."
        else:
            yield el("b", f"{count(-cap.headroom)} bytes over the cap", class_="bad")
            yield f" of {count(cap.bytes)}, {counted}."


def role_strips(roles: tuple[RoleReport, ...]) -> list[tuple[str, str, int]]:
    """Roles as the parts of a bar."""
    return [(str(role.role), f"role-{role.role}", role.stored_bytes) for role in roles]


def _cap(found: InspectReport) -> Markup:
    cap, size = found.cap, found.source.bytes
    bars = [bar(f"The file, {human(size)}", role_strips(found.roles), size)]
    if isinstance(cap.bytes, int):
        parts = role_strips(found.roles)
        if cap.code_bytes:
            parts.append(("code beside it", "role-code", cap.code_bytes))
        left = cap.bytes - size - (cap.code_bytes or 0)
        parts.append(("headroom", "headroom", left))
        over = "" if left >= 0 else f", over by {count(-left)} bytes"
        bars.append(bar(f"Under the cap of {human(cap.bytes)}{over}", parts, max(cap.bytes, cap.bytes - left)))
    return section("Head, trunk and the cap", *bars)


def _map(found: InspectReport) -> Markup:
    label = "Treemap of stored bytes: file, role, block, owner, account"
    note = "Every area is in proportion to its stored bytes, and all of them are the file. "
    more = "Choose a part to see why it is called so; go in to see its parts."
    return section(
        "Where the bytes are",
        el("p", note, more, class_="note"),
        map_picture(label, _colours(found)),
        id_="where",
    )


def _roles(found: InspectReport) -> Markup:
    rows = []
    for role in found.roles:
        rows.append(
            row(
                el("span", el("span", class_=f"key role-{role.role}"), str(role.role)),
                td(""),
                *sized(role.parameters, role.stored_bytes),
                share(role.stored_bytes, found.source.bytes),
                class_="group",
            )
        )
        rows += [
            row(str(role.role), td(str(each.account)), td(""), num(each.stored_bytes), td(""),
                share(each.stored_bytes, found.source.bytes), class_="part")
            for each in role.accounts or ()
        ]  # fmt: skip
    headings = ("role", "account", "parameters#", "stored bytes#", "bits per parameter#", "share of file#")
    return section("What they are for, and what they are", table("Roles and their accounts", headings, rows))


def _owners(found: InspectReport) -> Markup:
    measured = any(isinstance(owner.slack_bytes, int) for owner in found.owners)
    rows = [
        _owner(owner, at, found.source.bytes, measured=measured)
        for at, owner in sorted(enumerate(found.owners), key=lambda each: _largest(each[1]))
    ]
    headings = ["owner", "role", "parameters#", "stored bytes#", "bits per parameter#", "share of file#"]
    if measured:
        headings += ["entropy floor#", "slack#"]
    caption = f"All {count(len(found.owners))} owners, largest first"
    return section("Whose they are", table(caption, headings, rows, id_="owners"))


def _largest(owner: OwnerReport) -> tuple[int, str, str]:
    return -owner.stored_bytes, owner.owner, str(owner.role)


def _owner(owner: OwnerReport, at: int, size: int, *, measured: bool) -> Markup:
    cells = [
        role_cell(owner.role),
        *sized(owner.parameters, owner.stored_bytes), share(owner.stored_bytes, size),
    ]  # fmt: skip
    if measured:
        cells += [num(n if isinstance(n, int) else None) for n in (owner.entropy_floor_bytes, owner.slack_bytes)]
    return row(owner.owner, *cells, key=at)


def _nesting(found: InspectReport) -> Markup:
    tied = "tied" if found.tied is True else "not tied" if found.tied is False else "not known whether it is tied"
    reason = found.tied_reason if isinstance(found.tied_reason, str) else None
    rows: list[tuple[str, Child]] = [
        ("file", found.source.path),
        ("SHA-256", "not known" if found.source.sha256 is None else el("code", found.source.sha256)),
        ("head", tied if reason is None else f"{tied}: {reason}"),
        ("parameters", count(found.parameters)),
        *([] if found.source.missing is UNSET else [("not known", str(found.source.missing))]),
    ]
    layers = bullets(_layer(layer) for layer in found.layers[:_MOST_LAYERS])
    rest = len(found.layers) - _MOST_LAYERS
    more = el("p", f"and {count(rest)} more") if rest > 0 else None
    return section("How it is nested", facts(rows), layers, more)


#: Layers that are listed; a bundle of many members has as many.
_MOST_LAYERS = 20


def _layer(layer: LayerReport) -> str:
    text = f"{layer.kind} {layer.name}"
    if layer.member is not None:
        text += f" of {layer.member}"
    if isinstance(layer.decoded_bytes, int):
        text += f", {count(layer.decoded_bytes)} bytes decoded"
    return text if layer.attribution is None else f"{text}, {layer.attribution} attribution"
