"""An inspected artifact as one value: what every report of it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.artifact import Artifact, open_artifact
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.formats import Format
from golfbudget.hub import is_hub_path, parse_address, refuse_hub_path
from golfbudget.roles import Assignment, Roles, assign, load_roles
from golfbudget.rules import Budget

if TYPE_CHECKING:
    from golfbudget.efficiency.results import Efficiency
    from golfbudget.entropy import Entropy

#: Of an inspection saved as JSON.
SCHEMA = "golfbudget/inspect/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An opened artifact, its ledger with roles, and its place under the cap.

    `entropy`, and the `efficiency` that follows from it, are there only where they were asked for; `original` is the
    checkpoint that errors are against, where it was given.
    """

    artifact: Artifact
    assignment: Assignment
    budget: Budget
    entropy: Entropy | None = None
    efficiency: Efficiency | None = None
    original: Artifact | None = None

    @classmethod
    def of(cls, artifact: Artifact, roles: Roles, *, cap: int, code: int | None = None) -> Inspection:
        """Account for all of an artifact; `cap` and `code` are in bytes."""
        budget = Budget(cap=cap, stored=artifact.size, code=code)
        return cls(artifact=artifact, assignment=assign(artifact, roles), budget=budget)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file, and what was left open."""
        return (*self.artifact.notes, *self.assignment.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read: by which rules of roles, and as what; `limit` is in bytes, `layout` the user's own format."""

    roles: Roles = field(default_factory=load_roles)
    as_format: str | None = None
    layout: Format | None = None
    limit: int = DECODED_LIMIT


def inspect_file(path: Path, *, cap: int, code: int | None = None, reading: Reading | None = None) -> Inspection:
    """Open a file and account for all of it; `cap` and `code` are in bytes.

    Of an hf:// path headers alone are read, and what depends on values is not known.  Raises the errors of
    `artifact.open_artifact` and of `hub`.
    """
    how = reading or Reading()
    if is_hub_path(path):
        from golfbudget.artifact.beginnings import open_beginnings

        if how.layout is not None:
            refuse_hub_path(path, "--layout describes a file that is read whole; {download}, and inspect that")
        artifact = open_beginnings(parse_address(path), as_format=how.as_format, limit=how.limit)
    else:
        artifact = open_artifact(path, as_format=how.as_format, layout=how.layout, limit=how.limit)
    return Inspection.of(artifact, how.roles, cap=cap, code=code)
