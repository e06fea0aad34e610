"""What a plan is made with besides its source: the user's choices, opened and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from golfbudget.certificates import DEFAULT_PRICE, DEFAULT_PRICE_SOURCE
from golfbudget.plan.building import Known
from golfbudget.plan.results import Inputs
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.recovery import Training
from golfbudget.roles import Roles

#: How names of built-in models begin.
BUILTIN = "builtin:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose; `jobs` None is one for each core where the work is worth it.

    The best candidates are tried again after `recover` steps of `training`, where that is not zero.
    `price` is in µbpb per kilobyte; `spread` the bytes that two seeds of one artifact differ by.
    """

    inputs: Inputs
    cap: int
    code_bytes: int | None
    roles: Roles
    counts: Tensor | None = None
    evaluator: Evaluator | None = None
    model: str | None = None
    price: float = DEFAULT_PRICE
    price_source: str = DEFAULT_PRICE_SOURCE
    spread: int = 0
    recover: int = 0
    training: Training | None = None
    schemes: tuple[str, ...] | None = None
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    jobs: int | None = 1
    cache: Path | None = None

    @property
    def known(self) -> Known:
        """What encoders may use."""
        return Known(seed=self.inputs.seed, counts=self.counts, moments=self.moments, training=self.training)
