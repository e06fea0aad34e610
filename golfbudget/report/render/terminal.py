"""Documents on a terminal: the one place that knows about widths, colour and rich.

On a terminal a table fits its width; in a pipe every row stays on one line, whatever its length.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from golfbudget.report.document import Details, Document, Facts, Grid, GridRow, Line, Medium, Part, Section, plain
from golfbudget.report.numbers import printable

_UNBOUNDED = 100_000
#: Between two columns.
_GAP = 2


def screen_width() -> int | None:
    """Columns of the terminal that stdout is, None where lines may be of any length."""
    return console().width if _bounded() else None


def _bounded() -> bool:
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def console(file: TextIO | None = None) -> Console:
    """A console on a stream (default stdout), colourless and unwrapped unless it is a terminal."""
    width = None if _bounded() else _UNBOUNDED
    return Console(file=file or sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def show(document: Document) -> None:
    """Print a document on stdout."""
    screen = console()
    for renderable in _renderables(document.parts, screen_width()):
        screen.print(renderable)


def text(document: Document, width: int | None = None) -> str:
    """A document as plain text, for files; columns are left out as on a screen of `width`, lines are never wrapped."""
    out = StringIO()
    screen = Console(file=out, width=_UNBOUNDED, highlight=False, markup=False, emoji=False, no_color=True)
    for renderable in _renderables(document.parts, width):
        screen.print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _renderables(parts: Sequence[Part], width: int | None) -> list[RenderableType]:
    made: list[RenderableType] = []
    for part in parts:
        if part.only is Medium.PAGE:
            continue
        if made and not part.tight:
            made.append(Text())
        if isinstance(part, Section) and made and not part.titled:
            made.append(Text())
        made += _part(part, width)
    return made


def _part(part: Part, width: int | None) -> list[RenderableType]:
    if isinstance(part, Facts):
        return [_facts(part)]
    if isinstance(part, Grid):
        return _grid(part, width)
    if isinstance(part, Section):
        title = [Text(f"== {printable(part.title)} ==")] if part.titled else []
        return [*title, *_renderables(part.parts, width)]
    if isinstance(part, Details):
        return _renderables(part.parts, width)
    return [_line(line) for line in part.lines]


def _facts(part: Facts) -> Text:
    """Aligned `label  value` lines."""
    width = max(len(label) for label, _ in part.rows)
    return Text("\n".join(f"{label:<{width}}  {printable(plain(value))}" for label, value in part.rows))


def _line(line: Line) -> RenderableType:
    shown = printable(plain(line.text))
    if line.bullet:
        return Padding(Text(f"- {shown}"), (0, 0, 0, 2), expand=False)
    return Text(shown, style="bold" if line.bold else "")


def _grid(grid: Grid, width: int | None) -> list[RenderableType]:
    """The table, and a line on the columns that the width left no room for."""
    columns, rows = _shown(grid)
    left = sum(not right for _, right, _ in columns)
    kept = [True] * len(columns)
    if width is not None:
        lengths = [
            max(len(text) for text in (*heading.split("\n"), *(cells[number] for cells in rows)))
            for number, (heading, _, _) in enumerate(columns)
        ]
        names = sum(length + _GAP for length in lengths[1:left])
        room = width - min(lengths[0], grid.name_width) - names
        kept[left:] = fitting(lengths[left:], [rank for _, _, rank in columns[left:]], room)
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1), collapse_padding=True
    )
    for (heading, right, _), keep in zip(columns, kept, strict=True):
        if keep and right:
            made.add_column(heading, justify="right", no_wrap=True)
        elif keep:
            made.add_column(heading, overflow="fold")
    for row, cells in zip(grid.rows, rows, strict=True):
        if row.apart:
            made.add_section()
        shown = (Text(cell) for cell, keep in zip(cells, kept, strict=True) if keep)
        made.add_row(*shown, style="bold" if row.bold else "")
    if all(kept):
        return [made]
    out = ", ".join(h.replace("\n", " ") for (h, _, _), keep in zip(columns, kept, strict=True) if not keep)
    return [made, Text(f"not shown, the screen is too narrow: {out}")]


def _shown(grid: Grid) -> tuple[list[tuple[str, bool, int]], list[list[str]]]:
    """Heading, alignment and rank of the columns that a screen has, and the texts under them."""
    numbers = [number for number, column in enumerate(grid.columns) if column.heading is not None]
    columns = [(grid.columns[n].heading or "", grid.columns[n].right, grid.columns[n].rank) for n in numbers]
    rows = [_texts(row, numbers) for row in grid.rows]
    if grid.nested:
        columns = [(f"{columns[0][0]} / {columns[1][0]}", False, 0), *columns[2:]]
        rows = [
            [f"  {cells[1]}" if row.part else cells[0], *cells[2:]] for row, cells in zip(grid.rows, rows, strict=True)
        ]
    return columns, rows


def _texts(row: GridRow, numbers: list[int]) -> list[str]:
    cells = (row.cells[number] for number in numbers)
    return [printable(cell if isinstance(cell, str) else cell.text) for cell in cells]


def fitting(widths: Sequence[int], ranks: Sequence[int], room: int) -> list[bool]:
    """Which columns to keep so that all fit into `room`, the gaps before them included: the highest ranks go first.

    Columns of rank 0 stay, whatever happens.

    >>> fitting([10, 10, 10], [0, 2, 1], 24)
    [True, False, True]
    """
    kept = [True] * len(widths)
    for number in sorted(range(len(widths)), key=lambda i: -ranks[i]):
        if not ranks[number] or sum(width + _GAP for width, keep in zip(widths, kept, strict=True) if keep) <= room:
            break
        kept[number] = False
    return kept
