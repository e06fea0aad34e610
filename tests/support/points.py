"""Points of a curve of budgets, made by hand."""

from __future__ import annotations

from golfbudget.evidence import Evidence
from golfbudget.plan.results import Answer, BudgetFile, BudgetPoint, Difference
from golfbudget.plan.trials import Quality
from golfbudget.quality.intervals import ENOUGH_BLOCKS


def file(delta: float, *, head: str | None = None) -> BudgetFile:
    quality = Quality(
        metric="bits-per-byte", delta=delta, low=delta, high=delta, evidence=Evidence.MEASURED, blocks=200
    )
    return BudgetFile(candidate=head, head=head or "trellis-d0.1", counted_bytes=1, quality=quality)


def point(
    size: int, delta: float, half: float, *, blocks: int = 200, moves: float = 0.0001, without: bool = True
) -> BudgetPoint:
    sign = (delta - half > 0) - (delta + half < 0) if blocks >= ENOUGH_BLOCKS and abs(delta) > moves else 0
    answer = {1: Answer.NO, -1: Answer.YES, 0: Answer.UNDECIDED}[sign]
    difference = Difference(delta=delta, low=delta - half, high=delta + half, blocks=blocks, moves=moves, answer=answer)
    other = file(delta, head="head-vq64-shared")
    return BudgetPoint(
        bytes=size, without=file(0.0) if without else None, with_head=other, vq=other,
        difference=difference if without else None, vq_difference=difference if without else None,
    )  # fmt: skip
