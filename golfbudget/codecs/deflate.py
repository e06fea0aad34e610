"""deflate (RFC 1951) and its two framings, zlib (RFC 1950) and gzip (RFC 1952), decoded by the standard library."""

from __future__ import annotations

import zlib

from golfbudget.codecs.base import PIECE, Buffer, Decoder, Method, Sniff, register

_GZIP_WBITS = 31
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


class _InflateDecoder:
    """Its state is plain attributes, kept by `feed`: feeds are many and of single bytes."""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits)
        self.finished = False
        self.drained = True

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


@register
class Zlib:
    """A two-byte header, deflate, and a four-byte Adler checksum."""

    name = "zlib"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (zlib.error,)

    def sniff(self, head: bytes) -> Sniff:
        if len(head) < 2 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or head[1] & 0x20:
            return Sniff.NO
        if (head[0] * 256 + head[1]) % 31:
            return Sniff.NO
        # 0x785E is also how text starting with "x^" begins; the other levels of the usual window are not text.
        return Sniff.SURE if head[0] == 0x78 and head[1] != 0x5E else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 2

    def decoder(self) -> Decoder:
        return _InflateDecoder(zlib.MAX_WBITS)

    def encode(self, data: Buffer, level: int) -> bytes:
        return zlib.compress(data, level)


@register
class Gzip:
    """A header with optional name, deflate, and an eight-byte trailer; members may follow one another."""

    name = "gzip"
    many_members = True
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (zlib.error,)

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

    def decoder(self) -> Decoder:
        return _InflateDecoder(_GZIP_WBITS)

    def encode(self, data: Buffer, level: int) -> bytes:
        deflate = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WBITS)
        return deflate.compress(data) + deflate.flush()


@register
class Deflate:
    """Blocks of bits without header or checksum, as zip members hold them.  A file of it is known by its content."""

    name = "deflate"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (zlib.error,)

    def sniff(self, head: bytes) -> Sniff:
        kind = head[0] >> 1 & 3 if head else 3
        # Of the four kinds of block one is not defined, and one, stored, gives its length twice.
        if kind == 3 or (kind == 0 and any(a ^ b != 0xFF for a, b in zip(head[1:3], head[3:5], strict=False))):
            return Sniff.NO
        return Sniff.UNSIGNED

    def header_length(self, data: Buffer, start: int) -> int:
        return 0

    def decoder(self) -> Decoder:
        return _InflateDecoder(-zlib.MAX_WBITS)

    def encode(self, data: Buffer, level: int) -> bytes:
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        return deflate.compress(data) + deflate.flush()
