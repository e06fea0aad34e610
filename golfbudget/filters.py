"""Filters: lossless reorderings and prefixes around a codec.

A filter gives bytes for bytes of the same number, behind a header, so that every byte keeps a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec import Struct

from golfbudget import codecs
from golfbudget.codecs import Buffer, Sniff
from golfbudget.ledger import Span
from golfbudget.registry import Registry


class Filtered(Struct, frozen=True, kw_only=True):
    """A filter undone: stored byte `header + i` is byte `place(i)` of `decoded`.

    `planes(start, stop)` gives the stored spans (header included in the offsets) that hold decoded bytes
    `[start, stop)`.  `codec` is the codec that the header names, None where it names none.
    """

    name: str
    data: Buffer
    decoded: Buffer
    header: int
    planes: Callable[[int, int], tuple[Span, ...]]
    codec: str | None = None


class Filter(Protocol):
    """A registered filter."""

    @property
    def name(self) -> str: ...

    def begins(self, head: bytes) -> bool:
        """Whether a filtered file could begin with these bytes (at least 32 where there are as many).

        Strict enough to tell a brotli stream, which has no signature, by what it decodes to.
        """

    def undo(self, data: Buffer, known: Callable[[bytes], bool]) -> Filtered | None:
        """Undo the filter, None when it is not there; `known` tells whether some bytes begin a known container."""


_FILTERS: Registry[Filter] = Registry("filter")
register, registered = _FILTERS.register, _FILTERS.registered


MAGIC = b"BSHF"
_STRIDES = range(2, 65)
#: Bytes by which a container is recognised under one reading of the header or the other.
_ENOUGH = 16


@register
class ByteShuffle:
    """A stride, then one plane per byte position; lengths that are no multiple of the stride leave short planes."""

    name = "byte-shuffle"

    def begins(self, head: bytes) -> bool:
        return head[:4] == MAGIC and len(head) > 4 and head[4] in _STRIDES

    def undo(self, data: Buffer, known: Callable[[bytes], bool]) -> Filtered | None:
        if not self.begins(bytes(data[:8])):
            return None
        stride, header = data[4], 5
        # A zero byte is the high half of a two-byte stride, or the first byte of the first plane: what the container
        # then begins with decides, and the one-byte form where neither begins like a known one.
        if bytes(data[5:6]) == b"\0" and not known(_beginning(data, 5, stride)) and known(_beginning(data, 6, stride)):
            header = 6
        length = len(data) - header
        decoded = bytearray(length)
        starts = _plane_starts(length, stride)
        for phase in range(stride):
            start, stop = header + starts[phase], header + starts[phase + 1]
            decoded[phase::stride] = data[start:stop]

        def planes(start: int, stop: int) -> tuple[Span, ...]:
            return tuple(
                Span(plane + _before(start, phase, stride), plane + _before(stop, phase, stride))
                for phase, plane in enumerate(header + at for at in starts[:-1])
            )

        return Filtered(name=self.name, data=data, decoded=decoded, header=header, planes=planes)


def shuffle(data: Buffer, stride: int = 2, header_bytes: int = 5) -> bytes:
    """Bytes behind the filter, with the header of 5 or 6 bytes that writers put before them."""
    header = MAGIC + stride.to_bytes(header_bytes - len(MAGIC), "little")
    return b"".join((header, *(bytes(data[phase::stride]) for phase in range(stride))))


def _before(offset: int, phase: int, stride: int) -> int:
    """How many positions below `offset` are `phase` modulo `stride`.

    >>> [_before(5, phase, 2) for phase in (0, 1)]
    [3, 2]
    """
    return max(0, (offset - phase + stride - 1) // stride)


def _plane_starts(length: int, stride: int) -> list[int]:
    starts = [0]
    for phase in range(stride):
        starts.append(starts[-1] + _before(length, phase, stride))
    return starts


def _beginning(data: Buffer, header: int, stride: int) -> bytes:
    length = len(data) - header
    starts = _plane_starts(length, stride)
    return bytes(data[header + starts[i % stride] + i // stride] for i in range(min(_ENOUGH, length)))


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
                    planes = partial(_behind, length)
                    rest = data[length:]
                    return Filtered(name=self.name, data=data, decoded=rest, header=length, planes=planes, codec=name)
        return None


def _is(name: str, data: Buffer, start: int, known: Callable[[bytes], bool]) -> bool:
    codec = codecs.get(name)
    sniff = codec.sniff(bytes(data[start : start + _HEAD]))
    if sniff is Sniff.UNSIGNED:
        return known(codecs.beginning(codec, data[start : start + 4096], _HEAD))
    return sniff is Sniff.SURE or (sniff is Sniff.MAYBE and start > 1)


def _behind(header: int, start: int, stop: int) -> tuple[Span, ...]:
    return (Span(header + start, header + stop),)
