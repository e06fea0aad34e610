"""`estimate` for people: exact container, estimated artifact, who gets which bytes, and the chance to fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from golfbudget.estimate.results import Estimate
from golfbudget.estimate.sweep import Point
from golfbudget.report.estimate_rows import fit, heading, sizes, sweep_cells, sweep_headings
from golfbudget.report.inspect_table import role_table
from golfbudget.report.tables import facts, table


def estimate_table(estimate: Estimate) -> list[RenderableType]:
    """Renderables of one estimate; the roles are those of the first seed's artifact."""
    parts: list[RenderableType] = [facts(heading(estimate) + sizes(estimate)), Text()]
    if estimate.inspection is not None:
        which = "first seed's artifact" if estimate.artifact.value is not None else "artifact of the upper end"
        parts += [role_table(estimate.inspection, whole=which), Text()]
    return [*parts, facts(fit(estimate))]


def sweep_table(points: Sequence[Point]) -> list[RenderableType]:
    """Renderables of a sweep: one line per combination."""
    first = points[0].estimate
    ranged = any(point.estimate.artifact.value is None for point in points)
    made = table(tuple(sweep_headings(points)), left=len(points[0].settings))
    for point in points:
        made.add_row(*sweep_cells(point, ranged=ranged))
    code = "code not counted" if first.code_bytes is None else f"{first.code_bytes:,} bytes of code counted"
    lines = [
        ("model", first.request.model.name),
        ("recipe", first.request.recipe.name),
        ("artifact", f"bytes, {first.artifact.evidence.value}; cap {first.cap:,}, {code}"),
    ]
    lines += [("depends", line) for line in first.depends]
    return [facts(lines), Text(), made]
