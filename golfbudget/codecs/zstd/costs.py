"""One Zstandard frame's stored bits, attributed exactly: blocks whole where one range holds them, opened otherwise."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.zstd.blocks import own_bits
from golfbudget.codecs.zstd.frames import BlockKind, Frame, FrameBlock, decoded_lengths, read_frame, skippable
from golfbudget.codecs.zstd.sections import Reader
from golfbudget.errors import CorruptError
from golfbudget.ledger import Span, apportion


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStatistics:
    """One block as its headers describe it; `stored` and `decoded` are bytes, the block's header included."""

    offset: int
    kind: BlockKind
    stored: int
    decoded: int
    literals: int
    sequences: int


def block_statistics(data: Buffer, stored: Span, window_limit: int, *, where: str) -> tuple[BlockStatistics, ...]:
    """What the blocks of the frame at `stored` hold, from their headers alone; nothing for a skippable frame.

    A raw block's bytes and an RLE block's one byte count as literals.  Costs one decode, for the lengths.
    """
    if skippable(data[stored.start : stored.stop]):
        return ()
    frame = read_frame(data, stored, where=where)
    reader = Reader(data, frame.blocks)
    found = []
    for number, (block, decoded) in enumerate(
        zip(frame.blocks, decoded_lengths(data, frame, window_limit, where=where), strict=True)
    ):
        try:
            sections = reader.sections(number)
        except CorruptError as error:
            raise _located(error, block, where) from None
        found.append(
            BlockStatistics(
                offset=block.offset,
                kind=block.kind,
                stored=len(block.stored),
                decoded=decoded,
                literals=block.size if sections is None else sections.regenerated,
                sequences=0 if sections is None else sections.sequences,
            )
        )
    return tuple(found)


def frame_costs(
    data: Buffer,
    stored: Span,
    decoded: Buffer,
    offsets: Sequence[int],
    window_limit: int,
    *,
    where: str,
    open_all: bool = False,
) -> list[int]:
    """Stored bits of each range between consecutive `offsets` of what the frame at `stored` decodes to.

    `decoded` is the frame's output; `offsets` rise strictly from 0 to its length.  What no range is given (frame
    header, checksum, empty blocks, all of a skippable frame) is framing.  `open_all` checks every block, not only
    those that a boundary cuts.  Raises `CorruptError` naming the block at fault.
    """
    if skippable(data[stored.start : stored.stop]):
        return [0] * (len(offsets) - 1)
    frame = read_frame(data, stored, where=where)
    starts = _block_starts(data, frame, len(decoded), window_limit, where=where)
    reader = Reader(data, frame.blocks)
    view = memoryview(decoded)
    costs = [0] * (len(offsets) - 1)
    for number, (block, (start, stop)) in enumerate(zip(frame.blocks, pairwise(starts), strict=True)):
        if start == stop and not open_all:
            continue
        first, last = bisect_right(offsets, start) - 1, bisect_left(offsets, stop)
        cuts = [0, *(offset - start for offset in offsets[first + 1 : last]), stop - start]
        own = [0] * (len(cuts) - 1)
        if block.kind is BlockKind.RAW:
            own = [8 * (b - a) for a, b in pairwise(cuts)]
        elif block.kind is BlockKind.COMPRESSED and (len(own) > 1 or open_all):
            try:
                before = own_bits(reader, number, bytes(view[start:stop]), cuts)
            except CorruptError as error:
                raise _located(error, block, where) from None
            own = [b - a for a, b in pairwise(before)]
        if start < stop:
            weights = own if any(own) else [b - a for a, b in pairwise(cuts)]
            shared = apportion(8 * len(block.stored) - sum(own), weights)
            for i, bits in enumerate(map(add, own, shared)):
                costs[first + i] += bits
    return costs


def _block_starts(data: Buffer, frame: Frame, length: int, window_limit: int, *, where: str) -> list[int]:
    """Decoded offsets at which the frame's blocks start, and its length."""
    starts = list(accumulate(decoded_lengths(data, frame, window_limit, where=where), initial=0))
    if starts[-1] != length:
        raise CorruptError(
            f"{where}: the blocks of the zstd frame at byte {frame.stored.start} decode to {starts[-1]} bytes one by "
            f"one, expected {length}"
        )
    return starts


def _located(error: CorruptError, block: FrameBlock, where: str) -> CorruptError:
    return CorruptError(f"{where}: the zstd block at byte {block.offset} {error}")
