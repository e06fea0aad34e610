"""The decoder shape that the standard library's lzma and bz2 share."""

from __future__ import annotations

import bz2
import lzma

from golfbudget.codecs.base import PIECE


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
