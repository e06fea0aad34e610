"""Which tensors an order-0 coder takes in fewer bytes than the codecs that look for repetition, and in which tables.

What a tensor costs now is attributed exactly, in the file as it is.  Under rANS it costs what its table says, and
tensors of like histograms share one where that saves more than it loses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from golfbudget import codecs
from golfbudget.codecs.rans.encoding import HEADER, SymbolRun, likely, run_bits
from golfbudget.filters import shuffle
from golfbudget.formats.pack import stream_table
from golfbudget.repacking.compressors import Compressor, RunForm
from golfbudget.repacking.saved_object import SavedObject
from golfbudget.repacking.writing import Arrangement, contents, width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Histograms = NDArray[np.float64]

#: Bits that all machines together must gain: what they add to the decoder.
_MACHINES = 8 * 120
#: Bytes of the byte-shuffle filter's header, which stand before the first plane.
_SHUFFLE_HEADER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteItem:
    """An item of one-byte elements in the order it came in, its counts [256], and what it costs now, in bits.

    `states` is the machine along its rows that its integers were coded with, as far as bits can tell.
    """

    number: int
    data: bytes
    rows: int
    states: int | None
    counts: NDArray[np.int64]
    now: float
    coded: float


def byte_items(held: SavedObject, arrangement: Arrangement, data: bytes) -> list[ByteItem]:
    """All items that rANS can code, with what they cost in this file of that arrangement."""
    import numpy as np

    found, gained = [], 0.0
    for number, bits in _costs(held, arrangement, data):
        item = held.items[number]
        if width(item.piece) > 1 or not item.data:
            continue
        rows = item.piece.shape[0] if len(item.piece.shape) > 1 else 1
        run = likely(item.data, rows)
        coded = run_bits(run)
        gained += run_bits(SymbolRun(symbols=item.data)) - coded
        counts = np.bincount(np.frombuffer(item.data, dtype=np.uint8), minlength=256)
        found.append(
            ByteItem(number=number, data=item.data, rows=rows, states=run.states, counts=counts, now=bits, coded=coded)
        )
    return found if gained > _MACHINES else [replace(item, states=None) for item in found]


def _costs(held: SavedObject, arrangement: Arrangement, data: bytes) -> Iterator[tuple[int, int]]:
    """(item, bits it costs now, with the order of its rows) for every item of every stream that is not shuffled."""
    stored = dict(arrangement.stored)
    orders = [n for stream in arrangement.streams for n in stream if n in stored and stored[n].rows is not None]
    first = [len(stored[n].rows or b"") for n in orders]
    bodies = contents(held, arrangement)
    of_orders: dict[int, int] = {}
    for number, (codec, _, span) in enumerate(stream_table(data, "repack")):
        if number in arrangement.shuffled:
            continue
        lengths = [len(stored[n].data if n in stored else held.items[n].data) for n in arrangement.streams[number]]
        lengths = [*(first if number == 0 else ()), *lengths]
        cuts = [0, *accumulate(lengths, initial=len(bodies[number]) - sum(lengths))]
        raw = memoryview(data)[span.start : span.stop]
        ranges: Sequence[int] = [8 * (b - a) for a, b in pairwise(cuts)]
        if codec != "none":
            stream = codecs.decode(codecs.get(codec), raw, where="repack")
            ranges = codecs.attribute(stream, cuts).ranges
        if number == 0:
            of_orders = dict(zip(orders, ranges[1:], strict=False))
            ranges = ranges[len(orders) :]
        for item, bits in zip(arrangement.streams[number], ranges[1:], strict=True):
            yield item, bits + of_orders.get(item, 0)


def tables(items: Sequence[ByteItem]) -> list[list[ByteItem]]:
    """Items that share a table, for every table: joined greedily, while that saves more than it loses.

    A trellis-coded matrix has tables of its own.
    """
    import numpy as np

    plain = [[item] for item in items if item.states is None]
    own = [[item] for item in items if item.states is not None]
    if not plain:
        return own
    counts = np.array([group[0].counts for group in plain], dtype=np.float64)
    costs = _table_bits(counts)
    saved = np.stack([costs + costs[i] - _table_bits(counts + counts[i]) for i in range(len(plain))])
    np.fill_diagonal(saved, -np.inf)
    while len(plain) > 1:
        one, other = divmod(int(saved.argmax()), len(plain))
        if saved[one, other] <= 0:
            break
        plain[one] += plain.pop(other)
        counts[one] += counts[other]
        counts = np.delete(counts, other, axis=0)
        saved = np.delete(np.delete(saved, other, axis=0), other, axis=1)
        one -= one > other
        costs = _table_bits(counts)
        saved[one] = saved[:, one] = costs + costs[one] - _table_bits(counts + counts[one])
        saved[one, one] = -np.inf
    return plain + own


def _table_bits(counts: Histograms) -> Histograms:
    """Bits of symbols with these counts [tables, 256], each under its own table, and of the table and its header."""
    import numpy as np

    totals = counts.sum(axis=1, keepdims=True)
    symbols = counts * np.log2(totals / np.where(counts, counts, totals))
    return np.asarray(symbols.sum(axis=1) + 8 * (HEADER.size + np.count_nonzero(counts, axis=1)))


def cheaper(items: Sequence[ByteItem]) -> list[ByteItem]:
    """Those that take fewer bits under rANS, in the tables that all of them would have, than they do now."""
    import numpy as np

    found = []
    for group in tables(items):
        counts = np.sum([item.counts for item in group], axis=0)
        bits = np.log2(counts.sum() / np.where(counts, counts, 1))
        shared = 8 * (HEADER.size + np.count_nonzero(counts)) / counts.sum()
        for item in group:
            coded = float((item.counts * (bits + shared)).sum()) if item.states is None else item.coded
            if coded < item.now:
                found.append(item)
    return found


def with_coder(before: Arrangement, items: Sequence[ByteItem]) -> Arrangement:
    """These items in a stream of their own, table by table, in the order of rows that they came in."""
    moved = {item.number for item in items}
    groups = tables(items)
    forms = tuple(RunForm(length=sum(len(item.data) for item in group), rows=group[0].rows, states=group[0].states)
                  for group in groups)  # fmt: skip
    kept = [(n, tuple(i for i in stream if i not in moved)) for n, stream in enumerate(before.streams)]
    left = [(n, stream) for n, stream in kept if stream or n == 0]
    return replace(
        before,
        streams=(*(stream for _, stream in left), tuple(item.number for group in groups for item in group)),
        shuffled=frozenset(at for at, (n, _) in enumerate(left) if n in before.shuffled),
        stored=tuple(pair for pair in before.stored if pair[0] not in moved),
        coded=((len(left), forms),),
    )


def planes(body: bytes, elements: int) -> tuple[RunForm, ...]:
    """A run for each plane of a stream whose bytes are shuffled by this element width."""
    length = len(body) // elements
    lengths = [length] * elements
    lengths[0] += _SHUFFLE_HEADER
    return tuple(RunForm(length=each) for each in lengths)


def coded_planes(
    arrangement: Arrangement, held: SavedObject, lengths: Sequence[int], compressor: Compressor
) -> Arrangement:
    """Streams of wide elements shuffled and under rANS, each where that is shorter than its length so far."""
    stored = dict(arrangement.stored)
    bodies = contents(held, arrangement)
    coded, shuffled = dict(arrangement.coded), set(arrangement.shuffled)
    for number, stream in enumerate(arrangement.streams):
        pieces = [stored[n].piece if n in stored else held.items[n].piece for n in stream]
        widths = {width(piece) for piece in pieces}
        if number == 0 or number in coded or len(widths) != 1 or widths == {1} or not bodies[number]:
            continue
        (elements,) = widths
        forms = planes(bodies[number], elements)
        if len(compressor.coded(shuffle(bodies[number], elements), forms)) < lengths[number]:
            coded[number] = forms
            shuffled.add(number)
    return replace(arrangement, coded=tuple(coded.items()), shuffled=frozenset(shuffled))
