"""Brotli (RFC 7932).  It has no signature: a stream counts as brotli only if a known container follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from golfbudget.codecs.base import PIECE, Buffer, Decoder, Method, Sniff, register
from golfbudget.errors import CorruptError

if TYPE_CHECKING:
    import brotli

#: Shorter outputs than this, half the decoder's own buffer, leave nothing behind in it.
_SURELY_ALL = 1 << 14


class _BrotliDecoder:
    def __init__(self) -> None:
        import brotli

        self._brotli: brotli.Decompressor = brotli.Decompressor()
        self._process = self._brotli.process
        self._is_finished = self._brotli.is_finished
        self._error = brotli.error
        self.finished = False
        self.drained = True

    def feed(self, data: bytes) -> bytes:
        try:
            out: bytes = self._process(data, output_buffer_limit=PIECE)
        except self._error as error:
            raise CorruptError(str(error)) from None
        # The decoder keeps output beyond its own buffer of 32 kB until it is asked again with no input.
        self.drained = len(out) < _SURELY_ALL
        if self._is_finished():
            self.finished = self.drained = True
        return out

    @property
    def unused(self) -> int:
        return 0


@register
class Brotli:
    """One stream of meta-blocks, with no header or checksum of whole bytes."""

    name = "brotli"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 11
    levels = range(12)
    failures = (CorruptError,)

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.UNSIGNED if head else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        return 0

    def decoder(self) -> Decoder:
        return _BrotliDecoder()

    def encode(self, data: Buffer, level: int) -> bytes:
        import brotli

        return bytes(brotli.compress(bytes(data), quality=level, lgwin=24))
