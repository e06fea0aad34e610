"""`BSHF`: the bytes at positions 0, s, 2s … first, then those at 1, s+1 …, so that high bytes stand together.

Public writers disagree on the header: the magic and one byte of stride, or the magic and two (little-endian).
"""

from __future__ import annotations

from collections.abc import Callable

from golfbudget.codecs import Buffer
from golfbudget.filters.base import Filtered, register
from golfbudget.ledger import Span

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
        stride = data[4]
        header = 5
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
                Span(
                    header + starts[phase] + _before(start, phase, stride),
                    header + starts[phase] + _before(stop, phase, stride),
                )
                for phase in range(stride)
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
