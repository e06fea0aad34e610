"""A plan as JSON, schema `golfbudget/plan/1`: one shape, in which it is written and read.

The fields of `SavedPlan` and of what it holds are the JSON's keys, in the JSON's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import msgspec

from golfbudget.certificates import Certificate
from golfbudget.errors import UsageError
from golfbudget.ledger import Account, Ledger, Role
from golfbudget.plan.results import Evaluation, Inputs, Joint, Plan, RecordedFile, Verdict, VqAnswer
from golfbudget.plan.trials import Candidate, Quality, Side, TableSize, Trial
from golfbudget.rollup import roll_up, total
from golfbudget.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSource:
    """The source's file; of a model file its name."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModelFile(RecordedFile):
    """The model file that the source's weights were drawn for, and what was changed in it."""

    settings: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedInputs:
    """What besides the source decides the bytes of files."""

    recipe: str | None
    counts: RecordedFile | None
    roles: RecordedFile | None
    calibration: RecordedFile | None = None
    tokenizer: RecordedFile | None = None
    token_limit: int | None = None
    counts_of_tokens: bool = False
    model_file: SavedModelFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBytes:
    """One account of a role."""

    account: str
    decoded_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBytes:
    """One role of the baseline, and its accounts."""

    role: str
    parameters: int
    decoded_bytes: int
    stored_bytes: int
    accounts: tuple[AccountBytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBaseline:
    """The recipe's own file."""

    artifact_bytes: int
    counted_bytes: int
    headroom: int
    fits: bool
    roles: tuple[RoleBytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPrice:
    """What a kilobyte is worth."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCertificate(Certificate):
    """A certificate; its value is whole where it is bytes, or else of nine digits."""

    value: int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTrial(Candidate):
    """A candidate and what came of it, side by side."""

    tables: tuple[TableSize, ...]
    decoder_bytes: int
    artifact_bytes: int
    counted_bytes: int
    saved_bytes: int
    sha256: str
    fits: bool
    quality: Quality
    price: float | None
    pareto: bool
    floor: SavedCertificate | None
    loser: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LosslessStep:
    """Another codec on the unchanged container."""

    name: str
    artifact_bytes: int
    saved_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedLossless:
    """What the best lossless packing saves, and every one that was tried."""

    saved_bytes: int
    steps: tuple[LosslessStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """The whole plan."""

    schema: Literal["golfbudget/plan/1"]
    golfbudget: str
    source: SavedSource
    recipe: str
    preview: str | None = None
    seed: int
    cap: int
    code_bytes: int | None
    inputs: SavedInputs
    tied: bool
    evaluation: Evaluation | None
    baseline: SavedBaseline
    price: SavedPrice
    certificates: tuple[SavedCertificate, ...]
    candidates: tuple[SavedTrial, ...]
    frontiers: Mapping[Side, tuple[str, ...]]
    joint: Joint | None
    lossless: SavedLossless
    vq: VqAnswer
    verdict: Verdict
    notes: tuple[str, ...]


def plan_json(plan: Plan) -> dict[str, object]:
    """The whole plan as plain values."""
    values: dict[str, object] = msgspec.to_builtins(saved(plan))
    return values


def load_plan(path: Path) -> SavedPlan:
    """Parse a saved plan; `UsageError` names the file and the key that is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: not a plan saved by `golfbudget plan --format json`: {error}") from None


def saved(plan: Plan) -> SavedPlan:
    """A plan in the shape in which it is written."""
    inputs, size, budget = plan.inputs, plan.baseline.artifact.size, plan.baseline.budget
    return SavedPlan(
        schema="golfbudget/plan/1",
        golfbudget=__version__,
        source=SavedSource(path=inputs.source_path, bytes=inputs.source_bytes, sha256=inputs.source_sha256),
        recipe=inputs.recipe,
        preview=inputs.preview,
        seed=inputs.seed,
        cap=plan.cap,
        code_bytes=plan.code_bytes,
        inputs=_inputs(inputs),
        tied=plan.tied,
        evaluation=plan.evaluation,
        baseline=SavedBaseline(
            artifact_bytes=size,
            counted_bytes=size,
            headroom=budget.headroom,
            fits=budget.fits,
            roles=tuple(_roles(plan.baseline.assignment.ledger)),
        ),
        price=SavedPrice(value=plan.price, unit="µbpb/kB", source=plan.price_source),
        certificates=tuple(map(_certificate, plan.certificates)),
        candidates=tuple(map(_trial, plan.trials)),
        frontiers={side: plan.frontier(side) for side in (Side.HEAD, Side.TRUNK)},
        joint=plan.joint,
        lossless=SavedLossless(
            saved_bytes=plan.lossless_saved,
            steps=tuple(
                LosslessStep(name=trial.name, artifact_bytes=trial.artifact_bytes, saved_bytes=trial.saved_bytes)
                for trial in plan.trials.on(Side.LOSSLESS)
            ),
        ),
        vq=plan.vq,
        verdict=plan.verdict,
        notes=plan.notes,
    )


def candidate_of(trial: SavedTrial) -> Candidate:
    """The candidate that was saved."""
    return Candidate(**_values(Candidate, trial))


def _values(of: type, value: object) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(of)}


def _inputs(inputs: Inputs) -> SavedInputs:
    model_file = None
    if inputs.model_file is not None:
        model_file = SavedModelFile(path=inputs.model_file, sha256=inputs.source_sha256, settings=inputs.settings)
    return SavedInputs(
        recipe=inputs.recipe_argument,
        counts=inputs.counts,
        roles=inputs.roles,
        calibration=inputs.calibration,
        tokenizer=inputs.tokenizer,
        token_limit=inputs.token_limit,
        counts_of_tokens=inputs.counts_of_tokens,
        model_file=model_file,
    )


def _trial(trial: Trial) -> SavedTrial:
    return SavedTrial(
        **_values(Candidate, trial.candidate),
        tables=trial.tables,
        decoder_bytes=trial.decoder_bytes,
        artifact_bytes=trial.artifact_bytes,
        counted_bytes=trial.counted_bytes,
        saved_bytes=trial.saved_bytes,
        sha256=trial.sha256,
        fits=trial.fits,
        quality=trial.quality,
        price=trial.price,
        pareto=trial.pareto,
        floor=None if trial.floor is None else _certificate(trial.floor),
        loser=trial.loser,
    )


def _certificate(certificate: Certificate) -> SavedCertificate:
    value = int(certificate.value) if certificate.unit == "bytes" else float(f"{certificate.value:.9g}")
    return SavedCertificate(**{**_values(Certificate, certificate), "value": value})


def _roles(ledger: Ledger) -> list[RoleBytes]:
    """Roles in the fixed order of the enumeration, each with its accounts."""
    by_both = roll_up(ledger, lambda entry: (entry.role, entry.account))
    rows = []
    for role in Role:
        accounts = {account: by_both[role, account] for account in Account if (role, account) in by_both}
        whole = total(accounts.values())
        if accounts:
            rows.append(
                RoleBytes(
                    role=str(role),
                    parameters=whole.parameters,
                    decoded_bytes=whole.decoded_bytes,
                    stored_bytes=whole.stored_bytes,
                    accounts=tuple(
                        AccountBytes(account=str(a), decoded_bytes=t.decoded_bytes, stored_bytes=t.stored_bytes)
                        for a, t in accounts.items()
                    ),
                )
            )
    return rows
