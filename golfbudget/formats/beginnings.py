"""Files of which only the beginning is at hand: as long as the whole file, and readable no further than they were read.

Not a buffer, so that nothing can mistake what was never fetched for bytes: every read beyond is a `NotAtHandError`.
"""

from __future__ import annotations

from collections.abc import Callable

from golfbudget.codecs.base import Buffer
from golfbudget.errors import NotAtHandError


class Beginning:
    """The first bytes, `held`, of a file of `size` bytes; `missing` says what to do about the others.

    `fetch` brings the bytes `[start, stop)` for those who ask for a few by `sample`.
    """

    __slots__ = ("fetch", "held", "missing", "size")

    def __init__(
        self, held: bytes, *, size: int, missing: str, fetch: Callable[[int, int], bytes] | None = None
    ) -> None:
        self.held, self.size, self.missing, self.fetch = held[:size], size, missing, fetch

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

    def sample(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`, fetched if need be: few, to tell one thing from another; `NotAtHandError` if none.

        Errors of fetching are those of `hub.ranges`.
        """
        if stop <= len(self.held):
            return self.held[start:stop]
        if self.fetch is None:
            raise self.unread(stop)
        return self.fetch(start, min(stop, self.size))

    def unread(self, needed: int) -> NotAtHandError:
        """The error of reading as far as `needed`."""
        return NotAtHandError(self.missing, needed=needed)


def at_hand(data: Buffer | Beginning) -> Buffer:
    """The bytes of a file that can be read, from its first on."""
    return data.held if isinstance(data, Beginning) else data
