"""`inspect` for people: where the bytes are, head against trunk, and what is left under the cap."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from golfbudget.inspection import Inspection
from golfbudget.report.inspect_amounts import Amount, amounts
from golfbudget.report.inspect_heading import Facts, entropy_facts, heading_facts
from golfbudget.report.inspect_rows import Row, View, view, whole
from golfbudget.report.numbers import count, percent
from golfbudget.report.tables import facts, fitting, printable, table

#: Columns that a narrow screen keeps for names; longer ones are folded.
_NAME_WIDTH = 24


def inspect_table(inspection: Inspection, by: str, width: int | None = None) -> list[RenderableType]:
    """Renderables for `--by`; `width` is the terminal's, if it has one."""
    found = view(inspection, by)
    made, left_out = _table(inspection, found, last="file", width=width)
    parts: list[RenderableType] = [facts(heading_facts(inspection)), Text(), made]
    if left_out:
        parts.append(Text(f"not shown, the screen is too narrow: {', '.join(left_out)}"))
    parts += [Text(), cap_facts(inspection)]
    if inspection.entropy is not None:
        parts += [Text(), facts(entropy_facts(inspection.entropy))]
    return parts


def role_table(inspection: Inspection, *, whole: str) -> Table:
    """Head against trunk, with each role's accounts; `whole` names the last row."""
    made, _ = _table(inspection, view(inspection, "role"), last=whole, width=None)
    return made


def _table(inspection: Inspection, found: View, *, last: str, width: int | None) -> tuple[Table, list[str]]:
    """The table, and the columns that the width left no room for."""
    headings = (" / ".join(found.headings),) if found.nested else found.headings
    labels = [_labels(row, nested=found.nested) for row in found.rows]
    everything = whole(inspection)
    columns = amounts(inspection, found)
    kept = columns if width is None else _kept(columns, [*found.rows, everything], [headings, *labels], width)
    made = table((*headings, *(column.heading for column in kept)), left=len(headings))
    for row, label in zip(found.rows, labels, strict=True):
        style = "bold" if found.nested and not row.part else ""
        made.add_row(*label, *(column.text(row) for column in kept), style=style)
    made.add_section()
    made.add_row(last, *([""] * (len(headings) - 1)), *(column.text(everything) for column in kept), style="bold")
    return made, [column.heading.replace("\n", " ") for column in columns if column not in kept]


def _kept(columns: list[Amount], rows: list[Row], labels: list[tuple[str, ...]], width: int) -> list[Amount]:
    first, *others = (max(map(len, texts)) for texts in zip(*labels, strict=True))
    widths = [
        max(*(len(line) for line in column.heading.split("\n")), *(len(column.text(row)) for row in rows))
        for column in columns
    ]
    room = width - min(first, _NAME_WIDTH) - sum(other + 2 for other in others)
    keep = fitting(widths, [column.rank for column in columns], room)
    return [column for column, kept in zip(columns, keep, strict=True) if kept]


def _labels(row: Row, *, nested: bool) -> tuple[str, ...]:
    if nested:
        return (f"  {printable(row.labels[1])}" if row.part else printable(row.labels[0]) + row.remark,)
    return tuple(map(printable, row.labels))


def cap_facts(inspection: Inspection) -> Text:
    """What counts against the cap and what is left."""
    return facts(cap_rows(inspection))


def cap_rows(inspection: Inspection) -> Facts:
    """As `cap_facts`, label and value."""
    budget = inspection.budget
    code = "not counted (give --code FILE or SIZE)" if budget.code is None else f"{count(budget.code)} bytes"
    left = f"{count(budget.headroom)} bytes left" if budget.fits else f"over by {count(-budget.headroom)} bytes"
    return [
        ("code", code),
        (
            "used",
            f"{count(budget.used)} of {count(budget.cap)} bytes, {percent(budget.used, budget.cap)} of the cap",
        ),
        ("headroom", left),
    ]
