"""deflate (RFC 1951) and its two framings, zlib (RFC 1950) and gzip (RFC 1952), decoded by the standard library."""

from __future__ import annotations

import zlib
from typing import ClassVar

from golfbudget.codecs.base import PIECE, Buffer, Decoder, Method, Sniff, register

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


class _DeflateFamily:
    """What the framings of deflate have in common; `wbits` is zlib's number for the window and the framing."""

    wbits: ClassVar[int]
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
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

    def header_length(self, data: Buffer, start: int) -> int:
        return 0
