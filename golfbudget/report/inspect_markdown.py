"""`inspect` as GitHub markdown: a list of what the file is, and the rows of `--by` as a pipe table.

Names come from files that nobody vouches for: nothing in them can end a cell, make a link or reach HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from golfbudget.inspection import Inspection
from golfbudget.report.inspect_amounts import amounts
from golfbudget.report.inspect_heading import entropy_facts, heading_facts
from golfbudget.report.inspect_rows import Row, view, whole
from golfbudget.report.inspect_table import cap_rows
from golfbudget.report.tables import printable

#: What could begin a span: code, emphasis, a link, a struck text, mathematics, or end a cell.
_SPECIAL = re.compile(r"[\\`*\[\]~$|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def inspect_markdown(inspection: Inspection, by: str) -> str:
    """The report as one text; all amounts are exact."""
    lines = [f"- {label}: {escaped(value)}" for label, value in [*heading_facts(inspection), *cap_rows(inspection)]]
    lines += ["", *_rows(inspection, by, last="file")]
    if inspection.entropy is not None:
        lines += ["", *(f"- {label}: {escaped(value)}" for label, value in entropy_facts(inspection.entropy))]
    return "\n".join(lines) + "\n"


def inspect_roles(inspection: Inspection, last: str = "artifact") -> list[str]:
    """The lines of the table of roles; `last` names the sum."""
    return _rows(inspection, "role", last=last)


def _rows(inspection: Inspection, by: str, *, last: str) -> list[str]:
    found = view(inspection, by)
    columns = amounts(inspection, found)

    def cells_of(row: Row) -> list[str]:
        return [html.escape(column.text(row), quote=False) for column in columns]

    headings = [*found.headings, *(column.heading.replace("\n", " ") for column in columns)]
    aligned = ["---"] * len(found.headings) + ["---:"] * len(columns)
    lines = [_line(headings), _line(aligned)]
    for row in found.rows:
        cells = [*_labels(row, len(found.headings)), *cells_of(row)]
        lines.append(_line(_bold(cells) if found.nested and not row.part else cells))
    sum_ = [last, *([""] * (len(found.headings) - 1)), *cells_of(whole(inspection))]
    return [*lines, _line(_bold(sum_))]


def escaped(text: str) -> str:
    r"""Text that markdown shows as it is, on one line.

    >>> escaped("a|b`c`"), escaped("<b>&"), escaped("tok_emb.__q_"), escaped("[header]\n")
    ('a\\|b\\`c\\`', '&lt;b&gt;&amp;', 'tok_emb.\\_\\_q\\_', '\\[header\\]\\\\n')
    """
    return html.escape(_SPECIAL.sub(r"\\\g<0>", printable(text)), quote=False)


def _labels(row: Row, headings: int) -> list[str]:
    labels = [escaped(label) for label in row.labels]
    labels[0] += row.remark
    return labels + [""] * (headings - len(labels))


def _bold(cells: Sequence[str]) -> list[str]:
    return [f"**{cell}**" if cell else "" for cell in cells]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
