"""A certificate as a value, the rule by which it may mark a loser, checked counts and maps, and losses against bytes.

A price is in micro bits per byte (µbpb) for each kilobyte of 1,000 bytes.  "Bits per byte" counts bytes of text,
"saved bytes" bytes of the artifact; the two never meet outside a price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence

Counts = NDArray[np.float64]
Codes = NDArray[np.int64]
#: The price at which hand tuning of public submissions near the cap has left head and trunk about equal.
DEFAULT_PRICE = 4.0
DEFAULT_PRICE_SOURCE = (
    "public Parameter Golf submissions near the cap: giving up bytes costs 1.8 to 6.5 µbpb per kilobyte in the trunk "
    "and 5.4 to 7.4 in the head; buying them gains 0.75 to 5.5 and 2.5 to 4"
)

_MICRO = 1e-6
_KILOBYTE = 1000
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
    value: int | float
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


def token_counts(counts: ArrayLike) -> Counts:
    """Counts as float64 [vocabulary]; weights that are no whole numbers are allowed.

    `UsageError` unless there is one number per token, none negative, all finite and their sum positive.
    """
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise UsageError(f"token counts must be numbers [vocabulary], found {array.dtype} {list(array.shape)}")
    numbers: Counts = array.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers < 0).any() or numbers.sum() <= 0:
        raise UsageError("token counts must be finite, none negative, and not all zero")
    return numbers


def code_ids(codes: ArrayLike, vocabulary: int) -> Codes:
    """A token-to-code map as int64 [vocabulary]; any whole numbers may serve as ids.

    `UsageError` when it is not one id for each token.
    """
    array = np.asarray(codes)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) != vocabulary:
        raise UsageError(
            f"a token-to-code map must be integers [{vocabulary}], one for each counted token, "
            f"found {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.int64)


def tied_rows(matrix: ArrayLike) -> Codes:
    """The token-to-code map of an output matrix [vocabulary, width] as it is decoded: equal rows are one code.

    What ties is what is written, not what was meant: two codes with equal rows tie, rows kept explicit do not.
    `UsageError` unless it is a matrix of numbers.
    """
    array = np.asarray(matrix)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise UsageError(f"expected a matrix [vocabulary, width], found {array.dtype} {list(array.shape)}")
    # Zero has two signs; adding zero leaves one.
    rows = np.ascontiguousarray(array + array.dtype.type(0))
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, codes = np.unique(keys, return_inverse=True)
    return codes.astype(np.int64)


def _positive(value: float, what: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{what} must be a positive number, found {value}")
    return value


def _price(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"a price is a number of µbpb per kilobyte, zero or more, found {value}")
    return value


def bits_per_byte(nats: float, bytes_per_token: float) -> float:
    """Nats per token as bits per byte of text.

    >>> round(bits_per_byte(0.005, 3.72), 5)  # the contest's bar for a record
    0.00194
    """
    return nats / math.log(2) / _positive(bytes_per_token, "bytes per token")


def nats_per_token(bits: float, bytes_per_token: float) -> float:
    """Bits per byte of text as nats per token."""
    return bits * math.log(2) * _positive(bytes_per_token, "bytes per token")


def allowance(saved_bytes: int, price: float) -> float:
    """The bits per byte that saved bytes are worth at a price; negative where bytes are added.

    >>> f"{allowance(250_000, 4.0):.6f}"
    '0.001000'
    """
    return saved_bytes / _KILOBYTE * _price(price) * _MICRO


def price_of(loss: float, saved_bytes: int) -> float | None:
    """What a candidate asks, in µbpb per kilobyte saved; None where it saves nothing.

    >>> price_of(0.002, 500_000)
    4.0
    """
    return None if saved_bytes <= 0 else loss * 1e6 / (saved_bytes / _KILOBYTE)
