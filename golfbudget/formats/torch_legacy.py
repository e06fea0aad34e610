"""torch.save's layout before 1.6, recognised here and read by `torch_pickles`, which other files need not import.

torch still writes it on request (`_use_new_zipfile_serialization=False`).
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.errors import CorruptError
from golfbudget.formats.base import Contents, register

MAGIC = 0x1950A86A20F9469CFC6C
#: LONG1 and the magic's ten bytes; from protocol 4 on, a frame of 13 or 14 bytes (with a memo) comes before it.
_LONG = b"\x8a\x0a" + MAGIC.to_bytes(10, "little")
_STARTS = tuple(bytes((0x80, protocol)) + _LONG for protocol in (2, 3, 4, 5)) + tuple(
    bytes((0x80, protocol, 0x95, length)) + bytes(7) + _LONG for protocol in (4, 5) for length in (13, 14)
)


@register
class TorchLegacy:
    """Pickle bytes belong to the items they describe; a storage and its count to the tensors on it."""

    name = "torch-legacy"
    #: `.pt` and `.pth` are claimed by the zip layout, which hands pickles over; others are known by the magic alone.
    suffixes: tuple[str, ...] = ()

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:32]).startswith(_STARTS) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return len(head) >= 14 and any(head.startswith(start[: len(head)]) for start in _STARTS)

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        if self.sniff(data) is not Sniff.SURE:
            raise CorruptError(
                f"{where}: expected a pickle of torch's magic number, found {bytes(data[:4])!r} at byte 0; --as opaque "
                "counts the file as a whole"
            )
        from golfbudget.formats.torch_pickles import read_pickles

        return read_pickles(data, where=where)


def read_bare_pickle(data: Buffer, *, where: str) -> Contents | None:
    """A pickle outside a zip archive: torch's old layout, or a pickle by itself."""
    legacy = TorchLegacy()
    if legacy.sniff(data) is Sniff.SURE:
        return legacy.read(data, where=where)
    from golfbudget.formats.numpy_pickle import NumpyPickle

    return NumpyPickle().read(data, where=where)
