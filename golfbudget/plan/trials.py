"""Candidates, what came of each, and every rule by which one is picked among others: each rule once, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import overload

import numpy as np
from numpy.typing import NDArray

from golfbudget.certificates import Certificate
from golfbudget.efficiency.results import Efficiency
from golfbudget.evidence import Evidence
from golfbudget.quality.intervals import ENOUGH_BLOCKS, FEWEST_BLOCKS, Interval

#: Bits per byte.  The contest's bar for a record is 0.005 nats per token, about 0.00194 bits per byte at a
#: vocabulary of 8192; a change known to be smaller is treated as none.
TOLERANCE = 0.002
#: A candidate whose squared error is at most this much of the recipe's own counts as costing nothing …
EQUAL_ERROR = 1.05
#: … and so does one whose squared error is under this share of the matrix's energy.
NEGLIGIBLE = 1e-6


class Side(StrEnum):
    """Which part of the model a candidate changes; `joint` is both head and trunk."""

    HEAD = "head"
    TRUNK = "trunk"
    LOSSLESS = "lossless"
    JOINT = "joint"


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
class Information:
    """I(W;H|C) of a head's map: the loss that remains for an ideal output head of that map over the baseline's trunk.

    Measured on the first `tokens` of the text; another trunk may bring it down, so it rules nothing out.
    """

    value: float
    unit: str
    evidence: Evidence
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Change against the baseline.

    `metric` is `bits-per-byte`, or `squared-error-ratio` when nothing was run.  `error_ratio` is the candidate's
    squared error over the recipe's own, in its worst matrix (None: the recipe's is zero); `relative_error` the same
    over the matrix's energy.  `output_error` is the expected squared change of a matrix's outputs over their energy,
    under the covariance of its inputs, in its worst matrix that has one: a model's word, `modelled`.

    Of a certified loser, which is not evaluated, only `low` is known: the least change that its floor leaves.
    A measured interval rests on text that is worth `blocks` independent windows.  `agreement` is the share of tokens
    of the divergence's text on which candidate and baseline expect the same token most.
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
    blocks: int | None = None
    agreement: float | None = None

    @property
    def interval(self) -> Interval | None:
        """The change with its ends; None where it was not measured."""
        if self.delta is None or self.low is None or self.high is None:
            return None
        return Interval(delta=self.delta, low=self.low, high=self.high, blocks=self.blocks or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate whose file was written and counted.

    `counted_bytes` adds the decoder's code; `saved_bytes` is the baseline's counted bytes minus these.  `floor` is what
    no training of a head with this map can go below; `loser` names the certificate that rules the candidate out.
    `efficiency` is what is left in its own tensors, of candidates that matter.  `rank_bound` is the highest rank that a
    head so stored can have, None of what is no head.
    `information` is what its map loses, of VQ heads where a model is run; `codes` [vocabulary] say which rows of a VQ
    head came out equal.
    `content` names what the file decodes to, where there is a model to run.  `window_nats` [windows] is what was lost
    on each window of the text, where it was measured.
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
    efficiency: Efficiency | None = None
    information: Information | None = None
    codes: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    rank_bound: int | None = None
    content: str = field(default="", repr=False, compare=False)
    window_nats: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.candidate.name

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

    @property
    def costless(self) -> bool:
        """Whether it decodes to the same bytes, passes the equal-error rule, or loses at most `TOLERANCE`, surely."""
        if self.loser is not None or self.short:
            return False
        if self.quality.evidence is Evidence.MEASURED:
            return self.quality.high is not None and self.quality.high <= TOLERANCE
        return self.quality.evidence in (Evidence.CERTIFIED, Evidence.EQUAL_ERROR)

    @property
    def short(self) -> bool:
        """Whether it was measured on too little text for its interval to decide anything."""
        measured = self.loser is None and self.quality.evidence is Evidence.MEASURED
        return measured and (self.quality.blocks or 0) < ENOUGH_BLOCKS

    @property
    def unsettled(self) -> bool:
        """Whether more text may show that it loses nothing."""
        low, blocks = self.quality.low, self.quality.blocks or 0
        return self.short and (blocks < FEWEST_BLOCKS or low is None or low <= TOLERANCE)

    @property
    def unknown(self) -> bool:
        """Whether nothing says what it costs in quality."""
        return self.loser is None and self.quality.evidence is Evidence.MODELLED

    @property
    def known(self) -> bool:
        """Whether it has a loss to compare: a certified loser has none, and needs none."""
        return self.loser is None and not self.unknown

    @property
    def loss(self) -> float:
        """The point estimate of the loss; the equal-error rule counts as none."""
        return self.quality.delta or 0.0 if self.quality.evidence is Evidence.MEASURED else 0.0

    def no_worse_than(self, other: Trial) -> bool:
        """In both counted bytes and loss."""
        return self.counted_bytes <= other.counted_bytes and self.loss <= other.loss


#: The change from one trial to another, in bits per byte, where both were measured.
Compare = Callable[[Trial, Trial], Interval]


def not_measured(_one: Trial, _other: Trial) -> Interval:
    """Of trials without measured losses; always `RuntimeError`."""
    raise RuntimeError("losses are compared only where they were measured")


@dataclass(frozen=True, slots=True)
class Trials(Sequence[Trial]):
    """Trials in an order, and how two measured ones compare; what is picked out of them compares the same way."""

    items: tuple[Trial, ...] = ()
    compare: Compare = field(default=not_measured, repr=False)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, at: int) -> Trial: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, at: int | slice) -> Trial | tuple[Trial, ...]:
        return self.items[at]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.items)

    def where(self, wanted: Callable[[Trial], bool]) -> Trials:
        return Trials(tuple(trial for trial in self.items if wanted(trial)), self.compare)

    def with_more(self, *others: Trial) -> Trials:
        return Trials((*self.items, *others), self.compare)

    def replaced(self, others: Mapping[str, Trial]) -> Trials:
        """These, with others in the places of those of their names."""
        return Trials(tuple(others.get(trial.name, trial) for trial in self.items), self.compare)

    # Groups

    def on(self, side: Side) -> Trials:
        return self.where(lambda trial: trial.candidate.side is side)

    @property
    def head(self) -> Trials:
        return self.on(Side.HEAD)

    @property
    def trunk(self) -> Trials:
        return self.on(Side.TRUNK)

    @property
    def vq(self) -> Trials:
        return self.head.where(lambda trial: trial.candidate.is_vq)

    @property
    def control(self) -> Trials:
        """Heads that are not VQ-Logits: what it has to beat."""
        return self.head.where(lambda trial: not trial.candidate.is_vq)

    @property
    def fitting(self) -> Trials:
        return self.where(lambda trial: trial.fits)

    @property
    def known(self) -> Trials:
        return self.where(lambda trial: trial.known)

    @property
    def unknown(self) -> Trials:
        return self.where(lambda trial: trial.unknown)

    @property
    def unsettled(self) -> Trials:
        return self.where(lambda trial: trial.unsettled)

    @property
    def costless(self) -> Trials:
        return self.where(lambda trial: trial.costless)

    @property
    def measured(self) -> Trials:
        """Those whose loss was measured; what a certificate rules out is not."""
        return self.known.where(lambda trial: trial.quality.evidence is Evidence.MEASURED)

    @property
    def untrained(self) -> Trials:
        return self.where(lambda trial: not trial.candidate.steps)

    def saving(self, least: int = 1) -> Trials:
        """Those that save at least so many bytes."""
        return self.where(lambda trial: trial.saved_bytes >= least)

    def called(self, names: Collection[str | None]) -> Trials:
        return self.where(lambda trial: trial.name in names)

    def replacing(self, owners: frozenset[str]) -> Trials:
        """Those of candidates on exactly these tensors."""
        return self.where(lambda trial: owners == frozenset(trial.candidate.owners))

    # One of them

    def named(self, name: str | None) -> Trial | None:
        return next((trial for trial in self.items if trial.name == name), None)

    def most_saved(self) -> Trial | None:
        """The one that saves most bytes at no loss."""
        return min(self.costless.saving(), key=lambda trial: (-trial.saved_bytes, trial.name), default=None)

    def largest_saving(self) -> Trial | None:
        """The one that saves most bytes, whatever it loses."""
        return max(self.items, key=lambda trial: trial.saved_bytes, default=None)

    def least_lossy(self) -> Trial | None:
        """The one of the least known loss; at one loss, the one that saves most."""
        return min(self.known, key=lambda trial: (trial.loss, -trial.saved_bytes, trial.name), default=None)

    def closest(self) -> Trial | None:
        """The one to show when none is free: the least lossy that saves bytes, or else the least lossy."""

        def order(trial: Trial) -> tuple[bool, float, int, str]:
            quality = trial.quality
            loss = quality.delta if quality.delta is not None else quality.relative_error
            return trial.saved_bytes <= 0, float("inf") if loss is None else loss, -trial.saved_bytes, trial.name

        possible = self.where(lambda trial: trial.loser is None)
        return min(possible or self, key=order, default=None)

    # Against each other

    def beaten_by(self, others: Trials) -> Trials:
        """Those of known loss that one of the others is no worse than, in both counted bytes and loss."""
        rivals = others.known
        return self.known.where(lambda trial: any(rival.no_worse_than(trial) for rival in rivals))

    def frontier(self) -> frozenset[str]:
        """Names of those that no other beats in both counted bytes and loss; trials of unknown loss are not ranked."""
        ranked = self.known
        return frozenset(
            trial.name
            for trial in ranked
            if not any(other.no_worse_than(trial) and not trial.no_worse_than(other) for other in ranked)
        )

    def in_order(self) -> Trials:
        """By counted bytes, the frontier of all marked."""
        best = self.frontier()
        marked = (replace(trial, pareto=trial.name in best) for trial in self.items)
        return Trials(tuple(sorted(marked, key=lambda trial: (trial.counted_bytes, trial.name))), self.compare)
