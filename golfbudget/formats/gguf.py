"""GGUF, recognised here and read by `gguf_reader`, which other files need not import."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.formats.base import Contents, register

_MAGIC = b"GGUF"


@register
class Gguf:
    """Every byte belongs to the header's fixed part, a key-value, a tensor record, padding, or a tensor."""

    name = "gguf"
    suffixes = (".gguf",)

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:4]) == _MAGIC else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head[:4] == _MAGIC

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.gguf_reader import read_gguf

        return read_gguf(data, where=where)
