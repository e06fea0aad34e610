"""The law: a file's bytes, each owned exactly once.

Nothing here reads files or knows formats; a `Ledger` is made from finished entries and refuses to exist
unless they account for everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from golfbudget.errors import LedgerError


class Role(StrEnum):
    """What bytes are for."""

    HEAD = "head"
    EMBEDDING = "embedding"
    TRUNK = "trunk"
    CODE = "code"
    TOKENIZER = "tokenizer"
    TRAINING = "training"
    SHARED = "shared"
    UNASSIGNED = "unassigned"


class Account(StrEnum):
    """What bytes are."""

    WEIGHTS = "weights"
    SCALES = "scales"
    CODEBOOK = "codebook"
    MAPPING = "mapping"
    BIAS = "bias"
    CONTAINER = "container"
    CODEC = "codec"
    SOURCE = "source"
    UNMAPPED = "unmapped"


class Span(Struct, frozen=True, order=True):
    """A half-open range `[start, stop)` of bytes, with `0 <= start <= stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise LedgerError(f"a span must have 0 <= start <= stop, found [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start


class Entry(Struct, frozen=True, kw_only=True):
    """One line of a ledger: the bytes of `span` in decoded leaf number `leaf`, and the bits they cost on disk.

    Codec framing has no decoded bytes: its `leaf` and `span` are None.  `owner` is the model's name for the
    tensor served, or a bracketed label; `tensor` is the stored name when the bytes are a tensor's own.
    """

    owner: str
    role: Role
    account: Account
    stored_bits: int
    leaf: int | None = None
    span: Span | None = None
    tensor: str | None = None
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    parameters: int = 0

    @property
    def decoded_bytes(self) -> int:
        return 0 if self.span is None else len(self.span)


class Ledger(Struct, frozen=True, kw_only=True):
    """The account of one file of `size` stored bytes whose innermost decoded streams have the lengths `leaves`.

    Invariant, checked whenever a ledger is made: within each leaf the entries' spans tile `[0, length)` with
    no gap and no overlap, and the entries' stored bits sum to 8 x `size`.  `LedgerError` otherwise.
    """

    size: int
    leaves: tuple[int, ...]
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        by_leaf: dict[int, list[Entry]] = {number: [] for number in range(len(self.leaves))}
        for entry in self.entries:
            if (entry.leaf is None) != (entry.span is None):
                raise LedgerError(f"entry of {entry.owner} names a leaf without a span, or a span without a leaf")
            if entry.stored_bits < 0 or entry.parameters < 0:
                raise LedgerError(f"entry of {entry.owner} has a negative amount")
            if entry.leaf is not None:
                if entry.leaf not in by_leaf:
                    raise LedgerError(f"entry of {entry.owner} names leaf {entry.leaf} of {len(self.leaves)}")
                by_leaf[entry.leaf].append(entry)
        for number, length in enumerate(self.leaves):
            check_tiling(length, [e.span for e in by_leaf[number] if e.span is not None], f"leaf {number}")
        stored = sum(entry.stored_bits for entry in self.entries)
        if stored != 8 * self.size:
            raise LedgerError(f"stored bits sum to {stored}, the file has {8 * self.size}")

    def __repr__(self) -> str:
        return f"<Ledger of {self.size:,} bytes in {len(self.entries):,} entries>"

    def stored_bytes(self) -> tuple[int, ...]:
        """Whole stored bytes per entry, in entry order, summing to the file exactly."""
        return apportion(self.size, [entry.stored_bits for entry in self.entries])


def check_tiling(length: int, spans: Iterable[Span], where: str) -> None:
    """Raise `LedgerError` unless the spans, in any order, cover `[0, length)` exactly once."""
    cursor = 0
    for span in sorted(spans):
        if span.start > cursor:
            raise LedgerError(f"{where}: bytes [{cursor}, {span.start}) are owned by nobody")
        if span.start < cursor:
            raise LedgerError(f"{where}: bytes [{span.start}, {min(cursor, span.stop)}) are owned twice")
        cursor = span.stop
    if cursor != length:
        raise LedgerError(f"{where}: entries end at byte {cursor}, the stream at {length}")


def apportion(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `total` into whole parts proportional to `weights`, by largest remainder; ties go to the first.

    The parts always sum to `total`.  With no positive weight the whole total goes to the first part.  `LedgerError` for
    amounts below zero, and for a total without weights.

    >>> apportion(10, [1, 1, 1])
    (4, 3, 3)
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise LedgerError("only amounts of zero or more can be apportioned")
    if not weights:
        if total:
            raise LedgerError(f"{total} cannot be apportioned to nobody")
        return ()
    whole = sum(weights)
    if whole == 0:
        return (total, *([0] * (len(weights) - 1)))
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)
