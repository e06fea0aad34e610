"""numpy's .npy, recognised here and read by `npy_array`, which other files need not import."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.formats.base import Contents, register

MAGIC = b"\x93NUMPY"
#: The name of an array that is a file by itself.
ALONE = "[array]"


@register
class Npy:
    """Header and padding are the array's container; bytes after its elements are unmapped."""

    name = "npy"
    suffixes = (".npy",)

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:6]) == MAGIC else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head[:6] == MAGIC

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.npy_array import read_array

        return read_array(data, ALONE, where=where)
