"""A certificate as a value, and the one rule by which it may mark a loser."""

from __future__ import annotations

import math
from dataclasses import dataclass

from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence

#: The unit of every floor.
NATS_PER_TOKEN = "nats/token"  # noqa: S105  (a unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A statement that needs no training run, with its number.

    `source` says where the statement is proved or read; `evidence` whether it is proved for the real thing
    (`certified`) or for a model of it (`modelled`).
    """

    name: str
    statement: str
    value: float
    unit: str
    source: str
    evidence: Evidence


def marks_loser(floor: Certificate, loss_to_beat: float) -> bool:
    """Whether a floor proves that a candidate cannot beat `loss_to_beat`, in nats per token of the same text.

    The loss is the whole loss of the rival (with any allowance for bytes added), not a change.  Only a certified
    floor strictly above it marks a loser; a modelled figure never does.  `UsageError` for a certificate that is no
    floor, or a loss that is not finite.
    """
    if floor.unit != NATS_PER_TOKEN:
        raise UsageError(f"certificate {floor.name} is in {floor.unit}; only a floor in {NATS_PER_TOKEN} marks a loser")
    if not math.isfinite(loss_to_beat):
        raise UsageError(f"the loss to be beaten must be a finite number of {NATS_PER_TOKEN}, found {loss_to_beat}")
    return floor.evidence is Evidence.CERTIFIED and floor.value > loss_to_beat
