"""Everything that files are fitted with: menus, their costs, and who writes and measures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from golfbudget.errors import UsageError
from golfbudget.fit.assembly import Assembled, Assembler
from golfbudget.fit.costs import MenuCosts, measure_costs
from golfbudget.fit.desk import Desk, State, reported
from golfbudget.fit.filling import filled
from golfbudget.fit.kept import KeptCosts
from golfbudget.fit.menu import MatrixChoice, Menus
from golfbudget.fit.request import HeadKind
from golfbudget.fit.search import Found, best_file, corrected
from golfbudget.fit.texts import Texts, split
from golfbudget.plan.matrices import LEAST_SIDE
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.result_cache import ResultCache
from golfbudget.plan.source import PlanSource
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.evaluate import Evaluator, Losses, calibrate
from golfbudget.quality.text import predicted_counts
from golfbudget.recipe.state import digest
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class FittingBench:
    """Everything that files are fitted with; `texts` are None without a model."""

    prepared: Prepared
    desk: Desk
    processes: Processes[Desk]
    assembler: Assembler
    texts: Texts | None
    progress: Progress
    kept: KeptCosts

    def costs(self, menus: Mapping[str, Sequence[MatrixChoice]]) -> MenuCosts:
        """What every entry costs; equal matrices are one item."""
        twins = twins_of(self.desk.source, list(menus))
        own = {owner: menus[owner] for owner in twins}
        return measure_costs(self.desk, self.processes, own, twins, self.progress, self.kept)

    def best(self, costs: MenuCosts, target: int, effort: int) -> Found:
        """The file of least loss within `target` bytes, corrected by measured neighbours so many times."""
        found = best_file(self.assembler, costs, target)
        for _ in range(effort if self.desk.chooser is not None else 0):
            found = corrected(self.assembler, found, target, self.progress)
        return found

    def full(self, found: Found, target: int) -> Assembled:
        """The same with its last step scaled until `target` bytes are used up."""
        return filled(self.assembler, found, target)

    def reported(self, states: Sequence[State]) -> list[Losses]:
        """Nats lost in each window of the text that reports, float64 [windows], by each of the states.

        Biases of the states are [vocabulary].
        """
        return self.processes.in_order(reported, states)


@contextmanager
def bench(prepared: Prepared, progress: Progress = unwatched, jobs: int | None = None) -> Iterator[FittingBench]:
    """The bench of an opened request, of so many processes, which end with the block."""
    source, inputs = prepared.source, prepared.encoders
    texts = reporter = chooser = None
    if prepared.evaluator is not None:
        training = inputs.training
        texts = split(prepared.evaluator.text, None if training is None else training.text)
        chooser, reporter = _on(prepared, texts, chooses=True), _on(prepared, texts, chooses=False)
        if prepared.built_in and not inputs.covariances:
            found = calibrate(source.reference, texts.chooses)
            inputs = replace(inputs, covariances=found.covariances, states=found.states)
        if prepared.request.counts is None:
            # Counts of the text that reports would have chosen, too.
            counts = predicted_counts(texts.chooses, source.rows)
            inputs = replace(inputs, counts=torch.from_numpy(counts))
    # An opened file stays with the process that opened it.
    desk = Desk.of(replace(source, artifact=None), replace(inputs, training=None), chooser, reporter)
    # A user's own program is run in one process only.
    jobs = jobs or prepared.request.jobs or (os.cpu_count() or 1)
    jobs = jobs if prepared.evaluator is None or prepared.repeatable else 1
    cache = ResultCache.of(prepared.request.cache, source, inputs)
    text = "" if chooser is None or not prepared.repeatable else chooser.key
    kept = KeptCosts(cache=cache, text=text and f"{text}:{prepared.request.model}")
    with one_thread(), Processes(desk, jobs) as processes:
        yield FittingBench(
            prepared=prepared, desk=desk, processes=processes, assembler=Assembler(desk, processes), texts=texts,
            progress=progress, kept=kept,
        )  # fmt: skip
    cache.prune()


def _on(prepared: Prepared, texts: Texts, *, chooses: bool) -> Evaluator:
    """The same model on a part of the text."""
    if prepared.evaluator is None:
        raise RuntimeError("there is no model to run here")
    return prepared.evaluator.on(texts.chooses if chooses else texts.reports)


def matrices(source: PlanSource) -> tuple[str, ...]:
    """The matrices that are worth a scheme, in the source's order; `UsageError` where there is none."""
    found = tuple(
        name
        for name, tensor in source.reference.items()
        if tensor.ndim == 2 and tensor.is_floating_point() and (min(tensor.shape) >= LEAST_SIDE or name == source.head)
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


def menus_of(
    own: FittingBench, target: int, kind: HeadKind, *, coarse: bool = False
) -> dict[str, tuple[MatrixChoice, ...]]:
    """What is open to every matrix of a file of about `target` bytes; `coarse` menus are short."""
    source, inputs = own.prepared.source, own.desk.inputs
    owners = matrices(source)
    weights = sum(source.reference[owner].numel() for owner in owners)
    more = () if coarse else tuple(own.prepared.request.schemes or ())
    menus = Menus(bits=8 * target / weights, more=more, coarse=coarse)
    found = {}
    for owner in owners:
        rows, columns = source.reference[owner].shape
        known = [need for need in inputs.needs_met if need != "moment" or owner in inputs.covariances]
        if owner == source.head:
            found[owner] = menus.head((rows, columns), known, kind)
        else:
            found[owner] = menus.trunk((rows, columns), known)
    return found
