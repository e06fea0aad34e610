"""Which candidates are tried again after a short training, and what that says.

Published VQ heads are trained, those of a plan are fitted to a finished matrix; so the best are trained before the
verdict: and with them, by as many steps on the same batches at the same rate, their rivals and the unchanged model,
for what the steps alone gain is no merit of a scheme.  A recovered VQ head wins only over rivals that were recovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from golfbudget.artifact import open_bytes
from golfbudget.plan.building import Built
from golfbudget.plan.candidates import RECIPE
from golfbudget.plan.results import Candidate, Side, Trial, VqAnswer
from golfbudget.plan.source import Source, replace_codec
from golfbudget.plan.verdict import UNTRAINED, Compare, costless, known, loss_of
from golfbudget.recipe.artifacts import artifact_bytes, read_export

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


def worth_recovering(trials: Sequence[Trial], steps: int, *, must_save: int) -> list[Candidate]:
    """The unchanged model, and of VQ-Logits heads, of other heads and of the trunk those that training may decide.

    Over the cap that is the one that loses least of those that fit.  Under it, the one that saves most at no loss, and
    the one that loses least of those that save more: training may make that free.  What a certificate rules out is
    left out: no training saves it.
    """
    found: dict[str, Candidate] = {}
    for group in _groups(trials):
        open_ = [trial for trial in group if trial.loser is None and known(trial)]
        chosen: list[Trial | None]
        if must_save:
            chosen = [_least_lossy(trial for trial in open_ if trial.fits)]
        else:
            free = [trial for trial in open_ if costless(trial) and trial.saved_bytes > 0]
            best = min(free, key=lambda trial: (-trial.saved_bytes, trial.candidate.name), default=None)
            saved = 0 if best is None else best.saved_bytes
            chosen = [best, _least_lossy(t for t in open_ if t.saved_bytes > saved)]
        found |= {trial.candidate.name: trial.candidate for trial in chosen if trial is not None}
    return [baseline(steps), *(again(candidate, steps) for candidate in found.values())]


def _groups(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial], list[Trial]]:
    """VQ-Logits heads, their controls, and the trunk."""
    head = [trial for trial in trials if trial.candidate.side is Side.HEAD]
    vq = [trial for trial in head if trial.candidate.is_vq]
    return vq, [t for t in head if t not in vq], [t for t in trials if t.candidate.side is Side.TRUNK]


def _least_lossy(trials: Iterable[Trial]) -> Trial | None:
    return min(trials, key=lambda trial: (loss_of(trial), -trial.saved_bytes, trial.candidate.name), default=None)


def unrecovered(trials: Sequence[Trial], vq: VqAnswer) -> list[str]:
    """Rivals of a recovered VQ head that were tried, none of which was recovered: it may not be said to win."""
    best = next((trial for trial in trials if trial.candidate.name == vq.best), None)
    if best is None or not best.candidate.steps:
        return []
    _, control, trunk = _groups(trials)
    named = {"recovered control": control, "recovered trunk candidate": trunk}
    return [name for name, rivals in named.items() if rivals and not any(rival.candidate.steps for rival in rivals)]


def explained(trials: Sequence[Trial], compare: Compare) -> list[str]:
    """A line for the unchanged model and each recovered candidate: its loss before and after, and over that model's."""
    named = {trial.candidate.name: trial for trial in trials}
    recovered = sorted((trial for trial in trials if trial.candidate.steps), key=lambda trial: trial.candidate.name)
    control = next((trial for trial in recovered if trial.candidate.scheme == RECIPE), None)
    if control is None:
        return []
    steps = control.candidate.steps
    gain = f"{loss_of(control):+.4f} bits per byte, which is no merit of any scheme"
    lines = [f"recovered: {steps} steps on the calibration text change the unchanged model by {gain}"]
    for trial in recovered:
        if trial is control or not known(trial):
            continue
        name = trial.candidate.name.removesuffix(_suffix(steps))
        low, high = compare(control, trial)
        lines.append(
            f"recovered: {name} goes from {loss_of(named[name]):+.4f} to {loss_of(trial):+.4f}, which is "
            f"[{low:+.4f}, {high:+.4f}] over the unchanged model after as many steps"
        )
    return lines


def told(vq: VqAnswer, trials: Sequence[Trial]) -> VqAnswer:
    """The answer, which says of a recovered head that it was trained."""
    best = next((trial.candidate for trial in trials if trial.candidate.name == vq.best), None)
    if best is None or not best.steps:
        return vq
    trained = f"its codebook was trained for {best.steps} steps with the rest of the model, its map was not"
    return replace(vq, reason=vq.reason.replace(UNTRAINED, trained))


def repacked(built: Built, source: Source, codec: tuple[str, int]) -> Built:
    """The same file through another codec at some level, without training again."""
    export = read_export(open_bytes(built.data, name="recovered"))
    return replace(built, data=artifact_bytes(export, replace_codec(source.recipe, *codec)))
