"""Runs held against the dense tied one of their scale and seed, at the same counted bytes; and what that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from golfbudget.example.heads.arms import ARMS, BY_NAME, Arm
from golfbudget.quality.intervals import Interval
from golfbudget.study.results import RunResult, difference

DENSE, FIRST_SEED = "dense-tied", 1
SCALES = ("1024", "8192")


class ArmSide(StrEnum):
    """Which question an arm belongs to."""

    DENSE = "dense"
    VQ = "vq"
    OTHER = "other"


def side_of(arm: Arm) -> ArmSide:
    """The side of an arm: dense tied alone is the control."""
    if arm.name == DENSE:
        return ArmSide.DENSE
    return ArmSide.VQ if arm.is_vq else ArmSide.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A file's loss less that of the dense tied file of the same budget, bits per byte."""

    result: RunResult
    budget: int
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All results there are."""

    results: Sequence[RunResult]

    def of(self, scale: str, arm: str, seed: int = FIRST_SEED) -> RunResult | None:
        return next((r for r in self.results if (r.scale, r.arm, r.seed) == (scale, arm, seed)), None)

    def first_seed(self, scale: str) -> list[RunResult]:
        """One result an arm, in the arms' order."""
        return [found for arm in ARMS if (found := self.of(scale, arm.name)) is not None]

    def missing(self, scale: str) -> list[str]:
        """Arms of a scale without a result."""
        return [arm.name for arm in ARMS if self.of(scale, arm.name) is None]

    def against_dense(self, result: RunResult, budget: int) -> Against | None:
        """None where either has no file of that budget."""
        dense = self.of(result.scale, DENSE, result.seed)
        base, new = dense and dense.at(budget), result.at(budget)
        if not base or not new:
            return None
        found = difference(base.nats, new.nats, result.block_bytes)
        return Against(result=result, budget=budget, interval=found)

    def best(self, scale: str, budget: int, side: ArmSide) -> Against | None:
        """Of the first seed's runs of a side, the one that loses least at a budget."""
        found = [
            against
            for result in self.first_seed(scale)
            if side_of(BY_NAME[result.arm]) is side and (against := self.against_dense(result, budget)) is not None
        ]
        return min(found, key=lambda against: against.interval.delta, default=None)

    def spread(self, scale: str, budget: int, *arms: str) -> float | None:
        """How far apart two seeds of one of these arms are at a budget, bits per byte; None where none has two.

        At each budget for itself: a model whose weights are squeezed to a bit or two moves far more.
        """
        found = [self._losses(scale, arm, budget) for arm in arms]
        return max((max(own) - min(own) for own in found if len(own) > 1), default=None)

    def _losses(self, scale: str, arm: str, budget: int) -> list[float]:
        """Of all seeds."""
        own = (result.at(budget) for result in self.results if (result.scale, result.arm) == (scale, arm))
        return [file.bits_per_byte for file in own if file is not None]

    def repeated(self, scale: str) -> list[str]:
        """Arms with more than one seed."""
        arms = [result.arm for result in self.results if result.scale == scale]
        return [arm.name for arm in ARMS if arms.count(arm.name) > 1]


CLOSE = "too close to call"
VERDICTS = ("wins", CLOSE, "loses")


def verdict(against: Against, spread: float | None) -> str:
    """One of `VERDICTS`: beyond the interval, and beyond what seeds move where that is known."""
    interval = against.interval
    if interval.sign == 0 or abs(interval.delta) <= (spread or 0.0):
        return CLOSE
    return "wins" if interval.sign < 0 else "loses"
