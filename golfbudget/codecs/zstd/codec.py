"""Zstandard (RFC 8878).  The library is imported when first used, because reading other files does not need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from golfbudget.codecs.base import Buffer, Codec, Decoder, Method, Sniff, register
from golfbudget.codecs.zstd import frames
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.ledger import Span

if TYPE_CHECKING:
    import zstandard

#: Frames made with a long window are accepted up to this many bytes of it.
WINDOW_LIMIT = 1 << 31
#: Input handed to the library at once.  A block of 4 bytes yields at most 128 KiB, so that one call yields 16 MiB.
_SLICE = 512


class _ZstdDecoder:
    """One frame, frames.skippable frames included; a frame that needs a dictionary is refused before it is decoded."""

    def __init__(self) -> None:
        import zstandard

        library = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
        self._frame: zstandard.ZstdDecompressionObj = library.decompressobj()
        self._error = zstandard.ZstdError
        self._head: bytes | None = b""
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        if self._head is not None:
            self._head = _refuse_dictionary(self._head + data[: frames.LONGEST_HEADER])
        if self._waiting:
            data = self._waiting + data
        piece, self._waiting = data[:_SLICE], data[_SLICE:]
        try:
            return self._frame.decompress(piece)
        except self._error as error:
            raise CorruptError(str(error)) from None

    @property
    def drained(self) -> bool:
        return self.finished or not self._waiting

    @property
    def finished(self) -> bool:
        return self._frame.eof

    @property
    def unused(self) -> int:
        return len(self._frame.unused_data) + len(self._waiting)


def _refuse_dictionary(head: bytes) -> bytes | None:
    """The first bytes of a frame while they do not yet hold its header, then None."""
    if not head.startswith(frames.MAGIC[: len(head)]):
        return None
    header = frames.read_header(head)
    if header is None:
        return head
    if header.dictionary:
        raise UnsupportedError(
            f"the frame needs dictionary {header.dictionary}, which is not part of the file; expected a frame without"
        )
    return None


@register
class Zstd(Codec):
    """Frames of blocks, and frames.skippable frames among them; attributed by reading the blocks' own entropy codes."""

    name = "zstd"
    many_members = True
    method = Method.EXACT
    default_level = 22
    levels = range(-5, 23)

    def sniff(self, head: bytes) -> Sniff:
        # Skippable frames are not this codec's alone: LZ4 frames use the same magic numbers.
        at, claim = 0, Sniff.NO
        while frames.skippable(head[at : at + 4]):
            claim = Sniff.MAYBE
            at += frames.skippable_length(head[at : at + frames.SKIPPABLE_HEADER])
        if head[at : at + 4] == frames.MAGIC:
            return Sniff.SURE
        return claim if at + 4 > len(head) else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        if frames.skippable(data[start : start + 4]):
            return frames.skippable_length(data[start : start + frames.SKIPPABLE_HEADER])
        return frames.header_length(data[start + 4])

    def decoder(self) -> Decoder:
        return _ZstdDecoder()

    def encode(self, data: Buffer, level: int) -> bytes:
        import zstandard

        return zstandard.ZstdCompressor(level=level).compress(data)

    def costs(
        self, data: Buffer, stored: Span, decoded: Buffer, offsets: Sequence[int], *, where: str
    ) -> Sequence[int]:
        from golfbudget.codecs.zstd.costs import frame_costs

        return frame_costs(data, stored, decoded, offsets, WINDOW_LIMIT, where=where)
