"""Renderers of documents: they know no command.  Each is imported when it is asked for."""

from __future__ import annotations

from golfbudget.report import ReportFormat
from golfbudget.report.document import Cell, Document, Grid
from golfbudget.report.numbers import guarded


def rendered(document: Document, output_format: ReportFormat, *, width: int | None = None) -> str:
    """The text of a document in a format; `width` is the screen's, None where lines may be of any length.

    `ValueError` for a format that the document has nothing for.
    """
    if output_format is ReportFormat.TABLE:
        from golfbudget.report.render.terminal import text

        return text(document, width)
    if output_format is ReportFormat.MARKDOWN:
        from golfbudget.report.render.pages import markdown

        return markdown(document)
    if output_format is ReportFormat.CSV and document.csv is not None:
        return csv_text(document.csv())
    if output_format is ReportFormat.JSON and document.data is not None:
        return json_text(document.data())
    if output_format is ReportFormat.HTML and document.data is not None:
        from golfbudget.report.html import html_page

        return html_page(document.data())
    if output_format is ReportFormat.SPEEDSCOPE and document.data is not None:
        from golfbudget.report.speedscope import speedscope

        return json_text(speedscope(document.data()))
    raise ValueError(f"{output_format} is no format of this report")


def csv_text(grid: Grid) -> str:
    """A grid as CSV (RFC 4180): a heading, then one line per row, which sum to the whole; no totals.

    Amounts are plain numbers; a cell is empty where a value is not known.  A cell of text that a spreadsheet would take
    for a formula begins with an apostrophe.
    """
    import csv
    from io import StringIO

    def value(cell: str | Cell) -> str | float | None:
        found = cell if isinstance(cell, str) else cell.value
        return guarded(found) if isinstance(found, str) else found

    kept = [number for number, column in enumerate(grid.columns) if column.key is not None]
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow([grid.columns[number].key for number in kept])
    writer.writerows([value(row.cells[number]) for number in kept] for row in grid.rows if not row.sums)
    return out.getvalue()


def json_text(value: object) -> str:
    """One JSON document, in stable order; infinities and NaN are refused."""
    import json

    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def html_fragment(document: Document) -> str:
    """The page as HTML without head and body, everything in it escaped; for notebooks too."""
    from golfbudget.report.render.pages import fragment

    return fragment(document)
