"""What follows from a verdict: prices, the margin at equal bytes, break-even, and what would settle it.

Pure functions of finished trials: nothing is encoded or measured here, and nothing is said beyond what was measured: a
figure between two candidates is interpolated, one outside all is none.  Losses are bits per byte, prices µbpb per kB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from golfbudget.certificates import price_of
from golfbudget.plan.frontier import Frontier, FrontierPoint
from golfbudget.plan.results import Answer, BreakEven, Exchange, Margin, Situation, Verdict, VqAnswer, Winner
from golfbudget.plan.settling import experiment
from golfbudget.plan.trials import Side, Trial, Trials

_DIGITS = 6
#: A loss that is taken to stay as the vocabulary grows is not taken further than this.
_FURTHEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a plan was held against: `headroom` of the baseline and `spread` between seeds, in bytes.

    `rows` is the vocabulary, `tokens` those that a model was run on (None: none was), `path` the source as the user
    named it.
    """

    headroom: int
    spread: int
    rows: int
    tokens: int | None
    path: str


def advised(verdict: Verdict, vq: VqAnswer, trials: Trials, terms: PlanTerms) -> Verdict:
    """The verdict with everything that follows from it and its trials."""
    best = trials.called((verdict.best_head, verdict.best_trunk))
    needed = max(1, -terms.headroom, *(trial.saved_bytes for trial in best if terms.headroom >= 0))
    frontiers = {side: Frontier.of(trials.on(side)) for side in (Side.HEAD, Side.TRUNK)}
    asked = {side: _exchange(frontier, needed) for side, frontier in frontiers.items()}
    prices = {side: exchange for side, exchange in asked.items() if exchange is not None}
    return replace(
        verdict,
        situation=_situation(terms),
        prices=prices,
        margin=_margin(verdict, trials, frontiers),
        break_even=_break_even(vq, trials, frontiers[Side.TRUNK], terms),
        settle=experiment(verdict, vq, trials, over=terms.headroom < 0, tokens=terms.tokens, path=terms.path),
    )


def _situation(terms: PlanTerms) -> Situation:
    if terms.headroom < 0:
        return Situation.OVER
    return Situation.AT if terms.headroom <= terms.spread else Situation.UNDER


def _exchange(frontier: Frontier, needed: int) -> Exchange | None:
    """What a side asks for one more kilobyte where it saves what is needed; None where it never saves as much."""
    segment = frontier.around(needed)
    if segment is None or (name := segment.end.name) is None:
        return None
    start, end = segment.start, segment.end
    price = price_of(end.loss - start.loss, end.saved_bytes - start.saved_bytes)
    return Exchange(
        candidate=name,
        saved_bytes=end.saved_bytes,
        loss=end.loss,
        price=round(price or 0.0, 3),
        below=start.name,
        at=needed,
    )


def _margin(verdict: Verdict, trials: Trials, frontiers: Mapping[Side, Frontier]) -> Margin | None:
    """How much more the other side loses at the winner's bytes, between the two of its candidates around them."""
    if verdict.winner not in (Winner.HEAD, Winner.TRUNK):
        return None
    by_head = verdict.winner is Winner.HEAD
    best = trials.saving().measured.untrained.named(verdict.best_head if by_head else verdict.best_trunk)
    if best is None:
        return None
    segment = frontiers[Side.TRUNK if by_head else Side.HEAD].around(best.saved_bytes)
    if segment is None or segment.end.trial is None:
        return None
    share = segment.share(best.saved_bytes)
    starts, ends = _change(best, segment.start, trials), _change(best, segment.end, trials)
    # Of two intervals mixed, none is wider than this: their errors are taken to go together.
    low, high = ((1 - share) * start + share * end for start, end in zip(starts, ends, strict=True))
    return Margin(
        candidate=best.name,
        rival=segment.end.trial.name,
        delta=round(segment.loss(best.saved_bytes) - best.loss, _DIGITS),
        low=round(low, _DIGITS),
        high=round(high, _DIGITS),
        below=segment.start.name,
    )


def _change(best: Trial, point: FrontierPoint, trials: Trials) -> tuple[float, float]:
    """(low, high) of the change in bits per byte from a measured trial to a point, the unchanged model perhaps."""
    if point.trial is not None:
        change = trials.compare(best, point.trial)
        return change.low, change.high
    return -(best.quality.high or 0.0), -(best.quality.low or 0.0)


def _break_even(vq: VqAnswer, trials: Trials, trunk: Frontier, terms: PlanTerms) -> BreakEven | None:
    """Under which loss, or over which vocabulary, the best VQ candidate would beat the trunk at equal bytes.

    None where it adds bytes, or saves more than the trunk was measured at, or loses less than the trunk already.
    """
    best = trials.named(vq.best)
    if best is None or vq.answer is Answer.YES:
        return None
    segment = trunk.around(best.saved_bytes)
    if segment is None:
        return None
    loss = segment.loss(best.saved_bytes)
    if best.quality.delta is not None and best.quality.delta <= loss:
        return None
    names = f"{segment.start.name or 'the baseline'} and {segment.end.name}"
    return BreakEven(
        candidate=best.name,
        loss=round(loss, _DIGITS),
        price=round(price_of(loss, best.saved_bytes) or 0.0, 3),
        source=f"the trunk at those bytes, between {names}, both measured",
        vocabulary=_vocabulary(best, trunk, terms.rows),
    )


def _vocabulary(best: Trial, trunk: Frontier, rows: int) -> int | None:
    """The vocabulary at which its bytes, taken to grow in proportion, cost the trunk what it loses.

    None where the trunk was not measured at that loss, or where that vocabulary is further off than `_FURTHEST` times.
    """
    if best.quality.delta is None:
        return None
    wanted = trunk.bytes_at(best.quality.delta)
    if wanted is None or not best.saved_bytes <= wanted <= _FURTHEST * best.saved_bytes:
        return None
    # A whole number that arithmetic misses by its last digit is that number.
    return math.ceil(round(rows * wanted / best.saved_bytes, 6))
