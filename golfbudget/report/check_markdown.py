"""`check` as GitHub markdown: the result first, then the conventions; claims are folded."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.report import check_rows
from golfbudget.report.check_rows import Grid
from golfbudget.report.inspect_markdown import escaped
from golfbudget.submission import Checked


def check_markdown(checks: Sequence[Checked], *, strict: bool = False) -> str:
    """One text for all submissions."""
    return "\n".join(line for checked in checks for line in _submission(checked, strict=strict)) + "\n"


def _submission(checked: Checked, *, strict: bool) -> list[str]:
    lines = [f"### {escaped(checked.folder.root.resolve().name)}", ""]
    lines += [f"**{escaped(check_rows.result(checked, strict=strict))}**", ""]
    lines += _grid(check_rows.conventions(checked))
    runs, claims = check_rows.runs(checked), check_rows.claims(checked)
    if runs is not None:
        lines += _grid(runs)
    found = check_rows.findings(checked)
    if found:
        lines += [*(f"- **{severity}** {code}: {escaped(message)}" for severity, code, message in found), ""]
    if claims is not None:
        lines += ["<details><summary>claims</summary>", "", *_grid(claims), "</details>", ""]
    return [*lines, *(f"- {label}: {escaped(value)}" for label, value in check_rows.heading(checked)), ""]


def _grid(grid: Grid) -> list[str]:
    aligned = ["---" if number < grid.left else "---:" for number in range(len(grid.headings))]
    lines = [_line(grid.headings), _line(aligned)]
    for number, row in enumerate(grid.rows):
        cells = [escaped(cell) for cell in row]
        strong = bool(grid.strong) and grid.strong[number]
        lines.append(_line([f"**{cell}**" if cell and strong else cell for cell in cells]))
    return [*lines, ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
