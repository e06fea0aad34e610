"""rANS streams decoded one symbol after another in plain integers, as the format says and not as golfbudget does."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise


def walk(stored: bytes) -> Iterator[tuple[int, int, int]]:
    """(place in the output, byte, bytes of the stream read until it is known) of every symbol, as the lanes go."""
    lanes, runs = struct.unpack_from("<HH", stored)
    halves = struct.unpack_from(f"<{2 * lanes}H", stored, 4)
    states = [65536 * high + low for high, low in zip(halves[:lanes], halves[lanes:], strict=True)]
    at, begin = 4 + 4 * lanes, 0
    for _ in range(runs):
        rows, first, table_words, columns, k, length = struct.unpack_from("<IHHHHH", stored, at)
        at += 14
        table = [entry * entry for entry in stored[at : at + 2 * table_words]]
        at += 2 * table_words
        machines = [0] * rows
        for top in range(0, rows, lanes):
            for column in range(columns):
                for lane, row in enumerate(range(top, min(top + lanes, rows))):
                    if states[lane] < 16 * 65025:
                        states[lane] = states[lane] * 65536 + int.from_bytes(stored[at : at + 2], "little")
                        at += 2
                    half = machines[row] // k % 2 if columns > 1 else 0
                    own = table[half * length : (half + 1) * length]
                    whole, slot = divmod(states[lane], 65025)
                    symbol = next(i for i, stop in enumerate(accumulate(own)) if slot < stop)
                    states[lane] = own[symbol] * whole + slot - sum(own[:symbol])
                    value = (symbol + first) % 256
                    taps = machines[row] & (2 * k + 1)
                    machines[row] = (2 * machines[row] + ((value ^ taps.bit_count()) & 1)) % (4 * k)
                    yield begin + row * columns + column, value, at
        begin += rows * columns
    assert at == len(stored)
    assert set(states) <= {16 * 65025}


def walked(stored: bytes) -> bytes:
    """What a stream decodes to."""
    return bytes(value for _, value, _ in sorted(walk(stored)))


def walked_costs(stored: bytes, offsets: Sequence[int]) -> list[int]:
    """Stored bits of each range between offsets: what must be read beyond what the range before took."""
    header = 4 + 4 * int.from_bytes(stored[:2], "little")
    reads = list(accumulate((at for _, _, at in sorted(walk(stored))), max, initial=header))
    return [8 * (reads[b] - reads[a]) for a, b in pairwise(offsets)]
