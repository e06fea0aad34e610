"""What `demo` says: the example's artifact in a few lines, then its plan."""

from __future__ import annotations

from pathlib import Path

from golfbudget.inspection import Inspection
from golfbudget.inspection.report import InspectReport
from golfbudget.ledger import Role
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.results import Plan
from golfbudget.report import inspect
from golfbudget.report.document import Document, Facts, Part, Section
from golfbudget.report.numbers import bytes_text, count, percent
from golfbudget.report.plan import answer
from golfbudget.report.plan_details import detailed
from golfbudget.rollup import roll_up

SCHEMA = "golfbudget/demo/1"


def document(inspection: Inspection, plan: Plan, *, details: bool = False, saved: str | None = None) -> Document:
    """Both reports, with `details` in full; `saved` is the file that the plan was saved in."""
    first: tuple[Part, ...] = inspect.document(inspection).parts if details else (_roles(inspection),)
    second = detailed(plan) if details else answer(plan, saved=saved)
    return Document(
        parts=(
            Section(title="inspect: the example's int8 artifact", parts=first),
            Section(title="plan: the example's checkpoint", parts=second),
        ),
        data=lambda: {"schema": SCHEMA, "inspect": InspectReport.of(inspection).plain(), "plan": plan_json(plan)},
    )


def _roles(inspection: Inspection) -> Facts:
    """The file, and each role that a model has."""
    size = inspection.artifact.size
    rows = [("file", f"{Path(inspection.artifact.path).name}: {bytes_text(size)}")]
    found = roll_up(inspection.assignment.ledger, lambda entry: entry.role)
    for role in (Role.HEAD, Role.EMBEDDING, Role.TRUNK):
        if role in found:
            tied = " (tied)" if role is Role.HEAD and inspection.assignment.tied else ""
            stored = found[role].stored_bytes
            rows.append((str(role), f"{count(stored)} bytes, {percent(stored, size)} of the file{tied}"))
    return Facts(rows=tuple(rows))
