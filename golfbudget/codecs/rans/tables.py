"""Frequencies as squares of one byte each: the error of a rounded square costs every symbol alike.

With 255² for the sum, a table costs some 0.01 % of what it codes, a byte a symbol instead of two, and three characters
of a decoder.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

ROOT = 255
#: What the frequencies of a table sum to.
TOTAL = ROOT * ROOT
#: Where every lane's state ends, and under which it takes a word.
LOWEST = 16 * TOTAL
#: Pairs of entries moved at most, to use up what rounding has left.
_MOVES = 200


def window(counts: Integers) -> tuple[int, int]:
    """First byte and length of the shortest range, wrapped around, that holds every byte counted [256].

    >>> import numpy as np
    >>> window(np.bincount([254, 255, 1], minlength=256))
    (254, 4)
    """
    used = [value for value in range(256) if counts[value]]
    if not used:
        return 0, 1
    gaps = [(after - before) % 256 or 256 for before, after in zip(used, [*used[1:], used[0]], strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    return used[(widest + 1) % len(used)], 257 - gaps[widest]


def entries(counts: Integers) -> Integers:
    """The table of fewest bits for these counts: squares that sum to 255², at least 1 for what was counted.

    It may be longer than the counts by a few entries, which no symbol uses but the sum needs.
    """
    import numpy as np

    if not counts.any():
        counts = np.eye(1, len(counts), dtype=np.int64)[0]
    used = counts > 0
    ideal = ROOT * np.sqrt(counts / counts.sum())
    table = np.where(used, np.maximum(1, np.floor(ideal)), 0).astype(np.int64)
    while (left := TOTAL - int((table**2).sum())) < 0:
        table[np.where(table > 1, table - ideal, -np.inf).argmax()] -= 1
    _raise(table, counts, left)
    left = TOTAL - int((table**2).sum())
    extra = []
    while left:
        extra.append(math.isqrt(left))
        left -= extra[-1] ** 2
    return np.concatenate([table, np.array(extra, dtype=np.int64)])


def _raise(table: Integers, counts: Integers, left: int) -> None:
    """Raise entries while that gains bits: one at a time, then one against another where they are all too large."""
    import numpy as np

    used = counts > 0
    for _ in range(2 * len(table) + _MOVES):
        wider = np.maximum(table, 1)
        up = np.where(used, counts * np.log((table + 1) / wider), -np.inf)
        single = np.where(2 * table + 1 <= left, up / (2 * table + 1), -np.inf)
        at = int(single.argmax())
        if single[at] > 0:
            left -= 2 * int(table[at]) + 1
            table[at] += 1
            continue
        down = np.where(table > 1, counts * np.log((wider - 1 + (wider == 1)) / wider), -np.inf)
        takes = 2 * (table[:, None] - table + 1)
        gain = np.where(takes <= left, up[:, None] + down, -np.inf)
        np.fill_diagonal(gain, -np.inf)
        one, other = divmod(int(gain.argmax()), len(table))
        if not gain[one, other] > 1e-9 * counts.sum():
            return
        left -= int(takes[one, other])
        table[one] += 1
        table[other] -= 1


def cost(counts: Integers, table: Integers) -> float:
    """Bits that a table takes for so many of each symbol."""
    import numpy as np

    used = counts > 0
    frequencies = table[: len(counts)][used] ** 2
    return float((counts[used] * (math.log2(TOTAL) - np.log2(frequencies))).sum())
