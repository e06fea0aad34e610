"""Make a plan: write every candidate's file, count it, judge it, and reach the verdict."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from golfbudget.artifact import open_bytes
from golfbudget.budget import Budget
from golfbudget.inspection import Inspection
from golfbudget.plan.advice import Terms, advised
from golfbudget.plan.building import Built, Encodings, Known, build
from golfbudget.plan.candidates import batches, candidates
from golfbudget.plan.certify import certificates
from golfbudget.plan.joint import JointResult, make_joint
from golfbudget.plan.judging import Judge
from golfbudget.plan.kept import Kept
from golfbudget.plan.recover import explained, repacked, told, unrecovered, worth_recovering
from golfbudget.plan.results import Candidate, Evidence, Plan, Side, Trial, Verdict
from golfbudget.plan.settings import Settings
from golfbudget.plan.source import Source
from golfbudget.plan.verdict import costless, decide, mark_pareto
from golfbudget.progress import Progress
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.assignment import rule_for
from golfbudget.recipe.config import Integer
from golfbudget.roles import assign
from golfbudget.workers import in_processes

#: Called with what is about to be done and how many steps there are in all.

BASELINE = "baseline"
#: Numbers written by all tasks together that take about as long as starting processes for them does.
_WORTH_PROCESSES = 50_000_000


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
        runner.judge.add(candidate, built)
    again = runner.worth_recovering()
    for candidate, built in runner.written(again):
        progress(candidate.name, steps + len(again))
        runner.add_recovered(candidate, built)
    progress("verdict", steps + len(again))
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
    kept: Kept


def _write(shared: _Shared, task: _Task) -> list[Built]:
    """The files of one task, each kept as soon as it is written."""
    encodings: Encodings = {}
    files = []
    for candidate in task.candidates:
        files.append(build(shared.source, candidate, shared.known, encodings, task.codec))
        shared.kept.keep_built(candidate, files[-1], task.codec)
    return files


class _Runner:
    """State of one planning run: the baseline, what measures, and what came of each candidate."""

    def __init__(self, source: Source, settings: Settings, notes: Sequence[str] = ()) -> None:
        self.source, self.settings, self.notes = source, settings, notes
        self.kept = Kept.of(settings.cache, source, settings.known)
        data = self.kept.baseline(lambda: baseline_file(source))
        self.baseline_bytes = len(data)
        artifact = open_bytes(data, name=BASELINE)
        budget = Budget(cap=settings.cap, stored=len(data), code=settings.code_bytes)
        self.baseline = Inspection(artifact=artifact, assignment=assign(artifact, settings.roles), budget=budget)
        self.judge = Judge(source, settings, self.kept, data, over=self.must_save)
        self.recovered: dict[str, Built] = {}

    @property
    def must_save(self) -> int:
        """Bytes by which the baseline is over the cap; a preview's bytes do not say."""
        return 0 if self.settings.inputs.preview else max(0, -self.baseline.budget.headroom)

    def written(
        self, tried: Sequence[Candidate], codec: tuple[str, int] | None = None
    ) -> Iterator[tuple[Candidate, Built]]:
        """Every candidate with its file: those kept from before first, the others as they are done."""
        missing = []
        for candidate in tried:
            built = self.kept.built(candidate, codec)
            if codec is not None and candidate.name in self.recovered:
                built = repacked(self.recovered[candidate.name], self.source, codec)
            if built is None:
                missing.append(candidate)
            else:
                yield candidate, built
        tasks = [_Task(candidates=batch, codec=codec) for batch in batches(missing)]
        shared = _Shared(source=self.source, known=self.settings.known, kept=self.kept)
        jobs = self._jobs(len(tasks))
        if jobs > 1:
            # An opened file stays with the process that opened it; nothing that is encoded reads it.
            shared = replace(shared, source=replace(self.source, artifact=None))
        for number, files in in_processes(_write, shared, tasks, jobs):
            for candidate, built in zip(tasks[number].candidates, files, strict=True):
                yield candidate, built

    def _jobs(self, tasks: int) -> int:
        """Processes for so many tasks, each of which writes the whole model."""
        if self.settings.jobs is not None:
            return self.settings.jobs
        work = tasks * sum(tensor.numel() for tensor in self.source.reference.values())
        return (os.cpu_count() or 1) if work >= _WORTH_PROCESSES else 1

    def worth_recovering(self) -> list[Candidate]:
        """What `--recover` tries again, after everything else was judged."""
        if not self.settings.recover:
            return []
        self.judge.settle()
        return worth_recovering(self.judge.trials, self.settings.recover, must_save=self.must_save)

    def add_recovered(self, candidate: Candidate, built: Built) -> None:
        """Judge a trained candidate; its file is kept, to be packed otherwise without training again."""
        self.recovered[candidate.name] = built
        self.judge.add(candidate, built)

    def finish(self) -> Plan:
        """Mark the frontier, decide, and see whether the decision survives the best lossless packing."""
        self.judge.settle()
        trials = self._ordered()
        over = self.must_save
        verdict, vq = decide(trials, must_save=over, compare=self.judge.compare, untried=self._untried(trials))
        unfair = unrecovered(trials, vq)
        if unfair:
            untried = [*self._untried(trials), *unfair]
            _, vq = decide(trials, must_save=over, compare=self.judge.compare, untried=untried)
        vq = told(vq, trials)
        free = {verdict.best_head, verdict.best_trunk, vq.best}
        joint = self._joint(trials, verdict)
        trials = self._ordered()
        self.kept.prune()
        survives = self._survival(trials, {name for name in free if name is not None}, winner=verdict.winner.value)
        explanations = explained(trials, self.judge.compare)
        if self.settings.inputs.model_file and verdict.evidence is not None:
            # What is true of weights that were drawn is a model's word on weights that are trained.
            verdict = replace(verdict, evidence=Evidence.MODELLED)
        verdict = replace(verdict, reasons=(*verdict.reasons, *explanations, *survives, *self.source.caveats))
        return Plan(
            inputs=self.settings.inputs,
            cap=self.settings.cap,
            code_bytes=self.settings.code_bytes,
            tied=self.source.tied,
            baseline=self.baseline,
            certificates=tuple(certificates(self.source, trials, self.judge.counts)),
            trials=tuple(trials),
            evaluation=None if self.judge.measuring is None else self.judge.measuring.evaluation,
            vq=vq,
            verdict=advised(verdict, vq, trials, self._terms(), self.judge.compare),
            price=self.settings.price,
            price_source=self.settings.price_source,
            joint=joint.joint,
            on_frontier=frozenset[str]().union(
                *(mark_pareto([t for t in trials if t.candidate.side is side]) for side in (Side.HEAD, Side.TRUNK))
            ),
            notes=(*self.source.notes, *self.notes, *self._floor_note(), *([joint.reason] if joint.reason else [])),
        )

    def _joint(self, trials: list[Trial], verdict: Verdict) -> JointResult:
        """The least loss of head and trunk together: under the cap, or else within the winner's bytes."""
        target = self.settings.cap - (self.settings.code_bytes or 0)
        if not self.must_save:
            free = [t.counted_bytes for t in trials if t.candidate.name in (verdict.best_head, verdict.best_trunk)]
            target = min([self.baseline_bytes, *free])

        def judged(candidate: Candidate) -> Trial:
            ((_, built),) = self.written([candidate])
            self.judge.trials = [trial for trial in self.judge.trials if not trial.candidate.parts]
            return self.judge.add(candidate, built)

        # What was trained was trained with everything else as it is: it is no part to put together.
        untrained = [trial for trial in trials if not trial.candidate.steps]
        made = make_joint(untrained, self.baseline_bytes, target, judged)
        if made.trial is None:
            self.judge.trials = [trial for trial in self.judge.trials if not trial.candidate.parts]
        return made

    def _ordered(self) -> list[Trial]:
        """Trials by counted bytes, the frontier marked."""
        pareto = mark_pareto(self.judge.trials)
        trials = [replace(trial, pareto=trial.candidate.name in pareto) for trial in self.judge.trials]
        return sorted(trials, key=lambda trial: (trial.counted_bytes, trial.candidate.name))

    def _terms(self) -> Terms:
        return Terms(
            headroom=self.baseline.budget.headroom,
            spread=self.settings.spread,
            price=self.settings.price,
            price_source=self.settings.price_source,
            rows=self.source.rows,
            measured=self.judge.measuring is not None,
            path=self.settings.inputs.source_path if self.settings.inputs.model_file is None else "CHECKPOINT",
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
        verdict, _ = decide(again, must_save=0, compare=self.judge.compare)
        if verdict.winner.value == winner:
            return [
                line,
                f"the verdict survives that packing: {winner} still wins, by {verdict.margin_bytes or 0:,} bytes",
            ]
        return [line, f"the verdict does not survive that packing: under it the answer is {verdict.winner.value}"]

    def _repacked(self, trial: Trial, artifact: int, best: Trial) -> Trial:
        saved = best.artifact_bytes - artifact - trial.decoder_bytes
        return replace(trial, artifact_bytes=artifact, saved_bytes=saved)

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
    if settings.evaluator is None or settings.counts is not settings.evaluator.text.counts:
        return []
    note = (
        "token counts are those of the evaluation text: what is fitted to them (a bias, tiers, own rows) does a little "
        "better here than on other text; --counts takes others"
    )
    return [note]
