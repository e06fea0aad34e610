"""Frames and block headers of Zstandard, RFC 8878 section 3.1.  What a compressed block holds is read elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError
from golfbudget.ledger import Span

MAGIC = b"\x28\xb5\x2f\xfd"
#: The sixteen magic numbers of skippable frames differ in the low half of their first byte.
_SKIPPABLE_TAIL = b"\x2a\x4d\x18"
SKIPPABLE_HEADER = 8
#: Longest frame header: magic, descriptor, window, dictionary and content size.
LONGEST_HEADER = 18
BLOCK_HEADER = 3
CHECKSUM = 4
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_DICTIONARY_BYTES = (0, 1, 2, 4)


class BlockKind(StrEnum):
    """How a block is stored."""

    RAW = "raw"
    RLE = "rle"
    COMPRESSED = "compressed"


_KINDS = (BlockKind.RAW, BlockKind.RLE, BlockKind.COMPRESSED)


class FrameHeader(Struct, frozen=True, kw_only=True):
    """What a frame says of itself; `length` counts its bytes, magic included.  `dictionary` 0 means none."""

    length: int
    dictionary: int
    checksum: bool


class FrameBlock(Struct, frozen=True, kw_only=True):
    """One block: `offset` is its header's first byte, `size` the bytes after the header.

    `regenerated` is the decoded length that a raw or RLE header states; a compressed block does not say.
    """

    offset: int
    kind: BlockKind
    size: int
    regenerated: int | None

    @property
    def stored(self) -> Span:
        return Span(self.offset, self.offset + BLOCK_HEADER + self.size)


class Frame(Struct, frozen=True, kw_only=True):
    """A frame whose header, blocks and checksum tile `stored`."""

    stored: Span
    header: FrameHeader
    blocks: tuple[FrameBlock, ...]


def skippable(head: Buffer) -> bool:
    """Whether a skippable frame starts here (its first four bytes suffice)."""
    return len(head) >= 4 and head[0] >> 4 == 5 and bytes(head[1:4]) == _SKIPPABLE_TAIL


def skippable_length(head: Buffer) -> int:
    """Bytes of the skippable frame whose first eight bytes are given, these included."""
    return SKIPPABLE_HEADER + int.from_bytes(head[4:8], "little")


def header_length(descriptor: int) -> int:
    """Bytes of a frame header, magic included, by its descriptor byte."""
    single_segment = bool(descriptor & 0x20)
    content = _CONTENT_SIZE_BYTES[descriptor >> 6] or (1 if single_segment else 0)
    return 5 + (0 if single_segment else 1) + _DICTIONARY_BYTES[descriptor & 3] + content


def read_header(head: Buffer) -> FrameHeader | None:
    """The header that starts `head`, or None where more bytes (at most 18 in all) are needed to tell."""
    if len(head) < 5 or len(head) < header_length(head[4]):
        return None
    descriptor = head[4]
    at = 5 if descriptor & 0x20 else 6
    dictionary = int.from_bytes(head[at : at + _DICTIONARY_BYTES[descriptor & 3]], "little")
    return FrameHeader(length=header_length(descriptor), dictionary=dictionary, checksum=bool(descriptor & 4))


def read_frame(data: Buffer, stored: Span, *, where: str) -> Frame:
    """The frame at `stored`, which it must fill.

    Raises `CorruptError` where it is shorter or longer than that, or holds a block of the reserved kind.
    """
    header = read_header(data[stored.start : min(stored.stop, stored.start + LONGEST_HEADER)])
    if header is None or bytes(data[stored.start : stored.start + 4]) != MAGIC:
        raise CorruptError(f"{where}: no zstd frame header at byte {stored.start}")
    at, last, blocks = stored.start + header.length, False, list[FrameBlock]()
    while not last:
        if at + BLOCK_HEADER > stored.stop:
            raise CorruptError(f"{where}: the zstd block header at byte {at} is cut short: the frame ends")
        value = int.from_bytes(data[at : at + BLOCK_HEADER], "little")
        last, number, size = bool(value & 1), value >> 1 & 3, value >> 3
        if number == len(_KINDS):
            raise CorruptError(f"{where}: the zstd block at byte {at} is of the reserved kind")
        kind = _KINDS[number]
        length, regenerated = 1 if kind is BlockKind.RLE else size, None if kind is BlockKind.COMPRESSED else size
        block = FrameBlock(offset=at, kind=kind, size=length, regenerated=regenerated)
        blocks.append(block)
        at = block.stored.stop
    at += CHECKSUM if header.checksum else 0
    if at != stored.stop:
        raise CorruptError(
            f"{where}: the blocks of the zstd frame at byte {stored.start} end at byte {at}, not at {stored.stop}"
        )
    return Frame(stored=stored, header=header, blocks=tuple(blocks))


def decoded_lengths(data: Buffer, frame: Frame, window_limit: int, *, where: str) -> Sequence[int]:
    """Decoded bytes of every block, by feeding the library one block at a time and dropping what comes out.

    A compressed block's length stands in no header; this is faster than to parse its sequences.  `CorruptError` names
    the first block that cannot be decoded, or not to the length it states.
    """
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=window_limit).decompressobj()
    view = memoryview(data)
    lengths = []
    at = frame.stored.start
    try:
        decoder.decompress(view[at : at + frame.header.length])
        for block in frame.blocks:
            at = block.offset
            lengths.append(len(decoder.decompress(view[at : block.stored.stop])))
            if block.regenerated is not None and lengths[-1] != block.regenerated:
                raise CorruptError(
                    f"{where}: the zstd block at byte {at} decodes to {lengths[-1]} bytes, expected {block.regenerated}"
                )
    except zstandard.ZstdError as error:
        raise CorruptError(f"{where}: the zstd block at byte {at} cannot be decoded: {error}") from None
    return lengths
