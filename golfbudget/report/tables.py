"""Tables and consoles: the one place that knows about widths, colour and rich.

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
from rich.table import Table
from rich.text import Text

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


def render(*parts: RenderableType) -> str:
    """Plain text of some renderables, for files."""
    out = StringIO()
    screen = Console(file=out, width=_UNBOUNDED, highlight=False, markup=False, emoji=False, no_color=True)
    for part in parts:
        screen.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def table(headings: Sequence[str], *, left: int = 1) -> Table:
    """A table whose first `left` columns are text and the rest numbers, aligned right and never folded."""
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1), collapse_padding=True
    )
    for number, heading in enumerate(headings):
        if number < left:
            made.add_column(heading, overflow="fold")
        else:
            made.add_column(heading, justify="right", no_wrap=True)
    return made


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


def printable(text: str) -> str:
    """Text from a file, with everything that could steer a terminal or break a line escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def facts(rows: Sequence[tuple[str, str]]) -> Text:
    """Aligned `label  value` lines."""
    width = max(len(label) for label, _ in rows)
    return Text("\n".join(f"{label:<{width}}  {printable(value)}" for label, value in rows))
