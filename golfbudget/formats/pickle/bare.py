"""A pickle by itself: a dict of numpy arrays, packed bytes and plain values, read as data and never loaded.

The elements of an array are a literal inside the pickle; the bytes around it that describe the array are its
overhead.  Protocol 2 spells elements as text, which then are no bytes that could be read in place.
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer
from golfbudget.errors import UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents
from golfbudget.formats.pickle.reader import read_pickle
from golfbudget.formats.pickle.tensors import pickle_regions, walk
from golfbudget.formats.storages import by_storage, stored_tensors
from golfbudget.ledger import Span

#: The name of an array that was saved by itself.
ALONE = "[array]"


def read_bare(data: Buffer, *, where: str) -> Contents:
    """Explain one pickle; whatever follows it is unmapped.  Raises `CorruptError` or `UnsupportedError`."""
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
        format="pickle",
        regions=tuple(pickle_regions(Span(0, len(data)), pickle.length, found.claims, label, contents)),
        tensors=tuple(stored_tensors(found.views, starts)),
        values=found.values,
    )
