"""`check` for people: every convention side by side, the runs, the claims, the findings, the result."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from golfbudget.report import check_rows
from golfbudget.report.check_rows import Grid
from golfbudget.report.tables import facts, printable, table
from golfbudget.submission import TABLE, Checked


def check_table(checks: Sequence[Checked], *, strict: bool = False) -> list[RenderableType]:
    """Renderables, one submission after the other."""
    parts: list[RenderableType] = []
    for checked in checks:
        if parts:
            parts += [Text(), Text()]
        parts += _submission(checked, strict=strict)
    return parts


def _submission(checked: Checked, *, strict: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [facts(check_rows.heading(checked))]
    for grid in (check_rows.conventions(checked), check_rows.runs(checked), check_rows.claims(checked)):
        if grid is not None:
            parts += [Text(), _table(grid)]
    found = check_rows.findings(checked)
    if found:
        width = max(len(severity) for severity, _, _ in found)
        lines = (f"{severity:<{width}}  {code}  {printable(message)}" for severity, code, message in found)
        parts += [Text(), Text("\n".join(lines))]
    return [*parts, Text(), Text(check_rows.result(checked, strict=strict), style="bold")]


def _table(grid: Grid) -> Table:
    made = table(grid.headings, left=grid.left)
    for number, row in enumerate(grid.rows):
        strong = bool(grid.strong) and grid.strong[number]
        made.add_row(*map(printable, row), style="bold" if strong else "")
    return made


def finding_table() -> Table:
    """Every finding there can be."""
    made = table(("code", "severity", "what was found"), left=3)
    for code, kind in TABLE.items():
        made.add_row(code, str(kind.severity), kind.title)
    return made
