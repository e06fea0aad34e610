"""Files of which only the beginning is at hand: as long as the whole file, and readable no further than they were read.

Not a buffer, so that nothing can mistake what was never fetched for bytes: every read beyond is a `NotAtHandError`.
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer
from golfbudget.errors import NotAtHandError


class Beginning:
    """The first bytes, `held`, of a file of `size` bytes; `missing` says what to do about the others."""

    __slots__ = ("held", "missing", "size")

    def __init__(self, held: bytes, *, size: int, missing: str) -> None:
        self.held, self.size, self.missing = held[:size], size, missing

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: slice) -> bytes:
        """The bytes of a slice, all of them at hand; `NotAtHandError` otherwise."""
        if not isinstance(place, slice):
            raise TypeError("a file's beginning is read by slices")
        start, stop, step = place.indices(self.size)
        if stop > len(self.held) and stop > start:
            raise self.unread(stop)
        return self.held[start:stop:step]

    def unread(self, needed: int) -> NotAtHandError:
        """The error of reading as far as `needed`."""
        return NotAtHandError(self.missing, needed=needed)


def at_hand(data: Buffer | Beginning) -> Buffer:
    """The bytes of a file that can be read, from its first on."""
    return data.held if isinstance(data, Beginning) else data
