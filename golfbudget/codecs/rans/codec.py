"""The codec.  Nothing in the bytes says what they are, so that only a container that names it has it read.

Most commands meet none: what reads and writes it is imported where it is used.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from golfbudget.codecs.base import Buffer, Codec, Decoder, Method, register
from golfbudget.errors import CorruptError
from golfbudget.ledger import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from golfbudget.codecs.rans.decoding import RunHeader


@register
class Rans(Codec):
    """One stream of runs; the first states are framing, a run's header and table belong to its first symbol."""

    name = "rans"
    method = Method.EXACT
    default_level = 0
    levels = range(1)

    def header_length(self, data: Buffer, start: int) -> int:
        from golfbudget.codecs.rans.encoding import START

        return START.size + 4 * int.from_bytes(data[start : start + 2], "little")

    def decoder(self) -> Decoder:
        from golfbudget.codecs.rans.decoding import RansDecoder

        return RansDecoder()

    def encode(self, data: Buffer, level: int) -> bytes:
        from golfbudget.codecs.rans.encoding import encode

        return encode(data)

    def costs(
        self, data: Buffer, stored: Span, decoded: Buffer, offsets: Sequence[int], *, where: str
    ) -> Sequence[int]:
        """By decoding again, and looking where the stream is when the last symbol of a range can be told."""
        from golfbudget.codecs.rans.decoding import RansDecoder

        raw = bytes(memoryview(data)[stored.start : stored.stop])
        seen = _Seen(offsets, self.header_length(raw, 0))
        decoder = RansDecoder(seen.step)
        decoder.feed(raw)
        while not decoder.drained:
            decoder.feed(b"")
        if not decoder.finished:
            raise CorruptError(f"{where}: the rans stream at byte {stored.start} ends before its symbols do")
        return [8 * (seen.read[b] - seen.read[a]) for a, b in pairwise(offsets)]


class _Seen:
    """Watches a stream being decoded: `read` is how many of its bytes each offset of the output takes."""

    def __init__(self, offsets: Sequence[int], header: int) -> None:
        self._offsets = offsets
        self._begin = self._stop = 0
        self._wanted: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.read = dict.fromkeys(offsets, header)

    def step(self, run: RunHeader, top: int, column: int, at: int, takes: NDArray[np.bool_]) -> None:
        if not top and not column:
            self._next_run(run, len(takes))
        for lane, offset in self._wanted.get((top, column), ()):
            self.read[offset] = at + 2 * int(takes[: lane + 1].sum())

    def _next_run(self, run: RunHeader, lanes: int) -> None:
        """Find the step and lane after which each offset within the run is decoded: rows come out one by one."""
        self._begin, self._stop = self._stop, self._stop + run.rows * run.columns
        self._wanted = {}
        inside = slice(bisect_right(self._offsets, self._begin), bisect_right(self._offsets, self._stop))
        for offset in self._offsets[inside]:
            row, column = divmod(offset - 1 - self._begin, run.columns)
            lane = row % lanes
            if lane and column < run.columns - 1:
                lane, column = lane - 1, run.columns - 1
            self._wanted.setdefault((row - row % lanes, column), []).append((lane, offset))
