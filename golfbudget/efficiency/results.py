"""What is left in each tensor, as values: plain numbers, no numpy."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from golfbudget.evidence import Evidence
from golfbudget.ledger import Role


class LeftIn(StrEnum):
    """Where most is left; `none` where nothing is, as far as it is known."""

    CODER = "coder"
    QUANTISER = "quantiser"
    CONTAINER = "container"
    NONE = "none"


class CoderSlack(Struct, frozen=True, kw_only=True):
    """All tensors that one codec is innermost around (`raw`: none is): stored bytes, their order-0 floor, the rest."""

    codec: str
    tensors: int
    stored_bytes: int
    floor_bytes: int
    slack_bytes: int


class TensorEfficiency(Struct, frozen=True, kw_only=True):
    """What one tensor of the model has left.  Amounts are stored bytes; scales stand apart and are in no other amount.

    `floor_bytes` is the order-0 entropy of its stored values; `state_floor_bytes` that of a trellis's integers given
    the parity of the state, which its decoder knows.  `coder_bytes` are what is stored over the lower of them, exact
    against that floor; `quantiser_bytes` are that floor over the Gaussian rate-distortion limit at the tensor's error,
    `limit_bits` a weight (`modelled`).  Both may be negative: repeated rows are under any order-0 floor.

    `coder_sure` is False where a tensor has too few numbers for how many differ: its floor is then under any code's,
    and `coder_bytes` are more than a coder could save.  `weights` are the numbers that bits are per.  `reason` says why
    the quantiser's share is not known.
    """

    owner: str
    role: Role
    weights: int
    stored_bytes: int
    floor_bytes: int
    state_floor_bytes: int | None = None
    coder_bytes: int
    coder_sure: bool = True
    scales_bytes: int
    container_bytes: int
    relative_error: float | None = None
    limit_bits: float | None = None
    quantiser_bytes: int | None = None
    evidence: Evidence = Evidence.UNKNOWN
    reason: str | None = None
    most_in: LeftIn

    @property
    def left_bytes(self) -> int:
        """The largest of its levers, which is what `most_in` names; 0 for none."""
        return max(0, self.container_bytes, self.quantiser_bytes or 0, self.coder_bytes if self.coder_sure else 0)


class Left(Struct, frozen=True, kw_only=True):
    """Sums over the file.

    `quantiser_bytes` are those of the `known` tensors, `coder_bytes` those of tensors whose floor is sure; None where
    there are none.  `container_bytes` are the ledger's: what serves single tensors, and what serves the file.
    """

    coder_bytes: int | None
    quantiser_bytes: int | None
    container_bytes: int
    known: int
    most_in: LeftIn


class Efficiency(Struct, frozen=True, kw_only=True):
    """Tensors in file order, their sums, and slack by codec.  `original` names the checkpoint errors are against."""

    tensors: tuple[TensorEfficiency, ...]
    left: Left
    coders: tuple[CoderSlack, ...]
    original: str | None = None


def left_in(*, coder: int | None, quantiser: int | None, container: int) -> LeftIn:
    """The largest of the three; at one amount the first of them.

    >>> str(left_in(coder=3, quantiser=None, container=5)), str(left_in(coder=-3, quantiser=-1, container=0))
    ('container', 'none')
    """
    amounts = {LeftIn.CODER: coder or 0, LeftIn.QUANTISER: quantiser or 0, LeftIn.CONTAINER: container}
    best = max(amounts, key=lambda one: amounts[one])
    return best if amounts[best] > 0 else LeftIn.NONE
