"""What a filter is: bytes to bytes of the same number, behind a header, so that every byte keeps a place of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from golfbudget.codecs import Buffer
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
