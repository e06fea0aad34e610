"""Make a plan: write every candidate's file, count it, judge it, and reach the verdict.

Quality is taken from the matrices that come back out of the written file, so what is measured is what ships.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golfbudget.artifact import open_bytes
from golfbudget.budget import Budget
from golfbudget.inspection import Inspection
from golfbudget.plan import quality
from golfbudget.plan.candidates import Built, Encodings, build, candidates, decoder_bytes, recipe_of, table_sizes
from golfbudget.plan.results import (
    Candidate,
    Certificate,
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
from golfbudget.quality.evaluate import METRIC, Evaluator, Interval, Losses
from golfbudget.quality.text import Text
from golfbudget.recipe.artifacts import artifact_bytes, decode_bytes
from golfbudget.recipe.assignment import rule_for
from golfbudget.recipe.config import Integer
from golfbudget.roles import Roles, assign
from golfbudget.schemes import Context

#: Called with what is about to be done and how many steps there are in all.
Progress = Callable[[str, int], None]

BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose."""

    inputs: Inputs
    cap: int
    code_bytes: int | None
    roles: Roles
    counts: Tensor | None = None
    text: Text | None = None
    model: str | None = None
    schemes: tuple[str, ...] | None = None


def baseline_file(source: Source) -> bytes:
    """The recipe's own artifact."""
    return artifact_bytes(source.export, source.recipe)


def make_plan(source: Source, settings: Settings, progress: Progress) -> Plan:
    """Try every candidate and decide."""
    tried = [c for c in candidates(source) if settings.schemes is None or c.scheme in settings.schemes]
    steps = len(tried) + 2
    progress(BASELINE, steps)
    runner = _Runner(source, settings)
    for candidate in tried:
        progress(candidate.name, steps)
        runner.try_candidate(candidate)
    progress("verdict", steps)
    return runner.finish()


class _Runner:
    """State of one planning run: the baseline, the evaluator, and what came of each candidate."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self.source, self.settings = source, settings
        self.context = Context(seed=settings.inputs.seed, counts=settings.counts)
        data = baseline_file(source)
        self.baseline_bytes = len(data)
        artifact = open_bytes(data, name=BASELINE)
        budget = Budget(cap=settings.cap, stored=len(data), code=settings.code_bytes)
        self.baseline = Inspection(artifact=artifact, assignment=assign(artifact, settings.roles), budget=budget)
        self.decoded = decode_bytes(data, BASELINE)
        self.trials: list[Trial] = []
        self.built: dict[str, Built] = {}
        self.encodings: Encodings = {}
        self.losses: dict[str, Losses] = {}
        self.evaluator = None if settings.text is None else Evaluator(settings.text)
        self.evaluation: Evaluation | None = None
        if self.evaluator is not None and settings.text is not None:
            before = self.evaluator.losses(source.reference)
            self.losses[BASELINE] = self.evaluator.losses(self.decoded, keep=True)
            self.evaluation = Evaluation(
                model=settings.model or "",
                tokens=settings.text.tokens,
                text_bytes=settings.text.bytes,
                baseline_bits_per_byte=round(self.evaluator.bits_per_byte(self.losses[BASELINE]), 6),
                source_bits_per_byte=round(self.evaluator.bits_per_byte(before), 6),
            )

    def try_candidate(self, candidate: Candidate) -> None:
        """Write the candidate's file, read it back, and keep what was learned."""
        built = build(self.source, candidate, self.context, self.encodings)
        self.built[candidate.name] = built
        decoder = decoder_bytes(candidate)
        counted = len(built.data) + decoder
        self.trials.append(
            Trial(
                candidate=candidate,
                tables=table_sizes(built.encoded),
                decoder_bytes=decoder,
                artifact_bytes=len(built.data),
                sha256=hashlib.sha256(built.data).hexdigest(),
                saved_bytes=self.baseline_bytes - counted,
                fits=counted + (self.settings.code_bytes or 0) <= self.settings.cap,
                quality=self._quality(candidate, built),
            )
        )

    def _quality(self, candidate: Candidate, built: Built) -> Quality:
        decoded = decode_bytes(built.data, candidate.name)
        if candidate.side is Side.LOSSLESS:
            same = decoded.keys() == self.decoded.keys() and all(
                torch.equal(decoded[name], self.decoded[name]) for name in decoded
            )
            evidence = Evidence.CERTIFIED if same else Evidence.MODELLED
            return Quality(metric=METRIC, delta=0.0 if same else None, low=None, high=None, evidence=evidence)
        by_rule = quality.by_error(self.source, candidate, self.decoded, decoded)
        if self.evaluator is None:
            return by_rule
        self.losses[candidate.name] = self.evaluator.losses(decoded)
        return quality.measured(by_rule, self._change(BASELINE, candidate.name))

    def _change(self, base: str, new: str) -> Interval:
        if self.evaluator is None:
            raise RuntimeError("losses are compared only where they were measured")
        return self.evaluator.compare(self.losses[base], self.losses[new], self.context.seed)

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
            notes=(*self.source.notes, *self._floor_note()),
        )

    def _untried(self, trials: list[Trial]) -> list[str]:
        """Rivals of VQ that the chosen schemes left out."""
        control = any(t.candidate.side is Side.HEAD and not t.candidate.is_vq for t in trials)
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
        recipe = recipe_of(self.source, best.candidate)
        with ThreadPoolExecutor() as pool:
            sizes = list(pool.map(lambda t: len(artifact_bytes(self.built[t.candidate.name].export, recipe)), free))
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
        dense = [trial for trial in trials if trial.candidate.input_side == "dense"]
        if dense:
            yield Certificate(
                name="tying",
                statement=(
                    "the model is tied, so a VQ head that keeps the input table dense adds its own tables to the file, "
                    "whatever training does; the least that any of these adds"
                ),
                value=min(-trial.saved_bytes for trial in dense),
                unit="bytes",
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
