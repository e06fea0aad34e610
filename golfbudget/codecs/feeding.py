"""The one loop that feeds decoders, and how much it feeds next: one decode sees which stored byte each boundary needs.

A boundary is known to the byte when the feed that reached it was of one byte.  Near offsets at which a
boundary is foreseen the feed is therefore of single bytes, and away from them of ever larger pieces.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, field

from golfbudget.codecs.base import Buffer, Decoder

#: Longest piece fed: long enough to cost nothing, short beside what is decoded from it.
LONGEST = 1 << 16
#: Single bytes fed before the plan is looked at again.
_WINDOW = 256
#: Single bytes are fed from this many decoded bytes before a boundary on, and through this many last stored ones.
_SLACK, _TAIL = 16, 64
#: Pieces aim at the boundary with this factor to spare, as the rate of expansion changes.
_SPARE = 1.5
#: What starts after a boundary may expand quite otherwise: it is felt out by this many single bytes, then by pieces
#: of at most so many times the one before.  A piece of a few bytes costs more than they do one by one.
_FELT, _FIRST, _GROWTH, _FEW = 12, 16, 4, 8
#: The first question is asked when this much has come out; with no answer, again at every doubling up to the last.
_FIRST_ASKED, _LAST_ASKED = 16, 1 << 20
_COST_OF_ASKING = 8
#: Single bytes that any stream may be fed, beside one in 64 of its own.
_FREE = 1 << 16


class Foresight(Struct, frozen=True, kw_only=True):
    """Where boundaries will be in the decoded bytes, as far as what has come out so far tells.

    `dense` are closed ranges (first, last) of decoded offsets that may all be boundaries; first == last is one
    offset.  At `horizon` decoded bytes the question is worth asking again; None means never.  It may be wrong:
    that costs time, never exactness.
    """

    dense: Sequence[tuple[int, int]]
    horizon: int | None = None


#: Asked with the decoded bytes so far, of which it must keep no view.
Foresee = Callable[[Buffer], Foresight | None]


class Schedule(Protocol):
    """Decides the next feed."""

    def plan(self, made: int, at: int) -> tuple[int, int, int]:
        """Length and number of the next pieces, and a decoded offset at which to stop before that number.

        `made` decoded bytes have come out of the first `at` stored ones.
        """


class Even:
    """Equal pieces, for codecs whose bits are not found by feeding."""

    def __init__(self, length: int) -> None:
        self._length = length

    def plan(self, made: int, at: int) -> tuple[int, int, int]:
        return self._length, 1, made + 1


class Aimed:
    """Single bytes at the foreseen boundaries, pieces that grow and shrink geometrically between them.

    A stream that foresees too much is read in pieces once single bytes would cost more than the decode itself.
    """

    def __init__(
        self, *, stop: int, foresight: Foresight | None = None, foresee: Foresee | None = None, decoded: Buffer = b""
    ) -> None:
        self._stop = stop
        self._foresee, self._decoded = foresee, decoded
        self._left = _FREE + stop // 64 if foresee else 2 * stop + _FREE
        self._dense: list[tuple[int, int]] = []
        self._next = 0
        self._horizon: int | None = None
        if foresight is not None:
            self._believe(foresight)
        elif foresee is not None:
            first = len(decoded) + _FIRST_ASKED
            self._believe(Foresight(dense=[(0, first)], horizon=first))
        self._step = 1
        #: Whether single bytes are being fed at a boundary; and after one, until where they still are.
        self._dense_run, self._from, self._rate = False, 0, 1.0
        self._made = self._at = 0

    def plan(self, made: int, at: int) -> tuple[int, int, int]:
        self._measure(made, at)
        while self._horizon is not None and made >= self._horizon:
            self._ask(made)
        step, count, goal = self._aim(made, at) if self._left > 0 else (LONGEST, 1, made + 1)
        # The last decoded byte is a boundary, and few bytes of checksums stand after what it needs.
        step = max(1, min(step, max(_FIRST, _GROWTH * self._step), LONGEST, (self._stop - at - _TAIL) // 2))
        self._step = step
        self._left -= 1
        return step, count, goal

    def _measure(self, made: int, at: int) -> None:
        """Follow decoded bytes per stored byte: up at once, down by halves and to no less than the average so far.

        A codec's own headers yield none, and say nothing of what follows them.
        """
        grown, fed = made - self._made, at - self._at
        if grown and fed:
            rate = grown / fed
            self._rate = max(rate, (self._rate + rate) / 2, made / at)
        if self._step == 1:
            self._left -= fed
        self._made, self._at = made, at

    def _ask(self, made: int) -> None:
        self._left -= _COST_OF_ASKING
        if self._foresee is None or self._left < 0:
            self._horizon = None
        elif (foresight := self._foresee(self._decoded)) is not None:
            self._believe(foresight)
            if self._horizon is not None and self._horizon <= made:
                self._horizon = made + 1
        else:
            self._dense, self._horizon = [], 2 * made if made < _LAST_ASKED else None

    def _believe(self, foresight: Foresight) -> None:
        self._dense, self._next = sorted(foresight.dense), 0
        self._horizon = foresight.horizon

    def _aim(self, made: int, at: int) -> tuple[int, int, int]:
        while self._next < len(self._dense) and self._dense[self._next][1] <= made:
            self._next += 1
        if self._next < len(self._dense):
            first, last = self._dense[self._next]
        elif self._horizon is not None:
            first = last = self._horizon
        else:
            return LONGEST, 1, made + 1
        distance = first - made - _SLACK
        if distance <= 0:
            self._dense_run = True
            return 1, _WINDOW, last if self._horizon is None else min(last, self._horizon)
        if self._dense_run:
            self._dense_run, self._from = False, at + _FELT
        if at < self._from:
            return 1, self._from - at, made + 1 + distance // 2
        step = int(distance / (_SPARE * self._rate))
        return (step, 1, made + 1) if step > _FEW else (1, _WINDOW, made + 1 + distance // 2)


class Strict:
    """Pieces up to the last feed that is known to stay before each wanted offset, single bytes from there.

    `before[i]` is how much can be fed without reaching `wanted[i]`; both rise.
    """

    def __init__(self, wanted: Sequence[int], before: Sequence[int]) -> None:
        self._wanted, self._before = wanted, before

    def plan(self, made: int, at: int) -> tuple[int, int, int]:
        i = bisect_left(self._wanted, made + 1)
        if i == len(self._wanted):
            return LONGEST, 1, made + 1
        step = max(1, min(self._before[i] - at, LONGEST))
        return step, _WINDOW if step == 1 else 1, self._wanted[i]


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
