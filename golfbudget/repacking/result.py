"""What repacking comes to: each lever's gain in order, the chosen file, what it takes to read it, and the floor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct


class Lever(StrEnum):
    """What can be turned without changing a tensor; the first two leave the container's bytes as they are."""

    CODEC = "codec"
    FILTER = "filter"
    CONTAINER = "container"
    STREAMS = "streams"
    SHUFFLE = "shuffle"
    DTYPE = "dtype"
    ORDER = "order"
    ROWS = "rows"
    CODER = "coder"
    SETTINGS = "settings"


SAME_CONTAINER = (Lever.CODEC, Lever.FILTER)
REBUILT = tuple(lever for lever in Lever if lever not in SAME_CONTAINER)


class LeverStep(Struct, frozen=True, kw_only=True, array_like=True):
    """One lever: the file's bytes with it and all levers before it; `saved` is its own gain, negative for a cost.

    `taken` says whether its gain counts: a rebuilt file goes on from the best of the same container, whose levers then
    count too, although it does by other means what they did.
    """

    lever: Lever
    choice: str
    bytes: int
    saved: int
    taken: bool

    @property
    def kind(self) -> str:
        """Whether the container's bytes are the same or a new one was built."""
        return "same container" if self.lever in SAME_CONTAINER else "rebuilt"


class PackedStream(Struct, frozen=True, kw_only=True, array_like=True):
    """One stream of a golfbudget-pack: its coder, whether it is shuffled, how many tensors it holds, and its bytes.

    Byte strings count as tensors.
    """

    coder: str
    shuffled: bool
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """The smallest file found, `data` None where the input is as small; `container` is "same" or the new one's name.

    `decoder_extra` is how many bytes of Python more than the input's own a program needs to undo the packing; it is
    negative where it needs less.  `floor` is what an ideal order-0 coder takes for the symbols of all tensors, in
    bytes, `symbols` what they take raw; None without tensors.  `streams` are those of a rebuilt container.
    """

    path: str
    original_bytes: int
    sha256: str
    data: bytes | None
    container: str
    steps: tuple[LeverStep, ...]
    decoder_source: str
    decoder_extra: int
    not_rebuilt: str | None
    floor: int | None
    symbols: int | None
    notes: tuple[str, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    streams: tuple[PackedStream, ...] = ()
    cached: bool = False

    @property
    def packed_bytes(self) -> int:
        return self.original_bytes if self.data is None else len(self.data)

    @property
    def saved(self) -> int:
        """Bytes of the file; the decoder is not counted here."""
        return self.original_bytes - self.packed_bytes
