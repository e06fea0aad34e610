"""Documents as GitHub markdown: lists of facts, pipe tables, folded details.

Names come from files that nobody vouches for: nothing in them can end a cell, make a link or reach HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from golfbudget.report.document import Details, Document, Facts, Grid, GridRow, Inline, Line, Part, Section, Styled
from golfbudget.report.numbers import escaped, printable
from golfbudget.report.render.pages import page_parts, paragraphs


def markdown(document: Document) -> str:
    """The page as one text."""
    mark = "" if document.mark is None else f"<!-- {document.mark} -->\n"
    return mark + "\n\n".join(_blocks(document.parts)) + "\n"


def _blocks(parts: Sequence[Part]) -> list[str]:
    return [block for part in page_parts(parts) for block in _part(part)]


def _part(part: Part) -> list[str]:
    if isinstance(part, Facts):
        return [
            "\n".join(f"- {label}: {_inline(text)}" if label else f"  - {_inline(text)}" for label, text in part.rows)
        ]
    if isinstance(part, Grid):
        return [_grid(part)]
    if isinstance(part, Section):
        return [f"### {escaped(part.title)}", *_blocks(part.parts)]
    if isinstance(part, Details):
        return [f"<details><summary>{escaped(part.summary)}</summary>", *_blocks(part.parts), "</details>"]
    return ["\n".join(map(_line, group)) for group in paragraphs(part.lines)]


def _line(line: Line) -> str:
    text = f"**{_inline(line.text)}**" if line.bold else _inline(line.text)
    return f"- {text}" if line.bullet else text


def _inline(text: Inline) -> str:
    return escaped(text) if isinstance(text, str) else "".join(map(_piece, text))


def _piece(piece: str | Styled) -> str:
    if isinstance(piece, str):
        return escaped(piece)
    text = f"`{printable(piece.text).replace('`', chr(39))}`" if piece.code else escaped(piece.text)
    return f"**{text}**" if piece.bold else text


def _grid(grid: Grid) -> str:
    shown = [number for number, column in enumerate(grid.columns) if column.heading is not None]
    columns = [grid.columns[number] for number in shown]
    lines = [
        _row(escaped((column.heading or "").replace("\n", " ")) for column in columns),
        _row("---:" if column.right else "---" for column in columns),
    ]
    lines += [_row(_cells(row, shown)) for row in grid.rows]
    return "\n".join(lines)


def _cells(row: GridRow, shown: list[int]) -> list[str]:
    texts = [cell if isinstance(cell, str) else cell.text for cell in row.cells]
    cells = [escaped(texts[number]) for number in shown]
    return [f"**{cell}**" if cell else "" for cell in cells] if row.bold else cells


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
