"""Bad input for every reader, bare and inside codecs and filters: a ledger or a golfbudget error, and nothing else.

Changed files come first, then files made to cost time or memory, each held to a bound that its test states.
"""

from __future__ import annotations

import base64
import json
import lzma
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support import seeds
from support.blobs import archive, opened, rewritten, safetensors_file, saved
from support.marks import slow_for
from test_custom_layout import LAYOUT

from golfbudget import codecs
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.errors import ConfigError, CorruptError, GolfbudgetError, LedgerError, LimitError
from golfbudget.formats.custom import load_layout
from golfbudget.roles import assign, load_roles

ROLES = load_roles()
SEEDS = seeds.seeds()
Wrap = Callable[[bytes], bytes]


def stored_as(name: str) -> Wrap:
    codec = codecs.get(name)
    level = {"brotli": 3, "zstd": 3}.get(name, codec.default_level)
    return lambda data: codec.encode(data, level)


def shuffled(stride: int, header: Callable[[int], bytes]) -> Wrap:
    return lambda data: seeds.shuffled(data, stride, header)


WRAPS: dict[str, Wrap] = {
    **{name: stored_as(name) for name in codecs.registered() if name not in ("none", "lzma2-raw", "rans")},
    "byte-shuffle": shuffled(2, seeds.one_byte),
    "byte-shuffle of two bytes": shuffled(3, seeds.two_bytes),
    "letters": lambda data: b"ZSTD" + zstandard.compress(data),
    "a number": lambda data: b"\0" + lzma.compress(data, preset=0),
    "skippable zstd": seeds.skipped,
    "stub": seeds.stub,
    "pgrp": lambda data: seeds.pgrp([data, b"", brotli.compress(data, quality=3)]),
    "npz": lambda data: seeds.zipped([("a.npy", data)]),
}
NESTS = [
    (),
    *((name,) for name in WRAPS),
    ("byte-shuffle", "brotli"),
    ("zlib", "stub"),
    ("xz", "zstd"),
    ("pgrp", "lzma"),
    ("stub", "stub"),
]


def wrapped(data: bytes, nest: tuple[str, ...]) -> bytes:
    for name in nest:
        data = WRAPS[name](data)
    return data


def ledger_or_error(data: bytes, name: str) -> None:
    """Open and make the ledger, whose construction checks the law; a LedgerError would be a reader's mistake."""
    try:
        opened(data, name)
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(error).startswith(name)  # noqa: PT017


# Changed files

LAYER = {"byte-shuffle of two bytes": "byte-shuffle", "stub": "python-source", "data program": "python-source"}
LAYER |= {"prefixed zstd": "method-prefix", "prefixed brotli": "method-prefix", "raw deflate": "deflate"}
LAYER |= {"skippable zstd": "zstd", "deflated torch-zip": "torch-zip", "stored npz": "npz", "deflated npz": "npz"}


@pytest.mark.parametrize("kind", SEEDS)
def test_the_whole_seeds_are_read(kind: str) -> None:
    """Otherwise the changes below would try less than they say."""
    artifact = opened(SEEDS[kind], "m.py" if kind == "data program" else "m.bin")
    assert artifact.layers[0].name == LAYER.get(kind, kind.split(maxsplit=1)[0])
    assert all(leaf.contents.format != "opaque" for leaf in artifact.leaves) or kind == "pgrp"


SUFFIXES = ("bin", "ptz", "safetensors", "pt", "npz", "npy", "gguf", "pkl", "py")
NAMES = st.sampled_from([f"m.{suffix}" for suffix in SUFFIXES])
KINDS = st.sampled_from(sorted(SEEDS))
#: Counts and lengths at the edges of the widths in which formats keep them.
EDGES = st.sampled_from([0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A seed with bytes flipped, numbers replaced, pieces cut, put in or taken from another seed; then wrapped."""
    data = bytearray(SEEDS[draw(KINDS)])
    for _ in range(draw(st.integers(0, 3))):
        if not data:
            break
        last = len(data) - 1
        at = draw(st.integers(0, min(last, 63)) | st.integers(max(0, last - 99), last) | st.integers(0, last))
        other = SEEDS[draw(KINDS)]
        of = draw(st.integers(0, len(other) - 1))
        width = draw(st.sampled_from([1, 2, 4, 8]))
        match draw(st.sampled_from(["flip", "number", "cut", "insert", "end", "splice", "repeat", "from"])):
            case "flip":
                data[at] = draw(st.integers(0, 255))
            case "number":
                data[at : at + width] = (draw(EDGES) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            case "cut":
                del data[at : at + draw(st.sampled_from([1, 2, 4, 8, 60]))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
            case "end":
                del data[at:]
            case "splice":
                data[at:] = other[of:]
            case "repeat":
                data[at:at] = data[at // 2 : at // 2 + 50]
            case _:
                data[at : at + 60] = other[of : of + 60]
    return wrapped(bytes(data), draw(st.sampled_from(NESTS)))


@pytest.mark.slow
@settings(max_examples=500, derandomize=True)
@given(changed(), NAMES)
def test_a_changed_file_inside_anything_gives_a_ledger_or_an_error(data: bytes, name: str) -> None:
    if data:
        ledger_or_error(data, name)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(KINDS, st.sampled_from(NESTS[1:]), st.data(), NAMES)
def test_a_changed_wrapping_gives_a_ledger_or_an_error(
    kind: str, nest: tuple[str, ...], data: st.DataObject, name: str
) -> None:
    whole = bytearray(wrapped(SEEDS[kind], nest))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        whole[at] ^= data.draw(st.integers(1, 255))
    ledger_or_error(bytes(whole[: data.draw(st.integers(1, len(whole)))]), name)


INDEX = json.dumps({"metadata": {}, "weight_map": {"a": "s1.safetensors", "b": "s2.bin"}}).encode()
SHARDS = {
    "s1.safetensors": safetensors_file('{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}', b"abc"),
    "s2.bin": saved({"b": torch.ones(3)}),
    "model.safetensors.index.json": INDEX,
    "config.json": b'{"tie_word_embeddings": true}',
}
TEXTS = st.sampled_from([b"-1", b"9" * 30, b"1" * 5000, b"[" * 3000, b"\xff", b'"', b"NaN", b"\\ud800", b"..", b""])


def edited(drawn: st.DataObject, data: bytes) -> bytes:
    at = drawn.draw(st.integers(0, len(data)))
    return data[:at] + drawn.draw(TEXTS) + data[at + drawn.draw(st.integers(0, 8)) :]


@settings(max_examples=100, derandomize=True)
@given(st.data())
def test_changed_shards_give_a_ledger_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "shards"
    folder.mkdir(exist_ok=True)
    broken = data.draw(st.sampled_from(sorted(SHARDS)))
    for name, raw in SHARDS.items():
        (folder / name).write_bytes(edited(data, raw) if name == broken else raw)
    try:
        assign(open_artifact(folder), ROLES)
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(folder) in str(error)  # noqa: PT017


@settings(max_examples=100, derandomize=True)
@given(st.data(), st.sampled_from([bytes, zlib.compress]))
def test_changed_layouts_give_a_ledger_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, encode: Wrap
) -> None:
    folder = tmp_path_factory.getbasetemp()
    layout, binary = folder / "layout.toml", folder / "m.xyz"
    layout.write_bytes(edited(data, LAYOUT.encode()))
    binary.write_bytes(encode(b"MYFORMAT" + bytes(data.draw(st.integers(0, 100)))))
    try:
        assign(open_artifact(binary, layout=load_layout(layout)), ROLES)
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(folder) in str(error)  # noqa: PT017


# What a fuzz of 460,000 inputs found


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a = " + "[" * 5000, "a = 1 = 2"])
def test_a_layout_that_no_toml_reader_can_take_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "layout.toml").write_text(text)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_layout(tmp_path / "layout.toml")


def test_an_array_from_a_buffer_with_too_few_arguments_is_refused() -> None:
    data = b"\x80\x05}\x8c\x01w\x8c\x12numpy.core.numeric\x8c\x0b_frombuffer\x93C\x01a\x85Rs."
    with pytest.raises(CorruptError, match=r"m: array 'w' is not described as numpy describes arrays"):
        opened(data, "m")


def test_bytes_after_a_brotli_stream_are_not_fed_to_its_decoder_again() -> None:
    """Two thousand stored bytes in one feed jump over boundaries, which are then looked for from the start."""
    array = np.zeros(300_000, np.int8)
    array[::1009] = 7
    data = brotli.compress(seeds.npy(array), quality=3)
    artifact = opened(b"\x01" + data + bytes(range(200, 240)) * 20, "m")
    assert [layer.name for layer in artifact.layers] == ["method-prefix", "brotli", "npy"]
    (after,) = [part for part in artifact.parts if part.label == "[after the brotli stream]"]
    assert after.stored_bits == 8 * 800


# Lies that are told by hand


def zip_of(members: list[tuple[str, int, bytes, int, int]]) -> bytes:
    """A zip archive from (name, method, stored bytes, checksum, decoded length), each as false as one likes."""
    out, directory = bytearray(), bytearray()
    for name, method, raw, crc, decoded in members:
        sizes = (crc, len(raw), decoded, len(name), 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, method, 0, 0, *sizes, 0, 0, 0, 0, len(out))
        directory += name.encode()
        out += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, method, 0, 0, *sizes) + name.encode() + raw
    count, size, start = len(members), len(directory), len(out)
    end = b""
    if count > 0xFFFE:
        end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
        count, size, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    return bytes(out + directory) + end + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, 0)


def zeros(megabytes: int) -> bytes:
    """A raw deflate stream of zeros, a thousandth of their length."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join(deflate.compress(bytes(1 << 20)) for _ in range(megabytes)) + deflate.flush()


def npy(descr: str = "'<f4'", shape: str = "(1,)", fortran: str = "False", data: bytes = b"abcd") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"
    return seeds.npy_header(text, data, b"\x02\x00")


def overlapping() -> bytes:
    """A thousand directory records on one member."""
    one = zip_of([("a.npy", 8, zeros(16), 0, 16 << 20)])
    at = one.index(b"PK\1\2")
    record = one[at : one.index(b"PK\5\6")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1000, 1000, len(record) * 1000, at, 0)
    return one[:at] + record * 1000 + end


def nested(data: bytes, wrap: Wrap, times: int) -> bytes:
    for _ in range(times):
        data = wrap(data)
    return data


def constants() -> bytes:
    """A list of eight lists of eight lists …: sixteen million constants."""
    lines = [f"x{i}=[{','.join([f'x{i + 1}'] * 8)}]" for i in range(8)]
    return "\n".join([*lines, "x8=1", "import lzma", f"exec(lzma.decompress(b'{'a' * 99}',3,None,x0))"]).encode()


def repeated(one: Callable[[int], bytes], count: int) -> bytes:
    return b"".join(one(i) for i in range(count))


def many_tensors(count: int) -> bytes:
    records = {f"{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(count)}
    return safetensors_file(json.dumps(records), bytes(count))


BIG = 1 << 63
SPLIT = many_tensors(20_000)
WINDOW = torch.zeros(4 << 20, dtype=torch.uint8)
EMPTY_NPY = seeds.npy(np.zeros(0, np.int8))
GGUF_TINY = struct.pack("<IQ", 0, 0)
SMALL_NPZ = SEEDS["deflated npz"]
#: What each lie says, the error that refuses it, and what the error must say.
REFUSED: dict[str, tuple[Callable[[], bytes], type[GolfbudgetError], str]] = {
    "gguf: counts of 2**63": (lambda: b"GGUF" + struct.pack("<IQQ", 3, BIG, BIG), CorruptError, "claims 9223"),
    "gguf: a string of 2**63": (
        lambda: seeds.gguf([seeds.gguf_pair("a", 8, struct.pack("<Q", BIG))]),
        CorruptError,
        "takes 9223372036854775808 bytes",
    ),
    "gguf: an array of 2**63": (
        lambda: seeds.gguf([seeds.gguf_pair("a", 9, struct.pack("<IQ", 10, BIG))]),
        CorruptError,
        "takes 73786976294838206464 bytes",
    ),
    "gguf: arrays nested deep": (
        lambda: seeds.gguf([seeds.gguf_pair("a", 9, struct.pack("<IQ", 9, 1) * 50_000)]),
        CorruptError,
        "nests arrays more than",
    ),
    "gguf: a shape of 2**186": (
        lambda: seeds.gguf([], [seeds.gguf_record("w", [1 << 62] * 3, 0, 0)]),
        CorruptError,
        "ends at byte",
    ),
    "npy: a product over 2**63": (lambda: npy(shape=f"({1 << 32}, {1 << 32})"), CorruptError, "claims more than"),
    "npy: a negative size": (lambda: npy(shape="(-1,)"), CorruptError, "must give a shape"),
    "npy: truth as a size": (lambda: npy(shape="(True,)"), CorruptError, "must give a shape"),
    "npy: a size of 60,000 digits": (lambda: npy(shape=f"({'9' * 60_000},)"), CorruptError, "no Python literal"),
    "npy: 100 dimensions": (lambda: npy(shape=f"({'1,' * 100})"), CorruptError, "must give a shape"),
    "npy: an order that is none": (lambda: npy(fortran="2"), CorruptError, "must give a shape"),
    "npy: a literal that multiplies": (lambda: npy(shape="(1,) * 10**9"), CorruptError, "no Python literal"),
    "npy: a literal nested deep": (lambda: npy(shape="(" * 50_000), CorruptError, "no Python literal"),
    "npy: minus minus minus": (lambda: npy(shape="-" * 50_000 + "1"), CorruptError, "no Python literal"),
    "npz: a decoded length that lies": (
        lambda: zip_of([("a.npy", 8, zeros(8), 0, 100)]),
        CorruptError,
        "says 100",
    ),
    "npz: members on one another": (overlapping, CorruptError, "runs into what starts at"),
    "npz in npz in npz": (
        lambda: nested(SMALL_NPZ, lambda data: seeds.zipped([("a.npy", data)]), 20),
        CorruptError,
        "should start with",
    ),
    "npz: 100,000 members": (
        lambda: zip_of([(f"{i}.npy", 0, b"", 0, 0) for i in range(100_000)]),
        CorruptError,
        "should start with",
    ),
    "npz: 17,000 arrays": (
        lambda: zip_of([(f"{i}.npy", 0, EMPTY_NPY, zlib.crc32(EMPTY_NPY), len(EMPTY_NPY)) for i in range(17_000)]),
        LimitError,
        "more than 16384 streams",
    ),
    "zip: 200,000 directory records in zlib": (
        lambda: zlib.compress(
            (one := zip_of([("a", 0, b"", 0, 0)]))[:31]
            + one[31:78] * 200_000
            + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 9_400_000, 31, 0),
            1,
        ),
        LimitError,
        "more than 131072 records",
    ),
    "pickle: 300,000 values in 1 kB": (
        lambda: archive(b"\x80\x02(" + b"N" * 300_000 + b"t.", method=zipfile.ZIP_DEFLATED),
        LimitError,
        "more than [0-9]+ items",
    ),
    "pickle: a literal of 4 GB": (lambda: b"\x80\x02](B\xff\xff\xff\xffx", CorruptError, "cannot be read past"),
    "pickle: long paths in every item": (
        lambda: pickle.dumps({f"{i}" + "/a" * 200: 1 for i in range(40_000)}, 2),
        LimitError,
        "more than [0-9]+ items",
    ),
    "pgrp: streams of 4 GB": (lambda: struct.pack("<4sII", b"PGRP", 1, 0xFFFFFFFF), CorruptError, "end at byte"),
    "pgrp in pgrp": (lambda: nested(SEEDS["pgrp"], lambda d: seeds.pgrp([d, d]), 9), LimitError, "nested more than"),
    "pgrp: trees of streams": (
        lambda: nested(b"x", lambda data: seeds.pgrp([zlib.compress(data)] * 30), 5),
        LimitError,
        "more than 16384 streams",
    ),
    "a program in itself": (lambda: nested(SMALL_NPZ, seeds.stub, 9), LimitError, "nested more than"),
    "zstd: 100,000 skippable frames": (
        lambda: zlib.compress((b"\x50\x2a\x4d\x18" + bytes(4)) * 100_000, 1),
        LimitError,
        "more than 65536 members",
    ),
    "byte-shuffle: 64 planes of 20,000 tensors": (
        lambda: seeds.shuffled(SPLIT, 64, seeds.one_byte),
        LimitError,
        "parts over more than",
    ),
    "safetensors: 101,000 tensors": (lambda: many_tensors(101_000), LimitError, "more than 100000 records"),
}


#: Within bounds, and quadratic once: these give a ledger.
READ: dict[str, Callable[[], bytes]] = {
    "npy: nothing, of a huge other size": lambda: npy(shape=f"(0, {BIG - 1}, {BIG - 1})", fortran="True"),
    "gguf: 200,000 empty arrays": lambda: seeds.gguf(
        [seeds.gguf_pair("a", 9, struct.pack("<IQ", 9, 200_000) + GGUF_TINY * 200_000)]
    ),
    "gguf: a name of 60,000 underscores": lambda: seeds.gguf([], [seeds.gguf_record("a_" * 30_000, [1], 24, 0)], b"x"),
    "safetensors: a name of 120,000 characters": lambda: safetensors_file(
        json.dumps({"a_" * 60_000: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}), b"x"
    ),
    "safetensors: 8,000 maps and 8,000 codebooks": lambda: safetensors_file(
        json.dumps(
            {f"m{i}": {"dtype": "U8", "shape": [3], "data_offsets": [3 * i, 3 * i + 3]} for i in range(8000)}
            | {f"b{i}": {"dtype": "F16", "shape": [5 + i, 0], "data_offsets": [24_000] * 2} for i in range(8000)}
        ),
        bytes(24_000),
    ),
    "pickle: 12,000 packed strings, each an owner": lambda: pickle.dumps(
        {f"l{i}/packed": b"x" for i in range(12_000)}, 4
    ),
    "torch-zip: 1,500 windows on 4 MB": lambda: rewritten(
        saved({**{f"m{i}": WINDOW[i:] for i in range(1500)}, "b": torch.zeros(5, 2)}), zipfile.ZIP_DEFLATED
    ),
    "pickle: tuples of themselves": lambda: b"\x80\x02]" + b"2\x86" * 60 + b".",
    "program: sixteen million constants": constants,
    "program: names of names": lambda: repeated(lambda i: b"a%d=a%d\n" % (i, i + 1), 4000) + b"exec(decompress(a0))\n",
    "program: one name bound 8,000 times": lambda: b"import zlib\nexec(zlib.decompress(x))\n" + b"x=x\n" * 8000,
    "program: many payloads": lambda: (
        b"import lzma as L,base64 as B\n" + repeated(lambda i: seeds.stub(b"x=%d\n" % i).split(b"\n", 1)[1], 300)
    ),
    "deflate: a million empty blocks": lambda: b"\0\0\0\xff\xff" * 1_000_000 + seeds.raw_deflate(SMALL_NPZ),
    "gzip: 20,000 empty members": lambda: stored_as("gzip")(b"") * 20_000 + stored_as("gzip")(SMALL_NPZ),
    "seven codecs": lambda: nested(SMALL_NPZ, zlib.compress, 9),
    "seven filters": lambda: nested(SMALL_NPZ, shuffled(2, seeds.one_byte), 9),
}
#: Processor seconds that one file may take; the slowest takes five on a busy machine of two cores.
SECONDS = 15.0
#: Those that take over a second and a half.
SLOW = {
    "npz: 100,000 members",
    "pgrp: trees of streams",
    "safetensors: 101,000 tensors",
    "zstd: 100,000 skippable frames",
    "pickle: 300,000 values in 1 kB",
    "npz: 17,000 arrays",
    "zip: 200,000 directory records in zlib",
    "torch-zip: 1,500 windows on 4 MB",
    "safetensors: 8,000 maps and 8,000 codebooks",
}


@pytest.mark.parametrize("name", slow_for(SLOW & REFUSED.keys(), REFUSED))
def test_a_lie_is_refused_within_15_seconds(name: str) -> None:
    make, error, message = REFUSED[name]
    data = make()
    began = time.process_time()
    with pytest.raises(error, match=f"^m.bin.*{message}"):
        opened(data, "m.bin")
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("name", slow_for(SLOW & READ.keys(), READ))
def test_an_absurd_but_sound_file_is_read_within_15_seconds(name: str) -> None:
    data = READ[name]()
    began = time.process_time()
    assert opened(data, "m.py" if name.startswith("program") else "m.bin").size == len(data)
    assert time.process_time() - began < SECONDS


@pytest.mark.slow
def test_an_index_of_100_000_entries_over_many_shards_takes_less_than_15_seconds(tmp_path: Path) -> None:
    files = [f"{i}.safetensors" for i in range(200)]
    for file in files:
        (tmp_path / file).write_bytes(safetensors_file("{}"))
    listed = {f"t{i}": files[i % len(files)] for i in range(100_000)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    began = time.process_time()
    with pytest.raises(CorruptError, match=r"lists 't0' there \(500 such\)"):
        open_artifact(tmp_path)
    assert time.process_time() - began < SECONDS


# Memory: every decoded layer counts against one limit

LIMIT = 8_000_000
ARRAY = seeds.npy(np.zeros(1 << 20, np.int8))
PICKLED = b"\x80\x02}X\x01\x00\x00\x00wB" + struct.pack("<L", 2 << 20) + bytes(2 << 20) + b"s."
BOMBS: dict[str, Callable[[], bytes]] = {
    "a member of 100 MB": lambda: zip_of([("a.npy", 8, zeros(100), 0, 100 << 20)]),
    "a member of 100 MB that claims 100 bytes": lambda: zip_of([("a.npy", 8, zeros(100), 0, 100)]),
    "many arrays of 1 MB": lambda: seeds.zipped([(f"{i}.npy", ARRAY) for i in range(60)]),
    "many storages of 1 MB": lambda: rewritten(
        saved({f"{i}": torch.zeros(1 << 18) for i in range(60)}), zipfile.ZIP_DEFLATED
    ),
    "many streams of 1 MB": lambda: seeds.pgrp([zlib.compress(ARRAY)] * 60),
    "many pickles in many archives": lambda: seeds.pgrp([archive(PICKLED, method=zipfile.ZIP_DEFLATED)] * 60),
    "many payloads of one program": lambda: (
        b"import lzma as L,base64 as B\n" + seeds.stub(bytes(1 << 20)).split(b"\n", 1)[1] * 60
    ),
    "layer in layer": lambda: zlib.compress(zlib.compress(ARRAY * 9)),
    "brotli around stored arrays": lambda: brotli.compress(
        seeds.zipped([(f"{i}.npy", ARRAY) for i in range(60)], zipfile.ZIP_STORED), quality=3
    ),
    "base 85 of a bomb": lambda: (
        b"import zlib,base64\nexec(zlib.decompress(base64.b85decode('"
        + base64.b85encode(zlib.compress(bytes(100 << 20), 9))
        + b"')))\n"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_with_at_most_thrice_the_limit_in_memory(name: str) -> None:
    """The limit on all layers together, one layer on top, and 4 MB for what reading takes."""
    data = BOMBS[name]()
    assert len(data) < LIMIT // 4
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="--max-decoded"):
            assign(open_bytes(data, name="m.bin", limit=LIMIT), ROLES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT


def test_together_means_together() -> None:
    """Sixty arrays fit into a limit of as many bytes, and into none that is one byte shorter."""
    data = BOMBS["many arrays of 1 MB"]()
    whole = 60 * len(ARRAY)
    assert open_bytes(data, name="m.bin", limit=whole).size == len(data)
    with pytest.raises(LimitError):
        open_bytes(data, name="m.bin", limit=whole - 1)


@pytest.mark.slow
def test_300_000_values_are_refused_with_less_than_400_megabytes_in_memory() -> None:
    data = REFUSED["pickle: 300,000 values in 1 kB"][0]()
    tracemalloc.start()
    try:
        with pytest.raises(LimitError):
            opened(data, "m.bin")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400_000_000
