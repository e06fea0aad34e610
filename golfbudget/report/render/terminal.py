"""Documents on a terminal: the one place that knows about widths, colour and rich.

On a terminal a table fits its width; in a pipe every row stays on one line, whatever its length.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from shutil import get_terminal_size

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
    # What knows no width says 0.
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "0") != "0"


def console() -> Console:
    """A console on stdout, colourless and unwrapped unless that is a terminal."""
    width = get_terminal_size().columns if _bounded() else _UNBOUNDED
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


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
    kept = [True] * len(columns)
    if width is not None:
        lengths = [
            max(len(text) for text in (*column.lines, *(cells[number] for cells in rows)))
            for number, column in enumerate(columns)
        ]
        least = [min(length, column.least or length) for length, column in zip(lengths, columns, strict=True)]
        amounts = [number for number, column in enumerate(columns) if column.right]
        names = sum(least[n] + _GAP for n in range(1, len(columns)) if n not in amounts)
        room = width - min(least[0], grid.name_width) - names
        fit = fitting([lengths[n] for n in amounts], [columns[n].rank for n in amounts], room)
        kept = [column.right is False or fit[amounts.index(n)] for n, column in enumerate(columns)]
        rows = _cut(columns, rows, _lengths(columns, lengths, kept, width))
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1), collapse_padding=True
    )
    for column, keep in zip(columns, kept, strict=True):
        if keep and column.right:
            made.add_column(column.heading, justify="right", no_wrap=True)
        elif keep:
            made.add_column(column.heading, overflow="fold")
    for row, cells in zip(grid.rows, rows, strict=True):
        if row.apart:
            made.add_section()
        shown = (Text(cell) for cell, keep in zip(cells, kept, strict=True) if keep)
        made.add_row(*shown, style="bold" if row.bold else "")
    if all(kept):
        return [made]
    out = ", ".join(" ".join(column.lines) for column, keep in zip(columns, kept, strict=True) if not keep)
    return [made, Text(f"not shown, the screen is too narrow: {out}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A column that a screen has."""

    heading: str
    right: bool = False
    rank: int = 0
    least: int = 0

    @property
    def lines(self) -> list[str]:
        return self.heading.split("\n")


def _lengths(columns: Sequence[_Shown], lengths: Sequence[int], kept: Sequence[bool], width: int) -> list[int]:
    """What every column may take: one that may be cut gives up room, the longest text first."""
    made = list(lengths)
    cut = [n for n, column in enumerate(columns) if column.least]
    excess = sum(made[n] + _GAP for n, keep in enumerate(kept) if keep) - _GAP - width
    while excess > 0 and (able := [n for n in cut if made[n] > columns[n].least]):
        made[max(able, key=made.__getitem__)] -= 1
        excess -= 1
    return made


def _cut(columns: Sequence[_Shown], rows: Sequence[Sequence[str]], lengths: Sequence[int]) -> list[list[str]]:
    """Texts as long as their columns: a name loses its middle, as runs differ at both ends, other text its end."""
    return [
        [
            shortened(text, length, middle=number == 0) if columns[number].least else text
            for number, (text, length) in enumerate(zip(row, lengths, strict=True))
        ]
        for row in rows
    ]


def shortened(text: str, length: int, *, middle: bool = False) -> str:
    """A text of at most so many characters, with a mark where some were left out.

    >>> shortened("2026-03-19_LowerLR", 12, middle=True), shortened("over by 59,778", 8), shortened("short", 8)
    ('2026-0…werLR', 'over by…', 'short')
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2 if middle else 0
    return f"{text[: length - 1 - tail].rstrip()}…{text[len(text) - tail :]}"


def _shown(grid: Grid) -> tuple[list[_Shown], list[list[str]]]:
    """The columns that a screen has, and the texts under them."""
    numbers = [number for number, column in enumerate(grid.columns) if column.heading is not None]
    asked = [grid.columns[number] for number in numbers]
    columns = [_Shown(heading=c.heading or "", right=c.right, rank=c.rank, least=c.least) for c in asked]
    rows = [_texts(row, numbers) for row in grid.rows]
    if grid.nested:
        columns = [_Shown(heading=f"{columns[0].heading} / {columns[1].heading}"), *columns[2:]]
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
