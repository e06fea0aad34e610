"""`inspect --explain`: why owners have their roles and accounts, for people and as `golfbudget/explain/1`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from golfbudget import __version__
from golfbudget.inspection import Inspection
from golfbudget.report.inspect_json import source_json
from golfbudget.report.tables import facts
from golfbudget.roles import Explanation

SCHEMA = "golfbudget/explain/1"


def explain_table(explanations: Sequence[Explanation]) -> list[RenderableType]:
    """One paragraph per owner."""
    parts: list[RenderableType] = []
    for found in explanations:
        rows = [("owner", found.owner), ("role", str(found.role)), ("reason", found.reason)]
        for one in found.stored:
            rows += [("stored", one.stored), ("  account", str(one.account)), ("  reason", one.reason)]
        parts += [Text(), facts(rows)] if parts else [facts(rows)]
    return parts


def explain_json(inspection: Inspection, explanations: Sequence[Explanation]) -> dict[str, object]:
    """The same as plain values."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": source_json(inspection.artifact),
        "tied": inspection.assignment.tied,
        "tied_reason": inspection.assignment.tied_reason,
        "owners": [
            {
                "owner": found.owner,
                "role": str(found.role),
                "reason": found.reason,
                "stored": [
                    {"stored": one.stored, "account": str(one.account), "reason": one.reason} for one in found.stored
                ],
            }
            for found in explanations
        ],
    }
