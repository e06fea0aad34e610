"""What a verdict comes to beyond its winner: prices, the margin at equal bytes, break-even, and what would settle it.

Pure functions of finished trials, like the verdict itself.  Losses are bits per byte, prices µbpb per kilobyte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from golfbudget.certificates import allowance, price_of
from golfbudget.plan.results import (
    Answer,
    BreakEven,
    Evidence,
    Exchange,
    Margin,
    Side,
    Situation,
    Trial,
    Verdict,
    VqAnswer,
    Winner,
)
from golfbudget.plan.verdict import TOLERANCE, costless, loss_of, unknown

#: (low, high) of the change from one trial to another, in bits per byte, where both were measured.
Compare = Callable[[Trial, Trial], tuple[float, float]]

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a plan was held against: `headroom` of the baseline and `spread` between seeds in bytes, and the price.

    `rows` is the vocabulary, `measured` whether a model was run, `path` the source as the user named it.
    """

    headroom: int
    spread: int
    price: float
    price_source: str
    rows: int
    measured: bool
    path: str


def advised(verdict: Verdict, vq: VqAnswer, trials: Sequence[Trial], terms: Terms, compare: Compare) -> Verdict:
    """The verdict with everything that follows from it and its trials."""
    named = {trial.candidate.name: trial for trial in trials}
    head, trunk = named.get(verdict.best_head or ""), named.get(verdict.best_trunk or "")
    needed = max(1, -terms.headroom, *(t.saved_bytes for t in (head, trunk) if t is not None and terms.headroom >= 0))
    # What training gains is no merit of a scheme, and so no part of its price.
    untrained = [trial for trial in trials if not trial.candidate.steps]
    prices = {
        side: exchange
        for side in (Side.HEAD, Side.TRUNK)
        if (exchange := _exchange(_measured(untrained, side), needed)) is not None
    }
    return replace(
        verdict,
        situation=_situation(terms),
        prices=prices,
        margin=_margin(verdict, trials, needed, compare),
        break_even=_break_even(vq, trials, prices.get(Side.TRUNK), terms),
        settle=_settle(verdict, vq, trials, terms, compare),
    )


def _situation(terms: Terms) -> Situation:
    if terms.headroom < 0:
        return Situation.OVER
    return Situation.AT if terms.headroom <= terms.spread else Situation.UNDER


def _measured(trials: Sequence[Trial], side: Side) -> list[Trial]:
    """Trials of a side that save bytes at a measured loss."""
    return [
        trial
        for trial in trials
        if trial.candidate.side is side and trial.saved_bytes > 0 and trial.quality.evidence is Evidence.MEASURED
    ]


def _least_lossy(trials: Sequence[Trial], needed: int) -> Trial | None:
    """Of those that save enough, the least lossy; at one loss, the one that saves most."""
    enough = [trial for trial in trials if trial.saved_bytes >= needed]
    return min(enough, key=lambda t: (loss_of(t), -t.saved_bytes, t.candidate.name), default=None)


def _exchange(trials: Sequence[Trial], needed: int) -> Exchange | None:
    """What a side asks for the bytes that are needed, or for the most that it can save."""
    chosen = _least_lossy(trials, needed) or max(trials, key=lambda trial: trial.saved_bytes, default=None)
    if chosen is None:
        return None
    loss = loss_of(chosen)
    price = price_of(loss, chosen.saved_bytes)
    return Exchange(
        candidate=chosen.candidate.name,
        saved_bytes=chosen.saved_bytes,
        loss=loss,
        price=round(price or 0.0, 3),
    )


def _margin(verdict: Verdict, trials: Sequence[Trial], needed: int, compare: Compare) -> Margin | None:
    """How much more the other side loses when it saves as much as the winner does."""
    if verdict.winner not in (Winner.HEAD, Winner.TRUNK):
        return None
    side = Side(verdict.winner.value)
    name = verdict.best_head if side is Side.HEAD else verdict.best_trunk
    best = next((trial for trial in _measured(trials, side) if trial.candidate.name == name), None)
    other = Side.TRUNK if side is Side.HEAD else Side.HEAD
    rival = _least_lossy(_measured(trials, other), needed)
    if best is None or rival is None:
        return None
    low, high = compare(best, rival)
    return Margin(
        candidate=best.candidate.name,
        rival=rival.candidate.name,
        delta=round(loss_of(rival) - loss_of(best), _DIGITS),
        low=low,
        high=high,
    )


def _break_even(vq: VqAnswer, trials: Sequence[Trial], trunk: Exchange | None, terms: Terms) -> BreakEven | None:
    """Under which loss, or over which vocabulary, the best VQ candidate would beat giving up bytes elsewhere."""
    best = next((trial for trial in trials if trial.candidate.name == vq.best), None)
    if best is None or vq.answer is Answer.YES:
        return None
    price, source = terms.price, terms.price_source
    if trunk is not None and trunk.price > 0:
        price, source = trunk.price, f"measured: {trunk.candidate} of the trunk"
    return BreakEven(
        candidate=best.candidate.name,
        loss=round(allowance(best.saved_bytes, price), _DIGITS),
        price=price,
        source=source,
        vocabulary=_vocabulary(best, price, terms.rows),
    )


def _vocabulary(best: Trial, price: float, rows: int) -> int | None:
    """The vocabulary at which its bytes, taken to grow in proportion, are worth its loss; None where there is none."""
    if best.quality.delta is None or best.saved_bytes <= 0 or price <= 0:
        return None
    worth_of_a_row = allowance(best.saved_bytes, price) / rows
    # A whole number that arithmetic misses by its last digit is that number.
    return max(1, math.ceil(round(best.quality.delta / worth_of_a_row, 6)))


def _settle(verdict: Verdict, vq: VqAnswer, trials: Sequence[Trial], terms: Terms, compare: Compare) -> str | None:
    """The one experiment that would settle what is undecided."""
    if verdict.winner is not Winner.UNDECIDED and vq.answer is not Answer.UNDECIDED:
        return None
    blind = [trial for trial in trials if unknown(trial) and (trial.fits if terms.headroom < 0 else True)]
    if not terms.measured and blind:
        sides = (Side.HEAD, Side.TRUNK)
        most = [
            max((t for t in blind if t.candidate.side is side), key=lambda t: t.saved_bytes, default=None)
            for side in sides
        ]
        names = " and ".join(trial.candidate.name for trial in most if trial is not None)
        return f"measure {names} on text: golfbudget plan {terms.path} --model … --tokens …"
    head, trunk = (
        next((trial for trial in trials if trial.candidate.name == name), None)
        for name in (verdict.best_head, verdict.best_trunk)
    )
    pair = [t for t in (head, trunk) if t is not None and t.quality.evidence is Evidence.MEASURED]
    if len(pair) == 2 and not all(costless(t) for t in pair):
        return _more_text(pair[0], pair[1], compare)
    if not {Side.HEAD, Side.TRUNK} <= {trial.candidate.side for trial in trials}:
        return "try what was left out: --schemes default"
    return None


def _more_text(one: Trial, other: Trial, compare: Compare) -> str:
    """How much more text would tell two trials apart: intervals narrow with its square root."""
    low, high = compare(one, other)
    middle, half = abs(low + high) / 2, (high - low) / 2
    wanted = max(middle, TOLERANCE)
    times = math.ceil((half / wanted) ** 2 * 1.2) if half else 1
    names = f"{one.candidate.name} from {other.candidate.name}"
    return f"measure on about {max(2, times)} times as much text (--tokens): it would tell {names} apart"
