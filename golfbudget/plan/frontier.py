"""A side's frontier of bytes and measured loss, and what lies between two points of it.

The lower convex hull of (bytes saved, bits per byte lost), from the unchanged model on: a mix of two candidates, some
matrices or rows as the one has them and the others as the other, lies between them.  Nothing is said beyond its ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from golfbudget.plan.trials import Trial, Trials


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """`trial` None: the unchanged model."""

    saved_bytes: int
    loss: float
    trial: Trial | None

    @property
    def name(self) -> str | None:
        return None if self.trial is None else self.trial.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Two neighbours; `end` saves more than `start`."""

    start: FrontierPoint
    end: FrontierPoint

    def share(self, saved_bytes: float) -> float:
        """How much of the way from start to end these bytes are."""
        return (saved_bytes - self.start.saved_bytes) / (self.end.saved_bytes - self.start.saved_bytes)

    def loss(self, saved_bytes: int) -> float:
        return self.start.loss + self.share(saved_bytes) * (self.end.loss - self.start.loss)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Points of rising bytes and slope."""

    points: tuple[FrontierPoint, ...]

    @classmethod
    def of(cls, trials: Trials) -> Frontier:
        """Of the measured ones that save bytes; none of them trained, for what training gains is no merit of theirs."""
        found = [FrontierPoint(saved_bytes=0, loss=0.0, trial=None)]
        found += [
            FrontierPoint(saved_bytes=t.saved_bytes, loss=t.loss, trial=t) for t in trials.untrained.saving().measured
        ]
        hull: list[FrontierPoint] = []
        for point in sorted(found, key=lambda point: (point.saved_bytes, point.loss, point.name or "")):
            if hull and hull[-1].saved_bytes == point.saved_bytes:
                continue
            while len(hull) > 1 and _slope(hull[-2], point) <= _slope(hull[-2], hull[-1]):
                hull.pop()
            hull.append(point)
        return cls(tuple(hull))

    def around(self, saved_bytes: int) -> Segment | None:
        """The two points on either side of so many bytes; None where only one side has any."""
        segments = (Segment(start=start, end=end) for start, end in pairwise(self.points))
        return next((s for s in segments if s.start.saved_bytes < saved_bytes <= s.end.saved_bytes), None)

    def bytes_at(self, loss: float) -> float | None:
        """The most bytes that it saves at a loss; None where all of it loses less, or more."""
        found = None
        for start, end in pairwise(self.points):
            if min(start.loss, end.loss) <= loss <= max(start.loss, end.loss) and start.loss != end.loss:
                share = (loss - start.loss) / (end.loss - start.loss)
                found = start.saved_bytes + share * (end.saved_bytes - start.saved_bytes)
        return found if self.points[-1].loss >= loss else None


def _slope(one: FrontierPoint, other: FrontierPoint) -> float:
    return (other.loss - one.loss) / (other.saved_bytes - one.saved_bytes)
