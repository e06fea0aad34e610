"""Zstandard (RFC 8878).  The library is imported when first used, because reading other files does not need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from golfbudget.codecs.base import Buffer, Decoder, Method, Sniff, register
from golfbudget.errors import CorruptError

if TYPE_CHECKING:
    import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
#: Frames made with a long window are accepted up to this many bytes of it.
WINDOW_LIMIT = 1 << 31
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_DICTIONARY_BYTES = (0, 1, 2, 4)


class _ZstdDecoder:
    """One frame.  The library cannot bound a single call's output, but a block of 4 bytes yields at most 128 KiB."""

    def __init__(self) -> None:
        import zstandard

        self._frame: zstandard.ZstdDecompressionObj = zstandard.ZstdDecompressor(
            max_window_size=WINDOW_LIMIT
        ).decompressobj()
        self._error = zstandard.ZstdError

    def feed(self, data: bytes) -> bytes:
        try:
            return self._frame.decompress(data)
        except self._error as error:
            raise CorruptError(str(error)) from None

    @property
    def drained(self) -> bool:
        return True

    @property
    def finished(self) -> bool:
        return self._frame.eof

    @property
    def unused(self) -> int:
        return len(self._frame.unused_data)


@register
class Zstd:
    """Frames of blocks; bits inside a block are an estimate: its share by decoded length."""

    name = "zstd"
    many_members = True
    method = Method.ESTIMATE
    default_level = 22
    levels = range(1, 23)
    failures = (CorruptError,)

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.SURE if head[:4] == MAGIC else Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        descriptor = data[start + 4]
        single_segment = bool(descriptor & 0x20)
        content = _CONTENT_SIZE_BYTES[descriptor >> 6] or (1 if single_segment else 0)
        return 5 + (0 if single_segment else 1) + _DICTIONARY_BYTES[descriptor & 3] + content

    def decoder(self) -> Decoder:
        return _ZstdDecoder()

    def encode(self, data: Buffer, level: int) -> bytes:
        import zstandard

        return zstandard.ZstdCompressor(level=level).compress(data)
