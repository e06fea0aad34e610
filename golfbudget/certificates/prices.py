"""Losses against bytes: conversions, and what saved bytes are worth.

A price is in micro bits per byte (µbpb) for each kilobyte of 1,000 bytes.  "Bits per byte" counts bytes of text,
"saved bytes" bytes of the artifact; the two never meet outside a price.
"""

from __future__ import annotations

import math

from golfbudget.errors import UsageError

#: The price at which hand tuning of public submissions near the cap has left head and trunk about equal.
DEFAULT_PRICE = 4.0
DEFAULT_PRICE_SOURCE = (
    "public Parameter Golf submissions near the cap: giving up bytes costs 1.8 to 6.5 µbpb per kilobyte in the trunk "
    "and 5.4 to 7.4 in the head; buying them gains 0.75 to 5.5 and 2.5 to 4"
)

_MICRO = 1e-6
_KILOBYTE = 1000


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
