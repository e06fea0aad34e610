"""What a codec is: lossless bytes to bytes, decoded incrementally, recognised by content and never by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import ClassVar, Protocol, runtime_checkable

from golfbudget.errors import CorruptError
from golfbudget.ledger import Span
from golfbudget.registry import Registry

#: Longest piece of output a decoder hands back at once, so that a bomb is noticed before it is in memory.
PIECE = 1 << 20

#: Any readable run of bytes; a memoryview usually looks at a mapped file.
Buffer = bytes | bytearray | memoryview


class Sniff(IntEnum):
    """How strongly the first bytes claim a codec."""

    NO = 0
    #: There is no signature to go by: what it decodes to must begin like a known container.
    UNSIGNED = 1
    #: Worth a try; failing to decode means it was something else.
    MAYBE = 2
    #: The bytes claim it; failing to decode means they are corrupt.
    SURE = 3


class Method(StrEnum):
    """How a codec's stored bits are attributed to what they decode to."""

    EXACT = "exact"
    BYTE_EXACT = "byte-exact"
    ESTIMATE = "estimate"


class Decoder(Protocol):
    """Decodes one member (one gzip member, xz stream, zstd frame …) as it is fed."""

    def feed(self, data: bytes) -> bytes:
        """Take more input (or b"" to drain) and return what can now be decoded."""

    @property
    def drained(self) -> bool:
        """Whether everything decodable from the input so far has been returned."""

    @property
    def finished(self) -> bool:
        """Whether the member has ended."""

    @property
    def unused(self) -> int:
        """How many fed bytes lie after the member's end."""


class Codec(ABC):
    """A registered codec.  `encode` is real compression at the library's own framing defaults.

    With `many_members` members may follow one another in one file; `default_level` is the level when a recipe names
    none; `failures` are what the decoder raises on bad input.
    """

    name: ClassVar[str]
    method: ClassVar[Method] = Method.BYTE_EXACT
    many_members: ClassVar[bool] = False
    default_level: ClassVar[int] = 9
    levels: ClassVar[range] = range(10)
    failures: ClassVar[tuple[type[Exception], ...]] = (CorruptError,)

    def sniff(self, head: bytes) -> Sniff:
        """Judge the first bytes (at least 32 where the stream has them)."""
        return Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        """Framing bytes before the first compressed byte of the member at `start`; 0 where it cannot be told."""
        return 0

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder for one member."""

    @abstractmethod
    def encode(self, data: Buffer, level: int) -> bytes:
        """Compress into one member."""


@runtime_checkable
class Exact(Protocol):
    """What a codec of method EXACT does besides: it reads its own entropy codes."""

    def costs(
        self, data: Buffer, stored: Span, decoded: Buffer, offsets: Sequence[int], *, where: str
    ) -> Sequence[int]:
        """Stored bits of each range between consecutive `offsets` of one member's output.

        The member lies at `stored` of `data` and decodes to `decoded`; `offsets` rise strictly from 0 to its length.
        Bits of the member that no range is given are framing.  Raises `CorruptError` where its codes do not add up.
        """


_CODECS: Registry[Codec] = Registry("codec")
#: The registry is in sniffing order.
register, registered, get = _CODECS.register, _CODECS.registered, _CODECS.get
