"""A fit as JSON, schema `golfbudget/fit/1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from golfbudget.fit.results import Fit, FitBaseline, FitChoice, FitQuality
from golfbudget.hashing import bytes_hash
from golfbudget.inspection.report import RoleReport, SourceReport, role_reports
from golfbudget.plan.plan_json import copied, source_report
from golfbudget.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFit:
    """The whole fit; its fields are the JSON's keys, in the JSON's order."""

    schema: Literal["golfbudget/fit/1"]
    golfbudget: str
    source: SourceReport
    recipe: str
    seed: int
    effort: int
    cap: int
    code_bytes: int | None
    artifact_bytes: int
    decoder_bytes: int
    counted_bytes: int
    headroom: int
    binding: bool
    container: str
    sha256: str
    roles: tuple[RoleReport, ...]
    choices: tuple[FitChoice, ...]
    quality: FitQuality
    baseline: FitBaseline
    loader: str
    notes: tuple[str, ...]


def fit_json(fit: Fit) -> dict[str, object]:
    """The fit as plain values; the file itself is not among them, its digest is."""
    saved = copied(
        SavedFit,
        fit,
        fit.inputs,
        schema="golfbudget/fit/1",
        golfbudget=__version__,
        source=source_report(fit.inputs),
        sha256=bytes_hash(fit.data),
        roles=role_reports(fit.inspection.assignment.ledger),
    )
    values: dict[str, object] = msgspec.to_builtins(saved)
    return values
