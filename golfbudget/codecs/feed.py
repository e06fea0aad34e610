"""The one loop that feeds decoders, and its log: which feed brought out which decoded bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from golfbudget.codecs.base import Buffer, Decoder
from golfbudget.codecs.pace import Pace


@dataclass(frozen=True, slots=True)
class Growth:
    """How output grew with input: feed i, of the stored bytes [before[i], fed[i]), brought it to made[i] bytes.

    Feeds that brought nothing are not listed.  Entry 0 is the empty feed.
    """

    before: array[int] = field(default_factory=lambda: array("q", [0]))
    fed: array[int] = field(default_factory=lambda: array("q", [0]))
    made: array[int] = field(default_factory=lambda: array("q", [0]))

    def reaching(self, offset: int) -> tuple[int, int]:
        """The feed that reached `offset` decoded bytes: stored bytes before and after it."""
        i = bisect_left(self.made, offset)
        return self.before[i], self.fed[i]


class Feeder:
    """Feeds one member from `start` on.  Amounts are counted from the member's start, `base` decoded bytes in."""

    def __init__(self, decoder: Decoder, data: Buffer, start: int, *, base: int = 0) -> None:
        self.decoder, self.growth = decoder, Growth()
        self.since = self.at = self.made = 0
        self._data, self._start, self._base = data, start, base

    def feed(self, pace: Pace, take: Callable[[bytes], object]) -> bool:
        """Feed what `pace` plans, handing every output to `take`; False when there is nothing left to feed.

        While the decoder works, the stored bytes [since, at) are the ones it works on.
        """
        step, count, goal = pace.plan(self._base + self.made, self._start + self.at)
        decoder, growth, goal = self.decoder, self.growth, goal - self._base
        feed, made = decoder.feed, self.made
        position = self._start + self.at
        window = bytes(self._data[position : position + step * count])
        for low in range(0, len(window), step):
            chunk = window[low : low + step]
            self.since = self.at
            self.at += len(chunk)
            if piece := feed(chunk):
                take(piece)
                made += len(piece)
            while not decoder.drained:
                if piece := feed(b""):
                    take(piece)
                    made += len(piece)
            if made > self.made:
                self.made = made
                growth.before.append(self.since)
                growth.fed.append(self.at)
                growth.made.append(made)
                if made >= goal:
                    break
            if decoder.finished:
                break
        return bool(window)
