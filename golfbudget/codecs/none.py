"""The codec that does nothing, so that an uncompressed artifact is written and read like any other."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Decoder, Method, Sniff, register


class _Identity:
    """Passes bytes through; it never finishes by itself, its stream ends with the file."""

    drained = True
    finished = False
    unused = 0

    def feed(self, data: bytes) -> bytes:
        return data


@register
class NoCodec:
    """Stored bytes are the decoded bytes."""

    name = "none"
    many_members = False
    method = Method.BYTE_EXACT
    default_level = 0
    levels = range(1)
    failures: tuple[type[Exception], ...] = ()

    def sniff(self, head: bytes) -> Sniff:
        return Sniff.NO

    def header_length(self, data: Buffer, start: int) -> int:
        return 0

    def decoder(self) -> Decoder:
        return _Identity()

    def encode(self, data: Buffer, level: int) -> bytes:
        return bytes(data)
