"""torch.save's zip layout, recognised here and read by `torch_archive`, which other files need not import."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.errors import CorruptError
from golfbudget.formats.base import Contents, register

_SIGNATURE = b"PK\x03\x04"
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))


@register
class TorchZip:
    """One pickle, one member per storage, a few small members that say how to read them."""

    name = "torch-zip"
    suffixes = (".pt", ".pth")

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:4]) == _SIGNATURE else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head[:4] == _SIGNATURE

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        """A zip archive of arrays is read as such, and so is a pickle: their files share suffix or signature."""
        if bytes(data[:2]) in _PICKLES:
            from golfbudget.formats.torch_legacy import read_bare_pickle

            return read_bare_pickle(data, where=where)
        if bytes(data[:4]) != _SIGNATURE:
            raise CorruptError(
                f"{where}: expected a zip archive or a pickle as torch.save writes them, found {bytes(data[:4])!r} at "
                "byte 0; --as opaque counts the file as a whole"
            )
        from golfbudget.formats.npz_archive import read_arrays
        from golfbudget.formats.torch_archive import read_archive

        return read_archive(data, where=where) or read_arrays(data, where=where)
