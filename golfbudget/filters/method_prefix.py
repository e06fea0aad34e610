"""A codec named in front of its stream: four letters (`ZSTD`, `ZLIB` …) or one byte (0 lzma, 1 brotli, 2 zstd).

Both are habits of public submissions, not standards, so the stream itself must agree with what is named.
"""

from __future__ import annotations

from collections.abc import Callable

from golfbudget import codecs
from golfbudget.codecs import Buffer, Sniff
from golfbudget.filters.base import Filtered, register
from golfbudget.ledger import Span

_LETTERS = {b"ZSTD": ("zstd",), b"ZLIB": ("zlib",), b"LZMA": ("xz", "lzma"), b"BROT": ("brotli",), b"GZIP": ("gzip",)}
_NUMBERS = {0: ("xz", "lzma"), 1: ("brotli",), 2: ("zstd",)}
_HEAD = 32


@register
class MethodPrefix:
    """The name, then the stream, to the end of the file."""

    name = "method-prefix"

    def begins(self, head: bytes) -> bool:
        return head[:4] in _LETTERS

    def undo(self, data: Buffer, known: Callable[[bytes], bool]) -> Filtered | None:
        head = bytes(data[: 4 + _HEAD])
        for length, named in ((4, _LETTERS.get(head[:4])), (1, _NUMBERS.get(head[0]) if head else None)):
            for name in named or ():
                if _is(name, data, length, known):
                    return _prefixed(self.name, data, length, name)
        return None


def _is(name: str, data: Buffer, start: int, known: Callable[[bytes], bool]) -> bool:
    codec = codecs.get(name)
    sniff = codec.sniff(bytes(data[start : start + _HEAD]))
    if sniff is Sniff.UNSIGNED:
        return known(codecs.beginning(codec, data[start : start + 4096], _HEAD))
    return sniff is Sniff.SURE or (sniff is Sniff.MAYBE and start > 1)


def _prefixed(name: str, data: Buffer, header: int, codec: str) -> Filtered:
    return Filtered(
        name=name,
        data=data,
        decoded=data[header:],
        header=header,
        planes=lambda start, stop: (Span(header + start, header + stop),),
        codec=codec,
    )
