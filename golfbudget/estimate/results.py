"""What an estimate says, each figure with how it is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from golfbudget.estimate.bins import Family
from golfbudget.estimate.modelled import Modelled
from golfbudget.estimate.request import EstimateRequest
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection

#: Of an estimate as JSON.
SCHEMA = "golfbudget/estimate/1"


#: Standard error of an estimate, as a share of the artifact: the published records of one family whose scales follow
#: the deviation lie within 0.1 % of what Gaussian weights give.
MODEL_ERROR = 0.001
#: The formula is that near for integers.  Of floats a codec finds more or less than order 0, up to 7 %: where more of
#: an artifact than this is floats, the formula alone gives no chance.
MOST_FLOATS = 0.1


def chance_to_fit(headroom: int, artifact: int, spread: int) -> float:
    """Probability from 0 to 1 that the artifact is no larger than `artifact + headroom` bytes (all in stored bytes).

    Normal around the estimate; `spread` is one standard deviation from seed to seed.
    """
    deviation = math.hypot(spread, MODEL_ERROR * artifact)
    if deviation == 0:
        return 1.0 if headroom >= 0 else 0.0
    return NormalDist().cdf(headroom / deviation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One artifact of synthetic weights, written and counted; `family` is that of tensors which depend on training."""

    seed: int
    family: Family
    payload_bytes: int
    container_bytes: int
    artifact_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Artifact bytes: one value, or a range where size depends on training and there is none."""

    value: int | None
    low: int
    high: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Bytes of an artifact before its model is trained.

    `payload_bytes` and `container_bytes` are exact, None where they were not built; `container_fixed` says whether the
    container's length follows from shapes alone.  `depends` says why the artifact has a range and no value.
    `inspection` accounts for the first seed's artifact (the upper end of a range).
    """

    request: EstimateRequest
    cap: int
    code_bytes: int | None
    spread: int
    artifact: Bytes
    payload_bytes: int | None
    container_bytes: int | None = None
    container_fixed: bool = True
    modelled: Bytes | None
    terms: Modelled | None
    samples: tuple[Sample, ...] = ()
    depends: tuple[str, ...]
    notes: tuple[str, ...]
    inspection: Inspection | None = None

    @property
    def expected(self) -> int:
        """The value, or the upper end of the range."""
        return self.artifact.high if self.artifact.value is None else self.artifact.value

    @property
    def headroom(self) -> int:
        """Bytes left under the cap by `expected`, code counted where it was given."""
        return self.cap - self.expected - (self.code_bytes or 0)

    @property
    def chance(self) -> float | None:
        """Probability that a trained artifact fits; None where its size depends on training, or is `rough`."""
        value = self.artifact.value
        return None if value is None or self.rough else chance_to_fit(self.headroom, value, self.spread)

    @property
    def rough(self) -> bool:
        """Whether nothing was written, and much of what the formula adds up is floats."""
        terms = self.terms
        return not self.samples and terms is not None and terms.kept > MOST_FLOATS * terms.value
