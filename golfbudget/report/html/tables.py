"""Tables, facts and bars: what stands behind every picture, and reads without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.numbers import count, percent, signed

DASH = "–"


def section(title: str, *children: Child, id_: str | None = None) -> Markup:
    """A part of the page under its heading."""
    return el("section", el("h2", title), *children, id=id_)


def facts(rows: Iterable[tuple[str, Child]]) -> Markup:
    """What is said once, as terms and what they are."""
    pairs = (el("div", el("dt", term), el("dd", said)) for term, said in rows if said is not None)
    return el("dl", *pairs)


def bullets(lines: Iterable[Child]) -> Markup | None:
    """A list, where there is anything on it."""
    items = [el("li", line) for line in lines]
    return el("ul", *items) if items else None


def num(value: float | None, *, sign: bool = False, digits: int | None = None) -> Markup:
    """A cell of an amount: whole as it is, otherwise of so many digits."""
    if value is None:
        return el("td", DASH, class_="n")
    if digits is not None:
        shown = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    else:
        shown = signed(int(value)) if sign else count(int(value))
    return el("td", shown, class_="n")


def share(part: int, of: int) -> Markup:
    """A cell of a share."""
    return el("td", percent(part, of), class_="n")


def td(*children: Child, class_: str | None = None) -> Markup:
    """A cell of text."""
    return el("td", *children, class_=class_)


def role_cell(role: str) -> Markup:
    """A cell of a role, after its colour."""
    return td(el("span", class_=f"key role-{role}"), str(role))


def sized(parameters: int, stored_bytes: int) -> tuple[Markup, Markup, Markup]:
    """Cells of parameters, of stored bytes, and of bits for each parameter."""
    bits = 8 * stored_bytes / parameters if parameters else None
    return num(parameters), num(stored_bytes), num(bits, digits=3)


def row(name: Child, *cells: Markup, key: int | None = None, class_: str | None = None) -> Markup:
    """A row under its own heading; `key` is its place in the report's list, by which scripts know it."""
    return el("tr", el("th", name, scope="row"), *cells, data_key=key, class_=class_)


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Markup], *, id_: str | None = None, tall: bool = False
) -> Markup:
    """Rows under headings, those of amounts end in `#`; wide tables scroll by themselves, `tall` ones down, too."""
    heads = (
        el("th", heading.removesuffix("#"), scope="col", class_="n" if heading.endswith("#") else None)
        for heading in headings
    )
    made = el(
        "table", el("caption", caption), el("thead", el("tr", *heads)), el("tbody", *rows), id=id_, class_="sortable"
    )
    return el("div", made, class_="scroll tall" if tall else "scroll", tabindex=0, role="region", aria_label=caption)


def bar(label: str, parts: Iterable[tuple[str, str, int]], whole: int) -> Markup:
    """A strip cut in proportion: (name, class, amount) each; what it shows is written under it."""
    known = [(name, kind, amount) for name, kind, amount in parts if amount > 0]
    strips = (
        el("span", class_=f"strip {kind}", style=f"flex-grow:{amount}", title=f"{name}: {count(amount)} bytes")
        for name, kind, amount in known
    )
    words = (
        el("li", el("span", class_=f"key {kind}"), f"{name} ", el("b", count(amount)), f" {percent(amount, whole)}")
        for name, kind, amount in known
    )
    picture = el("div", *strips, class_="bar", aria_hidden="true")
    return el("figure", el("figcaption", label), picture, el("ul", *words, class_="keys"), class_="strips")


def chart(label: str) -> Markup:
    """Where a script draws dots, which only show what the table after them says in numbers."""
    drawn = el("div", id="dots", class_="picture chart", role="img", aria_label=label)
    return el("div", drawn, class_="drawn", hidden=True)


def picture(name: str, label: str, *tools: Child, hint: str = "Arrow keys choose.") -> Markup:
    """Where a script draws, its controls before it, and what is chosen beside it; hidden until a script is there."""
    keys = el("p", hint, class_="hint", id=f"{name}-hint")
    drawn = el(
        "div",
        id=name,
        class_="picture",
        tabindex=0,
        role="application",
        aria_label=label,
        aria_describedby=f"{name}-hint",
    )
    chosen = el(
        "aside", id=f"{name}-chosen", class_="chosen", aria_live="polite", aria_label=f"What is chosen: {label}"
    )
    both = el("div", el("div", drawn, keys), chosen, class_="sides")
    return el("div", el("div", *tools, class_="tools") if tools else None, both, class_="drawn", hidden=True)
