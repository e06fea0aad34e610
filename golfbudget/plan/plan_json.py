"""A plan as JSON, schema `golfbudget/plan/1`: one shape, in which it is written and read.

The fields of `SavedPlan` and of what it holds are the JSON's keys, in the JSON's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from golfbudget.certificates import Certificate
from golfbudget.efficiency.results import Efficiency
from golfbudget.errors import UsageError, readable
from golfbudget.inspection.report import RoleReport, SourceReport, role_reports
from golfbudget.plan.results import (
    Answer,
    BudgetFile,
    BudgetPoint,
    Difference,
    Evaluation,
    FreshQuality,
    Inputs,
    Joint,
    Plan,
    RecordedFile,
    Verdict,
    VqAnswer,
)
from golfbudget.plan.trials import Candidate, Information, Quality, Side, TableSize, Trial
from golfbudget.version import __version__

T = TypeVar("T")


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
    counted_tokens: int | None = None
    model_file: SavedModelFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBaseline:
    """The recipe's own file."""

    artifact_bytes: int
    counted_bytes: int
    headroom: int
    fits: bool
    roles: tuple[RoleReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPrice:
    """What a kilobyte is worth."""

    value: float
    unit: str
    source: str


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
    floor: Certificate | None
    loser: str | None
    efficiency: Efficiency | None = None
    information: Information | None = None
    rank_bound: int | None = None


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


class SavedBudget(msgspec.Struct, frozen=True, kw_only=True):
    """The best files at one number of bytes."""

    bytes: int
    without: BudgetFile | None
    with_: BudgetFile | None = msgspec.field(name="with")
    difference: Difference | None
    answer: Answer
    vq: BudgetFile | None
    vq_difference: Difference | None

    @classmethod
    def of(cls, budget: BudgetPoint) -> SavedBudget:
        answer = Answer.UNDECIDED if budget.difference is None else budget.difference.answer
        return cls(
            bytes=budget.bytes, without=budget.without, with_=budget.with_head, difference=budget.difference,
            answer=answer, vq=budget.vq, vq_difference=budget.vq_difference,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """The whole plan."""

    schema: Literal["golfbudget/plan/1"]
    golfbudget: str
    source: SourceReport
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
    certificates: tuple[Certificate, ...]
    candidates: tuple[SavedTrial, ...]
    frontiers: Mapping[Side, tuple[str, ...]]
    joint: Joint | None
    budgets: tuple[SavedBudget, ...] = ()
    lossless: SavedLossless
    vq: VqAnswer
    verdict: Verdict
    notes: tuple[str, ...]
    fresh_evaluation: Evaluation | None = None
    fresh: tuple[FreshQuality, ...] = ()


def plan_json(plan: Plan) -> dict[str, object]:
    """The whole plan as plain values."""
    values: dict[str, object] = msgspec.to_builtins(saved(plan))
    return values


def load_plan(path: Path) -> SavedPlan:
    """Parse a saved plan; `UsageError` names the file and the key that is wrong."""
    with readable(path):
        data = path.read_bytes()
    try:
        return msgspec.json.decode(data, type=SavedPlan)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not a plan saved by `golfbudget plan --format json`: {error}") from None


def saved(plan: Plan) -> SavedPlan:
    """A plan in the shape in which it is written."""
    inputs, size, budget = plan.inputs, plan.baseline.artifact.size, plan.baseline.budget
    model_file = None
    if inputs.model_file is not None:
        model_file = SavedModelFile(path=inputs.model_file, sha256=inputs.source_sha256, settings=inputs.settings)
    return copied(
        SavedPlan,
        plan,
        inputs,
        schema="golfbudget/plan/1",
        golfbudget=__version__,
        source=source_report(inputs),
        inputs=copied(SavedInputs, inputs, recipe=inputs.recipe_argument, model_file=model_file),
        baseline=copied(
            SavedBaseline,
            budget,
            artifact_bytes=size,
            counted_bytes=size,
            roles=role_reports(plan.baseline.assignment.ledger),
        ),
        price=SavedPrice(value=plan.price, unit="µbpb/kB", source=plan.price_source),
        certificates=tuple(map(_rounded, plan.certificates)),
        candidates=tuple(map(_trial, plan.trials)),
        frontiers={side: plan.frontier(side) for side in (Side.HEAD, Side.TRUNK)},
        budgets=tuple(map(SavedBudget.of, plan.budgets)),
        lossless=SavedLossless(
            saved_bytes=plan.lossless_saved,
            steps=tuple(copied(LosslessStep, trial) for trial in plan.trials.on(Side.LOSSLESS)),
        ),
    )


def source_report(inputs: Inputs) -> SourceReport:
    """The source by path, length and hash."""
    return SourceReport(path=inputs.source_path, bytes=inputs.source_bytes, sha256=inputs.source_sha256)


def candidate_of(trial: SavedTrial) -> Candidate:
    """The candidate that was saved."""
    return copied(Candidate, trial)


def copied(of: type[T], *sources: object, **given: object) -> T:
    """A value of a dataclass: each field as given, or else that of the first source which has one of its name."""
    names = [each.name for each in fields(of) if each.name not in given]  # type: ignore[arg-type]
    copied = {name: next(getattr(source, name) for source in sources if hasattr(source, name)) for name in names}
    return of(**copied, **given)


def _trial(trial: Trial) -> SavedTrial:
    floor = None if trial.floor is None else _rounded(trial.floor)
    return copied(SavedTrial, trial.candidate, trial, floor=floor)


def _rounded(certificate: Certificate) -> Certificate:
    """The value is whole where it is bytes, or else of nine digits."""
    value = int(certificate.value) if certificate.unit == "bytes" else float(f"{certificate.value:.9g}")
    return replace(certificate, value=value)
