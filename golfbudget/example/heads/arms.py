"""The arms of the study: which head, which input side, at which sizes; and the order in which they are run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Input sides: the head's own rows, or a dense table that the input has to itself.
SHARED, OWN = "shared", "own"


class Kind(StrEnum):
    """What an output head is made of."""

    DENSE = "dense"
    LOW_RANK = "low-rank"
    VQ = "vq"
    PRODUCT = "product"
    TWO_LEVEL = "two-level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to make a head; sizes are shares of the vocabulary or of the width, so that one arm fits any of them.

    `rows` are shared rows (or classes of a two-level head), `explicit` the tokens with rows of their own, both as
    shares of the vocabulary; `rank` is a share of the width; product codes have `groups` of columns of `codes` rows.
    """

    name: str
    kind: Kind
    input_side: str = SHARED
    rows: tuple[int, int] = (1, 1)
    explicit: tuple[int, int] = (0, 1)
    rank: tuple[int, int] = (1, 1)
    groups: int = 8
    codes: tuple[int, int] = (1, 16)
    #: Whether codes of a VQ head are chosen by what states say, or left as k-means of rows has them.
    informed: bool = True
    #: The trunk's width over the others'.
    width: tuple[int, int] = (1, 1)

    @property
    def is_vq(self) -> bool:
        """Whether tokens share rows, so that tie floors are about it."""
        return self.kind is Kind.VQ


def share(whole: int, part: tuple[int, int]) -> int:
    """A part of a whole, at least one where it is any.

    >>> share(1024, (3, 4)), share(96, (1, 3)), share(4, (1, 8)), share(8, (0, 1))
    (768, 32, 1, 0)
    """
    over, under = part
    return max(1, whole * over // under) if over else 0


def _vq(name: str, over: int, under: int, input_side: str = SHARED) -> Arm:
    return Arm(name=name, kind=Kind.VQ, rows=(over, under), input_side=input_side)


#: In the order of runs: what is there first is an answer already.
ARMS: tuple[Arm, ...] = (
    Arm(name="dense-tied", kind=Kind.DENSE),
    _vq("vq-4", 1, 4),
    _vq("vq-2", 1, 2),
    Arm(name="low-rank", kind=Kind.LOW_RANK, rank=(1, 3)),
    Arm(name="vq-explicit", kind=Kind.VQ, rows=(1, 8), explicit=(1, 8)),
    Arm(name="product", kind=Kind.PRODUCT),
    Arm(name="two-level", kind=Kind.TWO_LEVEL, rows=(1, 16)),
    _vq("vq-8", 1, 8),
    _vq("vq-34", 3, 4),
    Arm(name="dense-narrow", kind=Kind.DENSE, width=(2, 3)),
    Arm(name="dense-untied", kind=Kind.DENSE, input_side=OWN),
    _vq("vq-4-own", 1, 4, OWN),
    _vq("vq-2-own", 1, 2, OWN),
    Arm(name="low-rank-own", kind=Kind.LOW_RANK, rank=(1, 3), input_side=OWN),
    Arm(name="vq-explicit-own", kind=Kind.VQ, rows=(1, 8), explicit=(1, 8), input_side=OWN),
    Arm(name="product-own", kind=Kind.PRODUCT, input_side=OWN),
    Arm(name="two-level-own", kind=Kind.TWO_LEVEL, rows=(1, 16), input_side=OWN),
    _vq("vq-8-own", 1, 8, OWN),
    _vq("vq-34-own", 3, 4, OWN),
    # What the choice of codes is worth.
    Arm(name="vq-2-nearest", kind=Kind.VQ, rows=(1, 2), informed=False),
    Arm(name="vq-4-nearest", kind=Kind.VQ, rows=(1, 4), informed=False),
)
BY_NAME = {arm.name: arm for arm in ARMS}
