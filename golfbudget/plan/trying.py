"""Candidates to trials: each is written, examined, and run where a model is at hand and no certificate spares it.

Files are written and measured once, in processes side by side, and kept for the next plan of the source.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from golfbudget.certificates import marks_loser
from golfbudget.hashing import bytes_hash
from golfbudget.plan.building import Built, EncoderInputs, Encodings, WrittenFile, baseline_file, build, recoded
from golfbudget.plan.candidates import batches
from golfbudget.plan.examine import Baseline, Counts, LossToBeat, examined, loses, lost
from golfbudget.plan.measuring import Measurable, Measurer, Yardstick
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.result_cache import FileLosses, ResultCache, content_of
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Side, Trial, Trials, not_measured
from golfbudget.progress import Progress
from golfbudget.quality.evaluate import Evaluator
from golfbudget.recipe.decoded import Decoded
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import Processes, shared_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every process that writes and measures files has: the source (not its opened file), and where files lie.

    Files lie in `folder` by the SHA-256 of their bytes while the plan is made, so that none is sent or held.
    """

    source: PlanSource
    encoders: EncoderInputs
    cache: ResultCache
    folder: Path
    measurer: Measurer | None

    def keep(self, data: bytes) -> str:
        """Lay a file down; its hash."""
        sha256 = bytes_hash(data)
        (self.folder / sha256).write_bytes(data)
        return sha256

    def data(self, sha256: str) -> bytes:
        return (self.folder / sha256).read_bytes()


def written(processes: Processes[Bench], bench: Bench, tried: Sequence[Candidate]) -> Iterator[WrittenFile]:
    """Every candidate's file: those kept from before first, the others as they are done."""
    missing = []
    for candidate in tried:
        built = bench.cache.file(candidate)
        if built is None:
            missing.append(candidate)
        else:
            yield _placed(bench, candidate, built)
    for _, files in processes.results(_write, batches(missing)):
        yield from files


def _write(bench: Bench, batch: Sequence[Candidate]) -> list[WrittenFile]:
    """The files of candidates that share their encodings, each kept as soon as it is written."""
    encodings: Encodings = {}
    files = []
    for candidate in batch:
        # Work that an executor lost may have kept some of them.
        built = bench.cache.file(candidate)
        if built is None:
            built = build(bench.source, candidate, bench.encoders, encodings)
            bench.cache.keep_file(candidate, built)
        files.append(_placed(bench, candidate, built))
    return files


def _placed(bench: Bench, candidate: Candidate, built: Built) -> WrittenFile:
    return WrittenFile(candidate=candidate, sha256=bench.keep(built.data), tables=built.tables)


def recoded_length(bench: Bench, task: tuple[WrittenFile, tuple[str, int]]) -> int:
    """How long a file is through another codec at some level, nothing encoded again."""
    file, codec = task
    built = bench.cache.file(file.candidate, codec)
    if built is None:
        built = Built(data=recoded(bench.data(file.sha256), bench.source, codec), tables=file.tables)
        bench.cache.keep_file(file.candidate, built, codec)
    return len(built.data)


#: What takes about as long as starting processes for it does: numbers written, and multiplications of a model run.
_WORTH_WRITING, _WORTH_RUNNING = 50_000_000, 1_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Everything that candidates are tried with.

    `processes` write files, and `runners` run the model: the same, except of a user's program, which is run here.
    `yardstick` is None where no model is run.
    """

    prepared: Prepared
    baseline: Baseline
    bench: Bench
    processes: Processes[Bench]
    runners: Processes[Bench]
    yardstick: Yardstick | None
    progress: Progress

    @property
    def counts(self) -> Counts | None:
        """Token counts [vocabulary] that floors are about: those predicted in the text, or those given."""
        if self.yardstick is not None:
            return self.yardstick.counts
        given = self.prepared.encoders.counts
        return None if given is None else given.numpy()

    @property
    def loss(self) -> LossToBeat | None:
        """What floors are held against; a user's own program may do more than multiply by the head."""
        if self.yardstick is None or not self.prepared.built_in:
            return None
        price, _ = self.prepared.price
        return LossToBeat(
            nats=self.yardstick.nats_per_token, bytes_per_token=self.yardstick.bytes_per_token, price=price
        )  # fmt: skip

    def tried(self, candidates: Sequence[Candidate], before: Trials | None = None) -> Trials:
        """What came of candidates; `before` are those tried already, and come first."""
        before = before or Trials(compare=self.yardstick.compare if self.yardstick else not_measured)
        steps = len(before) + len(candidates) + 2
        trials = before
        for file in written(self.processes, self.bench, candidates):
            self.progress(file.candidate.name, steps)
            data = self.bench.data(file.sha256)
            trials = trials.with_more(examined(self.prepared, self.baseline, file, data, self.counts))
        if self.yardstick is None:
            return trials
        trials = self._measured(trials, trials[len(before) :], self.yardstick)
        return self._informed(trials, trials[len(before) :], self.yardstick)

    def _informed(self, trials: Trials, new: Sequence[Trial], yardstick: Yardstick) -> Trials:
        """All trials, new VQ heads with what their maps lose; trained ones have another trunk."""
        due = [(trial, trial.codes) for trial in new if trial.codes is not None and not trial.candidate.steps]
        if not due or self.bench.measurer is None:
            return trials
        found = self.bench.measurer.informations([codes for _, codes in due])
        told = {trial.name: yardstick.informed(trial, nats) for (trial, _), nats in zip(due, found, strict=True)}
        return trials.replaced(told)

    def _measured(self, trials: Trials, new: Sequence[Trial], yardstick: Yardstick) -> Trials:
        """All trials, the new ones with their measured change; what needs no measuring as it is."""
        due = [trial for trial in new if trial.loser is None and trial.candidate.side is not Side.LOSSLESS]
        run, waiting, judged = list[Trial](), list[Trial](), dict[str, Trial]()
        for trial in due:
            if not loses(trial, self.loss):
                run.append(trial)
            elif self.baseline.over and trial.fits:
                # Over the cap it is rivals that fit whose loss counts; they are all known at the end.
                waiting.append(trial)
            else:
                judged[trial.name] = lost(trial, self.loss)
        for number, losses in self._losses(run):
            self.progress(run[number].name, len(trials) + len(run) + 2)
            judged[run[number].name] = yardstick.measured(run[number], losses)
        trials = trials.replaced(judged)
        for trial in sorted(waiting, key=lambda trial: trial.name):
            rival = trials.fitting.measured.least_lossy()
            if rival is not None and trial.floor is not None and marks_loser(trial.floor, yardstick.nats_of(rival)):
                trials = trials.replaced({trial.name: lost(trial, self.loss)})
            else:
                ((_, losses),) = self._losses([trial])
                trials = trials.replaced({trial.name: yardstick.measured(trial, losses)})
        return trials

    def _losses(self, trials: Sequence[Trial]) -> Iterator[tuple[int, FileLosses]]:
        return trial_losses(self.bench, self.runners, trials)

    def recoded(self, trials: Trials, codec: tuple[str, int]) -> list[int]:
        """How long each trial's file is through another codec at some level."""
        tasks = [(WrittenFile(candidate=t.candidate, sha256=t.sha256, tables=t.tables), codec) for t in trials]
        return self.processes.in_order(recoded_length, tasks)


@contextmanager
def workshop(prepared: Prepared, candidates: int, progress: Progress) -> Iterator[Workshop]:
    """The workshop for about so many candidates, its baseline written and measured."""
    cache = ResultCache.of(prepared.request.cache, prepared.source, prepared.encoders)
    baseline = Baseline.of(prepared, cache.baseline(lambda: baseline_file(prepared.source)))
    # An opened file stays with the process that opened it; nothing that is encoded reads it.
    source = replace(prepared.source, artifact=None)
    measurer = None
    if prepared.evaluator is not None:
        measurer = measurer_on(prepared.evaluator, prepared, cache, source, baseline)
    with tempfile.TemporaryDirectory(prefix="golfbudget-", dir=shared_folder(), ignore_cleanup_errors=True) as folder:
        bench = Bench(
            source=source, encoders=prepared.encoders, cache=cache, folder=Path(folder), measurer=measurer
        )  # fmt: skip
        shared = bench if prepared.repeatable else replace(bench, measurer=None)
        with Processes(shared, _jobs(prepared, candidates)) as processes:
            runners = processes if prepared.repeatable else Processes(bench, 1)
            yardstick = None if measurer is None else yardstick_on(bench, runners, prepared, baseline)
            yield Workshop(
                prepared=prepared, baseline=baseline, bench=bench, processes=processes, runners=runners,
                yardstick=yardstick, progress=progress,
            )  # fmt: skip
    cache.prune()


def measurer_on(
    evaluator: Evaluator, prepared: Prepared, cache: ResultCache, source: PlanSource, baseline: Baseline
) -> Measurer:
    """What runs files on the text of an evaluator, against the baseline."""
    kept = cache if prepared.repeatable else ResultCache(folder=None)
    key = f"{evaluator.key}:{prepared.request.model or ''}:{bytes_hash(baseline.data)}"
    return Measurer(evaluator=evaluator, cache=kept, source=source, baseline=baseline.read, key=key)


def yardstick_on(bench: Bench, runners: Processes[Bench], prepared: Prepared, baseline: Baseline) -> Yardstick:
    """The baseline's and the source's losses on the text of the bench's measurer; `RuntimeError` where it has none."""
    if bench.measurer is None:
        raise RuntimeError("there is no model to run here")
    own_content = content_of(baseline.decoded)
    content = content_of(Decoded(state=bench.source.reference, biases={}))
    files = [
        Measurable(sha256=bench.keep(baseline.data), content=own_content),
        # Divergence is taken of files: losses of the source are not those of another file that equals it.
        Measurable(sha256=None, content=content if content == own_content else f"source {content}"),
    ]
    own = dict(_file_losses(bench, runners, files))
    request = prepared.request
    return Yardstick.of(bench.measurer, request.model or "", baseline=own[0], source=own[1], seed=request.seed)


def _jobs(prepared: Prepared, candidates: int) -> int:
    """Processes for so many candidates, each of which writes the whole model, and runs it on the text perhaps."""
    if prepared.request.jobs is not None:
        return prepared.request.jobs
    writes = candidates * sum(tensor.numel() for tensor in prepared.source.reference.values())
    runs = 0 if prepared.evaluator is None or not prepared.repeatable else writes * prepared.evaluator.text.tokens
    return (os.cpu_count() or 1) if writes >= _WORTH_WRITING or runs >= _WORTH_RUNNING else 1


def trial_losses(bench: Bench, runners: Processes[Bench], trials: Sequence[Trial]) -> Iterator[tuple[int, FileLosses]]:
    """(number, losses) of trials' files: known ones first, others as they are done."""
    return _file_losses(bench, runners, [Measurable(sha256=each.sha256, content=each.content) for each in trials])


def _file_losses(
    bench: Bench, runners: Processes[Bench], files: Sequence[Measurable]
) -> Iterator[tuple[int, FileLosses]]:
    if bench.measurer is None:
        return
    alike: dict[str, list[int]] = {}
    for number, file in enumerate(files):
        alike.setdefault(file.content, []).append(number)
    tasks = []
    for numbers in alike.values():
        file = files[numbers[0]]
        losses = bench.measurer.known(file.content)
        if losses is None:
            tasks.append(file)
        else:
            yield from ((number, losses) for number in numbers)
    for at, losses in runners.results(_run, tasks):
        yield from ((number, losses) for number in alike[tasks[at].content])


def _run(bench: Bench, file: Measurable) -> FileLosses:
    if bench.measurer is None:
        raise RuntimeError("there is no model to run here")
    with one_thread():
        return bench.measurer.losses(None if file.sha256 is None else bench.data(file.sha256), file.content)
