"""The controls above a treemap."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from golfbudget.report.html.markup import Markup, el

#: What the keyboard does in one.
KEYS = "Arrow keys choose, Enter goes in, Escape comes back."


class Colour(StrEnum):
    """What the colour of a cell says."""

    ROLE = "role"
    BITS = "bits per parameter"
    SLACK = "entropy slack"
    CHANGE = "change"


def map_tools(colours: Iterable[str]) -> tuple[Markup, ...]:
    """Search, and what colours say."""
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
