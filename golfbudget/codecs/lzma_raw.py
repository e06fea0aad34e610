"""lzma2-raw: the chunks of LZMA2 without any container, as programs that unpack themselves carry it.

Nothing in the bytes says what they are, so content never claims this codec: only a container that names it does.
"""

from __future__ import annotations

import lzma

from golfbudget.codecs.base import Buffer, Decoder, Method, Sniff, register
from golfbudget.codecs.standard import StandardDecoder

#: The dictionary that the decoder keeps: preset 9's.  Streams made with a smaller one decode alike.
DICTIONARY = 1 << 26


@register
class Lzma2Raw:
    """One LZMA2 stream, ended by its zero byte.  Each chunk states its own lengths and properties."""

    name = "lzma2-raw"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 9
    levels = range(10)
    failures = (lzma.LZMAError,)

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        return 0

    def decoder(self) -> Decoder:
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": DICTIONARY}]
        return StandardDecoder(lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=filters))

    def encode(self, data: Buffer, level: int) -> bytes:
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": level}])
