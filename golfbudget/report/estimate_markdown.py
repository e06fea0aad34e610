"""`estimate` as GitHub markdown."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.estimate.results import Estimate
from golfbudget.estimate.sweep import Point
from golfbudget.report.estimate_rows import fit, heading, sizes, sweep_cells, sweep_headings
from golfbudget.report.inspect_markdown import escaped, inspect_roles


def estimate_markdown(estimate: Estimate) -> str:
    """A list of facts, and the roles as a pipe table."""
    lines = [
        f"- {label}: {escaped(value)}" if label else f"  - {escaped(value)}"
        for label, value in [*heading(estimate), *sizes(estimate), *fit(estimate)]
    ]
    if estimate.inspection is not None:
        lines += ["", *inspect_roles(estimate.inspection)]
    return "\n".join(lines) + "\n"


def sweep_markdown(points: Sequence[Point]) -> str:
    """A pipe table, one line per combination."""
    ranged = any(point.estimate.artifact.value is None for point in points)
    headings = sweep_headings(points)
    names = len(points[0].settings)
    rows = [headings, ["---"] * names + ["---:"] * (len(headings) - names)]
    rows += [[escaped(cell) for cell in sweep_cells(point, ranged=ranged)] for point in points]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
