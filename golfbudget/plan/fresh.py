"""The finalists of a plan on another text: whether what was chosen on one holds on the other (`--fresh`).

Whoever picks the best of many on a text picks luck, too; on another text luck is gone.  Nothing is chosen here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from golfbudget.evidence import ends
from golfbudget.plan.results import Answer, Evaluation, FreshQuality, Verdict, VqAnswer
from golfbudget.plan.trials import Quality, Trial, Trials
from golfbudget.plan.trying import Workshop, measurer_on, trial_losses, yardstick_on
from golfbudget.quality.intervals import Interval
from golfbudget.workers import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What was measured on the other text, and what that says of the answers, a line each."""

    evaluation: Evaluation | None = None
    found: tuple[FreshQuality, ...] = ()
    reasons: tuple[str, ...] = ()


def measured_again(shop: Workshop, trials: Trials, verdict: Verdict, vq: VqAnswer, joint: str | None) -> Fresh:
    """The finalists on the text of `--fresh`; nothing where there is none."""
    prepared = shop.prepared
    if prepared.fresh is None:
        return Fresh()
    names = (verdict.best_head, verdict.best_trunk, vq.best, vq.control, joint)
    finalists = trials.measured.called(names)
    bench = shop.bench
    measurer = measurer_on(prepared.fresh, prepared, bench.cache, bench.source, shop.baseline)
    bench = replace(bench, measurer=measurer)
    with Processes(bench, shop.runners.jobs) as runners:
        yardstick = yardstick_on(bench, runners, prepared, shop.baseline)
        found: dict[str, Quality] = {}
        for number, losses in trial_losses(bench, runners, finalists):
            trial = finalists[number]
            shop.progress(f"{trial.name} on fresh text", len(trials) + len(finalists) + 2)
            found[trial.name] = yardstick.measured(trial, losses).quality
    winners = finalists.called({verdict.best, vq.best if vq.answer is Answer.YES else None})
    return Fresh(
        evaluation=yardstick.evaluation,
        found=tuple(FreshQuality(candidate=trial.name, quality=found[trial.name]) for trial in finalists),
        reasons=tuple(judged(winners, found)),
    )


def judged(winners: Sequence[Trial], fresh: Mapping[str, Quality]) -> Iterator[str]:
    """A line for each winner: what it loses on fresh text, and whether that is what it was chosen for."""
    for trial in winners:
        claimed, again = trial.quality.interval, fresh[trial.name].interval
        if claimed is not None and again is not None:
            change = f"{again.delta:+.4f} bits per byte {ends(again.low, again.high)}"
            yield f"on fresh text {trial.name} changes by {change}: {_word(claimed, again)}"


def _word(claimed: Interval, again: Interval) -> str:
    """Whether a change on fresh text is the one that was claimed, or surely another."""
    if not again.enough:
        return f"too little text to say (worth {again.blocks} blocks)"
    if claimed.sign * again.sign < 0:
        return f"the opposite of the {claimed.delta:+.4f} that was claimed"
    # Two texts are independent, so half-widths add as squares do.
    if again.delta - claimed.delta > math.hypot(again.delta - again.low, claimed.high - claimed.delta):
        return f"clearly worse than the {claimed.delta:+.4f} that was claimed"
    return f"no worse than the {claimed.delta:+.4f} that was claimed"
