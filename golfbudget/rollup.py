"""Sum a ledger by any key.  Pure data: sorting, folding and percentages happen in the reports."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from msgspec import Struct

from golfbudget.ledger import Account, Entry, Ledger

K = TypeVar("K", bound=Hashable)


class Totals(Struct, frozen=True, kw_only=True):
    """Amounts of some set of entries.  `complete` says that every weight byte has its parameters counted."""

    parameters: int = 0
    decoded_bytes: int = 0
    stored_bits: int = 0
    stored_bytes: int = 0
    complete: bool = True

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            parameters=self.parameters + other.parameters,
            decoded_bytes=self.decoded_bytes + other.decoded_bytes,
            stored_bits=self.stored_bits + other.stored_bits,
            stored_bytes=self.stored_bytes + other.stored_bytes,
            complete=self.complete and other.complete,
        )

    @property
    def bits_per_parameter(self) -> float | None:
        """Stored bits, overhead included, per parameter; None where parameters are absent or not all counted."""
        return self.stored_bits / self.parameters if self.parameters and self.complete else None


def roll_up(ledger: Ledger, key: Callable[[Entry], K]) -> dict[K, Totals]:
    """Totals by key, in order of first appearance; they always sum to the ledger's."""
    # Plain sums: a checkpoint of experts has hundreds of thousands of entries.
    sums: dict[K, list[int]] = {}
    for entry, stored in zip(ledger.entries, ledger.stored_bytes(), strict=True):
        own = sums.setdefault(key(entry), [0, 0, 0, 0, 0])
        own[0] += entry.parameters
        own[1] += entry.decoded_bytes
        own[2] += entry.stored_bits
        own[3] += stored
        own[4] += not _complete(entry)
    return {
        at: Totals(
            parameters=own[0], decoded_bytes=own[1], stored_bits=own[2], stored_bytes=own[3], complete=not own[4]
        )
        for at, own in sums.items()
    }


def _complete(entry: Entry) -> bool:
    """Whether its parameters, if it has any, are counted."""
    return entry.account is not Account.UNMAPPED and (entry.dtype != "bytes" or entry.parameters > 0)


def total(parts: Iterable[Totals]) -> Totals:
    """The sum of any totals."""
    return sum(parts, start=Totals())
