"""Documents as pages, which are read from their top: GitHub markdown, and HTML without a style of its own.

Names come from files that nobody vouches for: nothing in them can end a cell, make a link or reach HTML.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Protocol

from golfbudget.report import document as doc
from golfbudget.report.numbers import escaped, printable


def markdown(document: doc.Document) -> str:
    """The page as one text."""
    mark = "" if document.mark is None else f"<!-- {document.mark} -->\n"
    return mark + "\n\n".join(_blocks(document.parts, _Markdown())) + "\n"


def fragment(document: doc.Document) -> str:
    """The page as one HTML element."""
    return "\n".join(("<div>", *_blocks(document.parts, _Html()), "</div>"))


class _Markup(Protocol):
    """How a page spells things; `markup` is spelled already."""

    def text(self, text: str) -> str: ...
    def code(self, text: str) -> str: ...
    def strong(self, markup: str) -> str: ...
    def heading(self, markup: str) -> str: ...
    def facts(self, rows: Iterable[tuple[str, str]]) -> str: ...
    def paragraph(self, lines: list[str], *, bullets: bool) -> str: ...
    def table(self, rights: list[bool], headings: list[str], rows: Iterable[list[str]]) -> str: ...


class _Markdown:
    def text(self, text: str) -> str:
        return escaped(text)

    def code(self, text: str) -> str:
        return f"`{printable(text).replace('`', chr(39))}`"

    def strong(self, markup: str) -> str:
        return f"**{markup}**"

    def heading(self, markup: str) -> str:
        return f"### {markup}"

    def facts(self, rows: Iterable[tuple[str, str]]) -> str:
        return "\n".join(f"- {label}: {markup}" if label else f"  - {markup}" for label, markup in rows)

    def paragraph(self, lines: list[str], *, bullets: bool) -> str:
        return "\n".join(f"- {line}" if bullets else line for line in lines)

    def table(self, rights: list[bool], headings: list[str], rows: Iterable[list[str]]) -> str:
        marks = ["---:" if right else "---" for right in rights]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows))


class _Html:
    def text(self, text: str) -> str:
        return html.escape(printable(text))

    def code(self, text: str) -> str:
        return f"<code>{self.text(text)}</code>"

    def strong(self, markup: str) -> str:
        return f"<strong>{markup}</strong>"

    def heading(self, markup: str) -> str:
        return f"<h3>{markup}</h3>"

    def facts(self, rows: Iterable[tuple[str, str]]) -> str:
        lines = (f"<tr><th>{self.text(label)}</th><td>{markup}</td></tr>" for label, markup in rows)
        return "\n".join(("<table>", *lines, "</table>"))

    def paragraph(self, lines: list[str], *, bullets: bool) -> str:
        return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if bullets else f"<p>{lines[0]}</p>"

    def table(self, rights: list[bool], headings: list[str], rows: Iterable[list[str]]) -> str:
        head = "".join(f"<th>{heading}</th>" for heading in headings)
        opened = ['<td align="right">' if right else "<td>" for right in rights]
        lines = ("".join(f"{td}{cell}</td>" for td, cell in zip(opened, cells, strict=True)) for cells in rows)
        body = (f"<tr>{line}</tr>" for line in lines)
        return "\n".join(("<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>", *body, "</tbody>", "</table>"))


def _blocks(parts: Sequence[doc.Part], page: _Markup) -> list[str]:
    """The parts of a page, in its order; facts that follow on facts are one list with them."""
    made: list[doc.Part] = []
    for part in sorted((part for part in parts if part.only is not doc.Medium.SCREEN), key=lambda part: part.order):
        if isinstance(part, doc.Facts) and made and isinstance(made[-1], doc.Facts):
            made[-1] = doc.Facts(rows=(*made[-1].rows, *part.rows))
        else:
            made.append(part)
    return [block for part in made for block in _part(part, page)]


def _part(part: doc.Part, page: _Markup) -> list[str]:
    if isinstance(part, doc.Facts):
        return [page.facts((label, _inline(text, page)) for label, text in part.rows)]
    if isinstance(part, doc.Grid):
        return [_grid(part, page)]
    if isinstance(part, doc.Section):
        return [page.heading(page.text(part.title)), *_blocks(part.parts, page)]
    if isinstance(part, doc.Details):
        summary = f"<details><summary>{page.text(part.summary)}</summary>"
        return [summary, *_blocks(part.parts, page), "</details>"]
    groups: list[list[doc.Line]] = []
    for line in part.lines:
        # Bullets that follow on each other are one list; every other line is a paragraph.
        if line.bullet and groups and groups[-1][-1].bullet:
            groups[-1].append(line)
        else:
            groups.append([line])
    return [page.paragraph([_line(line, page) for line in group], bullets=group[0].bullet) for group in groups]


def _line(line: doc.Line, page: _Markup) -> str:
    return page.strong(_inline(line.text, page)) if line.bold else _inline(line.text, page)


def _inline(text: doc.Inline, page: _Markup) -> str:
    return page.text(text) if isinstance(text, str) else "".join(_piece(piece, page) for piece in text)


def _piece(piece: str | doc.Styled, page: _Markup) -> str:
    if isinstance(piece, str):
        return page.text(piece)
    text = page.code(piece.text) if piece.code else page.text(piece.text)
    return page.strong(text) if piece.bold else text


def _grid(grid: doc.Grid, page: _Markup) -> str:
    shown = [number for number, column in enumerate(grid.columns) if column.heading is not None]
    columns = [grid.columns[number] for number in shown]
    rows = []
    for row in grid.rows:
        cells = (row.cells[number] for number in shown)
        texts = [page.text(cell if isinstance(cell, str) else cell.text) for cell in cells]
        rows.append([page.strong(text) if text else "" for text in texts] if row.bold else texts)
    headings = [page.text((column.heading or "").replace("\n", " ")) for column in columns]
    return page.table([column.right for column in columns], headings, rows)
