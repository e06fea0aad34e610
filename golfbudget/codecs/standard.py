"""The decoder shape that the standard library's lzma and bz2 share."""

from __future__ import annotations

import bz2
import lzma

from golfbudget.codecs.base import PIECE


class StandardDecoder:
    """One member, decoded in pieces of bounded length."""

    def __init__(self, decompressor: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._inner = decompressor
        self._full = False

    def feed(self, data: bytes) -> bytes:
        out = self._inner.decompress(data, PIECE)
        self._full = len(out) == PIECE
        return out

    @property
    def drained(self) -> bool:
        return self.finished or (self._inner.needs_input and not self._full)

    @property
    def finished(self) -> bool:
        return self._inner.eof

    @property
    def unused(self) -> int:
        return len(self._inner.unused_data)
