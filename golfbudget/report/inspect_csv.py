"""`inspect` as CSV (RFC 4180): a heading, then one line per group of `--by`, which sum to the file; no totals.

Amounts are plain integers.  A cell of text that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
from io import StringIO

from golfbudget.inspection import Inspection
from golfbudget.report.inspect_rows import Row, view
from golfbudget.report.numbers import bits_number
from golfbudget.report.tables import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_AMOUNTS = ("parameters", "decoded_bytes", "stored_bits", "stored_bytes")
_BITS = ("nominal_bits", "packed_bits")
_ENTROPY = ("entropy_floor_bytes", "slack_bytes", "alone_bytes")

_Cell = str | int | float | None


def inspect_csv(inspection: Inspection, by: str) -> str:
    """The lines of a view, ended by CR LF; a cell is empty where an amount is not known."""
    found = view(inspection, by)
    out = StringIO()
    writer = csv.writer(out)
    measured = inspection.entropy is not None
    writer.writerow([*found.headings, *_AMOUNTS, *(_BITS if found.models else ()), *(_ENTROPY if measured else ())])
    rows = found.rows
    for number, row in enumerate(rows):
        divided = not row.part and number + 1 < len(rows) and rows[number + 1].part
        if divided:
            continue
        labels = [guarded(label) for label in row.labels]
        cells: list[_Cell] = [*labels, *([None] * (len(found.headings) - len(labels))), *_amounts(row)]
        if found.models:
            cells += (
                [None, None]
                if row.model is None
                else list(map(bits_number, (row.model.nominal_bits, row.model.packed_bits)))
            )
        if measured:
            at = row.measure
            cells += [None, None, None] if at is None else [at.floor, at.slack, at.alone]
        writer.writerow(cells)
    return out.getvalue()


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula, with everything that could steer a terminal escaped.

    >>> guarded("=1+1"), guarded("blocks.0"), guarded("@x")
    ("'=1+1", 'blocks.0', "'@x")
    """
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)


def _amounts(row: Row) -> list[_Cell]:
    totals = row.totals
    parameters = totals.parameters if totals.complete or totals.parameters else None
    return [parameters, totals.decoded_bytes, totals.stored_bits, totals.stored_bytes]
