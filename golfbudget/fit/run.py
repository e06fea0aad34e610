"""Make a fit: from a request to one file, one step after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.fit.assembly import Assembled
from golfbudget.fit.bench import FittingBench, bench, matrices, menus_of
from golfbudget.fit.container import Loaded, as_written, repacked
from golfbudget.fit.costs import MenuCosts
from golfbudget.fit.filling import FULL
from golfbudget.fit.request import FitRequest
from golfbudget.fit.results import Fit, FitBaseline, FitChoice, FitQuality
from golfbudget.fit.search import Found
from golfbudget.inspection import Inspection
from golfbudget.ledger import Entry
from golfbudget.plan.building import baseline_file
from golfbudget.plan.prepare import prepare
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.evaluate import METRIC
from golfbudget.recipe.decoded import read_back
from golfbudget.rules import LOADER_BYTES

_ROUNDS = 8
#: What the loader of a rebuilt container takes more than that of the container as it was written, about.
_LONGER_LOADER = 400


def make_fit(request: FitRequest, progress: Progress = unwatched) -> Fit:
    """The artifact of least loss whose file and loader are within the cap; `UsageError` where there is none."""
    target = request.plan.cap - (request.plan.code_bytes or 0)
    if target <= LOADER_BYTES:
        raise UsageError(
            f"the cap leaves {target:,} bytes for file and loader, and a loader takes about {LOADER_BYTES:,}"
        )
    prepared = prepare(request.plan)
    with bench(prepared, progress) as own:
        costs = own.costs(menus_of(own, target, request.head))
        found, loaded = _within(own, costs, target, request.effort)
        return _told(own, request, found, loaded)


def _within(own: FittingBench, costs: MenuCosts, target: int, effort: int) -> tuple[Found, Loaded]:
    """A file that with its loader uses up `target` bytes, where its container allows."""
    aim = target - LOADER_BYTES
    found = own.best(costs, aim, effort)
    loader: int | None = None
    fitting: list[tuple[int, Assembled, bytes]] = []
    for _ in range(_ROUNDS):
        own.progress("container", _ROUNDS)
        assembled = own.full(found if loader is None else own.best(found.costs, aim, 0), aim)
        smaller = repacked(assembled.data, min(own.processes.jobs, os.cpu_count() or 1))
        gained = 0 if smaller is None else len(assembled.data) - len(smaller)
        data = smaller if smaller is not None and gained > _LONGER_LOADER else assembled.data
        # A loader hardly changes with the numbers in a file, and takes long to pack.
        loader = as_written(data).loader_bytes if loader is None else loader
        off = target - len(data) - loader
        if off >= 0:
            fitting.append((len(data), assembled, data))
        if 0 <= off <= (1 - FULL) * target or not _room_left(found):
            break
        # What a container saves changes with what is in it; a little too small is taken, too large is not.
        aim += off - (max(8, -off // 4) if off < 0 else 0)
    for _, assembled, data in sorted(fitting, key=itemgetter(0), reverse=True):
        made = as_written(data)
        if made.counted <= target:
            return replace(found, assembled=assembled), made
    raise UsageError(f"no file with its loader came out within {target:,} bytes; raise the cap a little")


def _room_left(found: Found) -> bool:
    """Whether a larger file could lose less."""
    chosen = {owner: found.assembled.choices[owner].closest(own) for owner, own in found.costs.options.items()}
    return any(
        cost.bytes > own[chosen[owner]].bytes and cost.loss < own[chosen[owner]].loss
        for owner, own in found.costs.options.items()
        for cost in own.values()
    )


def _told(own: FittingBench, request: FitRequest, found: Found, loaded: Loaded) -> Fit:
    prepared, source = own.prepared, own.prepared.source
    code = (request.plan.code_bytes or 0) + loaded.loader_bytes
    artifact = open_bytes(loaded.data, name="fit")
    inspection = Inspection.of(artifact, prepared.roles, cap=request.plan.cap, code=code)
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


def _choices(own: FittingBench, found: Found, inspection: Inspection) -> Iterator[FitChoice]:
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
            next_kilobyte=found.costs.next_kilobyte(owner, choice),
        )


def _coder(artifact: Artifact, entry: Entry) -> str:
    """What coded the bytes of an entry: a stream of their own, or else the codec around them."""
    if entry.tensor is not None and entry.tensor.endswith("/rans"):
        return "rans"
    streams = () if entry.leaf is None else artifact.leaves[entry.leaf].streams
    return streams[-1].codec.name if streams else "none"


def _quality(own: FittingBench, baseline: bytes, data: bytes) -> tuple[FitQuality, tuple[float | None, float | None]]:
    """The change that the written file makes, on the text that chose nothing; and the losses it is held against."""
    source, texts = own.prepared.source, own.texts
    reporter = own.desk.reporter
    if reporter is None or texts is None:
        state = read_back(data, "fit").state
        worst = max(own.desk.error(n, state[n]) / (own.desk.energy(n) or 1.0) for n in matrices(source))
        return FitQuality(
            metric="relative-error", delta=None, low=None, high=None, evidence=Evidence.MODELLED, tokens=None,
            blocks=None, chosen_on="squared errors of matrices", reported_on="squared errors of matrices",
            relative_error=float(f"{worst:.6g}"),
        ), (None, None)  # fmt: skip
    read, recipes = read_back(data, "fit"), read_back(baseline, "baseline")
    before, whole, after = own.reported(
        [(recipes.state, None), (source.reference, None), (read.state, source.head_bias(read))]
    )
    interval = reporter.compare(before, after, own.prepared.request.seed)
    return FitQuality(
        metric=METRIC, delta=interval.delta, low=interval.low, high=interval.high, evidence=Evidence.MEASURED,
        tokens=reporter.text.tokens, blocks=interval.blocks, chosen_on=texts.chosen_on, reported_on=texts.reported_on,
    ), (round(reporter.bits_per_byte(before), 6), round(reporter.bits_per_byte(whole), 6))  # fmt: skip
