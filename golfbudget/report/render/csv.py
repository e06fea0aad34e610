"""A document's grid as CSV (RFC 4180): a heading, then one line per row, which sum to the whole; no totals.

Amounts are plain numbers.  A cell of text that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
from io import StringIO

from golfbudget.report.document import Cell, Grid
from golfbudget.report.numbers import guarded


def csv_text(grid: Grid) -> str:
    """Lines ended by CR LF; a cell is empty where a value is not known."""
    kept = [number for number, column in enumerate(grid.columns) if column.key is not None]
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow([grid.columns[number].key for number in kept])
    writer.writerows([_value(row.cells[number]) for number in kept] for row in grid.rows if not row.sums)
    return out.getvalue()


def _value(cell: str | Cell) -> str | float | None:
    value = cell if isinstance(cell, str) else cell.value
    return guarded(value) if isinstance(value, str) else value
