"""What the VQ answer says of its best candidate: why its map fails where it fails, and how its codebook was made."""

from __future__ import annotations

from dataclasses import replace

from golfbudget.plan.grids import TOLD
from golfbudget.plan.results import Answer, VqAnswer
from golfbudget.plan.trials import TOLERANCE, Candidate, Trials
from golfbudget.plan.verdict import UNTRAINED

#: Where a map's own loss is told of already.
OVER_TRUNK = "over this trunk"


def with_map(vq: VqAnswer, trials: Trials) -> VqAnswer:
    """The answer, which says of a fitted codebook that it was fitted, and of a failure what the map loses by itself."""
    best = trials.named(vq.best)
    if best is None:
        return vq
    reason = vq.reason
    if best.candidate.options.get("codebook") == TOLD["codebook"]:
        reason = reason.replace(UNTRAINED, _fitted(best.candidate))
    lost = best.information
    if vq.answer is Answer.NO and lost is not None and lost.value > TOLERANCE and OVER_TRUNK not in reason:
        reason = (
            f"{reason}; an ideal output head of its map would still lose {lost.value:.4f} bits per byte "
            f"{OVER_TRUNK} ({lost.evidence})"
        )
    return replace(vq, reason=reason)


def _fitted(candidate: Candidate) -> str:
    side = ", as an output head only: the input table that it is, too, was not looked at"
    shared = side if candidate.input_side == "shared" else ""
    return f"fitted: its codebook is fitted to the loss on calibration text, the trunk frozen{shared}"
