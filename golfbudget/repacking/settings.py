"""Codecs at other settings than those that suit most data, for streams that are chosen already.

What a setting gives is known by trying only.  Settings are changed one at a time, the best value of each kept, until
none helps: few of all combinations are tried.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Mapping, Sequence

Settings = tuple[int, ...]
_BEST = 9 | lzma.PRESET_EXTREME
#: LZMA's context bits of literals may not be more together.
_MOST_LITERAL_BITS = 4


def lzma_file(data: bytes, settings: Settings) -> bytes:
    """The older .lzma file: its header is 13 bytes, and `lzma.decompress` knows it from .xz by itself.

    `settings` are literal-context, literal-position and position bits.
    """
    lc, lp, pb = settings
    window = 1 << max(12, (max(1, len(data)) - 1).bit_length())
    options = {"preset": _BEST, "dict_size": min(window, 1 << 26), "lc": lc, "lp": lp, "pb": pb}
    return lzma.compress(data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, **options}])


def brotli_stream(data: bytes, settings: Settings) -> bytes:
    """A brotli stream of quality 11; `settings` are its mode, and binary logarithms of its window and input block."""
    import brotli

    mode, window, block = settings
    return bytes(brotli.compress(data, mode=mode, quality=11, lgwin=window, lgblock=block))


#: What writes each codec at some settings, and the values that each setting may take, the usual one first.
_WRITERS: Mapping[str, Callable[[bytes, Settings], bytes]] = {"lzma": lzma_file, "brotli": brotli_stream}
_VALUES: Mapping[str, Sequence[Sequence[int]]] = {
    "lzma": ((3, 0, 1, 2, 4), (0, 1, 2, 3), (2, 0, 1)),
    "brotli": ((0, 2), (24, 16, 18, 20, 22), (0, 16, 18, 20, 24)),
}
TUNED = frozenset(_WRITERS)


def tuned(codec: str, data: bytes) -> bytes:
    """The shortest that a codec of `TUNED` makes of data, by the settings that were found best one after another.

    >>> numbers = bytes(b for n in range(999) for b in (n * n % 251, 7))
    >>> len(tuned("lzma", numbers)) < len(lzma_file(numbers, (3, 0, 2)))
    True
    """
    write, values = _WRITERS[codec], _VALUES[codec]
    made: dict[Settings, bytes] = {}

    def length(settings: Settings) -> int:
        if settings not in made:
            made[settings] = write(data, settings)
        return len(made[settings])

    best: Settings = tuple(of_one[0] for of_one in values)
    before = length(best) + 1
    while length(best) < before:
        before = length(best)
        for at, of_one in enumerate(values):
            near = (_at(best, at, value) for value in of_one)
            best = min((settings for settings in near if _may(codec, settings)), key=length)
    return made[best]


def _at(settings: Settings, at: int, value: int) -> Settings:
    return (*settings[:at], value, *settings[at + 1 :])


def _may(codec: str, settings: Settings) -> bool:
    return codec != "lzma" or settings[0] + settings[1] <= _MOST_LITERAL_BITS
