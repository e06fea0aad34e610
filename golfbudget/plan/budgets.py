"""The verdict as a difference: at the same bytes, the best file without a restructured head, and the best with one.

Both are fitted by the same allocator, with the same menus, coder and text; chosen on one part of the text, measured on
the other.  At the bytes to be met (the cap where the baseline is over it, else its own) and at less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from golfbudget import schemes
from golfbudget.codecs.rans.decoders import source as rans_source
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.fit.assembly import Assembled
from golfbudget.fit.bench import FittingBench, bench, menus_of
from golfbudget.fit.costs import MenuCosts
from golfbudget.fit.menu import MatrixChoice, restructures
from golfbudget.fit.request import HeadKind
from golfbudget.hashing import bytes_hash
from golfbudget.plan.hub import fits_budgets
from golfbudget.plan.results import Answer, BudgetFile, BudgetPoint, Difference
from golfbudget.plan.trials import Quality, Trial, Trials
from golfbudget.plan.trying import Workshop
from golfbudget.quality.evaluate import METRIC, Losses
from golfbudget.quality.intervals import Interval
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import decode

#: Shares of the bytes to be met at which both files are fitted.
_CURVE = (1.0, 0.5)
#: Restructured heads that are fitted: of VQ-Logits, and of all others together.
_MOST_VQ, _MOST_OTHERS = 3, 1
#: A file that is nearer to its target than this is not filled further.
_NEAR = 0.999


def fitted_budgets(shop: Workshop, trials: Trials) -> tuple[BudgetPoint, ...]:
    """The comparison at the bytes to be met and along the curve under them, from the cache where it was made before.

    None without a model or without restructured heads among the trials, and none on bytes of a preview; none where
    heads were trained, which no fit has.
    """
    prepared, baseline, cache = shop.prepared, shop.baseline.data, shop.bench.cache
    heads, request, target = _heads(trials), prepared.request, len(baseline) - shop.baseline.over
    wanted = request.fits and not request.recover and fits_budgets(request, prepared.source)
    if not wanted or prepared.evaluator is None or prepared.source.preview is not None or not heads:
        return ()
    sizes = _sizes(target, request.budgets)
    of = {
        "sizes": sizes,
        "heads": [[choice.scheme, *choice.options] for choice in heads],
        "text": prepared.evaluator.key,
        "model": prepared.request.model,
        "baseline": bytes_hash(baseline),
        "spread": prepared.spread,
    }
    # A user's own program may do anything, so that nothing of it is kept.
    known = cache.facts(of) if prepared.repeatable else None
    if known is not None:
        try:
            return msgspec.convert(known.get("budgets"), type=tuple[BudgetPoint, ...])
        except msgspec.ValidationError:
            pass  # Damaged, or of another version: it is made again.
    with bench(prepared, shop.progress, jobs=shop.processes.jobs) as own:
        menus = menus_of(own, target, HeadKind.PLAIN, coarse=True)
        head = prepared.source.head
        costs = own.costs({**menus, head: (*menus[head], *heads)})
        files = [(size, _files(own, costs, size)) for size in sizes]
        found = tuple(_measured(own, costs, files, heads, baseline))
    if prepared.repeatable:
        cache.keep_facts(of, {"budgets": msgspec.to_builtins(found)})
    return found


def _sizes(target: int, more: Sequence[int]) -> list[int]:
    """Bytes at which files are compared, most first.  `UsageError` for more than are to be met."""
    for size in more:
        if size > target:
            raise UsageError(
                f"--budgets: {size:,} bytes are more than the {target:,} that files are compared at first; name fewer"
            )
    return sorted({*(round(share * target) for share in _CURVE), *more}, reverse=True)


def _heads(trials: Trials) -> dict[MatrixChoice, str]:
    """Restructured heads that were tried and may still win, with the names of their candidates."""
    tied = [trial for trial in trials.head.untrained if trial.candidate.input_side in (None, "shared") and trial.known]
    tied = [trial for trial in tied if restructures(trial.candidate.scheme)]
    found: dict[MatrixChoice, str] = {}
    for vq, most in ((True, _MOST_VQ), (False, _MOST_OTHERS)):
        own = sorted((t for t in tied if t.candidate.is_vq is vq), key=lambda trial: (trial.loss, trial.counted_bytes))
        # The least lossy, and of them no two that differ in nothing but bytes.
        found |= {MatrixChoice.of(t.candidate.scheme, t.candidate.options): t.name for t in _spread(own)[:most]}
    return found


def _spread(trials: Sequence[Trial]) -> list[Trial]:
    """Those on the frontier of bytes and loss first, least lossy first."""
    front, least = [], None
    for trial in trials:
        if least is None or trial.counted_bytes < least:
            front.append(trial)
            least = trial.counted_bytes
    return [*front, *(trial for trial in trials if trial not in front)]


_WITHOUT, _WITH, _VQ = "without", "with", "vq"


def _files(own: FittingBench, costs: MenuCosts, size: int) -> dict[str, Assembled]:
    """The best file of each kind whose counted bytes are at most `size`; a kind without one is left out."""
    head = own.prepared.source.head
    every = costs.options[head]
    kinds = {
        _WITHOUT: {choice: cost for choice, cost in every.items() if not restructures(choice.scheme)},
        _WITH: {choice: cost for choice, cost in every.items() if restructures(choice.scheme)},
        _VQ: {choice: cost for choice, cost in every.items() if _is_vq(choice)},
    }
    found: dict[str, Assembled] = {}
    for kind, options in kinds.items():
        if kind == _VQ and _WITH in found and _is_vq(found[_WITH].choices[head]):
            found[_VQ] = found[_WITH]
        elif options:
            # Whichever head is chosen, the longest decoder of its kind is paid.
            room = size - _shared_decoder() - max(_decoder(choice) for choice in options)
            try:
                best = own.best(replace(costs, options={**costs.options, head: options}), room, 0)
            except UsageError:
                continue
            found[kind] = best.assembled if best.size >= _NEAR * room else own.full(best, room)
    return found


def _is_vq(choice: MatrixChoice) -> bool:
    return (choice.scheme or "").startswith("vq-")


def _shared_decoder() -> int:
    """Code that every fitted file takes: the coder's, and the trellis's."""
    return len(rans_source(numpy=True, trellis=True).encode()) + schemes.get("trellis").decoder_bytes


def _decoder(choice: MatrixChoice) -> int:
    return 0 if choice.scheme is None else schemes.get(choice.scheme).decoder_bytes


def _counted(file: Assembled) -> int:
    """Bytes of the file and of the code that decodes its schemes, as shipped."""
    own = {choice.scheme: _decoder(choice) for choice in file.choices.values() if choice.scheme != "trellis"}
    return len(file.data) + _shared_decoder() + sum(own.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Compares files by their losses, [windows] each, on the text that reports."""

    own: FittingBench
    losses: Mapping[bytes, Losses]
    baseline: Losses
    heads: Mapping[MatrixChoice, str]

    def change(self, before: Losses, after: Losses) -> Interval:
        if self.own.desk.reporter is None:
            raise RuntimeError("there is no model to run here")
        return self.own.desk.reporter.compare(before, after, self.own.prepared.request.seed)

    def file(self, file: Assembled) -> BudgetFile:
        change, head = self.change(self.baseline, self.losses[file.data]), file.choices[self.own.prepared.source.head]
        return BudgetFile(
            candidate=self.heads.get(head),
            head=head.name,
            counted_bytes=_counted(file),
            quality=Quality(
                metric=METRIC, delta=change.delta, low=change.low, high=change.high, evidence=Evidence.MEASURED,
                blocks=change.blocks,
            ),
        )  # fmt: skip

    def difference(self, without: Assembled, other: Assembled, moves: float) -> Difference:
        """From the file without a restructured head to another; surely so only by more than seeds move."""
        change = self.change(self.losses[without.data], self.losses[other.data])
        sign = change.sign if abs(change.delta) > moves else 0
        return Difference(
            delta=change.delta, low=change.low, high=change.high, blocks=change.blocks, moves=round(moves, 6),
            answer={1: Answer.NO, -1: Answer.YES}.get(sign, Answer.UNDECIDED),
        )  # fmt: skip


def _measured(
    own: FittingBench,
    costs: MenuCosts,
    files: Sequence[tuple[int, Mapping[str, Assembled]]],
    heads: Mapping[MatrixChoice, str],
    baseline: bytes,
) -> Iterator[BudgetPoint]:
    unique = {file.data: file for _, found in files for file in found.values()}
    recipes = read_back(baseline, "baseline").state
    states = [(recipes, None), *((decode(file.export), file.bias) for file in unique.values())]
    first, *others = own.reported(states)
    judge = _Judge(own=own, losses=dict(zip(unique, others, strict=True)), baseline=first, heads=heads)
    for size, found in files:
        without, other, vq = found.get(_WITHOUT), found.get(_WITH), found.get(_VQ)
        moves = 0.0 if without is None else _moves(own, costs, without, size)
        yield BudgetPoint(
            bytes=size,
            without=None if without is None else judge.file(without),
            with_head=None if other is None else judge.file(other),
            vq=None if vq is None else judge.file(vq),
            difference=None if without is None or other is None else judge.difference(without, other, moves),
            vq_difference=None if without is None or vq is None else judge.difference(without, vq, moves),
        )


def _moves(own: FittingBench, costs: MenuCosts, file: Assembled, size: int) -> float:
    """What the bytes by which two seeds differ are worth, bits per byte: two runs of one recipe differ by as much."""
    worth = (costs.next_kilobyte(owner, file.choices[owner]) for owner in costs.options)
    return max((each for each in worth if each is not None), default=0.0) * own.prepared.seeds_move(size) / 1e9
