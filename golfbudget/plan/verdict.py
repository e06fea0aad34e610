"""The verdict, as pure functions of finished trials: nothing is encoded or measured here.

Under the cap the winner is the side that saves most bytes at no loss; over it, the side that fits at the lower
loss.  "No loss" is: decodes to the same bytes, or passes the equal-error rule, or the whole interval of the
measured change lies at or below `TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from golfbudget.plan.results import Answer, Evidence, Side, Trial, Verdict, VqAnswer, Winner

#: Bits per byte.  The contest's bar for a record is 0.005 nats per token, about 0.00194 bits per byte at a
#: vocabulary of 8192; a change known to be smaller is treated as none.
TOLERANCE = 0.002

#: (low, high) of the change from one trial to another, in bits per byte, where both were measured.
Compare = Callable[[Trial, Trial], tuple[float, float]]

UNTRAINED = "as untrained: its codebook is fitted by k-means to the finished matrix, not trained with the model"


def costless(trial: Trial) -> bool:
    """Whether the trial's quality counts as the baseline's."""
    quality = trial.quality
    if trial.loser is not None:
        return False
    if quality.evidence is Evidence.MEASURED:
        return quality.high is not None and quality.high <= TOLERANCE
    return quality.evidence in (Evidence.CERTIFIED, Evidence.EQUAL_ERROR)


def unknown(trial: Trial) -> bool:
    """Whether nothing says what the trial costs in quality."""
    return trial.loser is None and trial.quality.evidence is Evidence.MODELLED


def known(trial: Trial) -> bool:
    """Whether the trial has a loss to compare: a certified loser has none, and needs none."""
    return trial.loser is None and not unknown(trial)


def mark_pareto(trials: Sequence[Trial]) -> set[str]:
    """Names of trials that no other beats in both counted bytes and loss; trials of unknown loss are not ranked."""
    ranked = [trial for trial in trials if known(trial)]
    return {
        trial.candidate.name
        for trial in ranked
        if not any(
            (other.counted_bytes, loss_of(other)) != (trial.counted_bytes, loss_of(trial))
            and other.counted_bytes <= trial.counted_bytes
            and loss_of(other) <= loss_of(trial)
            for other in ranked
        )
    }


def loss_of(trial: Trial) -> float:
    """The point estimate of the loss; the equal-error rule counts as none."""
    measured = trial.quality.evidence is Evidence.MEASURED and trial.quality.delta is not None
    return trial.quality.delta or 0.0 if measured else 0.0


def _most_saved(trials: Iterable[Trial]) -> Trial | None:
    free = [trial for trial in trials if costless(trial) and trial.saved_bytes > 0]
    return min(free, key=lambda trial: (-trial.saved_bytes, trial.candidate.name), default=None)


def _leastloss_of(trials: Iterable[Trial]) -> Trial | None:
    fitting = [trial for trial in trials if trial.fits and known(trial)]
    return min(fitting, key=lambda t: (not costless(t), loss_of(t), -t.saved_bytes, t.candidate.name), default=None)


def _side(trials: Iterable[Trial], side: Side) -> list[Trial]:
    return [trial for trial in trials if trial.candidate.side is side]


def decide(
    trials: Sequence[Trial], *, must_save: int, compare: Compare, untried: Sequence[str] = ()
) -> tuple[Verdict, VqAnswer]:
    """The verdict and the VQ answer.

    `must_save` is how many bytes the baseline is over the cap (0: it fits).  `untried` names rivals of VQ that
    exist and were left out: VQ cannot be said to beat them.
    """
    head, trunk = _side(trials, Side.HEAD), _side(trials, Side.TRUNK)
    vq = [trial for trial in head if trial.candidate.is_vq]
    control = [trial for trial in head if not trial.candidate.is_vq]
    lossless = _most_saved(_side(trials, Side.LOSSLESS))
    if must_save > 0 and lossless is not None and lossless.fits:
        verdict, answer = _lossless_suffices(lossless, head, trunk, must_save), _vq_under(vq, control, trunk)
    elif must_save > 0:
        verdict, answer = _over(head, trunk, must_save, compare), _vq_over(vq, control, trunk, compare)
    else:
        verdict, answer = _under(head, trunk), _vq_under(vq, control, trunk)
    if answer.answer is Answer.YES and untried:
        reason = f"{answer.reason}; but no {' and no '.join(untried)} was tried"
        answer = replace(answer, answer=Answer.UNDECIDED, reason=reason)
    return verdict, answer


# Under the cap: the most bytes at no loss


def _under(head: list[Trial], trunk: list[Trial]) -> Verdict:
    best_head, best_trunk = _most_saved(head), _most_saved(trunk)
    reasons = [_saving("head", best_head, head), _saving("trunk", best_trunk, trunk)]
    saved = {side: best.saved_bytes if best else 0 for side, best in (("head", best_head), ("trunk", best_trunk))}
    open_questions = [t for t in (*head, *trunk) if unknown(t) and t.saved_bytes > max(saved.values())]
    if open_questions:
        reasons.append(
            f"{len(open_questions)} candidates save more but have no known loss without a model to run; they are not "
            "counted as free"
        )
    if best_head is None and best_trunk is None:
        winner = Winner.UNDECIDED if open_questions else Winner.NONE
        return _verdict(winner, None, None, None, reasons, margin=None)
    margin = abs(saved["head"] - saved["trunk"])
    if saved["head"] == saved["trunk"]:
        return _verdict(Winner.UNDECIDED, None, best_head, best_trunk, [*reasons, "both save the same bytes"], margin=0)
    winner = Winner.HEAD if saved["head"] > saved["trunk"] else Winner.TRUNK
    best = best_head if winner is Winner.HEAD else best_trunk
    return _verdict(winner, best, best_head, best_trunk, reasons, margin=margin)


def _saving(side: str, best: Trial | None, tried: list[Trial]) -> str:
    if not tried:
        return f"{side}: no candidate applies"
    if best is None:
        return f"{side}: none of {len(tried)} candidates saves bytes at no loss"
    return f"{side}: {describe(best)}"


def describe(trial: Trial) -> str:
    """A trial in words: name, bytes saved, and what is known of its loss."""
    quality = trial.quality
    saved = f"saves {trial.saved_bytes:,} bytes" if trial.saved_bytes >= 0 else f"adds {-trial.saved_bytes:,} bytes"
    if quality.evidence is Evidence.MEASURED and quality.delta is not None:
        loss = f"measured {quality.delta:+.4f} bits per byte [{quality.low:+.4f}, {quality.high:+.4f}]"
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
    return f"{trial.candidate.name} {saved}, {loss}"


def _verdict(
    winner: Winner,
    best: Trial | None,
    best_head: Trial | None,
    best_trunk: Trial | None,
    reasons: Sequence[str],
    *,
    margin: int | None,
) -> Verdict:
    return Verdict(
        winner=winner,
        evidence=None if best is None else best.quality.evidence,
        margin_bytes=margin,
        reasons=tuple(reasons),
        best_head=None if best_head is None else best_head.candidate.name,
        best_trunk=None if best_trunk is None else best_trunk.candidate.name,
    )


def _vq_under(vq: list[Trial], control: list[Trial], trunk: list[Trial]) -> VqAnswer:
    best, best_control, best_trunk = _most_saved(vq), _most_saved(control), _most_saved(trunk)
    rivals = [rival for rival in (best_control, best_trunk) if rival is not None]
    rival = max(rivals, key=lambda trial: trial.saved_bytes, default=None)
    shown = best or _closest(vq)
    margin = (best.saved_bytes if best else 0) - (rival.saved_bytes if rival else 0)
    if shown is None:
        return _answer(Answer.UNDECIDED, None, best_control, None, "no VQ-Logits candidate was tried")
    if best is not None and margin > 0:
        against = describe(rival) if rival else "no control and no trunk candidate saves any at no loss"
        return _answer(Answer.YES, best, best_control, margin, f"{describe(best)}; against that, {against}")
    if rival is not None:
        reason = f"{describe(shown)}; {describe(rival)}"
        return _answer(Answer.NO, shown, best_control, margin, f"{reason}{_beaten(vq, control)} ({UNTRAINED})")
    if any(unknown(trial) for trial in vq):
        reason = f"{describe(shown)}; no rival saves bytes at no loss either, and no model was run to tell"
        return _answer(Answer.UNDECIDED, shown, best_control, None, reason)
    reason = f"{describe(shown)}, and no VQ-Logits candidate saves bytes at no loss{_beaten(vq, control)} ({UNTRAINED})"
    return _answer(Answer.NO, shown, best_control, None, reason)


def _closest(vq: list[Trial]) -> Trial | None:
    """The VQ candidate to show when none is free: the least lossy that saves bytes, or else the least lossy."""

    def order(trial: Trial) -> tuple[bool, float, int, str]:
        quality = trial.quality
        loss = quality.delta if quality.delta is not None else quality.relative_error
        return trial.saved_bytes <= 0, float("inf") if loss is None else loss, -trial.saved_bytes, trial.candidate.name

    open_ = [trial for trial in vq if trial.loser is None]
    return min(open_ or vq, key=order, default=None)


def _beaten(vq: list[Trial], control: list[Trial]) -> str:
    """How many VQ candidates a control beats in both bytes and loss."""
    measured = [trial for trial in vq if known(trial)]
    beaten = [
        trial
        for trial in measured
        if any(known(c) and c.counted_bytes <= trial.counted_bytes and loss_of(c) <= loss_of(trial) for c in control)
    ]
    return (
        f"; {len(beaten)} of {len(measured)} VQ candidates are beaten by a control in both bytes and loss"
        if beaten
        else ""
    )


def _answer(answer: Answer, best: Trial | None, control: Trial | None, margin: int | None, reason: str) -> VqAnswer:
    return VqAnswer(
        answer=answer,
        best=None if best is None else best.candidate.name,
        control=None if control is None else control.candidate.name,
        margin_bytes=margin,
        reason=reason,
    )


# Over the cap: the lower loss among what fits


def _lossless_suffices(lossless: Trial, head: list[Trial], trunk: list[Trial], must_save: int) -> Verdict:
    """Neither side is needed where bytes that cost nothing are enough."""
    best_head, best_trunk = _most_saved(head), _most_saved(trunk)
    reasons = [
        f"the baseline is over the cap by {must_save:,} bytes",
        f"lossless bytes alone suffice: {describe(lossless)}; nothing has to be lost to fit",
        _saving("head", best_head, head),
        _saving("trunk", best_trunk, trunk),
    ]
    return _verdict(Winner.NONE, lossless, best_head, best_trunk, reasons, margin=lossless.saved_bytes - must_save)


def _over(head: list[Trial], trunk: list[Trial], must_save: int, compare: Compare) -> Verdict:
    best_head, best_trunk = _leastloss_of(head), _leastloss_of(trunk)
    reasons = [f"the baseline is over the cap by {must_save:,} bytes"]
    blind = {
        side for side, tried in ((Side.HEAD, head), (Side.TRUNK, trunk)) if any(t.fits and unknown(t) for t in tried)
    }
    for side, best in ((Side.HEAD, best_head), (Side.TRUNK, best_trunk)):
        fits = " only with candidates of unknown loss" if side in blind else " with no candidate"
        reasons.append(f"{side}: {describe(best)}" if best else f"{side}: fits{fits}")
    if best_head is not None and best_trunk is not None:
        return _lowerloss_of(best_head, best_trunk, reasons, compare)
    if best_head is None and best_trunk is None:
        if len(blind) != 1:
            return _verdict(Winner.UNDECIDED if blind else Winner.NONE, None, None, None, reasons, margin=None)
        side = next(iter(blind))
        return _verdict(
            Winner(side.value), None, None, None, [*reasons, f"only the {side} can fit at all"], margin=None
        )
    best = best_head or best_trunk
    other = Side.TRUNK if best is best_head else Side.HEAD
    if best is None or (other in blind and not costless(best)):
        return _verdict(Winner.UNDECIDED, None, best_head, best_trunk, reasons, margin=None)
    winner = Winner(best.candidate.side.value)
    return _verdict(winner, best, best_head, best_trunk, reasons, margin=best.saved_bytes - must_save)


def _lowerloss_of(head: Trial, trunk: Trial, reasons: list[str], compare: Compare) -> Verdict:
    margin = abs(head.saved_bytes - trunk.saved_bytes)
    if costless(head) != costless(trunk):
        best = head if costless(head) else trunk
    elif costless(head):
        if head.saved_bytes == trunk.saved_bytes:
            return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, "both fit at no loss"], margin=0)
        best = max(head, trunk, key=lambda trial: trial.saved_bytes)
    else:
        low, high = compare(head, trunk)
        reasons.append(f"from head to trunk the loss changes by [{low:+.4f}, {high:+.4f}] bits per byte")
        if low <= 0 <= high:
            return _verdict(Winner.UNDECIDED, None, head, trunk, [*reasons, "too close to call"], margin=margin)
        best = head if low > 0 else trunk
    return _verdict(Winner(best.candidate.side.value), best, head, trunk, reasons, margin=margin)


def _vq_over(  # noqa: PLR0911  (one way out per case)
    vq: list[Trial], control: list[Trial], trunk: list[Trial], compare: Compare
) -> VqAnswer:
    best, best_control, best_trunk = _leastloss_of(vq), _leastloss_of(control), _leastloss_of(trunk)
    rivals = [rival for rival in (best_control, best_trunk) if rival is not None]
    rival = min(rivals, key=lambda t: (not costless(t), loss_of(t), -t.saved_bytes), default=None)
    blind_vq = any(t.fits and unknown(t) for t in vq)
    blind_rival = any(t.fits and unknown(t) for t in (*control, *trunk))
    if best is None:
        shown = _closest(vq)
        if shown is None:
            return _answer(Answer.UNDECIDED, None, best_control, None, "no VQ-Logits candidate was tried")
        if blind_vq and (rival is None or not costless(rival)):
            return _answer(
                Answer.UNDECIDED, shown, best_control, None, "a VQ-Logits candidate fits, but its loss is not known"
            )
        why = f"{describe(rival)}" if blind_vq and rival else "no VQ-Logits candidate fits under the cap"
        return _answer(Answer.NO, shown, best_control, None, f"{why} ({UNTRAINED})")
    if rival is None:
        if blind_rival and not costless(best):
            return _answer(Answer.UNDECIDED, best, best_control, None, "rivals fit, but their loss is not known")
        return _answer(Answer.YES, best, best_control, None, f"{describe(best)}, and no rival fits at a known loss")
    margin = best.saved_bytes - rival.saved_bytes
    reason = f"{describe(best)}; {describe(rival)}"
    if costless(best) or costless(rival):
        wins = costless(best) and (not costless(rival) or margin > 0)
    else:
        low, high = compare(best, rival)
        reason += f"; from the first to the second the loss changes by [{low:+.4f}, {high:+.4f}] bits per byte"
        if low <= 0 <= high:
            return _answer(Answer.UNDECIDED, best, best_control, margin, reason)
        wins = low > 0
    if wins:
        return _answer(Answer.YES, best, best_control, margin, reason)
    return _answer(Answer.NO, best, best_control, margin, f"{reason}{_beaten(vq, control)} ({UNTRAINED})")
