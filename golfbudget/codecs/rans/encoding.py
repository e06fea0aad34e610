"""Symbols to lanes and words, last step first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.rans.few_lanes import FEW, PlacedWord, place_words
from golfbudget.codecs.rans.machine import parities
from golfbudget.codecs.rans.tables import LOWEST, TOTAL, cost, entries, window
from golfbudget.errors import UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from golfbudget.codecs.rans.tables import Integers

START = struct.Struct("<HH")
HEADER = struct.Struct("<IHHHHH")
#: Steps of a whole stream at most, so that a few bytes cannot keep a decoder busy for long.
MOST_STEPS = 1 << 17
MOST_LANES = (1 << 16) - 1
#: Symbols of a block at most: a decoder holds it until its rows are whole.
MOST_BLOCK = 1 << 24
MOST_RUNS = (1 << 16) - 1
#: A lane costs about 28 bits, less than 0.1 % of so many symbols at 2 bits; more steps would only take longer.
_STEPS = 1 << 14
_USUAL_LANES = 512
_STORED = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRun:
    """Bytes that share a table; with `states` (4 or 8) those of a trellis-coded matrix of so many rows."""

    symbols: Buffer
    rows: int | None = None
    states: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A run with its tables: `symbols` [rows, columns] index `frequencies` and `starts` of both tables in a row."""

    symbols: NDArray[np.uint16]
    table: Integers
    entries: int
    first: int
    k: int
    bits: float

    def steps(self, lanes: int) -> int:
        rows, columns = self.symbols.shape
        return int(-(-rows // lanes) * columns)


def encode(symbols: Buffer, *, rows: int | None = None, states: int | None = None) -> bytes:
    """One run: with `states` (4 or 8) the integers of a trellis-coded matrix of so many rows, else any bytes."""
    return encode_runs([SymbolRun(symbols=symbols, rows=rows, states=states)])


def best(symbols: Buffer, rows: int) -> bytes:
    """The form of fewest bytes: as plain bytes, or as a trellis-coded matrix of 4 or 8 states."""
    return encode_runs([likely(symbols, rows)])


def likely(symbols: Buffer, rows: int) -> SymbolRun:
    """The form that tables say takes fewest bits, tables included; the coder itself adds the same to all."""
    forms = [SymbolRun(symbols=symbols)]
    if 1 < rows < len(symbols) and len(symbols) % rows == 0:
        forms += [SymbolRun(symbols=symbols, rows=rows, states=states) for states in (4, 8)]
    return min(forms, key=run_bits)


def run_bits(run: SymbolRun) -> float:
    """What a run takes in a stream of others, to within a few words; an empty one takes nothing."""
    return _prepared(run).bits if len(run.symbols) else 0.0


def encode_runs(runs: Sequence[SymbolRun]) -> bytes:
    """A stream of runs, each with its own tables; all share the lanes, which are paid once.

    Decodes to the runs' symbols, one after another.  `UnsupportedError` where a run is too long for the format.
    """
    prepared = [_prepared(run) for run in runs if len(run.symbols)]
    if not prepared:
        return START.pack(0, 0)
    if len(prepared) > MOST_RUNS:
        raise UnsupportedError(f"a rans stream has at most {MOST_RUNS} runs, not {len(prepared)}")
    lanes = _lanes(prepared)
    states, words = _words(prepared, lanes)
    out = [START.pack(lanes, len(prepared)), *(half.astype("<u2").tobytes() for half in divmod(states, 1 << 16))]
    for run, own in zip(prepared, words, strict=True):
        rows, columns = run.symbols.shape
        out.append(HEADER.pack(rows, run.first, len(run.table) // 2, columns, run.k, run.entries))
        out += [bytes(run.table.tolist()), own.astype("<u2").tobytes()]
    return b"".join(out)


def _prepared(run: SymbolRun) -> _Prepared:
    import numpy as np

    flat = np.frombuffer(run.symbols, dtype=np.uint8)
    if run.states is None:
        odd, columns, k = np.zeros((len(flat), 1), dtype=np.uint8), 1, 1
    else:
        rows, k = run.rows or 0, run.states // 4
        if run.states not in (4, 8) or rows < 1 or len(flat) % rows:
            raise UnsupportedError(f"no matrix of {rows} rows and a machine of {run.states} states: {len(flat)} bytes")
        columns = len(flat) // rows
        if columns == 1 or columns >= 1 << 16:
            return _prepared(SymbolRun(symbols=run.symbols))
        odd = parities(flat.reshape(rows, columns), k)
    counts = np.bincount(flat + 256 * odd.reshape(-1).astype(np.int64), minlength=512).reshape(2, 256)
    first, length = window(counts.sum(axis=0))
    if columns > 1 and first % 2:  # The parity of an entry's number is its byte's.
        first, length = first - 1, length + 1
    order = (first + np.arange(length)) % 256
    halves = counts[: 1 if columns == 1 else 2, order]
    tables = [entries(half) for half in halves]
    longest = max(map(len, tables))
    longest += longest % 2
    table = np.concatenate([np.pad(own, (0, longest - len(own))) for own in tables])
    taken = sum(cost(half, own) for half, own in zip(halves, tables, strict=True)) + 8 * (HEADER.size + len(table))
    symbols = (flat.reshape(-1, columns) - np.uint8(first)).astype(np.uint16) + np.uint16(longest) * odd
    return _Prepared(symbols=symbols, table=table, entries=longest, first=first, k=k, bits=taken)


def _lanes(runs: Sequence[_Prepared]) -> int:
    """As many as cost next to nothing, or as the format's longest stream takes."""
    widest = max(len(run.symbols) for run in runs)
    count = sum(run.symbols.size for run in runs)
    lanes = min(_USUAL_LANES, -(-count // _STEPS))
    while sum(run.steps(lanes) for run in runs) > MOST_STEPS and lanes < min(widest, MOST_LANES):
        lanes = min(2 * lanes, MOST_LANES)
    lanes = min(lanes, widest)
    if sum(run.steps(lanes) for run in runs) > MOST_STEPS:
        raise UnsupportedError(f"{count} symbols are more than a rans stream can hold")
    if max(min(lanes, run.symbols.shape[0]) * run.symbols.shape[1] for run in runs) > MOST_BLOCK:
        raise UnsupportedError(f"rows of {max(run.symbols.shape[1] for run in runs)} columns are too long for rans")
    return lanes


def _words(runs: Sequence[_Prepared], lanes: int) -> tuple[Integers, list[NDArray[np.uint16]]]:
    """The states at which decoding begins, and the words of each run.

    A word is what makes room in a lane for a symbol, and is taken before the lane's next one, which may be some steps
    later where a block has fewer rows than there are lanes: words are sorted by where they are taken.
    """
    import numpy as np

    if lanes <= FEW:
        return _few_words(runs, lanes)
    state = np.full(lanes, LOWEST, dtype=np.int64)
    ends = np.cumsum([run.steps(lanes) for run in runs])
    step = int(ends[-1])
    following = np.full(lanes, step, dtype=np.int64)
    places: list[Integers] = []
    words: list[Integers] = []

    def emit(full: NDArray[np.bool_], active: int) -> None:
        which = np.flatnonzero(full)
        places.append(following[which] * lanes + which)
        words.append(state[which] & 0xFFFF)
        state[:active][full] >>= 16

    for run in reversed(runs):
        frequencies, starts = _ranges(run)
        for top in range((run.symbols.shape[0] - 1) // lanes * lanes, -1, -lanes):
            block = np.ascontiguousarray(run.symbols[top : top + lanes].T)
            active = block.shape[1]
            for symbols in block[::-1]:
                step -= 1
                own = state[:active]
                width = frequencies[symbols]
                full = own >= width << 20
                if full.any():
                    emit(full, active)
                whole, part = np.divmod(own, width)
                own[:] = whole * TOTAL + part + starts[symbols]
                following[:active] = step
    emit(state >= _STORED, lanes)
    return state, _sorted(np.concatenate(places), np.concatenate(words), ends[:-1] * lanes)


def _few_words(runs: Sequence[_Prepared], lanes: int) -> tuple[Integers, list[NDArray[np.uint16]]]:
    """The same, symbol by symbol."""
    import numpy as np

    ends = np.cumsum([run.steps(lanes) for run in runs])
    state, following = [LOWEST] * lanes, [int(ends[-1])] * lanes
    placed: list[PlacedWord] = []
    for run, end in zip(reversed(runs), ends[::-1].tolist(), strict=True):
        frequencies, starts = _ranges(run)
        place_words(run.symbols, (frequencies.tolist(), starts.tolist()), state, following, end, placed)
    for lane, x in enumerate(state):
        if x >= _STORED:
            placed.append((following[lane] * lanes + lane, x & 0xFFFF))
            state[lane] = x >> 16
    places, words = np.array(placed, dtype=np.int64).reshape(-1, 2).T
    return np.array(state, dtype=np.int64), _sorted(places, words, ends[:-1] * lanes)


def _ranges(run: _Prepared) -> tuple[Integers, Integers]:
    """Frequencies of a run's symbols, and where each begins in its table."""
    import numpy as np

    frequencies = run.table**2
    starts = np.cumsum(frequencies) - frequencies
    return frequencies, starts - TOTAL * (starts >= TOTAL)


def _sorted(order: Integers, words: Integers, cuts: Integers) -> list[NDArray[np.uint16]]:
    """Words by where they are taken, cut at these places."""
    import numpy as np

    ranks = np.argsort(order, kind="stable")
    return np.split(words[ranks].astype(np.uint16), np.searchsorted(order[ranks], cuts))
