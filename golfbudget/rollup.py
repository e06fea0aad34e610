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


def of_entry(entry: Entry, stored_bytes: int) -> Totals:
    """One entry's amounts."""
    uncounted = entry.dtype == "bytes" and not entry.parameters
    return Totals(
        parameters=entry.parameters,
        decoded_bytes=entry.decoded_bytes,
        stored_bits=entry.stored_bits,
        stored_bytes=stored_bytes,
        complete=not uncounted and entry.account is not Account.UNMAPPED,
    )


def roll_up(ledger: Ledger, key: Callable[[Entry], K]) -> dict[K, Totals]:
    """Totals by key, in order of first appearance; they always sum to the ledger's."""
    totals: dict[K, Totals] = {}
    for entry, stored in zip(ledger.entries, ledger.stored_bytes(), strict=True):
        at = key(entry)
        totals[at] = totals.get(at, Totals()) + of_entry(entry, stored)
    return totals


def total(parts: Iterable[Totals]) -> Totals:
    """The sum of any totals."""
    return sum(parts, start=Totals())
