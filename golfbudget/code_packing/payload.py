"""Compressors for source, each with the settings that it is tried with, and the programs that undo them.

The standard library can undo all but brotli.  Raw LZMA1 is left out: its call is longer than the header that
`lzma` ("alone") carries instead, which also says the literal-context bits that the call would have to spell.

Stubs hold the payload in base 85: ASCII, so that a program which reads its own file as UTF-8 still can, and free of
quotes and backslashes.  `from lzma import *` would be short, but puts another `open` in the program's way.
"""

from __future__ import annotations

import bz2
import lzma
import platform
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

#: Compressors that are tried only when allowed: undoing them takes a package of the name.
OPTIONAL = ("brotli",)
#: Of longer source only the first settings are tried.
_LONGEST_SEARCHED = 1 << 20
#: Source from this length on is asked whether it is mostly data, which no search makes smaller.
_SHORTEST_ASKED = 1 << 16
#: What the decoder of raw LZMA2 keeps when the call names no dictionary; no stream may need more.
_DICTIONARY = 1 << 23

_BEST = 9 | lzma.PRESET_EXTREME
#: Literal-context, literal-position and position bits: python-like text, then the defaults, which suit mixed data.
_CONTEXTS = ((0, 0, 0), (2, 0, 0), (3, 0, 0), (3, 0, 2), (0, 0, 2))
#: Longest match looked for, and the match finder.  Shorter is sometimes better, as parsing is no exact search.
_SEARCHES = tuple(
    (length, finder) for length in (273, 192, 128, 96, 64, 48) for finder in (lzma.MF_BT4, lzma.MF_BT3, lzma.MF_BT2)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPayload:
    """Compressed source.

    `codec` is the name under which golfbudget reads it, `settings` what won.  A program that imports `module` undoes
    it by `module.decompress(payload, arguments)`.
    """

    codec: str
    settings: str
    data: bytes
    module: str
    arguments: str = ""


def payloads(source: bytes, allowed: frozenset[str], *, search: bool) -> Iterator[ProgramPayload]:
    """The smallest payload of each compressor, the optional ones if allowed; `search` tries more settings."""
    contexts = _CONTEXTS[:1] if _mostly_data(source) else _CONTEXTS
    yield from _lzma(source, contexts, search=search and len(source) <= _LONGEST_SEARCHED and len(contexts) > 1)
    yield _deflate(source)
    yield ProgramPayload(codec="bz2", settings="level=9", data=bz2.compress(source, 9), module="bz2")
    if "brotli" in allowed:
        yield _brotli(source)


def _mostly_data(source: bytes) -> bool:
    """Whether a long source holds more of what is packed already than of words: those take a third of their length."""
    return len(source) >= _SHORTEST_ASKED and 2 * len(zlib.compress(source, 1)) > len(source)


def compressor_versions(allowed: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each compressor's library, as far as it says which it is."""
    python = f"as built into {platform.python_implementation()} {platform.python_version()}"
    yield from (("lzma", python), ("bz2", python), ("zlib", zlib.ZLIB_RUNTIME_VERSION))
    if "brotli" in allowed:
        import brotli

        yield "brotli", brotli.__version__


def _lzma(source: bytes, contexts: Sequence[tuple[int, int, int]], *, search: bool) -> Iterator[ProgramPayload]:
    """The .lzma file with the best settings, and with these and with the presets raw LZMA2 and xz."""
    dictionary = 1 << min(_DICTIONARY.bit_length() - 1, max(12, (len(source) - 1).bit_length()))
    tried = [(context, searched) for context in contexts for searched in (_SEARCHES if search else _SEARCHES[:1])]
    alone: tuple[bytes, dict[str, int]] | None = None
    for (lc, lp, pb), (length, finder) in tried:
        options = {
            "preset": _BEST, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb, "nice_len": length, "mf": finder,
        }  # fmt: skip
        data = lzma.compress(source, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, **options}])
        if alone is None or len(data) < len(alone[0]):
            alone = data, options
    if alone is None:
        return
    data, best = alone
    yield ProgramPayload(codec="lzma", settings=_said(best), data=data, module="lzma")
    preset = {**best, "lc": 3, "lp": 0, "pb": 2, "nice_len": 273, "mf": lzma.MF_BT4}
    settings = (best, preset)[: len(contexts)]
    raw = [(lzma.compress(source, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, **o}]), o) for o in settings]
    data, options = min(raw, key=lambda made: len(made[0]))
    filters = f'[{{"id":{lzma.FILTER_LZMA2}}}]'
    arguments = f",{lzma.FORMAT_RAW},None,{filters}"
    yield ProgramPayload(codec="lzma2-raw", settings=_said(options), data=data, module="lzma", arguments=arguments)
    xz = [(lzma.compress(source, check=lzma.CHECK_NONE, filters=[{"id": lzma.FILTER_LZMA2, **o}]), o) for o in settings]
    data, options = min(xz, key=lambda made: len(made[0]))
    yield ProgramPayload(codec="xz", settings=f"{_said(options)} check=none", data=data, module="lzma")


def _said(options: dict[str, int]) -> str:
    finder = {lzma.MF_BT2: "bt2", lzma.MF_BT3: "bt3", lzma.MF_BT4: "bt4"}[options["mf"]]
    names = " ".join(f"{name}={options[name]}" for name in ("lc", "lp", "pb"))
    return f"preset=9e {names} nice={options['nice_len']} mf={finder}"


def _deflate(source: bytes) -> ProgramPayload:
    """Deflate without header and checksum, which a sound file does not need."""

    def made(memory: int) -> bytes:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, memory)
        return deflate.compress(source) + deflate.flush()

    # More memory means longer blocks, which is not always better.
    data, memory = min(((made(memory), memory) for memory in (9, 8, 7)), key=lambda tried: len(tried[0]))
    settings, arguments = f"level=9 memory={memory}", f",-{zlib.MAX_WBITS}"
    return ProgramPayload(codec="deflate", settings=settings, data=data, module="zlib", arguments=arguments)


def _brotli(source: bytes) -> ProgramPayload:
    import brotli

    # A window larger than the source is no help, and which one is best follows no rule: files differ by ten bytes or
    # so.  Mode font differs from generic in how distances are coded.
    largest = min(24, max(10, len(source).bit_length()))
    tried = [
        (brotli.compress(source, mode=mode, quality=11, lgwin=window), f"quality=11 mode={name} lgwin={window}")
        for name, mode in (("generic", brotli.MODE_GENERIC), ("text", brotli.MODE_TEXT), ("font", brotli.MODE_FONT))
        for window in dict.fromkeys((22, 24, 16, largest, max(10, largest - 1)))
    ]
    data, settings = min(tried, key=lambda made: len(made[0]))
    return ProgramPayload(codec="brotli", settings=settings, data=data, module="brotli")


#: Programs around a base-85 text and further arguments of decompress, in order of preference.
SPELLINGS: Mapping[str, str] = MappingProxyType({
    "import": 'import {module},base64\nexec({module}.decompress(base64.b85decode("{text}"){arguments}))',
    "import as": 'import {module} as L,base64 as B\nexec(L.decompress(B.b85decode("{text}"){arguments}))',
    "__import__": 'exec(__import__("{module}").decompress(__import__("base64").b85decode("{text}"){arguments}))',
})  # fmt: skip
