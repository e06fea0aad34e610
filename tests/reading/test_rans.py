"""rANS: whole symbols back from every decoder, and as few bytes as an arithmetic coder with the same table."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import constriction
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rans_walker import walk, walked, walked_costs

from golfbudget import codecs
from golfbudget.code_packing import pack_code
from golfbudget.codecs.rans.decoders import source
from golfbudget.codecs.rans.encoding import SymbolRun, best, encode, encode_runs
from golfbudget.codecs.rans.machine import parities
from golfbudget.codecs.rans.tables import TOTAL, cost, entries, window
from golfbudget.errors import CorruptError, LimitError, UnsupportedError
from golfbudget.example import train
from golfbudget.schemes import Context, get
from golfbudget.schemes.trellis_search import Machine

RANS = codecs.get("rans")


def decoded(stored: bytes) -> bytes:
    return bytes(codecs.decode(RANS, stored, where="test").decoded)


def executed(text: str, stored: bytes, *, numpy: bool) -> bytes:
    """What the decoder that travels with an artifact makes of a stream."""
    namespace: dict[str, object] = {"n": np if numpy else torch}
    exec(text, namespace)  # noqa: S102  (the decoder a submission carries is run as it stands)
    decode = namespace["r"]
    assert callable(decode)
    return bytes(decode(stored))


def gaussian(count: int, *, deviation: float = 1 / 0.4145, seed: int = 0) -> bytes:
    """int6 at 12.85 steps of clipping to a deviation, as the contest's artifacts hold them."""
    drawn = np.random.default_rng(seed).normal(0, deviation, count)
    return np.clip(np.round(drawn), -31, 31).astype(np.int8).tobytes()


@st.composite
def runs(draw: st.DrawFn) -> SymbolRun:
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    alphabet = draw(st.lists(st.integers(0, 255), min_size=1, max_size=9))
    symbols = bytes(draw(st.lists(st.sampled_from(alphabet), min_size=rows * columns, max_size=rows * columns)))
    return SymbolRun(symbols=symbols, rows=rows, states=draw(st.sampled_from((None, 4, 8))))


@pytest.mark.slow
@given(st.lists(runs(), max_size=4))
@settings(max_examples=25)
def test_every_decoder_gives_the_symbols_back(made: list[SymbolRun]) -> None:
    symbols = b"".join(bytes(run.symbols) for run in made)
    stored = encode_runs(made)
    assert decoded(stored) == symbols
    assert walked(stored) == symbols
    for numpy in (True, False):
        assert executed(source(numpy=numpy, trellis=True), stored, numpy=numpy) == symbols
    plain = encode_runs([SymbolRun(symbols=run.symbols) for run in made])
    for numpy in (True, False):
        assert executed(source(numpy=numpy, trellis=False), plain, numpy=numpy) == symbols


@given(st.lists(runs(), max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_costs_are_those_of_reading_symbol_by_symbol(made: list[SymbolRun], chance: random.Random) -> None:
    stored = encode_runs(made)
    length = sum(len(run.symbols) for run in made)
    cuts = sorted({0, length, *(chance.randint(0, length) for _ in range(6))})
    costs = codecs.attribute(codecs.decode(RANS, stored, where="test"), cuts)
    assert list(costs.ranges) == walked_costs(stored, cuts)
    assert sum(costs.ranges) + costs.framing == 8 * len(stored)
    assert costs.framing == 8 * RANS.header_length(stored, 0)


@given(runs(), st.integers(1, 30))
@settings(max_examples=15)
def test_symbols_come_out_however_the_stream_is_fed(run: SymbolRun, step: int) -> None:
    stored = encode_runs([run]) + b"what follows"
    decoder, made, at = RANS.decoder(), b"", 0
    while not decoder.finished:
        made += decoder.feed(stored[at : at + step])
        at += step
        while not decoder.drained:
            made += decoder.feed(b"")
    assert made == run.symbols
    assert stored[min(at, len(stored)) - decoder.unused :].startswith(b"what follows"[: decoder.unused])
    assert min(at, len(stored)) - decoder.unused == len(stored) - len(b"what follows")


@pytest.mark.parametrize(
    ("symbols", "rows"),
    [
        (b"", 1),
        (b"x", 1),
        (b"x" * 7000, 10),
        (bytes(range(256)) * 4, 256),
        (bytes(range(256)) * 4, 1),
        (bytes(range(251)) * 2, 502),
        (bytes([255, 0, 1]) * 700, 3),
        (bytes([3, 4]), 1),
        (bytes([0, 128]) * 99 + b"\7", 199),
    ],
)
def test_degenerate_matrices_come_back(symbols: bytes, rows: int) -> None:
    for stored in (encode(symbols), best(symbols, rows), *(encode(symbols, rows=rows, states=s) for s in (4, 8))):
        assert decoded(stored) == symbols
        assert walked(stored) == symbols
    assert encode(symbols) == encode(symbols)


def test_uniform_bytes_cost_eight_bits_and_their_table() -> None:
    symbols = bytes(range(256)) * 400
    overhead = len(encode(symbols)) - len(symbols)
    assert 0 < overhead < 600


# The oracle


def oracle(symbols: bytes) -> tuple[int, int]:
    """Bytes by constriction's coders with the symbols' exact frequencies, which it does not store."""
    values, message = np.unique(np.frombuffer(symbols, dtype=np.uint8), return_inverse=True)
    counts = np.bincount(message.reshape(-1), minlength=len(values)).astype(np.float64)
    model = constriction.stream.model.Categorical(counts / counts.sum(), perfect=True)
    stack = constriction.stream.stack.AnsCoder()
    stack.encode_reverse(message.reshape(-1).astype(np.int32), model)
    queue = constriction.stream.queue.RangeEncoder()
    queue.encode(message.reshape(-1).astype(np.int32), model)
    return 4 * len(stack.get_compressed()), 4 * len(queue.get_compressed())


@pytest.mark.parametrize(
    ("symbols", "tables", "apart"),
    [(gaussian(200_000), 0.0018, 0.0016), (gaussian(200_000, deviation=7), 0.0018, 0.0014)],
    ids=["int6 at 12.85", "wide int6"],
)
def test_as_short_as_constriction(symbols: bytes, tables: float, apart: float) -> None:
    stored = encode(symbols)
    table = 14 + 2 * struct.unpack_from("<6xH", stored, 4 + 4 * int.from_bytes(stored[:2], "little"))[0]
    for other in oracle(symbols):
        assert len(stored) < (1 + tables) * other < 1.003 * other
        assert len(stored) - table < (1 + apart) * other


def test_a_table_of_squares_costs_next_to_nothing() -> None:
    for deviation in (2.4, 7.0, 31.0):
        drawn = np.round(np.random.default_rng(0).normal(0, deviation, 1 << 20)).astype(np.int64)
        counts = np.bincount(drawn - drawn.min())
        table = entries(counts)
        assert int((table**2).sum()) == TOTAL
        shares = counts[counts > 0] / counts.sum()
        entropy = -float((counts[counts > 0] * np.log2(shares)).sum())
        assert 0 <= cost(counts, table) / entropy - 1 < 0.0003


@given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=256))
@settings(max_examples=25)
def test_squares_sum_to_the_total_and_leave_no_symbol_out(counts: list[int]) -> None:
    table = entries(np.array(counts, dtype=np.int64))
    assert int((table**2).sum()) == TOTAL
    assert int(table.max()) <= 255
    assert all(table[i] for i, count in enumerate(counts) if count)
    assert len(table) <= len(counts) + 6


@given(st.sets(st.integers(0, 255), min_size=1, max_size=9))
@settings(max_examples=15)
def test_the_window_is_the_shortest_range_around_the_circle(used: set[int]) -> None:
    counts = np.zeros(256, dtype=np.int64)
    counts[list(used)] = 1
    first, length = window(counts)
    covers = [n for n in range(1, 257) for a in used if {(a + i) % 256 for i in range(n)} >= used]
    assert {(first + i) % 256 for i in range(length)} >= used
    assert length == min(covers)


# Trellis


def trellis_coded(states: int, *, rows: int = 256, columns: int = 512) -> torch.Tensor:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    return get("trellis").encode(matrix, {"step": 0.5, "states": states, "rd": 0.35}, Context(seed=0)).tables[0].tensor


@pytest.mark.parametrize("states", [4, 8])
def test_parities_are_those_of_the_scheme(states: int) -> None:
    stored = trellis_coded(states)
    odd = parities(stored.numpy().view(np.uint8), states // 4)
    levels = Machine(states // 4).levels(stored)
    assert np.array_equal(2 * stored.numpy().astype(np.int16) + odd, levels.numpy())


@pytest.mark.parametrize("states", [4, 8])
def test_a_histogram_for_each_parity_pays(states: int) -> None:
    stored = trellis_coded(states)
    symbols, rows = stored.numpy().tobytes(), stored.shape[0]
    lengths = [len(encode(symbols)), *(len(encode(symbols, rows=rows, states=each)) for each in (4, 8))]
    assert lengths[states // 4] < 0.998 * lengths[0]
    assert len(best(symbols, rows)) == min(lengths)
    assert decoded(best(symbols, rows)) == symbols


def test_no_machine_runs_over_what_is_no_matrix() -> None:
    for rows, states in ((3, 8), (0, 4), (2, 16)):
        with pytest.raises(UnsupportedError, match=f"no matrix of {rows} rows"):
            encode(b"abcd", rows=rows, states=states)


# Streams that are not sound


def changed(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    def change(stored: bytes) -> bytes:
        mutable = bytearray(stored)
        struct.pack_into(form, mutable, at, value)
        return bytes(mutable)

    return change


#: Of a stream of one lane: the run's header begins at byte 8, its table at 22.
BROKEN: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("no lanes", lambda _: struct.pack("<HH", 0, 1), "byte 0: a rans stream of no lanes"),
    ("no rows", changed(8, "<I", 0), "byte 8: a run of 0 x 1 symbols"),
    ("no columns", changed(16, "<H", 0), "byte 8: a run of 40 x 0 symbols"),
    ("odd entries", changed(20, "<H", 3), "3 entries"),
    ("many entries", changed(20, "<H", 1000), "1000 entries"),
    ("another table", changed(14, "<H", 9), "9 words of tables"),
    ("no machine", changed(18, "<H", 3), "k = 3"),
    ("no byte", changed(12, "<H", 256), "from byte 256 on"),
    ("a sum", changed(22, "<B", 255), "byte 22: the squares of a table sum to"),
    ("a state", changed(6, "<B", 1), "ends at"),
    ("cut", lambda stored: stored[:-1], "is cut short"),
    ("longer", changed(8, "<I", 4000), "is cut short|ends at"),
    ("too many steps", changed(8, "<I", 1 << 20), "1048576 steps so far"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_what_is_wrong_is_said_with_its_byte(change: Callable[[bytes], bytes], message: str) -> None:
    stored = encode(b"abcbacb" * 5 + b"abcab")
    assert int.from_bytes(stored[:2], "little") == 1
    with pytest.raises(CorruptError, match=message):
        decoded(change(stored))


@given(st.data())
@settings(max_examples=25)
def test_damaged_streams_are_refused_or_decode_to_as_many_symbols(data: st.DataObject) -> None:
    stored = bytearray(
        encode_runs([SymbolRun(symbols=gaussian(600)), SymbolRun(symbols=gaussian(64), rows=8, states=8)])
    )
    for _ in range(data.draw(st.integers(1, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        stream = codecs.decode(RANS, bytes(stored), where="test", limit=1 << 20)
    except (CorruptError, LimitError):
        return
    assert len(stream.decoded) == len(list(walk(bytes(stored[: stream.members[-1].stored.stop]))))


def test_a_bomb_stops_at_the_limit() -> None:
    """One symbol that takes no bits, four thousand million times."""
    lanes = 65535
    start = struct.pack("<HH", lanes, 1) + struct.pack("<H", 15) * lanes + struct.pack("<H", 57360) * lanes
    assert (15 << 16) + 57360 == 16 * 65025
    bomb = start + struct.pack("<IHHHHH", (1 << 32) - 1, 7, 1, 1, 1, 2) + bytes([255, 0])
    with pytest.raises(LimitError, match="decodes to more than 5000000 bytes"):
        codecs.decode(RANS, bomb, where="test", limit=5_000_000)


def test_a_wide_block_is_refused_before_it_takes_memory() -> None:
    stored = encode(bytes(range(100)) * 2, rows=100, states=4)
    lanes = int.from_bytes(stored[:2], "little")
    wide = changed(4 + 4 * lanes, "<I", 65535)(changed(0, "<H", lanes)(stored))
    wide = changed(12 + 4 * lanes, "<H", 65535)(wide)
    with pytest.raises(CorruptError, match="steps so far"):
        decoded(wide)


# The decoders that travel


def marginal(decoder: str, *, allow: Sequence[str] = ()) -> int:
    """Bytes that a packed program grows by when a decoder joins it."""
    text = (
        Path(train.__file__).read_text(encoding="utf-8") + "\nimport torch as n,numpy as n\nd=open('x','rb').read()\n"
    )
    programs = (text + "print(d)\n", text + decoder + "print(r(d))\n")
    without, having = (pack_code(program.encode(), name="p.py", allow=allow).length for program in programs)
    return having - without


@pytest.mark.parametrize(
    ("library", "form", "most"),
    [("numpy", "plain", 250), ("torch", "plain", 250), ("numpy", "trellis", 320), ("torch", "trellis", 320)],
)
def test_decoders_are_short(library: str, form: str, most: int, record_property: Callable[[str, object], None]) -> None:
    decoder = source(numpy=library == "numpy", trellis=form == "trellis")
    length = marginal(decoder, allow=("latin-1",))
    record_property("packed bytes", length)
    assert 100 < length < most


@given(st.lists(runs(), min_size=1, max_size=3))
@settings(max_examples=25)
def test_few_lanes_are_coded_as_many_are(made: list[SymbolRun]) -> None:
    """Symbol by symbol or step by step: the same bytes, the same symbols."""
    stored = encode_runs(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("golfbudget.codecs.rans.encoding.FEW", 0)
        patch.setattr("golfbudget.codecs.rans.decoding.FEW", 0)
        assert encode_runs(made) == stored
        assert decoded(stored) == b"".join(bytes(run.symbols) for run in made)
