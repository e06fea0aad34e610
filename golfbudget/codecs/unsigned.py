"""Codecs that no bytes announce: brotli (RFC 7932), and none, which leaves an artifact as it is.

A stream counts as brotli only if a known container follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from golfbudget.codecs.base import PIECE, Buffer, Codec, Decoder, Sniff, register
from golfbudget.errors import CorruptError

if TYPE_CHECKING:
    import brotli

#: Shorter outputs than this, half the decoder's own buffer, leave nothing behind in it.
_SURELY_ALL = 1 << 14


class _BrotliDecoder:
    unused = 0

    def __init__(self) -> None:
        import brotli

        self._brotli: brotli.Decompressor = brotli.Decompressor()
        self._process = self._brotli.process
        self._is_finished = self._brotli.is_finished
        self._error = brotli.error
        self.finished, self.drained = False, True

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


@register
class Brotli(Codec):
    """One stream of meta-blocks, with no header or checksum of whole bytes."""

    name = "brotli"
    default_level = 11
    levels = range(12)

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.UNSIGNED if head else Sniff.NO

    def decoder(self) -> Decoder:
        return _BrotliDecoder()

    def encode(self, data: Buffer, level: int) -> bytes:
        import brotli

        return bytes(brotli.compress(bytes(data), quality=level, lgwin=24))


class _Identity:
    """Passes bytes through; it never finishes by itself, its stream ends with the file."""

    drained = True
    finished = False
    unused = 0

    def feed(self, data: bytes) -> bytes:
        return data


@register
class NoCodec(Codec):
    """Stored bytes are the decoded bytes."""

    name = "none"
    default_level = 0
    levels = range(1)
    failures = ()

    def decoder(self) -> Decoder:
        return _Identity()

    def encode(self, data: Buffer, level: int) -> bytes:
        return bytes(data)
