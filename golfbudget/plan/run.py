"""Make a plan: write every candidate's file, count it, judge it, and reach the verdict.

Quality is taken from the matrices that come back out of the written file, so what is measured is what ships.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from golfbudget.artifact import open_bytes
from golfbudget.budget import Budget
from golfbudget.certificates import Basis, Certificate
from golfbudget.inspection import Inspection
from golfbudget.plan import quality
from golfbudget.plan.building import Built, Encodings, Known, build, decoder_bytes
from golfbudget.plan.candidates import batches, candidates
from golfbudget.plan.kept import Kept, digest
from golfbudget.plan.reading import Decoded, read_back
from golfbudget.plan.results import (
    Candidate,
    Evaluation,
    Evidence,
    Inputs,
    Plan,
    Quality,
    Side,
    Trial,
)
from golfbudget.plan.source import Source
from golfbudget.plan.verdict import costless, decide, mark_pareto
from golfbudget.plan.workers import results
from golfbudget.quality.evaluate import METRIC, Evaluator, Interval, Losses
from golfbudget.quality.text import Text
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.assignment import rule_for
from golfbudget.recipe.config import Integer
from golfbudget.roles import Roles, assign

#: Called with what is about to be done and how many steps there are in all.
Progress = Callable[[str, int], None]

BASELINE = "baseline"
#: Numbers written by all tasks together that take about as long as starting processes for them does.
_WORTH_PROCESSES = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose; `jobs` None is one for each core where the work is worth it."""

    inputs: Inputs
    cap: int
    code_bytes: int | None
    roles: Roles
    counts: Tensor | None = None
    text: Text | None = None
    model: str | None = None
    schemes: tuple[str, ...] | None = None
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    jobs: int | None = 1
    cache: Path | None = None

    @property
    def known(self) -> Known:
        """What encoders may use."""
        return Known(seed=self.inputs.seed, counts=self.counts, moments=self.moments)


def baseline_file(source: Source) -> bytes:
    """The recipe's own artifact."""
    return artifact_bytes(source.export, source.recipe)


def make_plan(source: Source, settings: Settings, progress: Progress) -> Plan:
    """Try every candidate and decide."""
    tried = candidates(source, settings.schemes, settings.known.needs_met)
    steps = len(tried.candidates) + 2
    progress(BASELINE, steps)
    runner = _Runner(source, settings, (*tried.notes, *_counts_note(settings)))
    for candidate, built in runner.written(tried.candidates):
        progress(candidate.name, steps)
        runner.judge(candidate, built)
    progress("verdict", steps)
    return runner.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Candidates that share their encodings, and the codec to write them in, if not the recipe's."""

    candidates: tuple[Candidate, ...]
    codec: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What every task needs; a source without its opened file, which no other process can have."""

    source: Source
    known: Known


def _write(shared: _Shared, task: _Task) -> list[Built]:
    """The files of one task."""
    encodings: Encodings = {}
    return [build(shared.source, candidate, shared.known, encodings, task.codec) for candidate in task.candidates]


class _Runner:
    """State of one planning run: the baseline, the evaluator, and what came of each candidate."""

    def __init__(self, source: Source, settings: Settings, notes: Sequence[str] = ()) -> None:
        self.source, self.settings, self.notes = source, settings, notes
        data = baseline_file(source)
        self.baseline_bytes = len(data)
        artifact = open_bytes(data, name=BASELINE)
        budget = Budget(cap=settings.cap, stored=len(data), code=settings.code_bytes)
        self.baseline = Inspection(artifact=artifact, assignment=assign(artifact, settings.roles), budget=budget)
        self.kept = Kept.of(settings.cache, source, settings.known, data)
        self.decoded = read_back(data, BASELINE)
        self.trials: list[Trial] = []
        self.losses: dict[str, Losses] = {}
        self.evaluator = None if settings.text is None else Evaluator(settings.text)
        self.evaluation: Evaluation | None = None
        if self.evaluator is not None and settings.text is not None:
            self.text = digest({"windows": settings.text.windows})
            before = self._measure(source.reference, None, digest(source.reference).encode())
            self.losses[BASELINE] = self._measure(self.decoded.state, None, data, keep=True)
            self.evaluation = Evaluation(
                model=settings.model or "",
                tokens=settings.text.tokens,
                text_bytes=settings.text.bytes,
                baseline_bits_per_byte=round(self.evaluator.bits_per_byte(self.losses[BASELINE]), 6),
                source_bits_per_byte=round(self.evaluator.bits_per_byte(before), 6),
            )

    def _measure(self, state: Mapping[str, Tensor], bias: Tensor | None, data: bytes, *, keep: bool = False) -> Losses:
        """Losses of a state, by its file's bytes from the cache where they were measured before."""
        if self.evaluator is None:
            raise RuntimeError("losses are measured only where there is a text")
        known = self.kept.losses(self.text, data)
        if known is not None and len(known) == len(self.evaluator.text.windows):
            return known
        losses = self.evaluator.losses(state, bias=bias, keep=keep)
        self.kept.keep_losses(self.text, data, losses)
        return losses

    def written(
        self, tried: Sequence[Candidate], codec: tuple[str, int] | None = None
    ) -> Iterator[tuple[Candidate, Built]]:
        """Every candidate with its file: those kept from before first, the others as they are done."""
        missing = []
        for candidate in tried:
            built = self.kept.built(candidate, codec)
            if built is None:
                missing.append(candidate)
            else:
                yield candidate, built
        tasks = [_Task(candidates=batch, codec=codec) for batch in batches(missing)]
        shared = _Shared(source=self.source, known=self.settings.known)
        jobs = self._jobs(len(tasks))
        if jobs > 1:
            # An opened file stays with the process that opened it; nothing that is encoded reads it.
            shared = replace(shared, source=replace(self.source, artifact=None))  # type: ignore[arg-type]
        for number, files in results(_write, shared, tasks, jobs):
            for candidate, built in zip(tasks[number].candidates, files, strict=True):
                self.kept.keep_built(candidate, built, codec)
                yield candidate, built

    def _jobs(self, tasks: int) -> int:
        """Processes for so many tasks, each of which writes the whole model."""
        if self.settings.jobs is not None:
            return self.settings.jobs
        work = tasks * sum(tensor.numel() for tensor in self.source.reference.values())
        return (os.cpu_count() or 1) if work >= _WORTH_PROCESSES else 1

    def judge(self, candidate: Candidate, built: Built) -> None:
        """Read a candidate's file back, and keep what was learned."""
        decoder = decoder_bytes(candidate)
        counted = len(built.data) + decoder
        self.trials.append(
            Trial(
                candidate=candidate,
                tables=built.tables,
                decoder_bytes=decoder,
                artifact_bytes=len(built.data),
                sha256=hashlib.sha256(built.data).hexdigest(),
                saved_bytes=self.baseline_bytes - counted,
                fits=counted + (self.settings.code_bytes or 0) <= self.settings.cap,
                quality=self._quality(candidate, built),
            )
        )

    def _quality(self, candidate: Candidate, built: Built) -> Quality:
        decoded = read_back(built.data, candidate.name)
        if candidate.side is Side.LOSSLESS:
            same = _equal(decoded, self.decoded)
            evidence = Evidence.CERTIFIED if same else Evidence.MODELLED
            return Quality(metric=METRIC, delta=0.0 if same else None, low=None, high=None, evidence=evidence)
        bias = decoded.bias_of(self.source.head_owner, self.source.head)
        by_rule = quality.by_error(
            self.source, candidate, self.decoded.state, decoded.state, biased=bool(decoded.biases)
        )
        if self.evaluator is None:
            return by_rule
        self.losses[candidate.name] = self._measure(decoded.state, bias, built.data)
        return quality.measured(by_rule, self._change(BASELINE, candidate.name))

    def _change(self, base: str, new: str) -> Interval:
        if self.evaluator is None:
            raise RuntimeError("losses are compared only where they were measured")
        return self.evaluator.compare(self.losses[base], self.losses[new], self.settings.inputs.seed)

    def _compare(self, one: Trial, other: Trial) -> tuple[float, float]:
        interval = self._change(one.candidate.name, other.candidate.name)
        return interval.low, interval.high

    def finish(self) -> Plan:
        """Mark the frontier, decide, and see whether the decision survives the best lossless packing."""
        pareto = mark_pareto(self.trials)
        trials = [replace(trial, pareto=trial.candidate.name in pareto) for trial in self.trials]
        trials.sort(key=lambda trial: (trial.counted_bytes, trial.candidate.name))
        over = max(0, -self.baseline.budget.headroom)
        verdict, vq = decide(trials, must_save=over, compare=self._compare, untried=self._untried(trials))
        free = {verdict.best_head, verdict.best_trunk, vq.best}
        self.kept.prune()
        survives = self._survival(trials, {name for name in free if name is not None}, winner=verdict.winner.value)
        return Plan(
            inputs=self.settings.inputs,
            cap=self.settings.cap,
            code_bytes=self.settings.code_bytes,
            tied=self.source.tied,
            baseline=self.baseline,
            certificates=tuple(self._certificates(trials)),
            trials=tuple(trials),
            evaluation=self.evaluation,
            vq=vq,
            verdict=replace(verdict, reasons=(*verdict.reasons, *survives)),
            notes=(*self.source.notes, *self.notes, *self._floor_note()),
        )

    def _untried(self, trials: list[Trial]) -> list[str]:
        """Rivals of VQ that the chosen schemes left out."""
        control = any(t.candidate.side is Side.HEAD and t.candidate.scheme == "scalar" for t in trials)
        trunk = any(t.candidate.side is Side.TRUNK for t in trials) or not self.source.trunk
        left_out = {"scalar control": not control, "trunk candidate": not trunk}
        return [name for name, missing in left_out.items() if missing]

    def _survival(self, trials: list[Trial], best_names: set[str], *, winner: str) -> list[str]:
        """Decide again with the best candidates' files written through the codec that packs the baseline best."""
        tried = [t for t in trials if t.candidate.side is Side.LOSSLESS]
        lossless = [t for t in tried if t.saved_bytes > 0 and costless(t)]
        if not tried:
            return ["lossless: no other packing was tried, so the verdict may not survive one"]
        if not lossless:
            return ["lossless: no other codec packs the baseline's container smaller"]
        best = lossless[0]
        line = f"lossless first: {best.candidate.name} saves {best.saved_bytes:,} bytes at no cost"
        free = [t for t in trials if t.candidate.name in best_names and costless(t)]
        if not free or self.baseline.budget.headroom < 0:
            return [line]
        codec = str(best.candidate.options["codec"]), int(best.candidate.options["level"])
        lengths = {c.name: len(built.data) for c, built in self.written([t.candidate for t in free], codec)}
        sizes = [lengths[trial.candidate.name] for trial in free]
        again = [self._repacked(trial, size, best) for trial, size in zip(free, sizes, strict=True)]
        verdict, _ = decide(again, must_save=0, compare=self._compare)
        if verdict.winner.value == winner:
            return [
                line,
                f"the verdict survives that packing: {winner} still wins, by {verdict.margin_bytes or 0:,} bytes",
            ]
        return [line, f"the verdict does not survive that packing: under it the answer is {verdict.winner.value}"]

    def _repacked(self, trial: Trial, artifact: int, best: Trial) -> Trial:
        saved = best.artifact_bytes - artifact - trial.decoder_bytes
        return replace(trial, artifact_bytes=artifact, saved_bytes=saved)

    def _certificates(self, trials: list[Trial]) -> Iterable[Certificate]:
        dense = [t for t in trials if t.candidate.is_vq and t.candidate.input_side == "dense"]
        if dense:
            yield Certificate(
                name="tying",
                statement=(
                    "the model is tied, so a VQ head that keeps the input table dense adds its own tables to the file, "
                    "whatever training does; the least that any of these adds"
                ),
                value=min(-trial.saved_bytes for trial in dense),
                unit="bytes",
                source="the files written here; design of a tied model",
                evidence=Basis.CERTIFIED,
            )

    def _floor_note(self) -> list[str]:
        """How many rows the recipe's scale floor coarsens: lower nominal bits may cost nothing there."""
        at_floor = rows = 0
        for name, scales in self.source.export.scales.items():
            if scales.ndim != 1:
                continue
            rule = rule_for(self.source.recipe, name, self.source.export.quantized[name].shape)
            rows += len(scales)
            if isinstance(rule, Integer) and rule.floor:
                at_floor += int((scales <= torch.tensor(rule.floor).to(scales.dtype)).sum())
        if not at_floor:
            return []
        note = (
            f"{at_floor:,} of {rows:,} quantised rows sit at the recipe's scale floor: they use fewer levels than int8 "
            "has, so low-bit candidates, whose scales are fitted, may add bytes and lower the error"
        )
        return [note]


def _counts_note(settings: Settings) -> list[str]:
    """A warning where encoders see the counts of the very text that they are measured on."""
    if settings.text is None or settings.counts is not settings.text.counts:
        return []
    note = (
        "token counts are those of the evaluation text: what is fitted to them (a bias, tiers, own rows) does a little "
        "better here than on other text; --counts takes others"
    )
    return [note]


def _equal(one: Decoded, other: Decoded) -> bool:
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
