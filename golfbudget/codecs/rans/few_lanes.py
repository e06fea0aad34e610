"""Streams of few lanes, symbol by symbol in plain Python: a step of numpy takes as long as some fifty symbols here.

What comes out is the same, bit for bit, as from the steps of `encoding` and `decoding`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from golfbudget.codecs.rans.tables import LOWEST, TOTAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Lanes from which on numpy is as fast.
FEW = 24

#: (place, word): words are sorted by where they are taken, step by step and within a step lane by lane.
PlacedWord = tuple[int, int]


def place_words(
    symbols: NDArray[np.uint16],
    table: tuple[Sequence[int], Sequence[int]],
    state: list[int],
    following: list[int],
    step: int,
    placed: list[PlacedWord],
) -> None:
    """Code a run [rows, columns], last symbol first, from step number `step` down.

    `table` are frequencies and where each begins; `state` and `following` [lanes] and `placed` are changed in place.
    """
    (frequencies, starts), lanes = table, len(state)
    rows = symbols.tolist()
    for top in range((len(rows) - 1) // lanes * lanes, -1, -lanes):
        for column in reversed(list(zip(*rows[top : top + lanes], strict=True))):
            step -= 1
            for lane, symbol in enumerate(column):
                x, frequency = state[lane], frequencies[symbol]
                if x >= frequency << 20:
                    placed.append((following[lane] * lanes + lane, x & 0xFFFF))
                    x >>= 16
                whole, part = divmod(x, frequency)
                state[lane] = whole * TOTAL + part + starts[symbol]
                following[lane] = step


class ColumnReader:
    """Takes steps of one run: `state` [lanes], changed in place, and per slot the width, shift and byte of a symbol.

    `k` is that of the machine whose parity picks the table; None where a run has one table alone.
    """

    def __init__(self, state: list[int], slots: tuple[list[int], list[int], list[int]], k: int | None) -> None:
        self.state, self.k = state, k
        self._width, self._shift, self._value = slots
        self.block(len(state))

    def block(self, active: int) -> None:
        """Begin a block whose rows the first so many lanes have."""
        self._machine = [0] * active

    def takes(self) -> list[bool]:
        """Which of the block's lanes take a word before their next symbol."""
        return [x < LOWEST for x in self.state[: len(self._machine)]]

    def column(self, takes: list[bool], words: Iterator[int]) -> bytes:
        """The next column's bytes, with the words of the lanes that take one."""
        state, machine, k = self.state, self._machine, self.k
        found = bytearray(len(machine))
        for lane, full in enumerate(takes):
            whole, slot = divmod(state[lane] << 16 | next(words) if full else state[lane], TOTAL)
            own = machine[lane]
            if k is not None and own // k % 2:
                slot += TOTAL
            state[lane] = self._width[slot] * whole + self._shift[slot]
            byte = found[lane] = self._value[slot]
            if k is not None:
                machine[lane] = (2 * own + ((byte ^ own ^ own // (2 * k)) & 1)) % (4 * k)
        return bytes(found)


def unpacked(words: bytes) -> Iterator[int]:
    """Words of two bytes each, little-endian."""
    return iter(struct.unpack(f"<{len(words) // 2}H", words))
