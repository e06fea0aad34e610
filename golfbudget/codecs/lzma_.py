"""xz (the .xz format 1.2.1) and lzma (the older .lzma, "alone"), decoded by the standard library."""

from __future__ import annotations

import lzma

from golfbudget.codecs.base import Buffer, Decoder, Method, Sniff, register
from golfbudget.codecs.standard import StandardDecoder

#: Largest dictionary memory a stream may ask for; preset 9 needs 65 MiB.
MEMORY_LIMIT = 1 << 30
_STREAM_HEADER = 12


def _decoder(container: int) -> Decoder:
    return StandardDecoder(lzma.LZMADecompressor(format=container, memlimit=MEMORY_LIMIT))


@register
class Xz:
    """Stream header, blocks, index, footer; streams may follow one another."""

    name = "xz"
    many_members = True
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (lzma.LZMAError,)

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.SURE if head[:6] == b"\xfd7zXZ\x00" else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        # The first block's header states its own length in units of four bytes; a zero means the index: no block.
        size = data[start + _STREAM_HEADER]
        return _STREAM_HEADER + (4 * (size + 1) if size else 0)

    def decoder(self) -> Decoder:
        return _decoder(lzma.FORMAT_XZ)

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, preset=level)


@register
class Lzma:
    """A 13-byte header (properties, dictionary size, decoded length) and one range-coded stream."""

    name = "lzma"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
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
        return _decoder(lzma.FORMAT_ALONE)

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, format=lzma.FORMAT_ALONE, preset=level)
