"""What follows from a verdict: prices, the margin at equal bytes, break-even, and what would settle it.

Pure functions of finished trials: nothing is encoded or measured here.  Losses are bits per byte, prices µbpb per kB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from golfbudget.certificates import allowance, price_of
from golfbudget.plan.results import Answer, BreakEven, Exchange, Margin, Situation, Verdict, VqAnswer, Winner
from golfbudget.plan.settling import experiment
from golfbudget.plan.trials import Side, Trial, Trials

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a plan was held against: `headroom` of the baseline and `spread` between seeds in bytes, and the price.

    `rows` is the vocabulary, `tokens` those that a model was run on (None: none was), `path` the source as the user
    named it.
    """

    headroom: int
    spread: int
    price: float
    price_source: str
    rows: int
    tokens: int | None
    path: str


def advised(verdict: Verdict, vq: VqAnswer, trials: Trials, terms: PlanTerms) -> Verdict:
    """The verdict with everything that follows from it and its trials."""
    best = trials.called((verdict.best_head, verdict.best_trunk))
    needed = max(1, -terms.headroom, *(trial.saved_bytes for trial in best if terms.headroom >= 0))
    # What training gains is no merit of a scheme, and so no part of its price.
    asked = {side: _exchange(trials.untrained.on(side).saving().measured, needed) for side in (Side.HEAD, Side.TRUNK)}
    prices = {side: exchange for side, exchange in asked.items() if exchange is not None}
    return replace(
        verdict,
        situation=_situation(terms),
        prices=prices,
        margin=_margin(verdict, trials, needed),
        break_even=_break_even(vq, trials, prices.get(Side.TRUNK), terms),
        settle=experiment(verdict, vq, trials, over=terms.headroom < 0, tokens=terms.tokens, path=terms.path),
    )


def _situation(terms: PlanTerms) -> Situation:
    if terms.headroom < 0:
        return Situation.OVER
    return Situation.AT if terms.headroom <= terms.spread else Situation.UNDER


def _exchange(measured: Trials, needed: int) -> Exchange | None:
    """What a side asks for the bytes that are needed, or for the most that it can save."""
    chosen = measured.saving(needed).least_lossy() or measured.largest_saving()
    if chosen is None:
        return None
    price = price_of(chosen.loss, chosen.saved_bytes)
    return Exchange(
        candidate=chosen.name, saved_bytes=chosen.saved_bytes, loss=chosen.loss, price=round(price or 0.0, 3)
    )


def _margin(verdict: Verdict, trials: Trials, needed: int) -> Margin | None:
    """How much more the other side loses when it saves as much as the winner does."""
    if verdict.winner not in (Winner.HEAD, Winner.TRUNK):
        return None
    by_head = verdict.winner is Winner.HEAD
    measured = trials.saving().measured
    best = measured.named(verdict.best_head if by_head else verdict.best_trunk)
    rival = measured.on(Side.TRUNK if by_head else Side.HEAD).saving(needed).least_lossy()
    if best is None or rival is None:
        return None
    change = trials.compare(best, rival)
    delta = round(rival.loss - best.loss, _DIGITS)
    return Margin(candidate=best.name, rival=rival.name, delta=delta, low=change.low, high=change.high)


def _break_even(vq: VqAnswer, trials: Trials, trunk: Exchange | None, terms: PlanTerms) -> BreakEven | None:
    """Under which loss, or over which vocabulary, the best VQ candidate would beat giving up bytes elsewhere."""
    best = trials.named(vq.best)
    if best is None or vq.answer is Answer.YES:
        return None
    price, source = terms.price, terms.price_source
    if trunk is not None and trunk.price > 0:
        price, source = trunk.price, f"measured: {trunk.candidate} of the trunk"
    return BreakEven(
        candidate=best.name,
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
