"""An inspected artifact as one value: what every report of it reads."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.artifact import Artifact
from golfbudget.budget import Budget
from golfbudget.roles import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An opened artifact, its ledger with roles, and its place under the cap."""

    artifact: Artifact
    assignment: Assignment
    budget: Budget
