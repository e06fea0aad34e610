"""Lanes and words to symbols, as far as the bytes fed so far go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golfbudget.codecs.base import PIECE, Buffer
from golfbudget.codecs.rans.encoding import HEADER, MOST_BLOCK, MOST_STEPS, START
from golfbudget.codecs.rans.few_lanes import FEW, ColumnReader, unpacked
from golfbudget.codecs.rans.tables import LOWEST, TOTAL
from golfbudget.errors import CorruptError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from golfbudget.codecs.rans.tables import Integers

#: A table is longer than the bytes that there are by what its sum needs.
_MOST_ENTRIES = 512
#: Told of every step: its run, block (by its first row) and column, the bytes of the stream before its words, and
#: which lanes take one.
Watch = Callable[["RunHeader", int, int, int, "NDArray[np.bool_]"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """A run's shape, its machine's k, its first byte and the entries in each of its tables; sound."""

    rows: int
    columns: int
    k: int
    first: int
    entries: int

    @property
    def tables(self) -> int:
        return 1 if self.columns == 1 else 2

    def steps(self, lanes: int) -> int:
        return -(-self.rows // lanes) * self.columns


class RansDecoder:
    """Decodes one stream; every step is taken as soon as its words are there."""

    def __init__(self, watch: Watch | None = None) -> None:
        self.finished, self.drained = False, True
        self._data, self._at, self._before = b"", 0, 0
        self._steps, self._watch = 0, watch
        self._outputs = self._decode()

    def feed(self, data: bytes) -> bytes:
        if data:
            self._before += self._at
            self._data, self._at = self._data[self._at :] + data, 0
        self.drained = True
        return next(self._outputs, b"")

    @property
    def unused(self) -> int:
        return len(self._data) - self._at

    @property
    def _position(self) -> int:
        """Bytes of the stream that were read."""
        return self._before + self._at

    def _waits(self, count: int) -> bool:
        return len(self._data) - self._at < count

    def _take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _decode(self) -> Iterator[bytes]:
        import numpy as np

        while self._waits(START.size):
            yield b""
        lanes, runs = START.unpack(self._take(START.size))
        if not lanes and runs:
            raise CorruptError("byte 0: a rans stream of no lanes and some runs; expected one lane at least")
        while self._waits(4 * lanes):
            yield b""
        high, low = np.frombuffer(self._take(4 * lanes), dtype="<u2").astype(np.int64).reshape(2, lanes)
        state = high << 16 | low
        for _ in range(runs):
            while self._waits(HEADER.size):
                yield b""
            header = self._header(lanes)
            count = header.tables * header.entries
            while self._waits(count):
                yield b""
            yield from self._run(header, self._table(header, count), state)
        if (wrong := np.flatnonzero(state != LOWEST)).size:
            lane = int(wrong[0])
            raise CorruptError(
                f"byte {self._position}: lane {lane} of {lanes} ends at {state[lane]}, expected {LOWEST}: the words, "
                "or what they were coded with, are not the stream's own"
            )
        self.finished = True

    def _header(self, lanes: int) -> RunHeader:
        at = self._position
        rows, first, words, columns, k, entries = HEADER.unpack(self._take(HEADER.size))
        header = RunHeader(rows=rows, columns=columns, k=k, first=first, entries=entries)
        sound = rows and columns and k in (1, 2) and first < 256 and 2 <= entries <= _MOST_ENTRIES
        if not sound or entries % 2 or first % 2 > (columns == 1) or 2 * words != header.tables * entries:
            raise CorruptError(
                f"byte {at}: a run of {rows} x {columns} symbols from byte {first} on, k = {k}, {entries} entries, "
                f"{words} words of tables; expected at least 1 x 1, a byte that is even where there are columns, k = 1 "
                f"or 2, an even number of entries up to {_MOST_ENTRIES}, and their words"
            )
        self._steps += header.steps(lanes)
        block = min(lanes, rows) * columns
        if self._steps > MOST_STEPS or block > MOST_BLOCK:
            raise CorruptError(
                f"byte {at}: {rows} x {columns} are {self._steps} steps so far, and blocks of {block} symbols; "
                f"expected at most {MOST_STEPS} and {MOST_BLOCK}"
            )
        return header

    def _table(self, header: RunHeader, count: int) -> Integers:
        import numpy as np

        at = self._position
        table = np.frombuffer(self._take(count), dtype=np.uint8).astype(np.int64) ** 2
        for number, total in enumerate(table.reshape(header.tables, -1).sum(axis=1)):
            if total != TOTAL:
                raise CorruptError(
                    f"byte {at + number * header.entries}: the squares of a table sum to {total}, not {TOTAL}"
                )
        return table

    def _run(self, header: RunHeader, table: Integers, state: Integers) -> Iterator[bytes]:
        """The symbols of one run, in pieces: whole blocks where it has columns."""
        import numpy as np

        index = np.repeat(np.arange(len(table)), table)
        width = table[index]
        shift = np.arange(len(index)) % TOTAL - (np.cumsum(table) - table)[index] % TOTAL
        value = (index % header.entries + header.first).astype(np.uint8)
        k, lanes = header.k, len(state)
        if lanes <= FEW:
            yield from self._few(header, (width, shift, value), state)
            return
        waiting, made = list[bytes](), 0
        for top in range(0, header.rows, lanes):
            own = state[: header.rows - top]
            machine = np.zeros(len(own), dtype=np.int64)
            block = np.empty((header.columns, len(own)), dtype=np.uint8)
            for number, column in enumerate(block):
                takes = own < LOWEST
                if self._watch is not None:
                    self._watch(header, top, number, self._position, takes)
                if count := int(np.count_nonzero(takes)):
                    while self._waits(2 * count):
                        yield b"".join(waiting)
                        waiting, made = [], 0
                    words = np.frombuffer(self._take(2 * count), dtype="<u2")
                    own[takes] = own[takes] << 16 | words
                whole, slot = np.divmod(own, TOTAL)
                slot += TOTAL * (machine // k % 2)
                own[:] = width[slot] * whole + shift[slot]
                column[:] = value[slot]
                if header.columns > 1:
                    machine = (2 * machine + ((column ^ machine ^ machine // (2 * k)) & 1)) % (4 * k)
            waiting.append(block.T.tobytes())
            made += block.size
            if made >= PIECE - lanes:
                self.drained = False
                yield b"".join(waiting)
                waiting, made = [], 0
        if waiting:
            self.drained = False
            yield b"".join(waiting)

    def _few(
        self, header: RunHeader, slots: tuple[Integers, Integers, NDArray[np.uint8]], state: Integers
    ) -> Iterator[bytes]:
        """The same where lanes are few."""
        import numpy as np

        listed = (slots[0].tolist(), slots[1].tolist(), slots[2].tolist())
        reader = ColumnReader(state.tolist(), listed, header.k if header.columns > 1 else None)
        waiting, made = list[bytes](), 0
        for top in range(0, header.rows, len(state)):
            active = min(len(state), header.rows - top)
            reader.block(active)
            block = list[bytes]()
            for number in range(header.columns):
                takes = reader.takes()
                if self._watch is not None:
                    self._watch(header, top, number, self._position, np.array(takes))
                words = 2 * takes.count(True)
                while self._waits(words):
                    yield b"".join(waiting)
                    waiting, made = [], 0
                block.append(reader.column(takes, unpacked(self._take(words))))
            waiting.append(_transposed(block) if active > 1 and header.columns > 1 else b"".join(block))
            made += active * header.columns
            if made >= PIECE - len(state):
                self.drained = False
                yield b"".join(waiting)
                waiting, made = [], 0
        state[:] = reader.state
        if waiting:
            self.drained = False
            yield b"".join(waiting)


def _transposed(columns: list[bytes]) -> bytes:
    """Row by row what is given column by column."""
    rows = len(columns[0])
    whole = b"".join(columns)
    return b"".join(whole[row::rows] for row in range(rows))


def has_columns(data: Buffer) -> bool:
    """Whether some run of a stream is a trellis-coded matrix, which a short decoder need not know otherwise."""
    seen = set[bool]()
    decoder = RansDecoder(lambda run, *_: seen.add(run.columns > 1))
    decoder.feed(bytes(data))
    while not decoder.drained:
        decoder.feed(b"")
    return True in seen
