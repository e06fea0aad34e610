"""How far stored tensors are from their order-0 entropy, and what each would cost compressed by itself.

Estimates beside the ledger, never in it: the floor ignores all context, so that a codec may well go below it, and a
coder's tables, so that small tensors of many symbols look cheaper than any code could make them.  numpy is imported
when tensors are counted, because no other report needs it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

from msgspec import Struct, field

from golfbudget.artifact import Artifact
from golfbudget.codecs import Buffer, Codec, Stream
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.ledger import Entry, Ledger, apportion
from golfbudget.progress import Progress, unwatched

K = TypeVar("K", bound=Hashable)

#: Symbols counted at once: numpy widens them to 8 bytes each.
_PIECE = 1 << 20
#: Symbols for each one that differs from which on a histogram says what a code would take: its table costs about
#: half a logarithm of the symbols for each (Rissanen 1984), a fifth of a bit a symbol here.
_ENOUGH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Bytes of tensors' own data: the order-0 floor, stored bytes minus the floor, and each compressed by itself.

    `slack` is negative where the codec found more than order 0; `alone` is None where some bytes have no codec.
    `sure` is False where a tensor has too few symbols for how many differ, so that its floor is under any code's.
    """

    floor: int
    slack: int
    alone: int | None
    sure: bool = True

    def __add__(self, other: Measure) -> Measure:
        alone = None if self.alone is None or other.alone is None else self.alone + other.alone
        sure = self.sure and other.sure
        return Measure(floor=self.floor + other.floor, slack=self.slack + other.slack, alone=alone, sure=sure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """The codec that `alone` was measured with, at its default level."""

    codec: str
    level: int


class ZstdBlock(Struct, frozen=True, kw_only=True):
    """One block of a zstd stream: `offset` counts in the stream of `member` (None is the file), `kind` is its header's.

    `stored` (header included) and `decoded` are bytes.
    """

    member: str | None
    offset: int
    stored: int = field(name="stored_bytes")
    decoded: int = field(name="decoded_bytes")
    kind: str
    literals: int
    sequences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entropy:
    """One measure per ledger entry, None for what is no tensor's own data, and what else was asked of the codecs."""

    entries: tuple[Measure | None, ...]
    coders: tuple[Coder, ...]
    zstd_blocks: tuple[ZstdBlock, ...]


def measure(artifact: Artifact, ledger: Ledger, progress: Progress = unwatched, *, alone: bool = True) -> Entropy:
    """Count symbols and, if `alone`, compress every tensor by itself; brotli at level 11 takes seconds a megabyte."""
    stored = ledger.stored_bytes()
    tensors: dict[tuple[int, str], list[int]] = {}
    for number, entry in enumerate(ledger.entries):
        if entry.leaf is not None and entry.tensor is not None:
            tensors.setdefault((entry.leaf, entry.tensor), []).append(number)
    measures: list[Measure | None] = [None] * len(ledger.entries)
    coders: dict[Codec, None] = {}
    for (leaf, name), numbers in tensors.items():
        progress(name, len(tensors))
        streams = artifact.leaves[leaf].streams
        codec = streams[-1].codec if streams and alone else None
        if codec is not None:
            coders[codec] = None
        pieces = [_data(artifact, ledger.entries[number]) for number in numbers]
        counts = symbol_counts(pieces, symbol_bytes(ledger.entries[numbers[0]].dtype))
        floor, sure = entropy_bytes(counts), sum(counts) >= _ENOUGH * len(counts)
        floors = apportion(floor, [len(piece) for piece in pieces])
        for number, piece, part in zip(numbers, pieces, floors, strict=True):
            length = None if codec is None else len(codec.encode(piece, codec.default_level))
            measures[number] = Measure(floor=part, slack=stored[number] - part, alone=length, sure=sure)
    return Entropy(
        entries=tuple(measures),
        coders=tuple(Coder(codec=codec.name, level=codec.default_level) for codec in coders),
        zstd_blocks=zstd_blocks(artifact),
    )


def roll_up(ledger: Ledger, entropy: Entropy, key: Callable[[Entry], K]) -> dict[K, Measure]:
    """Measures by key; a key without any tensor's data has none."""
    grouped: dict[K, list[Measure]] = {}
    for entry, found in zip(ledger.entries, entropy.entries, strict=True):
        if found is not None:
            grouped.setdefault(key(entry), []).append(found)
    return {at: total(found) for at, found in grouped.items()}


def total(measures: Sequence[Measure]) -> Measure:
    """The sum of any measures."""
    return reduce(add, measures, Measure(floor=0, slack=0, alone=0))


def symbol_bytes(dtype: str | None) -> int:
    """Bytes per counted symbol: elements of one or two bytes count whole, all others as their bytes."""
    return 2 if DTYPE_BITS.get(dtype or "") == 16 else 1


def floor_bytes(pieces: Sequence[Buffer], width: int) -> int:
    """Order-0 entropy of symbols of `width` bytes (1 or 2), pooled over the pieces, in whole bytes.

    >>> floor_bytes([bytes(range(256))], 1), floor_bytes([bytes(1000)], 1), floor_bytes([b"abab"], 1)
    (256, 0, 0)
    """
    return entropy_bytes(symbol_counts(pieces, width))


def symbol_counts(pieces: Sequence[Buffer], width: int) -> list[int]:
    """How often each symbol of `width` bytes (1 or 2) stands in the pieces, those that do not left out."""
    import numpy as np

    if any(len(piece) % width for piece in pieces):
        width = 1
    counts = np.zeros(256**width, dtype=np.int64)
    for piece in pieces:
        symbols = np.frombuffer(piece, dtype=np.uint8 if width == 1 else np.dtype("<u2"))
        for start in range(0, len(symbols), _PIECE):
            counts += np.bincount(symbols[start : start + _PIECE], minlength=len(counts))
    found: list[int] = counts[counts > 0].tolist()
    return found


def entropy_bytes(counts: Sequence[int]) -> int:
    """The entropy of symbols that stand so often, in whole bytes."""
    symbols_in_all = sum(counts)
    # Exactly rounded, and each logarithm of a ratio, so that order does not matter and uniform symbols cost all.
    times = Counter(counts)
    bits = math.fsum(n * count * math.log2(symbols_in_all / count) for count, n in times.items())
    return round(bits / 8)


def zstd_blocks(artifact: Artifact) -> tuple[ZstdBlock, ...]:
    """The blocks of every zstd stream around a leaf, as their headers describe them.  Costs one decode of each."""
    from golfbudget.codecs.zstd.codec import WINDOW_LIMIT
    from golfbudget.codecs.zstd.costs import block_statistics

    # A stream around a bundle is around all of its leaves, and listed once, for none of them.
    around: dict[int, tuple[str, Stream]] = {}
    for leaf in artifact.leaves:
        for stream in leaf.streams:
            if stream.codec.name == "zstd":
                around[id(stream)] = ("" if id(stream) in around else leaf.name, stream)
    return tuple(
        ZstdBlock(
            member=member or None,
            offset=block.offset,
            stored=block.stored,
            decoded=block.decoded,
            kind=str(block.kind),
            literals=block.literals,
            sequences=block.sequences,
        )
        for member, stream in around.values()
        for frame in stream.members
        for block in block_statistics(stream.data, frame.stored, WINDOW_LIMIT, where=artifact.path)
    )


def _data(artifact: Artifact, entry: Entry) -> Buffer:
    if entry.leaf is None or entry.span is None:
        return b""
    return memoryview(artifact.leaves[entry.leaf].data)[entry.span.start : entry.span.stop]
