"""Make a fit: from a request to one file, one step after another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.fit.assembly import Assembled, Assembler
from golfbudget.fit.container import Loaded, as_written, repacked
from golfbudget.fit.costs import Costs, measure_costs
from golfbudget.fit.desk import Desk
from golfbudget.fit.filling import FULL, filled
from golfbudget.fit.menu import Choice, Menus
from golfbudget.fit.request import FitRequest, HeadKind
from golfbudget.fit.results import Fit, FitBaseline, FitChoice, FitQuality
from golfbudget.fit.search import Found, best_file, corrected
from golfbudget.fit.texts import Texts, split
from golfbudget.inspection import Inspection
from golfbudget.ledger import Entry
from golfbudget.plan.building import baseline_file, read_back
from golfbudget.plan.prepare import Prepared, prepare
from golfbudget.recipe.state import digest
from golfbudget.plan.source import PlanSource
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.evaluate import METRIC, Evaluator, input_covariances
from golfbudget.roles import assign
from golfbudget.rules import Budget
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import Processes

#: Rows and columns from which on a matrix is worth a scheme; smaller ones are gains, mixes and biases in disguise.
_LEAST_SIDE = 32
#: What a loader takes, before it is known.
_LOADER = 1_500
_ROUNDS = 8
#: What the loader of a rebuilt container takes more than that of the container as it was written, about.
_LONGER_LOADER = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that files are fitted with: costs of all choices, and who writes and measures files.

    `reporter` runs the model on the text that chose nothing; None without a model.
    """

    prepared: Prepared
    desk: Desk
    processes: Processes[Desk]
    assembler: Assembler
    texts: Texts | None
    reporter: Evaluator | None
    jobs: int
    progress: Progress

    def costs(self, menus: Mapping[str, Sequence[Choice]]) -> Costs:
        """What every entry costs; equal matrices are one item."""
        twins = twins_of(self.desk.source, list(menus))
        own = {owner: menus[owner] for owner in twins}
        return measure_costs(self.desk, self.processes, own, twins, self.jobs, self.progress)

    def best(self, costs: Costs, target: int, effort: int) -> Found:
        """The file of least loss within `target` bytes, corrected by measured neighbours so many times."""
        found = best_file(self.assembler, costs, target)
        for _ in range(effort if self.desk.evaluator is not None else 0):
            found = corrected(
                self.desk, self.processes, self.assembler, found, target, self.jobs, self.progress
            )  # fmt: skip
        return found

    def full(self, found: Found, target: int) -> Assembled:
        return filled(self.assembler, found, target)


@contextmanager
def bench(prepared: Prepared, progress: Progress = unwatched) -> Iterator[Bench]:
    """The bench of an opened request; its processes end with the block."""
    source, inputs = prepared.source, prepared.encoders
    texts = reporter = chooser = None
    if prepared.evaluator is not None:
        training = inputs.training
        texts = split(prepared.evaluator.text, None if training is None else training.text)
        chooser, reporter = _on(prepared, texts, chooses=True), _on(prepared, texts, chooses=False)
        if prepared.built_in and not inputs.covariances:
            inputs = replace(inputs, covariances=input_covariances(source.reference, texts.chooses))
    # An opened file stays with the process that opened it.
    desk = Desk.of(replace(source, artifact=None), replace(inputs, training=None), chooser)
    # A user's own program is run in one process only.
    jobs = prepared.request.jobs or (os.cpu_count() or 1)
    jobs = jobs if prepared.evaluator is None or prepared.built_in else 1
    with one_thread(), Processes(desk) as processes:
        yield Bench(
            prepared=prepared, desk=desk, processes=processes, assembler=Assembler(desk, processes, jobs), texts=texts,
            reporter=reporter, jobs=jobs, progress=progress,
        )  # fmt: skip


def _on(prepared: Prepared, texts: Texts, *, chooses: bool) -> Evaluator:
    """The same model on a part of the text."""
    if prepared.evaluator is None:
        raise RuntimeError("there is no model to run here")
    return prepared.evaluator.on(texts.chooses if chooses else texts.reports)


def matrices(source: PlanSource) -> tuple[str, ...]:
    """The matrices that are worth a scheme, in the source's order."""
    found = tuple(
        name
        for name, tensor in source.reference.items()
        if tensor.ndim == 2 and tensor.is_floating_point() and (min(tensor.shape) >= _LEAST_SIDE or name == source.head)
    )
    if not found:
        raise UsageError("the source has no matrix to fit")
    return found


def twins_of(source: PlanSource, owners: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Owners by the first of those that hold the same matrix; the head has no twin but itself."""
    groups: dict[object, list[str]] = {}
    for owner in owners:
        key = owner if owner == source.head else digest({"matrix": source.reference[owner]})
        groups.setdefault(key, []).append(owner)
    return {own[0]: tuple(own) for own in groups.values()}


def menus_of(own: Bench, target: int, kind: HeadKind) -> dict[str, tuple[Choice, ...]]:
    """What is open to every matrix of a file of about `target` bytes."""
    source, inputs = own.prepared.source, own.desk.inputs
    owners = matrices(source)
    weights = sum(source.reference[owner].numel() for owner in owners)
    menus = Menus(bits=8 * target / weights, more=tuple(own.prepared.request.schemes or ()))
    found = {}
    for owner in owners:
        rows, columns = source.reference[owner].shape
        known = [need for need in inputs.needs_met if need != "moment" or owner in inputs.covariances]
        if owner == source.head:
            found[owner] = menus.head((rows, columns), known, kind)
        else:
            found[owner] = menus.trunk((rows, columns), known)
    return found


def make_fit(request: FitRequest, progress: Progress = unwatched) -> Fit:
    """The artifact of least loss whose file and loader are within the cap; `UsageError` where there is none."""
    prepared = prepare(request.plan)
    with bench(prepared, progress) as own:
        target = request.plan.cap - (request.plan.code_bytes or 0)
        costs = own.costs(menus_of(own, target, request.head))
        found, loaded = _within(own, costs, target, request.effort)
        return _told(own, request, found, loaded)


def _within(own: Bench, costs: Costs, target: int, effort: int) -> tuple[Found, Loaded]:
    """A file that with its loader uses up `target` bytes, where its container allows."""
    aim = target - _LOADER
    found = own.best(costs, aim, effort)
    best: tuple[Assembled, Loaded] | None = None
    loader = None
    for _ in range(_ROUNDS):
        own.progress("container", _ROUNDS)
        assembled = own.full(found if loader is None else own.best(found.costs, aim, 0), aim)
        smaller = repacked(assembled.data, own.jobs)
        gained = 0 if smaller is None else len(assembled.data) - len(smaller)
        data = smaller if smaller is not None and gained > _LONGER_LOADER else assembled.data
        # A loader hardly changes with the numbers in a file, and takes long to pack: it is counted where it decides.
        off = target - len(data) - (_LOADER if loader is None else loader)
        if loader is None or 0 <= off <= target / 1000:
            made = as_written(data)
            off, loader = target - made.counted, made.loader_bytes
            if off >= 0 and (best is None or made.counted > best[1].counted):
                best = assembled, made
        if 0 <= off <= (1 - FULL) * target or not _room_left(found):
            break
        # What a container saves changes with what is in it; a little too small is taken, too large is not.
        aim += off - (max(8, -off // 4) if off < 0 else 0)
    if best is None:
        raise UsageError(f"no file with its loader came out within {target:,} bytes; raise the cap a little")
    return replace(found, assembled=best[0]), best[1]


def _room_left(found: Found) -> bool:
    """Whether a larger file could lose less."""
    chosen = {owner: found.assembled.choices[owner].closest(own) for owner, own in found.costs.options.items()}
    return any(
        cost.bytes > own[chosen[owner]].bytes and cost.loss < own[chosen[owner]].loss
        for owner, own in found.costs.options.items()
        for cost in own.values()
    )


def _told(own: Bench, request: FitRequest, found: Found, loaded: Loaded) -> Fit:
    prepared, source = own.prepared, own.prepared.source
    artifact = open_bytes(loaded.data, name="fit")
    budget = Budget(
        cap=request.plan.cap, stored=len(loaded.data), code=(request.plan.code_bytes or 0) + loaded.loader_bytes
    )
    inspection = Inspection(artifact=artifact, assignment=assign(artifact, prepared.roles), budget=budget)
    baseline = baseline_file(source)
    quality, losses = _quality(own, baseline, loaded.data)
    return Fit(
        inputs=prepared.inputs,
        cap=request.plan.cap,
        code_bytes=request.plan.code_bytes,
        container=loaded.container,
        decoder_bytes=loaded.loader_bytes,
        choices=tuple(_choices(own, found, inspection)),
        quality=quality,
        baseline=FitBaseline(artifact_bytes=len(baseline), bits_per_byte=losses[0], source_bits_per_byte=losses[1]),
        inspection=inspection,
        binding=_room_left(found),
        effort=request.effort,
        data=loaded.data,
        loader=loaded.loader,
        notes=source.notes,
    )


def _choices(own: Bench, found: Found, inspection: Inspection) -> Iterator[FitChoice]:
    ledger = inspection.assignment.ledger
    entries: dict[str, list[Entry]] = {}
    for entry in ledger.entries:
        entries.setdefault(entry.owner, []).append(entry)
    for owner, choice in found.assembled.choices.items():
        held = entries[owner]
        yield FitChoice(
            owner=owner,
            role=held[0].role,
            scheme=choice.name if choice.scheme is None else choice.scheme,
            options=dict(choice.options),
            coder=_coder(inspection.artifact, max(held, key=lambda entry: entry.stored_bits)),
            parameters=own.prepared.source.reference[owner].numel(),
            stored_bytes=-(-sum(entry.stored_bits for entry in held) // 8),
            next_kilobyte=next_kilobyte(found.costs, owner, choice),
        )


def _coder(artifact: Artifact, entry: Entry) -> str:
    """What coded the bytes of an entry: a stream of their own, or else the codec around them."""
    if entry.tensor is not None and entry.tensor.endswith("/rans"):
        return "rans"
    streams = () if entry.leaf is None else artifact.leaves[entry.leaf].streams
    return streams[-1].codec.name if streams else "none"


def next_kilobyte(costs: Costs, owner: str, choice: Choice) -> float | None:
    """What a kilobyte more would gain in one matrix, µbpb; None where nothing finer was tried."""
    own = costs.options.get(owner, {})
    if costs.evidence is not Evidence.MEASURED or not own:
        return None
    here = own[choice.closest(own)]
    gains = [
        (here.loss - cost.loss) * 1e6 / ((cost.bytes - here.bytes) / 1000)
        for cost in own.values()
        if cost.bytes > here.bytes and cost.loss < here.loss
    ]
    return round(max(gains), 3) if gains else None


def _quality(own: Bench, baseline: bytes, data: bytes) -> tuple[FitQuality, tuple[float | None, float | None]]:
    """The change that the written file makes, on the text that chose nothing; and the losses it is held against."""
    source, texts = own.prepared.source, own.texts
    if own.reporter is None or texts is None:
        state = read_back(data, "fit").state
        worst = max(own.desk.error(n, state[n]) / (own.desk.energy(n) or 1.0) for n in matrices(source))
        return FitQuality(
            metric="relative-error", delta=None, low=None, high=None, evidence=Evidence.MODELLED, tokens=None,
            blocks=None, chosen_on="squared errors of matrices", reported_on="squared errors of matrices",
            relative_error=float(f"{worst:.6g}"),
        ), (None, None)  # fmt: skip
    before = own.reporter.losses(source.reference if not baseline else read_back(baseline, "baseline").state)
    whole = own.reporter.losses(source.reference)
    read = read_back(data, "fit")
    after = own.reporter.losses(read.state, bias=read.bias_of(source.head_owner, source.head))
    interval = own.reporter.compare(before, after, own.prepared.request.seed)
    return FitQuality(
        metric=METRIC, delta=interval.delta, low=interval.low, high=interval.high, evidence=Evidence.MEASURED,
        tokens=own.reporter.text.tokens, blocks=getattr(interval, "blocks", None), chosen_on=texts.chosen_on,
        reported_on=texts.reported_on,
    ), (round(own.reporter.bits_per_byte(before), 6), round(own.reporter.bits_per_byte(whole), 6))  # fmt: skip
