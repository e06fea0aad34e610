"""A pickle by itself: a dict of numpy arrays, packed bytes and plain values, read as data and never loaded.

The elements of an array are a literal inside the pickle; the bytes around it that describe the array are its
overhead.  Protocol 2 spells elements as text, which then are no bytes that could be read in place.
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.errors import UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents, register
from golfbudget.ledger import Span

_PROTOCOLS = range(2, 6)
_FRAME = 0x95
#: No frame is longer; Python starts a new one after 64 KiB.
_LONGEST_FRAME = 1 << 40
#: Opcodes after which more must follow, and those that follow an empty container in what picklers write.
_OPENERS, _FOLLOWERS = b"}])", b"qr(.\x94\x85\x86\x87Xa]}MKJNscGtu\x8c\x88\x89"
#: The name of an array that was saved by itself.
ALONE = "[array]"


@register
class NumpyPickle:
    """One pickle; whatever follows it is unmapped."""

    name = "pickle"
    suffixes = (".pkl", ".pickle")

    def sniff(self, data: Buffer) -> Sniff:
        head = bytes(data[:128])
        if self.begins(head):
            return Sniff.SURE
        return Sniff.MAYBE if head[:1] == b"\x80" and len(head) > 2 and head[1] in _PROTOCOLS else Sniff.NO

    def begins(self, head: bytes) -> bool:
        """A protocol, and opcodes with which a pickle of data starts: a frame, an empty container, or a name."""
        if len(head) < 4 or head[0] != 0x80 or head[1] not in _PROTOCOLS:
            return False
        if head[2] == _FRAME:
            return head[1] >= 4 and len(head) > 11 and int.from_bytes(head[3:11], "little") < _LONGEST_FRAME
        if head[2] in _OPENERS:
            return head[3] in _FOLLOWERS
        module = head[3:].split(b"\n")[0].decode("latin-1")  # Perhaps only the beginning of one.
        return head[2:3] == b"c" and all(part.isidentifier() for part in module.removesuffix(".").split("."))

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.pickle_reader import read_pickle
        from golfbudget.formats.pickle_tensors import pickle_regions, walk
        from golfbudget.formats.storages import by_storage, stored_tensors

        pickle = read_pickle(data, where=where)
        if pickle.references:
            raise UnsupportedError(
                f"{where}: the pickle refers to data outside it (as torch's pickles do), and the file holds none; --as "
                "opaque counts the file as a whole"
            )
        found = walk(pickle, where=where, alone=ALONE, arrays=True)
        views = by_storage(found.views)
        contents = [(views[key][0].name, Span(p.start, p.stop)) for key, p in found.payloads.items() if p is not None]
        # An array without elements has no bytes; any place in the file will do.
        starts = {key: 0 if p is None else p.start if p.raw else None for key, p in found.payloads.items()}
        if found.big_endian:
            found.values[BYTE_ORDER] = "big"
        label = "[pickle]"
        return Contents(
            format=self.name,
            regions=tuple(pickle_regions(Span(0, len(data)), pickle.length, found.claims, label, contents)),
            tensors=tuple(stored_tensors(found.views, starts)),
            values=found.values,
        )
