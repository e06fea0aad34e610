"""xz (the .xz format 1.2.1), lzma (the older .lzma, "alone"), LZMA2 without any container, and bzip2.

All are decoded by the standard library, whose decompressors have one shape.
"""

from __future__ import annotations

import bz2
import lzma

from golfbudget.codecs.base import PIECE, Buffer, Decoder, Method, Sniff, register

#: Largest dictionary memory a stream may ask for; preset 9 needs 65 MiB.
MEMORY_LIMIT = 1 << 30
#: The dictionary that the decoder of raw LZMA2 keeps: preset 9's.  Streams made with a smaller one decode alike.
DICTIONARY = 1 << 26
_STREAM_HEADER = 12


class StandardDecoder:
    """One member, decoded in pieces of bounded length."""

    def __init__(self, decompressor: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._inner = decompressor
        self.finished = False
        self.drained = True

    def feed(self, data: bytes) -> bytes:
        inner = self._inner
        out = inner.decompress(data, PIECE)
        self.finished = inner.eof
        self.drained = self.finished or (inner.needs_input and len(out) < PIECE)
        return out

    @property
    def unused(self) -> int:
        return len(self._inner.unused_data)


class _XzFamily:
    """What the three containers of LZMA have in common."""

    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (lzma.LZMAError,)


@register
class Xz(_XzFamily):
    """Stream header, blocks, index, footer; streams may follow one another."""

    name = "xz"
    many_members = True

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.SURE if head[:6] == b"\xfd7zXZ\x00" else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        # The first block's header states its own length in units of four bytes; a zero means the index: no block.
        size = data[start + _STREAM_HEADER]
        return _STREAM_HEADER + (4 * (size + 1) if size else 0)

    def decoder(self) -> Decoder:
        return StandardDecoder(lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY_LIMIT))

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, preset=level)


@register
class Lzma(_XzFamily):
    """A 13-byte header (properties, dictionary size, decoded length) and one range-coded stream."""

    name = "lzma"

    def sniff(self, head: bytes) -> Sniff:
        if len(head) < 13 or head[0] >= 225:
            return Sniff.NO
        dictionary = int.from_bytes(head[1:5], "little")
        length = int.from_bytes(head[5:13], "little")
        usual = dictionary.bit_count() <= 2 and 1 << 12 <= dictionary <= 1 << 30
        if not usual or not (length == 2**64 - 1 or length < 1 << 40):
            return Sniff.NO
        return Sniff.SURE if head[0] == 0x5D else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 13

    def decoder(self) -> Decoder:
        return StandardDecoder(lzma.LZMADecompressor(lzma.FORMAT_ALONE, MEMORY_LIMIT))

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, format=lzma.FORMAT_ALONE, preset=level)


@register
class Lzma2Raw(_XzFamily):
    """One LZMA2 stream, ended by its zero byte.  Each chunk states its own lengths and properties.

    Programs that unpack themselves carry it.  Nothing in the bytes says what they are, so content never claims this
    codec: only a container that names it does.
    """

    name = "lzma2-raw"

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        return 0

    def decoder(self) -> Decoder:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": DICTIONARY}]
        return StandardDecoder(lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=filters))

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": level}])


@register
class Bz2:
    """`BZh` and a digit, then blocks of 900 kB that each start with the digits of pi.

    Bits inside a block cannot be told apart: an estimate.
    """

    name = "bz2"
    many_members = True
    method = Method.ESTIMATE
    default_level = 9
    levels = range(1, 10)
    failures = (OSError,)

    def sniff(self, head: bytes) -> Sniff:
        starts = head[:3] == b"BZh" and head[3:4] in b"123456789" and len(head) > 3
        if not starts:
            return Sniff.NO
        block, empty = b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"
        return Sniff.SURE if head[4:10] in (block, empty) else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 4

    def decoder(self) -> Decoder:
        return StandardDecoder(bz2.BZ2Decompressor())

    def encode(self, data: Buffer, level: int) -> bytes:
        return bz2.compress(data, level)
