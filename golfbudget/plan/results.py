"""What a plan is made of, as values: candidates, their measured bytes and quality, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from golfbudget.certificates import DEFAULT_PRICE, DEFAULT_PRICE_SOURCE, Certificate
from golfbudget.inspection import Inspection


class Side(StrEnum):
    """Which part of the model a candidate changes; `joint` is both head and trunk."""

    HEAD = "head"
    TRUNK = "trunk"
    LOSSLESS = "lossless"
    JOINT = "joint"


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

    A joint candidate is its `parts`, other candidates with owners of their own, written into one file.  `steps` of
    fine-tuning follow the encoding, where there are any.
    """

    name: str
    side: Side
    scheme: str
    options: Mapping[str, int | float | str]
    owners: tuple[str, ...]
    input_side: str | None = None
    input_options: Mapping[str, int | float | str] = field(default_factory=dict)
    parts: tuple[Candidate, ...] = ()
    steps: int = 0

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
class Divergence:
    """KL(baseline || candidate), nats a token over the first `tokens` of the text, with a 95 % interval."""

    value: float
    low: float
    high: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BandLoss:
    """The change in one band of token frequencies, nats per occurrence, with a 95 % interval.

    The band has `tokens` of the vocabulary and `occurrences` in the text, on which the baseline loses `base`.
    """

    label: str
    tokens: int
    occurrences: int
    base: float
    delta: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Change against the baseline.

    `metric` is `bits-per-byte`, or `squared-error-ratio` when nothing was run.  `error_ratio` is the candidate's
    squared error over the recipe's own, in its worst matrix (None: the recipe's is zero); `relative_error` the same
    over the matrix's energy.  `output_error` is the expected squared change of a matrix's outputs over their energy,
    under the second moments of its inputs, in its worst matrix that has them: a model's word, `modelled`.

    Of a certified loser, which is not evaluated, only `low` is known: the least change that its floor leaves.
    """

    metric: str
    delta: float | None
    low: float | None
    high: float | None
    evidence: Evidence
    error_ratio: float | None = None
    relative_error: float | None = None
    worst_row: WorstRow | None = None
    output_error: float | None = None
    divergence: Divergence | None = None
    bands: tuple[BandLoss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate whose file was written and counted.

    `counted_bytes` adds the decoder's code; `saved_bytes` is the baseline's counted bytes minus these.  `floor` is what
    no training of a head with this map can go below; `loser` names the certificate that rules the candidate out.
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
    floor: Certificate | None = None
    loser: str | None = None

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
class VqAnswer:
    """The project's question, answered.  `margin_bytes` is VQ's saving minus its best rival's, at no loss."""

    answer: Answer
    best: str | None
    control: str | None
    margin_bytes: int | None
    reason: str


class Situation(StrEnum):
    """Where the baseline stands against the cap: over it, at it (within what two seeds differ by), or under it."""

    OVER = "over"
    AT = "at"
    UNDER = "under"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A side's cheapest bytes, measured: `candidate` loses `loss` bits per byte and saves `saved_bytes`.

    `price` is in µbpb per kilobyte; what gains quality has a price below zero.
    """

    candidate: str
    saved_bytes: int
    loss: float
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much more the loser of the verdict loses at the winner's bytes, bits per byte, with a 95 % interval.

    `rival` is its least lossy candidate that saves as much as `candidate` does.
    """

    candidate: str
    rival: str
    delta: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What would make a VQ candidate win: a loss under `loss` bits per byte, or a vocabulary over `vocabulary`.

    `loss` is what its bytes are worth at the rival's `price` (whose `source` says where that is from); `vocabulary`
    supposes that bytes grow with the vocabulary and the loss does not (`modelled`), None where no size would do.
    """

    candidate: str
    loss: float
    price: float
    source: str
    vocabulary: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who wins, by how much, and why.

    `prices` are the sides' own, by side, where they were measured.  `settle` is the one experiment that would settle
    what is undecided.
    """

    winner: Winner
    evidence: Evidence | None
    margin_bytes: int | None
    reasons: tuple[str, ...]
    best_head: str | None
    best_trunk: str | None
    situation: Situation | None = None
    margin: Margin | None = None
    prices: Mapping[Side, Exchange] = field(default_factory=dict)
    break_even: BreakEven | None = None
    settle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """The joint optimum at `target` counted bytes, in sums and as one file.

    `chosen` maps each group of tensors to the candidate that it takes (None: as it is).  `expected_bytes` and
    `expected_loss` add the groups up; `candidate` is the trial of the file in which they stand together.
    """

    target: int
    chosen: Mapping[str, str | None]
    expected_bytes: int
    expected_loss: float
    candidate: str
    rebuilt_bytes: int

    @property
    def difference(self) -> int:
        """Bytes by which the file differs from the sum: compressed bytes do not add up."""
        return self.rebuilt_bytes - self.expected_bytes


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
    """Everything besides the source that decides a plan's bytes, so that any candidate can be written again.

    `counts_of_tokens`: the file of counts is a text, whose tokens are counted.  `model_file` is the name or path of the
    model file that the source's synthetic weights are drawn for, `settings` what was changed in it; `preview` the codec
    that stands in for the recipe's own, as CODEC-LEVEL.
    """

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
    tokenizer_path: str | None = None
    tokenizer_sha256: str | None = None
    token_limit: int | None = None
    counts_of_tokens: bool = False
    model_file: str | None = None
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    preview: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A finished plan.  `on_frontier` are the candidates that none of their own side beats."""

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
    price: float = DEFAULT_PRICE
    price_source: str = DEFAULT_PRICE_SOURCE
    joint: Joint | None = None
    on_frontier: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def frontier(self, side: Side) -> tuple[str, ...]:
        """Names of a side's candidates that no other of it beats in both bytes and loss, fewest bytes first."""
        own = [trial for trial in self.trials if trial.candidate.side is side]
        return tuple(trial.candidate.name for trial in own if trial.candidate.name in self.on_frontier)

    @property
    def lossless_saved(self) -> int:
        """Bytes that the best lossless packing saves."""
        return max((t.saved_bytes for t in self.trials if t.candidate.side is Side.LOSSLESS), default=0)

    def trial(self, name: str | None) -> Trial | None:
        """The trial of that candidate name."""
        return next((trial for trial in self.trials if trial.candidate.name == name), None)
