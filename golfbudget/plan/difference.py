"""What the difference of two best files decides, in words: who wins at which bytes, how surely, and whether VQ does.

Pure functions of finished budgets and trials.  Loss decides; where the difference is not known to be more than nothing
and than what seeds move, it is too close to call, and the next fewer bytes are asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from golfbudget.evidence import Evidence, ends
from golfbudget.plan.results import Answer, BudgetFile, BudgetPoint, Difference, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import Trial, Trials
from golfbudget.plan.verdict import UNTRAINED
from golfbudget.quality.intervals import ENOUGH_BLOCKS, tokens_wanted

_WINNERS = {Answer.YES: Winner.HEAD, Answer.NO: Winner.TRUNK, Answer.UNDECIDED: Winner.UNDECIDED}


def by_difference(
    verdict: Verdict, vq: VqAnswer, trials: Trials, budgets: Sequence[BudgetPoint], *, price: float, tokens: int
) -> tuple[Verdict, VqAnswer]:
    """The verdict and the VQ answer where files were fitted, else as they are.

    `price` is in µbpb per kilobyte, `tokens` are those of the text.  Heads that were trained are none that were
    fitted: with such, single candidates decide.
    """
    fitted = [budget for budget in budgets if budget.without or budget.with_head]
    if not fitted or any(trial.candidate.steps for trial in trials):
        return verdict, vq
    answer, settling = _answer(fitted, lambda budget: (budget.with_head, budget.difference))
    # What spared bytes say of single candidates stays; which side wins by them is no longer the question.
    lossless = [line for line in verdict.reasons if line.startswith("lossless")]
    reasons = [*_lines(fitted), *_sure(fitted), worth_line(trials, price), *lossless]
    verdict = replace(
        verdict,
        winner=_WINNERS[answer],
        evidence=Evidence.MEASURED,
        margin_bytes=None,
        reasons=tuple(reasons),
        settle=None if settling is None else _settle(settling, tokens),
    )
    return verdict, _vq(vq, trials, fitted)


_Pick = Callable[[BudgetPoint], tuple[BudgetFile | None, Difference | None]]


def _answer(fitted: Sequence[BudgetPoint], pick: _Pick) -> tuple[Answer, Difference | None]:
    """Whether the file with a restructured head wins; and where that is not known, the difference that leaves it open.

    The most bytes at which it is known decide.
    """
    left: Difference | None = None
    for budget in fitted:
        other, difference = pick(budget)
        if difference is None:
            return (Answer.NO if other is None else Answer.YES), None
        if difference.answer is not Answer.UNDECIDED:
            return difference.answer, None
        left = left or difference
    return Answer.UNDECIDED, left


def _lines(fitted: Sequence[BudgetPoint]) -> Iterator[str]:
    for budget in fitted:
        at, without, other = f"at {budget.bytes:,} bytes", budget.without, budget.with_head
        if without is None or other is None or budget.difference is None:
            kind = "without a restructured head" if other is None else "with a restructured head"
            yield f"{at} only a file {kind} fits"
            continue
        yield f"{at} {_told(budget.difference)}"


def _told(difference: Difference) -> str:
    """What a restructured head costs or gains, and how sure that is."""
    if difference.answer is not Answer.UNDECIDED:
        verb = "costs" if difference.answer is Answer.NO else "gains"
        low, high = sorted((abs(difference.low), abs(difference.high)))
        return f"restructuring {verb} {abs(difference.delta):.4f} bits/byte ({low:.4f} to {high:.4f})"
    moved = f"restructuring moves {difference.delta:+.4f} bits/byte {ends(difference.low, difference.high)}"
    if difference.blocks < ENOUGH_BLOCKS:
        return f"{moved}: too little text to call"
    seeds = f", within the {difference.moves:.4f} that seeds move" if abs(difference.delta) <= difference.moves else ""
    return f"{moved}: too close to call{seeds}"


def _sure(fitted: Sequence[BudgetPoint]) -> Iterator[str]:
    blocks = min((budget.difference.blocks for budget in fitted if budget.difference), default=None)
    if blocks is not None:
        yield f"of each kind the best file, on text that chose neither (worth {blocks} windows)"


def worth(trial: Trial, price: float) -> float:
    """What a candidate is worth to who reinvests its bytes at a price in µbpb per kilobyte: bits per byte."""
    return trial.saved_bytes * price / 1e9 - trial.loss


def worth_line(trials: Trials, price: float) -> str:
    """Of single candidates the one that is worth most."""
    at = f"at {price:g} µbpb per kB"
    best = max(trials.measured.untrained.saving(), key=lambda trial: (worth(trial, price), trial.name), default=None)
    if best is None:
        return f"no single candidate saves bytes whose loss was measured, to be reinvested {at}"
    told = f"{best.name} (saves {best.saved_bytes:,} bytes, costs {best.loss * 1e6:,.0f} µbpb)"
    if worth(best, price) <= 0:
        return f"no candidate alone is worth its loss {at}; closest: {told}"
    return f"best alone {at}: {told}"


def _vq(vq: VqAnswer, trials: Trials, fitted: Sequence[BudgetPoint]) -> VqAnswer:
    if all(budget.vq is None for budget in fitted):
        return vq
    answer, _ = _answer(fitted, lambda budget: (budget.vq, budget.vq_difference))
    shown = next(
        (each for each in fitted if each.vq_difference and each.vq_difference.answer is answer),
        next(each for each in fitted if each.vq is not None),
    )
    if shown.vq is None:
        return vq
    name = shown.vq.candidate or shown.vq.head
    reason = f"at {shown.bytes:,} bytes only a VQ-Logits file fits"
    if shown.vq_difference is not None:
        difference = shown.vq_difference
        more = "costs" if difference.delta >= 0 else "gains"
        reason = (
            f"at {shown.bytes:,} bytes {name} {more} {abs(difference.delta):.4f} bits/byte "
            f"{ends(difference.low, difference.high)}"
        )
        if answer is Answer.UNDECIDED:
            reason += ", too close to call"
    trial = trials.named(name)
    if answer is Answer.YES and vq.answer is Answer.YES:
        # Of heads at no loss, the one that saves most bytes; which of them a full file takes is all one.
        trial = trials.named(vq.best) or trial
    if trial is not None and trial.information is not None and answer is Answer.NO:
        reason += (
            f"; its map alone loses {trial.information.value:.4f} over this trunk, whatever its codebook (measured)"
        )
    if answer is not Answer.YES:
        reason += f"; {UNTRAINED}"
    return replace(vq, answer=answer, best=trial.name if trial else vq.best, margin_bytes=None, reason=reason)


def _settle(difference: Difference, tokens: int) -> str:
    """How much text would tell the two files apart."""
    if difference.blocks < ENOUGH_BLOCKS:
        wanted = tokens_wanted(tokens, difference.blocks)
        return f"measure on about {wanted:,} tokens (--tokens): {tokens:,} are too few to decide"
    half = (difference.high - difference.low) / 2
    # Intervals narrow with the square root of the text; less than seeds move no text decides.
    if abs(difference.delta) <= difference.moves:
        return "another seed's checkpoint: the two files differ by less than seeds move"
    times = max(2, math.ceil((half / abs(difference.delta)) ** 2 * 1.2))
    return f"measure on about {times} times as much text (--tokens): it would tell the two files apart"
