"""Documents as HTML: plain tables, paragraphs and lists without a style of their own, everything escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from golfbudget.report.document import Details, Document, Facts, Grid, GridRow, Inline, Line, Part, Section, Styled
from golfbudget.report.numbers import printable
from golfbudget.report.render.pages import page_parts, paragraphs


def fragment(document: Document) -> str:
    """The page as one element."""
    return f"<div>\n{_parts(document.parts)}\n</div>"


def _parts(parts: Sequence[Part]) -> str:
    return "\n".join(map(_part, page_parts(parts)))


def _part(part: Part) -> str:
    if isinstance(part, Facts):
        rows = (f"<tr><th>{_text(label)}</th><td>{_inline(text)}</td></tr>" for label, text in part.rows)
        return _table("\n".join(rows))
    if isinstance(part, Grid):
        return _grid(part)
    if isinstance(part, Section):
        return f"<h3>{_text(part.title)}</h3>\n{_parts(part.parts)}"
    if isinstance(part, Details):
        return f"<details><summary>{_text(part.summary)}</summary>\n{_parts(part.parts)}\n</details>"
    return "\n".join(map(_paragraph, paragraphs(part.lines)))


def _paragraph(lines: list[Line]) -> str:
    texts = [f"<strong>{_inline(line.text)}</strong>" if line.bold else _inline(line.text) for line in lines]
    if lines[0].bullet:
        return f"<ul>{''.join(f'<li>{text}</li>' for text in texts)}</ul>"
    return f"<p>{texts[0]}</p>"


def _grid(grid: Grid) -> str:
    shown = [number for number, column in enumerate(grid.columns) if column.heading is not None]
    headings = (_text((grid.columns[number].heading or "").replace("\n", " ")) for number in shown)
    head = f"<thead><tr>{''.join(f'<th>{heading}</th>' for heading in headings)}</tr></thead>"
    rows = (_row(grid, row, shown) for row in grid.rows)
    return _table("\n".join((head, "<tbody>", *rows, "</tbody>")))


def _row(grid: Grid, row: GridRow, shown: Iterable[int]) -> str:
    cells = []
    for number in shown:
        cell = row.cells[number]
        text = _text(cell if isinstance(cell, str) else cell.text)
        align = ' align="right"' if grid.columns[number].right else ""
        cells.append(f"<td{align}>{f'<strong>{text}</strong>' if row.bold and text else text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _table(rows: str) -> str:
    return f"<table>\n{rows}\n</table>"


def _inline(text: Inline) -> str:
    return _text(text) if isinstance(text, str) else "".join(map(_piece, text))


def _piece(piece: str | Styled) -> str:
    if isinstance(piece, str):
        return _text(piece)
    text = f"<code>{_text(piece.text)}</code>" if piece.code else _text(piece.text)
    return f"<strong>{text}</strong>" if piece.bold else text


def _text(text: str) -> str:
    return html.escape(printable(text))
