"""A treemap's place on a page, and the controls above it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from golfbudget.report.html.markup import Markup, el
from golfbudget.report.html.tables import picture

#: What the keyboard does in one.
_KEYS = "Arrow keys choose, Enter goes in, Escape comes back."


class Colour(StrEnum):
    """What the colour of a cell says."""

    ROLE = "role"
    BITS = "bits per parameter"
    SLACK = "entropy slack"
    CHANGE = "change"


def map_picture(label: str, colours: Iterable[str]) -> Markup:
    """Where a map is drawn, under search and what colours say."""
    return picture("map", label, *_tools(colours), hint=_KEYS)


def _tools(colours: Iterable[str]) -> tuple[Markup, ...]:
    search = el(
        "label",
        "Search ",
        el("input", type="search", id="search", placeholder="owner, block, role", autocomplete="off"),
    )
    buttons = (
        el("button", colour, type="button", data_colour=colour, aria_pressed="true" if at == 0 else "false")
        for at, colour in enumerate(colours)
    )
    choice = el("div", el("span", "Colour by ", id="colour-by"), *buttons, role="group", aria_labelledby="colour-by")
    found = el("output", id="found", for_="search")
    return search, choice, found, el("nav", id="crumbs", aria_label="Where the map is"), el("div", id="legend")
