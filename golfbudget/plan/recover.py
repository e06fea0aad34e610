"""Which candidates are tried again after a short training, and what that says.

Published VQ heads are trained, those of a plan are fitted to a finished matrix; so the best are trained before the
verdict: and with them, by as many steps on the same batches at the same rate, their rivals and the unchanged model,
for what the steps alone gain is no merit of a scheme.  A recovered VQ head wins only over rivals that were recovered.
"""

from __future__ import annotations

from dataclasses import replace

from golfbudget.plan.candidates import RECIPE
from golfbudget.plan.trials import Candidate, Side, Trial, Trials

#: What the unchanged model is called among candidates.
_BASELINE = "baseline"


def again(candidate: Candidate, steps: int) -> Candidate:
    """The candidate with training after its encoding."""
    return replace(candidate, name=f"{candidate.name}{_suffix(steps)}", steps=steps)


def _suffix(steps: int) -> str:
    return f"+recovered-{steps}"


def baseline(steps: int) -> Candidate:
    """The control of all recovery: the recipe's own file, trained.

    It changes head and trunk, so its side is `joint`, and it is on neither side of the verdict.
    """
    return again(Candidate(name=_BASELINE, side=Side.JOINT, scheme=RECIPE, options={}, owners=()), steps)


def worth_recovering(trials: Trials, steps: int, *, must_save: int) -> list[Candidate]:
    """The unchanged model, and of VQ-Logits heads, of other heads and of the trunk those that training may decide.

    Over the cap that is the one that loses least of those that fit.  Under it, the one that saves most at no loss, and
    the one that loses least of those that save more: training may make that free.  What a certificate rules out is
    left out: no training saves it.
    """
    chosen: list[Trial | None] = []
    for group in (trials.vq, trials.control, trials.trunk):
        if must_save:
            chosen.append(group.fitting.least_lossy())
        else:
            best = group.most_saved()
            chosen += [best, group.saving(1 + (0 if best is None else best.saved_bytes)).least_lossy()]
    named = {trial.name: trial.candidate for trial in chosen if trial is not None}
    return [baseline(steps), *(again(candidate, steps) for candidate in named.values())]


def explained(trials: Trials) -> list[str]:
    """A line for the unchanged model and each recovered candidate: its loss before and after, and over that model's."""
    recovered = sorted((trial for trial in trials if trial.candidate.steps), key=lambda trial: trial.name)
    control = next((trial for trial in recovered if trial.candidate.scheme == RECIPE), None)
    if control is None:
        return []
    steps = control.candidate.steps
    gain = f"{control.loss:+.4f} bits per byte, which is no merit of any scheme"
    lines = [f"recovered: {steps} steps on the calibration text change the unchanged model by {gain}"]
    for trial in recovered:
        name = trial.name.removesuffix(_suffix(steps))
        before = trials.named(name)
        if trial is control or before is None or not trial.known:
            continue
        low, high = trials.compare(control, trial)
        lines.append(
            f"recovered: {name} goes from {before.loss:+.4f} to {trial.loss:+.4f}, which is "
            f"[{low:+.4f}, {high:+.4f}] over the unchanged model after as many steps"
        )
    return lines
