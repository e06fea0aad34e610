"""Codecs of the standard library: deflate (RFC 1951) and its framings, the streams of LZMA, and bzip2.

deflate has two framings, zlib (RFC 1950) and gzip (RFC 1952).  LZMA comes as xz (the .xz format 1.2.1), lzma (the older
.lzma, "alone") and LZMA2 without any container.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import ClassVar

from golfbudget.codecs.base import PIECE, Buffer, Codec, Decoder, Method, Sniff, register

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


class _InflateDecoder:
    """Its state is plain attributes, kept by `feed`: feeds are many and of single bytes."""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)
        self.finished, self.drained = False, True

    def feed(self, data: bytes) -> bytes:
        inflate = self._inflate
        tail = inflate.unconsumed_tail
        out = inflate.decompress(tail + data if tail else data, PIECE)
        self.finished = inflate.eof
        self.drained = self.finished or not (len(out) == PIECE or inflate.unconsumed_tail)
        return out

    @property
    def unused(self) -> int:
        return len(self._inflate.unused_data)


class _DeflateFamily(Codec):
    """What the framings of deflate have in common; `wbits` is zlib's number for the window and the framing."""

    wbits: ClassVar[int]
    failures = (zlib.error,)

    def decoder(self) -> Decoder:
        return _InflateDecoder(self.wbits)

    def encode(self, data: Buffer, level: int) -> bytes:
        return zlib.compress(data, level, self.wbits)


@register
class Zlib(_DeflateFamily):
    """A two-byte header, deflate, and a four-byte Adler checksum."""

    name = "zlib"
    wbits = zlib.MAX_WBITS

    def sniff(self, head: bytes) -> Sniff:
        if len(head) < 2 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or head[1] & 0x20:
            return Sniff.NO
        if (head[0] * 256 + head[1]) % 31:
            return Sniff.NO
        # 0x785E is also how text starting with "x^" begins; the other levels of the usual window are not text.
        return Sniff.SURE if head[0] == 0x78 and head[1] != 0x5E else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 2


@register
class Gzip(_DeflateFamily):
    """A header with optional name, deflate, and an eight-byte trailer; members may follow one another."""

    name = "gzip"
    wbits = zlib.MAX_WBITS + 16
    many_members = True

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.SURE if head[:3] == b"\x1f\x8b\x08" else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        flags, at = data[start + 3], start + 10
        if flags & _FEXTRA:
            at += 2 + int.from_bytes(data[at : at + 2], "little")
        for flag in (_FNAME, _FCOMMENT):
            if flags & flag:
                while data[at]:
                    at += 1
                at += 1
        return at + (2 if flags & _FHCRC else 0) - start


@register
class Deflate(_DeflateFamily):
    """Blocks of bits without header or checksum, as zip members hold them.  A file of it is known by its content."""

    name = "deflate"
    wbits = -zlib.MAX_WBITS

    def sniff(self, head: bytes) -> Sniff:
        kind = head[0] >> 1 & 3 if head else 3
        # Of the four kinds of block one is not defined, and one, stored, gives its length twice.
        if kind == 3 or (kind == 0 and any(a ^ b != 0xFF for a, b in zip(head[1:3], head[3:5], strict=False))):
            return Sniff.NO
        return Sniff.UNSIGNED


#: Largest dictionary memory a stream may ask for; preset 9 needs 65 MiB.
MEMORY_LIMIT = 1 << 30
#: The dictionary that the decoder of raw LZMA2 keeps: preset 9's.  Streams made with a smaller one decode alike.
DICTIONARY = 1 << 26
_STREAM_HEADER = 12


class StandardDecoder:
    """One member, decoded in pieces of bounded length."""

    def __init__(self, decompressor: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._inner = decompressor
        self.finished, self.drained = False, True

    def feed(self, data: bytes) -> bytes:
        inner = self._inner
        out = inner.decompress(data, PIECE)
        self.finished = inner.eof
        self.drained = self.finished or (inner.needs_input and len(out) < PIECE)
        return out

    @property
    def unused(self) -> int:
        return len(self._inner.unused_data)


@register
class Xz(Codec):
    """Stream header, blocks, index, footer; streams may follow one another."""

    name = "xz"
    many_members = True
    failures = (lzma.LZMAError,)

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
class Lzma(Codec):
    """A 13-byte header (properties, dictionary size, decoded length) and one range-coded stream."""

    name = "lzma"
    failures = (lzma.LZMAError,)

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
class Lzma2Raw(Codec):
    """One LZMA2 stream, ended by its zero byte.  Each chunk states its own lengths and properties.

    Programs that unpack themselves carry it.  Nothing in the bytes says what they are, so content never claims this
    codec: only a container that names it does.
    """

    name = "lzma2-raw"
    failures = (lzma.LZMAError,)

    def decoder(self) -> Decoder:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": DICTIONARY}]
        return StandardDecoder(lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=filters))

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": level}])


@register
class Bz2(Codec):
    """`BZh` and a digit, then blocks of 900 kB that each start with the digits of pi.

    Bits inside a block cannot be told apart: an estimate.
    """

    name = "bz2"
    many_members = True
    method = Method.ESTIMATE
    levels = range(1, 10)
    failures = (OSError,)

    def sniff(self, head: bytes) -> Sniff:
        if head[:3] != b"BZh" or len(head) < 4 or head[3:4] not in b"123456789":
            return Sniff.NO
        block, empty = b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"
        return Sniff.SURE if head[4:10] in (block, empty) else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 4

    def decoder(self) -> Decoder:
        return StandardDecoder(bz2.BZ2Decompressor())

    def encode(self, data: Buffer, level: int) -> bytes:
        return bz2.compress(data, level)
