"""What a plan comes to, as values: the answers, what follows from them, and everything they were reached from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from golfbudget.certificates import DEFAULT_PRICE, DEFAULT_PRICE_SOURCE, Certificate
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.plan.trials import Quality, Side, Trial, Trials


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
    """What a side asks for a kilobyte where it saves `at` bytes, measured on the two of its frontier around them.

    `candidate` saves `saved_bytes`, at least `at`, and loses `loss` bits per byte; `below` (None: the baseline) saves
    less.  `price` is the slope between the two, in µbpb per kilobyte; what gains quality has a price below zero.
    """

    candidate: str
    saved_bytes: int
    loss: float
    price: float
    below: str | None = None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much more the loser of the verdict loses at the winner's bytes, bits per byte, with a 95 % interval.

    At exactly the bytes of `candidate`, interpolated between `below` (None: the baseline) and `rival`, neighbours on
    the other side's frontier.
    """

    candidate: str
    rival: str
    delta: float
    low: float
    high: float
    below: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What would make a VQ candidate win: a loss under `loss` bits per byte, or a vocabulary over `vocabulary`.

    `loss` is what the trunk loses for the same bytes, and `price` that over those bytes, in µbpb per kilobyte; `source`
    says which candidates it was measured between.  `vocabulary` supposes that bytes grow with the vocabulary and the
    loss does not (`modelled`), None where that would be said of more than was measured or of a far larger vocabulary.
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

    @property
    def best(self) -> str | None:
        """The winning side's best candidate."""
        return {Winner.HEAD: self.best_head, Winner.TRUNK: self.best_trunk}.get(self.winner)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFile:
    """A fitted file: how it stores the head, and its change against the baseline.

    `candidate` is the plan's own with that head; None of a plain head, which no candidate has just so.
    """

    candidate: str | None
    head: str
    counted_bytes: int
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """From the best file without a restructured head to one with, bits per byte, with a 95 % interval.

    `answer` says whether the one with loses less: surely so, and by more than the loss that seeds move (`moves`).
    """

    delta: float
    low: float
    high: float
    blocks: int
    moves: float
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """The best files of at most `bytes` counted bytes: without a restructured head, with one, with a VQ-Logits one.

    Each is None where none is so small.
    """

    bytes: int
    without: BudgetFile | None
    with_head: BudgetFile | None
    vq: BudgetFile | None
    difference: Difference | None
    vq_difference: Difference | None


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
    difference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The text and model behind measured figures.  The text has `windows`, in whose order intervals are drawn."""

    model: str
    tokens: int
    text_bytes: int
    baseline_bits_per_byte: float
    source_bits_per_byte: float
    windows: int | None = None
    baseline_perplexity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshQuality:
    """What a candidate's change is on the text of `--fresh`, against the baseline on that text."""

    candidate: str
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFile:
    """A file that a plan was made with, as it was named and as it was."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything besides the source that decides a plan's bytes, so that any candidate can be written again.

    `counts_of_tokens`: the file of counts is a text, whose tokens are counted, the first `counted_tokens` or all.
    `model_file` is the name or path of the model file that the source's synthetic weights are drawn for, `settings`
    what was changed in it; `preview` the codec that stands in for the recipe's own, as CODEC-LEVEL.
    """

    source_path: str
    source_bytes: int
    source_sha256: str
    recipe: str
    recipe_argument: str | None
    seed: int
    counts: RecordedFile | None = None
    roles: RecordedFile | None = None
    calibration: RecordedFile | None = None
    tokenizer: RecordedFile | None = None
    token_limit: int | None = None
    counts_of_tokens: bool = False
    counted_tokens: int | None = None
    model_file: str | None = None
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    preview: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A finished plan.  `on_frontier` are the candidates that none of their own side beats.

    `fresh` has those that the answers name, measured again on another text (`fresh_evaluation`).
    """

    inputs: Inputs
    cap: int
    code_bytes: int | None
    tied: bool
    baseline: Inspection
    certificates: tuple[Certificate, ...]
    trials: Trials
    evaluation: Evaluation | None
    vq: VqAnswer
    verdict: Verdict
    price: float = DEFAULT_PRICE
    price_source: str = DEFAULT_PRICE_SOURCE
    joint: Joint | None = None
    budgets: tuple[BudgetPoint, ...] = ()
    fresh_evaluation: Evaluation | None = None
    fresh: tuple[FreshQuality, ...] = ()
    on_frontier: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def frontier(self, side: Side) -> tuple[str, ...]:
        """Names of a side's candidates that no other of it beats in both bytes and loss, fewest bytes first."""
        return tuple(trial.name for trial in self.trials.on(side).called(self.on_frontier))

    @property
    def lossless_saved(self) -> int:
        best = self.trials.on(Side.LOSSLESS).largest_saving()
        return 0 if best is None else best.saved_bytes

    def trial(self, name: str | None) -> Trial | None:
        return self.trials.named(name)
