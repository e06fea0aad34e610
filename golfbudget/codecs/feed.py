"""The one loop that feeds decoders, and its log: which feed brought out which decoded bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable

from msgspec import Struct, field

from golfbudget.codecs.base import Buffer, Decoder
from golfbudget.codecs.schedule import Schedule

_BYTES = [bytes((value,)) for value in range(256)]


class Growth(Struct, frozen=True):
    """How output grew with input: the feed that ended at stored byte fed[i] brought it to made[i] decoded bytes.

    It was of one byte, unless `since` tells where it began.  Feeds that brought nothing are not listed; entry 0
    stands for none.
    """

    fed: array[int] = field(default_factory=lambda: array("q", [0]))
    made: array[int] = field(default_factory=lambda: array("q", [0]))
    since: dict[int, int] = field(default_factory=lambda: {0: 0})

    def reaching(self, offset: int) -> tuple[int, int]:
        """The feed that reached `offset` decoded bytes: stored bytes before and after it."""
        i = bisect_left(self.made, offset)
        return self.since.get(i, self.fed[i] - 1), self.fed[i]


class Feeder:
    """Feeds one member from `start` on.  Amounts are counted from the member's start, `base` decoded bytes in."""

    def __init__(self, decoder: Decoder, data: Buffer, start: int, *, base: int = 0) -> None:
        self.decoder, self.growth = decoder, Growth()
        #: The stored bytes [since, at) were fed last, or are what the decoder fails on.
        self.since = self.at = self.made = 0
        self._data, self._start, self._base = data, start, base

    def feed(self, schedule: Schedule, take: Callable[[Buffer], object]) -> bool:
        """Feed what `schedule` plans, handing every output to `take`; False when there is nothing left to feed."""
        step, count, goal = schedule.plan(self._base + self.made, self._start + self.at)
        position = self._start + self.at
        window = bytes(self._data[position : position + step * count])
        if step == 1:
            self._singly(window, goal - self._base, take)
        elif window:
            self.since = self.at
            self.at += len(window)
            self._whole(window, take)
        return bool(window)

    def _whole(self, window: bytes, take: Callable[[Buffer], object]) -> None:
        decoder, before = self.decoder, self.made
        piece = decoder.feed(window)
        while piece or not decoder.drained:
            take(piece)
            self.made += len(piece)
            piece = b"" if decoder.drained else decoder.feed(b"")
        if self.made > before:
            if self.at - self.since > 1:
                self.growth.since[len(self.growth.fed)] = self.since
            self.growth.fed.append(self.at)
            self.growth.made.append(self.made)

    def _singly(self, window: bytes, goal: int, take: Callable[[Buffer], object]) -> None:
        """Byte by byte, until `goal` bytes are made; short outputs are handed on together."""
        decoder, feed = self.decoder, self.decoder.feed
        log_fed, log_made = self.growth.fed.append, self.growth.made.append
        at, made, logged, outputs = self.at, self.made, self.made, bytearray()
        try:
            for value in window:
                at += 1
                piece = feed(_BYTES[value])
                while not decoder.drained:
                    self.at = at
                    outputs += piece
                    made += len(piece)
                    take(outputs)
                    outputs.clear()
                    piece = feed(b"")
                if piece:
                    outputs += piece
                    made += len(piece)
                if made > logged:
                    log_fed(at)
                    log_made(made)
                    logged = made
                    if made >= goal:
                        break
                if decoder.finished:
                    break
        finally:
            self.since, self.at, self.made = at - 1, at, made
            if outputs:
                take(outputs)
