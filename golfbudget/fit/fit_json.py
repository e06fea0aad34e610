"""A fit as JSON, schema `golfbudget/fit/1`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from golfbudget.fit.results import Fit, FitBaseline, FitQuality
from golfbudget.inspection.report import RoleReport, SourceReport, role_reports
from golfbudget.ledger import Role
from golfbudget.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedChoice:
    """What one matrix got."""

    owner: str
    role: Role
    scheme: str
    options: Mapping[str, int | float | str]
    coder: str
    parameters: int
    stored_bytes: int
    next_kilobyte: float | None


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
    choices: tuple[SavedChoice, ...]
    quality: FitQuality
    baseline: FitBaseline
    loader: str
    notes: tuple[str, ...]


def fit_json(fit: Fit) -> dict[str, object]:
    """The fit as plain values; the file itself is not among them, its digest is."""
    inputs = fit.inputs
    saved = SavedFit(
        schema="golfbudget/fit/1",
        golfbudget=__version__,
        source=SourceReport(path=inputs.source_path, bytes=inputs.source_bytes, sha256=inputs.source_sha256),
        recipe=inputs.recipe,
        seed=inputs.seed,
        effort=fit.effort,
        cap=fit.cap,
        code_bytes=fit.code_bytes,
        artifact_bytes=fit.artifact_bytes,
        decoder_bytes=fit.decoder_bytes,
        counted_bytes=fit.counted_bytes,
        headroom=fit.headroom,
        binding=fit.binding,
        container=fit.container,
        sha256=hashlib.sha256(fit.data).hexdigest(),
        roles=role_reports(fit.inspection.assignment.ledger),
        choices=tuple(
            SavedChoice(
                owner=each.owner, role=each.role, scheme=each.scheme, options=each.options, coder=each.coder,
                parameters=each.parameters, stored_bytes=each.stored_bytes, next_kilobyte=each.next_kilobyte,
            )
            for each in fit.choices
        ),
        quality=fit.quality,
        baseline=fit.baseline,
        loader=fit.loader,
        notes=fit.notes,
    )  # fmt: skip
    values: dict[str, object] = msgspec.to_builtins(saved)
    return values
