"""The chance that a trained artifact fits, given how artifacts of one recipe differ from seed to seed."""

from __future__ import annotations

import math
from statistics import NormalDist

#: Standard error of an estimate, as a share of the artifact: the published records of one family whose scales follow
#: the deviation lie within 0.1 % of what Gaussian weights give.
MODEL_ERROR = 0.001


def chance_to_fit(headroom: int, artifact: int, spread: int) -> float:
    """Probability from 0 to 1 that the artifact is no larger than `artifact + headroom` bytes (all in stored bytes).

    Normal around the estimate; `spread` is one standard deviation from seed to seed.
    """
    deviation = math.hypot(spread, MODEL_ERROR * artifact)
    if deviation == 0:
        return 1.0 if headroom >= 0 else 0.0
    return NormalDist().cdf(headroom / deviation)
