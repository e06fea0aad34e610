"""The one experiment that would settle what a plan leaves undecided: what to measure, and on how much text."""

from __future__ import annotations

import math
import shlex

from golfbudget.evidence import Evidence
from golfbudget.plan.results import Answer, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import TOLERANCE, Trials
from golfbudget.quality.intervals import tokens_wanted


def experiment(
    verdict: Verdict, vq: VqAnswer, trials: Trials, *, over: bool, tokens: int | None, path: str
) -> str | None:
    """In words, None where nothing is undecided or none is known.

    `over`: the baseline is over the cap.  `tokens`: of the text that a model was run on, None where none was.  `path`:
    the source as the user named it.
    """
    if verdict.winner is not Winner.UNDECIDED and vq.answer is not Answer.UNDECIDED:
        return None
    possible = trials.fitting if over else trials
    if tokens is not None:
        return _longer(possible, vq, tokens) or _more_text(verdict, trials, tokens) or _left_out(trials)
    if not possible.unknown:
        return _left_out(trials)
    most = (side.largest_saving() for side in (possible.unknown.head, possible.unknown.trunk))
    names = " and ".join(trial.name for trial in most if trial is not None)
    return f"measure {names} on text: golfbudget plan {shlex.quote(path)} --model … --tokens …"


def _left_out(trials: Trials) -> str | None:
    return None if trials.head and trials.trunk else "try what was left out: --schemes default"


def _longer(trials: Trials, vq: VqAnswer, tokens: int) -> str | None:
    """How much text would be enough for everything that may turn out free."""
    short = [trial for trial in trials if trial.unsettled or (trial.short and trial.name == vq.best)]
    if not short:
        return None
    wanted = max(tokens_wanted(tokens, trial.quality.blocks or 0) for trial in short)
    return f"measure on about {wanted:,} tokens (--tokens): {tokens:,} are too few to decide"


def _more_text(verdict: Verdict, trials: Trials, tokens: int) -> str | None:
    """How much more text would tell the two best apart."""
    best = (trials.named(name) for name in (verdict.best_head, verdict.best_trunk))
    pair = [t for t in best if t is not None and t.quality.evidence is Evidence.MEASURED]
    if len(pair) != 2 or all(trial.costless for trial in pair):
        return None
    one, other = pair
    change = trials.compare(one, other)
    names = f"{one.name} from {other.name}"
    if not change.enough:
        wanted = tokens_wanted(tokens, change.blocks)
        return f"measure on about {wanted:,} tokens (--tokens): {tokens:,} are too few to tell {names}"
    # Intervals narrow with the square root of the text.
    half, middle = (change.high - change.low) / 2, abs(change.low + change.high) / 2
    times = max(2, math.ceil((half / max(middle, TOLERANCE)) ** 2 * 1.2))
    return (
        f"measure on about {times * tokens:,} tokens (--tokens), {times} times as much text: "
        f"it would tell {names} apart"
    )
