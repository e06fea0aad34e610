"""What a command has to say, as one value: facts, grids and prose, for renderers that know no command.

A part stands in reading order for a screen, whose last line is seen first; `order` moves it on a page (markdown,
html), which is read from its top.  No text is escaped here: that is each renderer's own work.

These are msgspec's structs, which take a tenth of a dataclass's time to define, and every command defines them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from msgspec import Struct

from golfbudget.report.numbers import count, signed

DASH = "–"


class Medium(StrEnum):
    """Where a part is shown, if not everywhere: on a terminal, or on a page (markdown, html)."""

    SCREEN = "screen"
    PAGE = "page"


class Styled(Struct, frozen=True, kw_only=True):
    """A piece of a text that stands out on a page."""

    text: str
    bold: bool = False
    code: bool = False


#: One line of text, the pieces of which may stand out on a page.
Inline = str | tuple[str | Styled, ...]


def plain(text: Inline) -> str:
    """A line without its styles."""
    return text if isinstance(text, str) else "".join(piece if isinstance(piece, str) else piece.text for piece in text)


class _Part(Struct, frozen=True, kw_only=True):
    """`tight`: a screen leaves no empty line before it.  `order`: parts of a page are sorted by it."""

    only: Medium | None = None
    order: int = 0
    tight: bool = False


class Facts(_Part, frozen=True, kw_only=True):
    """Labelled lines; one without a label goes on with the line before it."""

    rows: tuple[tuple[str, Inline], ...]


class Line(Struct, frozen=True, kw_only=True):
    """A line of prose."""

    text: Inline
    bold: bool = False
    bullet: bool = False


class Prose(_Part, frozen=True, kw_only=True):
    """Lines of text."""

    lines: tuple[Line, ...]


class Cell(Struct, frozen=True, kw_only=True):
    """What people read, and the plain value that a program reads."""

    text: str
    value: str | float | None


class Column(Struct, frozen=True, kw_only=True):
    """A column.  On a screen too narrow for all, the highest `rank` is left out first; 0 stays.

    `heading` may have several lines; None: only csv has the column.  `key` names it in csv; None: csv leaves it out.
    `least`: such a screen cuts longer texts down to so many characters or more; where that is 0 it folds them.
    """

    heading: str | None
    key: str | None = None
    right: bool = True
    rank: int = 0
    least: int = 0


class GridRow(Struct, frozen=True, kw_only=True):
    """A line of a grid, a cell per column; a cell that is a string is its own value.

    `part`: its bytes are those of the row above that is none.  `sums`: it adds up others, so csv leaves it out.
    `apart`: something sets it off from the row before.
    """

    cells: tuple[str | Cell, ...]
    bold: bool = False
    part: bool = False
    sums: bool = False
    apart: bool = False


class Grid(_Part, frozen=True, kw_only=True):
    """Rows under headings.

    `nested`: the first two columns are a group and its part, which a screen shows as one.  A narrow screen folds names
    of the first column that are longer than `name_width`.
    """

    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    nested: bool = False
    name_width: int = 24


class Details(_Part, frozen=True, kw_only=True):
    """Parts that a page folds away under their summary."""

    summary: str
    parts: tuple[Part, ...]


class Section(_Part, frozen=True, kw_only=True):
    """Parts under a title; `titled`: a screen shows it, too."""

    title: str
    parts: tuple[Part, ...]
    titled: bool = True


Part = Facts | Prose | Grid | Details | Section


class Document(Struct, frozen=True, kw_only=True):
    """A whole report.

    `data` makes its JSON value and `csv` the grid of its csv, when they are asked for; None: it has none.  `mark` is a
    word by which a program finds the page again; readers do not see it.
    """

    parts: tuple[Part, ...]
    data: Callable[[], object] | None = None
    csv: Callable[[], Grid] | None = None
    mark: str | None = None


# What reports are made of


def name(heading: str | None, key: str | None = None, *, rank: int = 0, least: int = 0) -> Column:
    """A column of text."""
    return Column(heading=heading, key=key, right=False, rank=rank, least=least)


def number(heading: str | None, key: str | None = None, *, rank: int = 0) -> Column:
    """A column of amounts."""
    return Column(heading=heading, key=key, rank=rank)


def amount(n: int | None) -> Cell:
    """A count, or a dash where it is not known."""
    return Cell(text=DASH if n is None else count(n), value=n)


def change(n: int | None) -> Cell:
    """As `amount`, with a sign."""
    return Cell(text=DASH if n is None else signed(n), value=n)


def line(*cells: str | Cell, bold: bool = False) -> GridRow:
    """A row."""
    return GridRow(cells=cells, bold=bold)


def sum_line(*cells: str | Cell, bold: bool = True) -> GridRow:
    """The row at the end that adds up the others."""
    return GridRow(cells=cells, bold=bold, sums=True, apart=True)


def grid(
    columns: Iterable[Column], rows: Iterable[GridRow], *, only: Medium | None = None, name_width: int = 24
) -> Grid:
    """Rows under headings."""
    return Grid(columns=tuple(columns), rows=tuple(rows), only=only, name_width=name_width)


def prose(*lines: str | Line, tight: bool = False, only: Medium | None = None, order: int = 0) -> Prose:
    """Lines of text, as they stand."""
    made = tuple(Line(text=one) if isinstance(one, str) else one for one in lines)
    return Prose(lines=made, tight=tight, only=only, order=order)


def strong(text: str) -> Styled:
    """A piece in bold."""
    return Styled(text=text, bold=True)


def code(text: str) -> Styled:
    """A piece of something typed."""
    return Styled(text=text, code=True)


def bullet(text: Inline) -> Line:
    """An item of a list."""
    return Line(text=text, bullet=True)


def bold(text: Inline) -> Line:
    """A line that stands out."""
    return Line(text=text, bold=True)
