"""numpy's .npz, recognised here and read by `npz_archive`, which other files need not import."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.errors import CorruptError
from golfbudget.formats.base import Contents, register

_SIGNATURE, _EMPTY = b"PK\x03\x04", b"PK\x05\x06"


@register
class Npz:
    """Arrays by the names of their members, without the suffix."""

    name = "npz"
    suffixes = (".npz",)

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:4]) == _SIGNATURE else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head[:4] == _SIGNATURE

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        if bytes(data[:4]) not in (_SIGNATURE, _EMPTY):
            raise CorruptError(
                f"{where}: expected a zip archive as numpy.savez writes it, found {bytes(data[:4])!r} at byte 0; --as "
                "opaque counts the file as a whole"
            )
        from golfbudget.formats.npz_archive import read_arrays

        return read_arrays(data, where=where)
