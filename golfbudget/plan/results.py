"""What a plan is made of, as values: candidates, their measured bytes and quality, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from golfbudget.inspection import Inspection


class Side(StrEnum):
    """Which part of the model a candidate changes."""

    HEAD = "head"
    TRUNK = "trunk"
    LOSSLESS = "lossless"


class Evidence(StrEnum):
    """How a quality figure is known, strongest first."""

    CERTIFIED = "certified"
    MEASURED = "measured"
    EQUAL_ERROR = "equal-error"
    MODELLED = "modelled"


class Winner(StrEnum):
    """Which side's best candidate wins."""

    HEAD = "head"
    TRUNK = "trunk"
    NONE = "none"
    UNDECIDED = "undecided"


class Answer(StrEnum):
    """Whether VQ-Logits beats both its control and the trunk."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A scheme with its options, and the tensors it replaces.

    `input_side` says what a tied model's input table becomes when its head is encoded: `shared` (both are the
    decoded matrix), `dense` (the input keeps the recipe's table and the head becomes a tensor of its own), or the name
    of the scheme that encodes it with `input_options` (the head is a tensor of its own there, too).
    """

    name: str
    side: Side
    scheme: str
    options: Mapping[str, int | float | str]
    owners: tuple[str, ...]
    input_side: str | None = None
    input_options: Mapping[str, int | float | str] = field(default_factory=dict)

    @property
    def is_vq(self) -> bool:
        """Whether it is VQ-Logits, plain or mended."""
        return self.scheme == "vq-logits" or self.scheme.startswith("vq-logits-")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """One table a candidate serialises, for one owner."""

    owner: str
    name: str
    account: str
    shape: tuple[int, ...]
    bits: int
    raw_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstRow:
    """The row a candidate hurts most: its squared error over the row's energy."""

    owner: str
    row: int
    relative_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Change against the baseline.

    `metric` is `bits-per-byte`, or `squared-error-ratio` when nothing was run.  `error_ratio` is the candidate's
    squared error over the recipe's own, in its worst matrix (None: the recipe's is zero); `relative_error` the same
    over the matrix's energy.
    """

    metric: str
    delta: float | None
    low: float | None
    high: float | None
    evidence: Evidence
    error_ratio: float | None = None
    relative_error: float | None = None
    worst_row: WorstRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate whose file was written and counted.

    `counted_bytes` adds the decoder's code; `saved_bytes` is the baseline's counted bytes minus these.
    """

    candidate: Candidate
    tables: tuple[TableSize, ...]
    decoder_bytes: int
    artifact_bytes: int
    sha256: str
    saved_bytes: int
    fits: bool
    quality: Quality
    pareto: bool = False

    @property
    def counted_bytes(self) -> int:
        return self.artifact_bytes + self.decoder_bytes

    @property
    def price(self) -> float | None:
        """Micro bits per byte lost per kilobyte saved; None where nothing is saved or the loss is not measured."""
        delta = self.quality.delta
        if self.saved_bytes <= 0 or delta is None or self.quality.evidence is not Evidence.MEASURED:
            return None
        return round(delta * 1e6 / (self.saved_bytes / 1000), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A statement that needs no training run, with its number."""

    name: str
    statement: str
    value: int | float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VqAnswer:
    """The project's question, answered.  `margin_bytes` is VQ's saving minus its best rival's, at no loss."""

    answer: Answer
    best: str | None
    control: str | None
    margin_bytes: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who wins, by how much, and why."""

    winner: Winner
    evidence: Evidence | None
    margin_bytes: int | None
    reasons: tuple[str, ...]
    best_head: str | None
    best_trunk: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The text and model behind measured figures."""

    model: str
    tokens: int
    text_bytes: int
    baseline_bits_per_byte: float
    source_bits_per_byte: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything besides the source that decides a plan's bytes, so that any candidate can be written again."""

    source_path: str
    source_bytes: int
    source_sha256: str
    recipe: str
    recipe_argument: str | None
    seed: int
    counts_path: str | None = None
    counts_sha256: str | None = None
    roles_path: str | None = None
    roles_sha256: str | None = None
    calibration_path: str | None = None
    calibration_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A finished plan."""

    inputs: Inputs
    cap: int
    code_bytes: int | None
    tied: bool
    baseline: Inspection
    certificates: tuple[Certificate, ...]
    trials: tuple[Trial, ...]
    evaluation: Evaluation | None
    vq: VqAnswer
    verdict: Verdict
    notes: tuple[str, ...] = ()

    @property
    def lossless_saved(self) -> int:
        """Bytes that the best lossless packing saves."""
        return max((t.saved_bytes for t in self.trials if t.candidate.side is Side.LOSSLESS), default=0)

    def trial(self, name: str | None) -> Trial | None:
        """The trial of that candidate name."""
        return next((trial for trial in self.trials if trial.candidate.name == name), None)
