"""The verdict: which side wins, and whether VQ-Logits does.

Pure functions of finished trials: nothing is encoded or measured here.  Under the cap the winner is the side that saves
most bytes at no loss; over it, the side that fits at the lower loss.  Losses are bits per byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from golfbudget.evidence import Evidence, ends
from golfbudget.plan.results import Answer, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import Side, Trial, Trials
from golfbudget.quality.intervals import Interval

UNTRAINED = (
    "as untrained: its codebook is fitted by k-means to the finished matrix, not trained with the model, which can "
    "change the answer: docs/studies/trained-heads.md"
)


def decide(trials: Trials, *, must_save: int, untried: Sequence[str] = (), spread: int = 0) -> tuple[Verdict, VqAnswer]:
    """The verdict and the VQ answer, by single candidates.

    `must_save` is how many bytes the baseline is over the cap (0: it fits).  `untried` names rivals of VQ that
    exist and were left out: VQ cannot be said to beat them.  Sides whose savings differ by no more than `spread`, the
    bytes by which two seeds differ, tie.
    """
    lossless = trials.on(Side.LOSSLESS).most_saved()
    if must_save > 0 and lossless is not None and lossless.fits:
        verdict, answer = _lossless_suffices(lossless, trials, must_save), _vq_under(trials)
    elif must_save > 0:
        verdict, answer = _over(trials, must_save), _vq_over(trials)
    else:
        verdict, answer = _under(trials, spread), _vq_under(trials, spread)
    untried = [*untried, *unrecovered(trials, answer)]
    if answer.answer is Answer.YES and untried:
        reason = f"{answer.reason}; but no {' and no '.join(untried)} was tried"
        answer = replace(answer, answer=Answer.UNDECIDED, reason=reason)
    return verdict, told(answer, trials)


def unrecovered(trials: Trials, vq: VqAnswer) -> list[str]:
    """Rivals of a recovered VQ head that were tried, none of which was recovered: it may not be said to win."""
    best = trials.named(vq.best)
    if best is None or not best.candidate.steps:
        return []
    named = {"recovered control": trials.control, "recovered trunk candidate": trials.trunk}
    return [name for name, rivals in named.items() if rivals and len(rivals.untrained) == len(rivals)]


def told(vq: VqAnswer, trials: Trials) -> VqAnswer:
    """The answer, which says of a recovered head that it was trained."""
    best = trials.named(vq.best)
    if best is None or not best.candidate.steps:
        return vq
    steps = best.candidate.steps
    trained = f"its codebook, bias and map were trained for {steps} steps with the rest of the model"
    return replace(vq, reason=vq.reason.replace(UNTRAINED, trained))


def describe(trial: Trial) -> str:
    """A trial in words: name, bytes saved, and what is known of its loss."""
    quality = trial.quality
    saved = f"saves {trial.saved_bytes:,} bytes" if trial.saved_bytes >= 0 else f"adds {-trial.saved_bytes:,} bytes"
    if quality.evidence is Evidence.MEASURED and quality.delta is not None:
        loss = f"measured {quality.delta:+.4f} bits per byte {ends(quality.low, quality.high)}"
        if trial.short:
            loss += f" on too little text to decide (worth {quality.blocks} blocks)"
    elif quality.evidence is Evidence.EQUAL_ERROR:
        ratio = "the baseline's own matrix" if quality.error_ratio is None else f"{quality.error_ratio:.3f} x its error"
        loss = f"no loss by the equal-error rule ({ratio})"
    elif trial.loser is not None:
        least = "" if quality.low is None or trial.floor is None else f", at least {quality.low:+.4f} bits per byte"
        loss = f"ruled out by certificate {trial.loser}{least}"
    elif quality.evidence is Evidence.CERTIFIED:
        loss = "decodes to the same bytes"
    else:
        error = ""
        if quality.error_ratio is not None:
            error = f", {quality.error_ratio:.1f} x the recipe's squared error"
        elif quality.relative_error is not None:
            error = f", squared error {quality.relative_error:.1e} of the energy"
        loss = f"loss not known{error}"
    return f"{trial.name} {saved}, {loss}"


def _verdict(
    winner: Winner,
    best: Trial | None,
    head: Trial | None,
    trunk: Trial | None,
    reasons: Sequence[str],
    margin: int | None = None,
) -> Verdict:
    """`best` is the winner's trial, `head` and `trunk` are each side's best."""
    return Verdict(
        winner=winner,
        evidence=None if best is None else best.quality.evidence,
        margin_bytes=margin,
        reasons=tuple(reasons),
        best_head=None if head is None else head.name,
        best_trunk=None if trunk is None else trunk.name,
    )


def _answer(answer: Answer, best: Trial | None, control: Trial | None, margin: int | None, reason: str) -> VqAnswer:
    return VqAnswer(
        answer=answer,
        best=None if best is None else best.name,
        control=None if control is None else control.name,
        margin_bytes=margin,
        reason=reason,
    )


# Under the cap: the most bytes at no loss


def _under(trials: Trials, spread: int = 0) -> Verdict:
    head, trunk = trials.head.most_saved(), trials.trunk.most_saved()
    reasons = [_saving("head", head, trials.head), _saving("trunk", trunk, trials.trunk)]
    by_head, by_trunk = (0 if best is None else best.saved_bytes for best in (head, trunk))
    blind = sum(len(tried.unknown.saving(max(by_head, by_trunk) + 1)) for tried in (trials.head, trials.trunk))
    if blind:
        reasons.append(
            f"{blind} candidates save more but have no known loss without a model to run; they are not counted as free"
        )
    rivals = trials.trunk if by_head > by_trunk else trials.head if by_trunk > by_head else trials
    perhaps = rivals.unsettled.saving(max(by_head, by_trunk) + 1).largest_saving()
    short = [] if perhaps is None else [f"more text may show at no loss what saves more: {describe(perhaps)}"]
    if head is None and trunk is None:
        return _verdict(Winner.UNDECIDED if blind or short else Winner.NONE, None, None, None, [*reasons, *short])
    if short:
        return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, *short])
    if (apart := abs(by_head - by_trunk)) <= spread:
        seeds = f"too close to call: two seeds of one artifact differ by up to {spread:,} bytes"
        tie = seeds if apart else "both save the same bytes"
        return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, tie], apart)
    winner, best = (Winner.HEAD, head) if by_head > by_trunk else (Winner.TRUNK, trunk)
    return _verdict(winner, best, head, trunk, reasons, abs(by_head - by_trunk))


def _saving(side: str, best: Trial | None, tried: Trials) -> str:
    if not tried:
        return f"{side}: no candidate applies"
    if best is None:
        return f"{side}: none of {len(tried)} candidates saves bytes at no loss"
    return f"{side}: {describe(best)}"


def _vq_under(trials: Trials, spread: int = 0) -> VqAnswer:  # noqa: PLR0911  (one way out per case)
    vq, control = trials.vq.most_saved(), trials.control.most_saved()
    rival = Trials(tuple(t for t in (control, trials.trunk.most_saved()) if t is not None)).largest_saving()
    shown = vq or trials.vq.closest()
    margin = (vq.saved_bytes if vq else 0) - (rival.saved_bytes if rival else 0)
    if shown is None:
        return _answer(Answer.UNDECIDED, None, control, None, "no VQ-Logits candidate was tried")
    saved = max(vq.saved_bytes if vq else 0, rival.saved_bytes if rival else 0)
    rivals = Trials((*trials.control, *trials.trunk)) if margin > 0 else trials.vq
    perhaps = rivals.unsettled.saving(saved + 1).largest_saving()
    if perhaps is not None:
        reason = f"{describe(shown)}; more text may show at no loss what saves more: {describe(perhaps)}"
        return _answer(Answer.UNDECIDED, shown, control, None, reason)
    if vq is not None and 0 < margin <= spread:
        reason = f"{describe(vq)}; two seeds of one artifact differ by up to {spread:,} bytes, which is no less"
        return _answer(Answer.UNDECIDED, vq, control, margin, reason)
    if vq is not None and margin > 0:
        against = describe(rival) if rival else "no control and no trunk candidate saves any at no loss"
        return _answer(Answer.YES, vq, control, margin, f"{describe(vq)}; against that, {against}")
    if rival is not None:
        reason = f"{describe(shown)}; {describe(rival)}"
        return _answer(Answer.NO, shown, control, margin, f"{reason}{_beaten(trials)} ({UNTRAINED})")
    if trials.vq.unknown:
        reason = f"{describe(shown)}; no rival saves bytes at no loss either, and no model was run to tell"
        return _answer(Answer.UNDECIDED, shown, control, None, reason)
    reason = f"{describe(shown)}, and no VQ-Logits candidate saves bytes at no loss{_beaten(trials)} ({UNTRAINED})"
    return _answer(Answer.NO, shown, control, None, reason)


def _beaten(trials: Trials) -> str:
    """How many VQ candidates a control beats in both bytes and loss."""
    beaten, of = len(trials.vq.beaten_by(trials.control)), len(trials.vq.known)
    return f"; {beaten} of {of} VQ candidates are beaten by a control in both bytes and loss" if beaten else ""


# Over the cap: the lower loss among what fits


def _lossless_suffices(lossless: Trial, trials: Trials, must_save: int) -> Verdict:
    """Neither side is needed where bytes that cost nothing are enough."""
    head, trunk = trials.head.most_saved(), trials.trunk.most_saved()
    reasons = [
        f"the baseline is over the cap by {must_save:,} bytes",
        f"lossless bytes alone suffice: {describe(lossless)}; nothing has to be lost to fit",
        _saving("head", head, trials.head),
        _saving("trunk", trunk, trials.trunk),
    ]
    return _verdict(Winner.NONE, lossless, head, trunk, reasons, lossless.saved_bytes - must_save)


def _over(trials: Trials, must_save: int) -> Verdict:
    head, trunk = trials.head.fitting.least_lossy(), trials.trunk.fitting.least_lossy()
    reasons = [f"the baseline is over the cap by {must_save:,} bytes"]
    blind = [side for side in (Side.HEAD, Side.TRUNK) if trials.on(side).fitting.unknown]
    for side, best in ((Side.HEAD, head), (Side.TRUNK, trunk)):
        fits = " only with candidates of unknown loss" if side in blind else " with no candidate"
        reasons.append(f"{side}: {describe(best)}" if best else f"{side}: fits{fits}")
    both = trials.on(Side.JOINT).fitting.least_lossy()
    if head is None and trunk is None and both is not None:
        reasons.append(f"both sides together fit: {describe(both)}")
    if head is not None and trunk is not None:
        return _lower_loss(head, trunk, reasons, trials)
    if head is None and trunk is None:
        if len(blind) != 1:
            return _verdict(Winner.UNDECIDED if blind else Winner.NONE, None, None, None, reasons)
        (side,) = blind
        return _verdict(Winner(side.value), None, None, None, [*reasons, f"only the {side} can fit at all"])
    best = head or trunk
    other = Side.TRUNK if best is head else Side.HEAD
    if best is None or (other in blind and not best.costless):
        return _verdict(Winner.UNDECIDED, None, head, trunk, reasons)
    return _verdict(Winner(best.candidate.side.value), best, head, trunk, reasons, best.saved_bytes - must_save)


def _lower_loss(head: Trial, trunk: Trial, reasons: list[str], trials: Trials) -> Verdict:
    margin = abs(head.saved_bytes - trunk.saved_bytes)
    measured = all(trial.quality.evidence is Evidence.MEASURED for trial in (head, trunk))
    if not measured and head.costless != trunk.costless and not (head.unsettled or trunk.unsettled):
        best = head if head.costless else trunk
    elif not measured and head.costless and trunk.costless:
        if head.saved_bytes == trunk.saved_bytes:
            return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, "both fit at no loss"], 0)
        best = max(head, trunk, key=lambda trial: trial.saved_bytes)
    else:
        # Loss decides, however small: what saves more bytes than the cap asks for is no better for it.
        change = trials.compare(head, trunk)
        reasons.append(f"from head to trunk the loss changes by {_bounds(change)}")
        if not change.sign:
            return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, _open(change)], margin)
        best = head if change.sign > 0 else trunk
    return _verdict(Winner(best.candidate.side.value), best, head, trunk, reasons, margin)


def _bounds(change: Interval) -> str:
    return f"{ends(change.low, change.high)} bits per byte"


def _open(change: Interval) -> str:
    """Why the sign of a change is not known."""
    return "too close to call" if change.enough else f"too little text to call (worth {change.blocks} blocks)"


def _vq_over(trials: Trials) -> VqAnswer:  # noqa: PLR0911  (one way out per case)
    vq, control = trials.vq.fitting.least_lossy(), trials.control.fitting.least_lossy()
    rival = Trials(tuple(t for t in (control, trials.trunk.fitting.least_lossy()) if t is not None)).least_lossy()
    if vq is None:
        blind, shown = bool(trials.vq.fitting.unknown), trials.vq.closest()
        if shown is None:
            return _answer(Answer.UNDECIDED, None, control, None, "no VQ-Logits candidate was tried")
        if blind and (rival is None or not rival.costless):
            reason = "a VQ-Logits candidate fits, but its loss is not known"
            return _answer(Answer.UNDECIDED, shown, control, None, reason)
        why = describe(rival) if blind and rival else "no VQ-Logits candidate fits under the cap"
        return _answer(Answer.NO, shown, control, None, f"{why} ({UNTRAINED})")
    if rival is None:
        if (trials.control.fitting.unknown or trials.trunk.fitting.unknown) and not vq.costless:
            return _answer(Answer.UNDECIDED, vq, control, None, "rivals fit, but their loss is not known")
        if vq.short:
            return _answer(Answer.UNDECIDED, vq, control, None, f"{describe(vq)}; no rival fits at a known loss")
        return _answer(Answer.YES, vq, control, None, f"{describe(vq)}, and no rival fits at a known loss")
    margin = vq.saved_bytes - rival.saved_bytes
    reason = f"{describe(vq)}; {describe(rival)}"
    measured = all(trial.quality.evidence is Evidence.MEASURED for trial in (vq, rival))
    if not measured and (vq.costless or rival.costless) and not (vq.unsettled or rival.unsettled):
        wins = vq.costless and (not rival.costless or margin > 0)
    else:
        change = trials.compare(vq, rival)
        reason += f"; from the first to the second the loss changes by {_bounds(change)}"
        if not change.sign:
            return _answer(Answer.UNDECIDED, vq, control, margin, f"{reason}, {_open(change)}")
        wins = change.sign > 0
    if wins:
        return _answer(Answer.YES, vq, control, margin, reason)
    return _answer(Answer.NO, vq, control, margin, f"{reason}{_beaten(trials)} ({UNTRAINED})")
