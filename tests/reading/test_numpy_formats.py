"""Plain pickles, .npy and .npz against numpy, which writes them, and against files that numpy never writes.

Hostile pickles are written here and never loaded.
"""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.blobs import hostile_pickles, inner_streams, opened

from golfbudget import codecs
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.codecs import Sniff
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, UnsupportedError
from golfbudget.formats import BYTE_ORDER, Contents, StoredTensor, get
from golfbudget.ledger import Account, check_tiling

NAMES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
Array = np.ndarray[Any, Any]


def named(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from named(item, f"{path}/{key}" if path else str(key))
    else:
        yield path or "[array]", value


def elements(data: bytes, tensor: StoredTensor, *, big: bool) -> Array:
    """The array that offset, strides and shape describe."""
    dtype = np.dtype(tensor.dtype).newbyteorder(">" if big else "<")
    assert tensor.offset is not None
    if not tensor.elements:
        return np.empty(tensor.shape, dtype)
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    return np.ndarray(tensor.shape, dtype, data, tensor.offset, strides)


def same(one: Array, other: Array) -> bool:
    """Equal to the bit, whatever the byte order; numbers that are none included."""
    return one.shape == other.shape and one.astype(other.dtype).tobytes() == other.tobytes()


def check_pickle(data: bytes, value: object, *, in_place: bool) -> Contents:
    """Every array and plain value of a pickle is what was pickled; `in_place`: elements can be read from the file."""
    contents = opened(data, "m.pkl").contents
    assert contents.format == "pickle"
    assert Account.UNMAPPED not in {region.account for region in contents.regions}
    arrays = {name: item for name, item in named(value) if isinstance(item, np.ndarray)}
    found = {name: tensor for tensor in contents.tensors for name in (tensor.name, *tensor.aliases)}
    assert found.keys() == arrays.keys()
    own = {region.name: region.span for region in contents.regions if region.tensor}
    for name, array in arrays.items():
        tensor = found[name]
        assert (tensor.dtype, tensor.shape) == (array.dtype.name, array.shape)
        if not array.size:
            assert tensor.name not in own
            continue
        span = own[tensor.name]
        if in_place:
            assert tensor.offset == span.start
            assert len(span) == array.nbytes
            assert same(elements(data, tensor, big=not array.dtype.isnative), array)
        else:
            assert tensor.offset is None
            stored = data[span.start : span.stop].decode().encode("latin-1")
            placed = StoredTensor(name=name, dtype=tensor.dtype, shape=tensor.shape, strides=tensor.strides, offset=0)
            assert same(elements(stored, placed, big=not array.dtype.isnative), array)
    for name, item in named(value):
        if not isinstance(item, np.ndarray):
            plain = item.item() if isinstance(item, np.generic) else item
            assert contents.values[name] == plain or (plain != plain and contents.values[name] != plain)  # noqa: PLR0124
    return contents


# numpy as the judge


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Arrays of every dtype, byte order and layout that is contiguous, sliced, transposed or empty."""
    dtype = np.dtype(draw(st.sampled_from("<>")) + draw(st.sampled_from(NAMES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    count = int(np.prod(shape))
    made = np.frombuffer(draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize)), dtype)
    if dtype.kind == "b":
        made = (made.view(np.uint8) & 1).view(np.bool_)
    made = made.reshape(shape)
    layout = draw(st.sampled_from(["C", "F", "sliced", "transposed", "permuted", "writable"]))
    if layout == "writable":
        return made.copy()
    if layout == "C" or made.ndim < 2:
        return made
    if layout == "F":
        return np.asfortranarray(made)
    if layout == "sliced":
        return made[::2, 1:]
    return made.copy().T if layout == "transposed" else np.moveaxis(made.copy(), 0, 1)


TREES = st.recursive(
    arrays() | st.integers() | st.text(max_size=4) | st.binary(min_size=1, max_size=9) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=250, derandomize=True)
@given(st.dictionaries(st.text("uvwxyz", min_size=1, max_size=3), TREES, max_size=4), st.integers(2, 5))
def test_arrays_of_any_dtype_layout_and_protocol_are_numpys(value: dict[str, object], protocol: int) -> None:
    check_pickle(pickle.dumps(value, protocol), value, in_place=protocol > 2)


@settings(max_examples=40, derandomize=True)
@given(arrays(), st.integers(0, 1))
def test_the_oldest_protocols_are_read_by_suffix(array: Array, protocol: int) -> None:
    data = pickle.dumps({"w": array}, protocol)
    assert get("pickle").sniff(data) is Sniff.NO
    contents = opened(data, "m.pkl").contents
    (tensor,) = contents.tensors
    assert (tensor.name, tensor.dtype, tensor.shape) == ("w", array.dtype.name, array.shape)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_by_themselves_ties_scalars_and_packed_bytes(protocol: int) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    (alone,) = check_pickle(pickle.dumps(array, protocol), array, in_place=protocol > 2).tensors
    assert alone.name == "[array]"
    value = {"a": array, "b": {"tied": array}, "c": array.copy(), "s": np.float32(2.5), "z": np.complex128(1 + 2j)}
    value |= {"t": np.bool_(1), "i": np.uint64(2**63), "p": b"\x00\xffpacked", "q": bytearray(b"\xfe1")}
    data = pickle.dumps(value, protocol)
    contents = check_pickle(data, value, in_place=protocol > 2)
    assert {t.name: t.aliases for t in contents.tensors} == {"a": ("b/tied",), "c": ()}


@pytest.mark.parametrize("protocol", [2, 4])
def test_module_names_of_older_numpy_are_known(protocol: int) -> None:
    text = pickle.dumps({"a": np.arange(3.0), "b": np.float32(1)}, protocol)
    old = text.replace(b"cnumpy._core.", b"cnumpy.core.").replace(b"\x8c\x16numpy._core.", b"\x8c\x15numpy.core.")
    old = old.replace(b"\x95" + text[3:11], b"\x95" + struct.pack("<Q", len(old) - 11)) if protocol == 4 else old
    assert b"_core" not in old
    contents = opened(old, "m.pkl").contents
    assert [t.name for t in contents.tensors] == ["a"]
    assert contents.values["b"] == 1.0


def test_bytes_of_python_2_are_elements_too() -> None:
    state = b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89U\x02\xfe\xfftb"
    text = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state + b"."
    contents = opened(text, "m.pkl").contents
    (tensor,) = contents.tensors
    assert tensor.offset is not None
    assert text[tensor.offset : tensor.offset + 2] == b"\xfe\xff"


def test_extension_dtypes_are_known_by_their_class() -> None:
    state = b"(K\x03X\x01\x00\x00\x00<NNNK\x02K\x02K\x40tb"
    dtype = b"cnumpy\ndtype\ncml_dtypes\nbfloat16\n\x89\x88\x87R" + state
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    text = b"\x80\x03}X\x01\x00\x00\x00w" + made + b"(K\x01K\x02\x85" + dtype + b"\x89C\x04\x80?\x00@tbs."
    contents = opened(text, "m.pkl").contents
    (tensor,) = contents.tensors
    assert (tensor.dtype, tensor.shape) == ("bfloat16", (2,))
    assert tensor.offset is not None
    assert torch.frombuffer(bytearray(text), dtype=torch.bfloat16, count=2, offset=tensor.offset).tolist() == [1, 2]


def test_what_describes_an_array_is_its_overhead() -> None:
    value = {"tok_emb.weight": {"q": np.arange(6, dtype=np.int8), "scale": np.ones(2, np.float16)}, "note": "x"}
    data = pickle.dumps(value, 4)
    contents = check_pickle(data, value, in_place=True)
    for name, before in (("tok_emb.weight/q", b"q"), ("tok_emb.weight/scale", b"scale")):
        key = data.index(b"\x8c" + bytes([len(before)]) + before)
        spans = sorted(region.span for region in contents.regions if region.name == name)
        assert spans[0].start == key
        assert all(one.stop == other.start for one, other in pairwise(spans))
    weights = [len(r.span) for r in contents.regions if r.account is Account.WEIGHTS]
    assert weights == [6, 4]


def test_arrays_inside_unknown_objects_are_found() -> None:
    value = {"cfg": argparse.Namespace(table=np.arange(4), name="x", inner=argparse.Namespace(w=np.ones(2)))}
    contents = opened(pickle.dumps(value, 5), "m.pkl").contents
    assert [t.name for t in contents.tensors] == ["cfg/table", "cfg/inner/w"]
    assert contents.values["cfg/name"] == "x"
    assert str(contents.values["cfg"]) == "argparse Namespace"


def test_big_endian_arrays_are_said_to_be() -> None:
    assert opened(pickle.dumps({"w": np.arange(3, dtype=">i4")}), "m.pkl").contents.values[BYTE_ORDER] == "big"
    assert BYTE_ORDER not in opened(pickle.dumps({"w": np.arange(3, dtype=">i1")}), "m.pkl").contents.values


def test_bytes_after_the_pickle_are_unmapped() -> None:
    data = pickle.dumps({"w": np.arange(3)}) + b"rest"
    regions = opened(data, "m.pkl").contents.regions
    assert [(r.span.start, r.span.stop) for r in regions if r.account is Account.UNMAPPED] == [
        (len(data) - 4, len(data))
    ]


@pytest.mark.parametrize("name", ["m.pkl", "m.pickle", "m.pt", "m.bin", "m"])
def test_a_pickle_is_known_by_its_beginning_whatever_its_name(name: str) -> None:
    for protocol in (2, 3, 4, 5):
        value = {"w": np.arange(3)}
        assert opened(pickle.dumps(value, protocol), name).contents.format == "pickle"
        packed = codecs.get("zlib").encode(pickle.dumps(value, protocol), 9)
        assert opened(packed, name).contents.format == "pickle"
        brotli = codecs.get("brotli").encode(pickle.dumps(value, protocol), 9)
        assert opened(brotli, "m.bin").contents.format == "pickle"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1, "x"], dtype=object), "array 'w' has dtype 'O8'"),
        (np.zeros(2, [("a", "i4"), ("b", "f8")]), "array 'w' has dtype 'V12'"),
        (np.array(["ab"]), "array 'w' has dtype 'U2'"),
        (np.array(["2020-01-01"], "M8[D]"), "array 'w' has dtype 'M8'"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_that_hold_no_numbers_are_noted_and_the_others_read(value: Array, message: str, protocol: int) -> None:
    artifact = opened(pickle.dumps({"w": value, "v": np.arange(3)}, protocol), "m.pkl")
    assert [tensor.name for tensor in artifact.tensors] == ["v"]
    (note,) = artifact.notes
    assert note.startswith(f"{message}, which holds no plain numbers")


def reconstructed(shape: bytes, content: bytes, dtype: bytes = b"cnumpy\ndtype\nX\x02\x00\x00\x00i2\x85R") -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return b"\x80\x03}X\x01\x00\x00\x00w" + made + b"(K\x01" + shape + dtype + b"\x89" + content + b"tbs."


I2, AXES = b"cnumpy\ndtype\nX\x02\x00\x00\x00i2\x85R", b"X\x01\x00\x00\x00KK\x01K\x01\x86"
NOT_NUMPY = "array 'w' is not described as numpy describes arrays: "
REFUSED: dict[str, tuple[bytes, str]] = {
    "too few bytes": (
        reconstructed(b"K\x02\x85", b"C\x03abc"),
        r"array 'w' \[2\] int16 needs 4 bytes, the pickle holds 3 for it",
    ),
    "too many bytes": (reconstructed(b"K\x02\x85", b"C\x05abcde"), r"needs 4 bytes, the pickle holds 5"),
    "a negative size": (reconstructed(b"J\xff\xff\xff\xff\x85", b"C\x00"), NOT_NUMPY + "shape and strides"),
    "2 ** 62 elements of a few bytes": (
        reconstructed(b"\x8a\x08" + struct.pack("<Q", 1 << 62) + b"\x85", b"C\x00"),
        "the pickle holds 0 for it",
    ),
    "no bytes": (reconstructed(b"K\x02\x85", b"K\x05"), NOT_NUMPY + "its content is bytes"),
    "text for bytes": (reconstructed(b"K\x02\x85", b"X\x04\x00\x00\x00abcd"), NOT_NUMPY + "its content is bytes"),
    "no state": (
        b"\x80\x03}X\x01\x00\x00\x00wcnumpy.core.multiarray\n_reconstruct\n)Rs.",
        NOT_NUMPY + "its state is shape",
    ),
    "buffers out of band": (b"\x80\x05}X\x01\x00\x00\x00w\x97s.", "opcode NEXT_BUFFER at byte 9"),
    "axes that are no permutation": (
        b"\x80\x05}X\x01\x00\x00\x00wcnumpy.core.numeric\n_frombuffer\n(C\x04abcd%bK\x02K\x01\x86%btRs." % (I2, AXES),
        NOT_NUMPY + "its axes are a permutation",
    ),
    "tensors of torch": (
        b"\x80\x02}X\x01\x00\x00\x00wX\x01\x00\x00\x000Qs.",
        "the pickle refers to data outside it .*--as opaque",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_array_is_refused_and_says_where(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises((CorruptError, UnsupportedError), match=rf"(?s)^m\.pkl: .*{message}"):
        open_bytes(text, name="m.pkl")


@pytest.mark.parametrize("name", hostile_pickles(Path("marker")))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    text, _ = hostile_pickles(marker)[name]
    with pytest.raises(UnsupportedError, match=r"^m\.pkl: .*nothing was executed .*--as opaque"):
        open_bytes(text, name="m.pkl")
    assert not marker.exists()


def test_arrays_that_share_one_literal_have_one_region() -> None:
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00%b\x85R"
    made = b"cnumpy.core.numeric\n_frombuffer\n(%b" + dtype + b"K%b\x85X\x01\x00\x00\x00CtR"
    first = made % (b"C\x04abcdq\x00", b"i2", b"\x02")
    second = made % (b"h\x00", b"i1", b"\x04")
    text = b"\x80\x03}(X\x01\x00\x00\x00a" + first + b"X\x01\x00\x00\x00b" + second + b"u."
    contents = opened(text, "m.pkl").contents
    assert [(t.name, t.dtype, t.offset) for t in contents.tensors] == [
        ("a", "int16", text.index(b"abcd")),
        ("b", "int8", text.index(b"abcd")),
    ]
    assert [(r.name, len(r.span)) for r in contents.regions if r.tensor] == [("a", 4)]


def test_a_large_payload_is_not_copied_many_times() -> None:
    size = 1 << 24
    for protocol, copies in ((3, 1.2), (5, 2.2), (2, 4)):
        content = np.arange(size // 4, dtype=np.uint32)
        data = memoryview(pickle.dumps({"w": content}, protocol))
        del content
        tracemalloc.start()
        contents = get("pickle").read(data, where="m.pkl")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert contents is not None
        assert peak < copies * size, protocol


@pytest.mark.slow
@pytest.mark.parametrize(
    ("literal", "use"),
    [
        (b"\x96" + struct.pack("<Q", 1 << 20) + bytes(1 << 20), b"h\x00"),
        (
            b"T" + struct.pack("<i", 1 << 20) + bytes(1 << 20),
            b"cnumpy.core.numeric\n_frombuffer\n(h\x00cnumpy\ndtype\nU\x02u1\x85RJ\x00\x00\x10\x00\x85U\x01CtR",
        ),
    ],
)
def test_a_literal_that_many_values_share_is_copied_once(literal: bytes, use: bytes) -> None:
    begin = time.process_time()
    text = b"\x80\x05" + literal + b"q\x000(" + use * 5000 + b"t."
    tracemalloc.start()
    contents = get("pickle").read(text, where="m.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contents is not None
    assert len(contents.values) + sum(1 + len(t.aliases) for t in contents.tensors) == 5000
    assert peak < 40_000_000
    assert time.process_time() - begin < 5


# .npy


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version, allow_pickle=False)
    return out.getvalue()


@settings(max_examples=120, derandomize=True)
@given(arrays(), st.sampled_from([None, (1, 0), (2, 0), (3, 0)]), st.binary(max_size=3))
def test_npy_files_of_every_version_are_numpys(array: Array, version: tuple[int, int] | None, rest: bytes) -> None:
    data = npy(array, version) + rest
    contents = opened(data, "m.npy").contents
    (tensor,) = contents.tensors
    assert (contents.format, tensor.name, tensor.dtype, tensor.shape) == (
        "npy",
        "[array]",
        array.dtype.name,
        array.shape,
    )
    assert same(elements(data, tensor, big=not array.dtype.isnative), array)
    assert [len(r.span) for r in contents.regions if r.tensor] == [array.nbytes]
    assert sum(len(r.span) for r in contents.regions if r.account is Account.UNMAPPED) == len(rest)
    assert (contents.values.get(BYTE_ORDER) == "big") == (not array.dtype.isnative)


def header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    raw = text.encode()
    width = 2 if version[0] == 1 else 4
    return b"\x93NUMPY" + version + len(raw).to_bytes(width, "little") + raw + data


def described(descr: str = "'<i2'", shape: str = "(2,)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"


def test_numbers_of_python_2_are_read() -> None:
    data = header(described(shape="(2L, 1L)"), b"abcd")
    assert opened(data, "m.npy").contents.tensors[0].shape == (2, 1)


NPY_REFUSED: dict[str, tuple[bytes, str]] = {
    "another magic": (b"NUMPY and so on", r"should start with .* found b'NUMPY ' at byte 0"),
    "no version": (b"\x93NUMPY", "ends at byte 6, before its version"),
    "another version": (header(described(), version=b"\x04\x00"), "has .npy version 4.0"),
    "a header beyond the end": (header(described())[:40], "header of array .* at byte 10 says .* ends at byte 40"),
    "too few elements": (header(described(), b"abc"), r"\[2\] int16 needs 4 bytes from byte \d+ on"),
    "a huge shape": (header(described(shape=f"({1 << 62},)"), b"abc"), f"needs {1 << 63} bytes"),
    "more elements than there can be": (header(described(shape=f"({1 << 62},4)")), "claims more than"),
    "a negative size": (header(described(shape="(-2,)")), "must give a shape"),
    "a shape that is true": (header(described(shape="(True,)")), "must give a shape"),
    "a shape of many dimensions": (header(described(shape="(" + "1," * 65 + ")")), "must give a shape"),
    "an order that is a number": (header(described(fortran="1")), "must give a shape"),
    "another key": (header("{'descr': '<i2', 'shape': (2,)}"), "must be a dict of descr"),
    "a key that cannot be one": (header("{[]: 1}"), "is no Python literal"),
    "a call": (header("__import__('os').system('touch x')"), "is no Python literal"),
    "brackets without end": (header("(" * 9000), "is no Python literal"),
    "minus without end": (header("-" * 60_000 + "1"), "is no Python literal|must be a dict"),
    "a huge header": (header(" " * 70_000, version=b"\x02\x00"), "has 70000 bytes, at most 65536"),
    "a header that is no text": (header("", version=b"\x03\x00")[:8] + b"\x01\x00\x00\x00\xff", "is no text"),
}  # fmt: skip


@pytest.mark.parametrize("name", NPY_REFUSED)
def test_a_malformed_npy_is_refused_and_says_where(name: str) -> None:
    data, message = NPY_REFUSED[name]
    with pytest.raises((CorruptError, UnsupportedError), match=rf"(?s)^m\.npy: .*{message}"):
        open_bytes(data, name="m.npy")


@pytest.mark.parametrize("code", ["[('a', '<i4')]", "'|O'", "'<V2'", "'<U99999999'", "'|V0'", "'<M8[s]'"])
def test_an_array_of_no_plain_numbers_keeps_its_bytes_and_is_noted(code: str) -> None:
    alone = header(described(code), b"abcd")
    artifact = opened(alone, "m.npy")
    assert artifact.tensors == ()
    assert [r.name for r in artifact.contents.regions] == ["[array]"] * 2
    assert "holds no plain numbers" in artifact.notes[0]
    both = io.BytesIO()
    with zipfile.ZipFile(both, "w") as made:
        made.writestr("odd.npy", alone)
        made.writestr("w.npy", npy(np.arange(4, dtype=np.int16)))
    artifact = opened(both.getvalue(), "m.npz")
    assert [tensor.name for tensor in artifact.tensors] == ["w"]
    assert len(artifact.notes) == 1


# .npz


def npz(values: dict[str, Array], *, method: int = zipfile.ZIP_DEFLATED, more: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, array in values.items():
            with made.open(f"{name}.npy", "w", force_zip64=True) as member:  # As numpy.savez does.
                member.write(npy(array))
        for name, content in (more or {}).items():
            made.writestr(name, content)
    return out.getvalue()


def bundle(data: bytes) -> Contents:
    contents = get("npz").read(data, where="m.npz")
    assert contents is not None
    assert contents.format == "npz"
    assert contents.tensors == ()
    check_tiling(len(data), [region.span for region in contents.regions], "m.npz")
    return contents


@settings(max_examples=60, derandomize=True)
@given(
    st.dictionaries(st.text("abc.é", min_size=1, max_size=4), arrays(), min_size=1, max_size=3),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
)
def test_each_member_of_an_npz_is_a_stream_that_numpy_reads_alike(values: dict[str, Array], method: int) -> None:
    data = npz(values, method=method)
    loaded = np.load(io.BytesIO(data))
    contents = bundle(data)
    assert Account.UNMAPPED not in {region.account for region in contents.regions}
    streams = inner_streams(data, contents)
    assert [region.name for region, _, _ in streams] == list(values)
    for region, raw, inner in streams:
        (tensor,) = inner.tensors
        assert region.inner is not None
        assert (region.inner.name, tensor.name, inner.format) == (region.name, region.name, "npy")
        expected = loaded[tensor.name]
        assert (tensor.dtype, tensor.shape) == (expected.dtype.name, expected.shape)
        assert same(elements(raw, tensor, big=not expected.dtype.isnative), expected)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_headers_and_records_of_a_member_are_charged_to_its_array(save: Any) -> None:  # noqa: ANN401  (two functions)
    out = io.BytesIO()
    save(out, a=np.zeros((3, 5), np.float32), b=np.ones(7, np.int8))
    with zipfile.ZipFile(out, "a") as zipped:
        zipped.comment = b"a comment"
        infos = {info.filename: info for info in zipped.infolist()}
    data = out.getvalue()
    regions = bundle(data).regions
    for name in ("a", "b"):
        mine = [r for r in regions if r.name == name]
        info = infos[f"{name}.npy"]
        assert mine[0].span.start == info.header_offset
        assert [len(r.span) for r in mine if r.inner] == [info.compress_size]
        assert data[mine[-1].span.start :].startswith(b"PK\x01\x02")
        assert {r.account for r in mine if not r.inner} == {Account.CONTAINER}
    assert regions[-1].label == "[zip end record]"
    assert data[regions[-1].span.start :].endswith(b"a comment")


def test_members_of_other_kinds_are_unmapped() -> None:
    data = npz({"w": np.arange(3)}, more={"notes.txt": b"hello"})
    contents = opened(data, "m.npz").contents
    assert contents.format == "npz"
    (other,) = (r for r in contents.regions if r.account is Account.UNMAPPED)
    assert (other.label, other.inner, len(inner_streams(data, contents))) == ("[notes.txt]", None, 1)


@pytest.mark.parametrize("name", ["m.npz", "m.pt", "m.zip", "m"])
def test_an_npz_is_known_by_its_members_whatever_its_name(name: str) -> None:
    data = npz({"w": np.arange(3)})
    first_is_text = io.BytesIO()
    with zipfile.ZipFile(first_is_text, "w") as made:
        made.writestr("readme.txt", "hello")
        made.writestr("w.npy", npy(np.arange(3)))
    assert opened(data, name).contents.format == "npz"
    assert opened(first_is_text.getvalue(), name).contents.format == "npz"


def test_an_empty_npz_and_one_whose_names_stand_twice() -> None:
    out = io.BytesIO()
    np.savez(out)
    assert [r.label for r in opened(out.getvalue(), "m.npz").contents.regions] == ["[zip end record]"]
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as made:
        made.writestr("w.npy", npy(np.arange(3)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("w.npy", npy(np.arange(4)))
    streams = inner_streams(twice.getvalue(), bundle(twice.getvalue()))
    assert [inner.tensors[0].name for _, _, inner in streams] == ["w", "w#2"]


@pytest.mark.parametrize("method", [14, 9, 93])
def test_other_compression_is_refused_by_its_method(method: int) -> None:
    data = bytearray(npz({"w": np.arange(3)}))
    struct.pack_into("<H", data, bytes(data).index(b"PK\x01\x02") + 10, method)
    with pytest.raises(
        UnsupportedError, match=rf"^m\.npz: zip member 'w\.npy' at byte \d+ is compressed by method {method}"
    ):
        open_bytes(bytes(data), name="m.npz")


def test_a_stream_that_does_not_match_its_record_is_refused() -> None:
    data = npz({"w": np.arange(3)})
    ((region, raw, _),) = inner_streams(data, bundle(data))
    assert region.inner is not None
    assert region.inner.read is not None
    for wrong, message in (
        (raw[:-1] + b"\xff", "'w.npy' at byte \\d+ does not match its checksum"),
        (raw[:-1], "'w.npy' at byte \\d+ holds 151 bytes, its directory record says 152"),
    ):
        with pytest.raises(CorruptError, match=rf"^inner: {message}"):
            region.inner.read(wrong, "inner")


def test_what_is_no_zip_is_refused_by_its_suffix() -> None:
    with pytest.raises(CorruptError, match=r"^m\.npz: expected a zip archive as numpy\.savez writes it, found b'hell'"):
        open_bytes(b"hello", name="m.npz")


# Changed files

VALUE = {"a": np.arange(6, dtype=np.int16).reshape(2, 3).T, "b": {"q": np.ones(3, np.float32), "n": 5, "t": b"xyz"}}
SMALL = {f"pickle {protocol}": pickle.dumps(VALUE, protocol) for protocol in range(2, 6)}
SMALL |= {"npy": npy(np.arange(5.0)), "npz": npz({"w": np.arange(3)}), "npz stored": npz({"w": np.arange(3)}, method=0)}


@pytest.mark.slow
@settings(max_examples=400, derandomize=True)
@given(st.sampled_from(list(SMALL)), st.data(), st.sampled_from(["m.bin", "m.pkl", "m.npy", "m.npz", "m.pt"]))
def test_a_changed_or_cut_file_gives_a_ledger_or_an_error_that_names_it(
    kind: str, data: st.DataObject, name: str
) -> None:
    changed = bytearray(SMALL[kind])
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=3)):
        changed[at] = data.draw(st.sampled_from(b"()}]tuRqh\x85\x86\x93\x94KC.0N") | st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.just(len(changed)) | st.integers(1, len(changed)))])
    try:
        contents = opened(cut, name).contents
        for region in contents.regions:
            if region.inner is not None and region.inner.read is not None:
                stored = cut[region.span.start : region.span.stop]
                check_tiling(len(stored), [r.span for r in region.inner.read(stored, name).regions], name)
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(error).startswith(name)  # noqa: PT017


# The corpus


class ArraysOnly(pickle.Unpickler):
    """A public file is somebody else's: it may rebuild arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (what pickle itself says)
        allowed = {("numpy.core.numeric", "_frombuffer"): rebuilt, ("numpy", "dtype"): np.dtype}
        return allowed[module, name]


def rebuilt(content: bytearray, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> Array:
    assert order == "C"
    return np.frombuffer(content, dtype).reshape(shape)


def test_the_public_pickle_has_its_arrays(corpus: Path) -> None:
    artifact = open_artifact(corpus / "numpy_pickle_in_zlib_untied/conker5_tandem_nonrecord.int6.ptz")
    tensors = {tensor.name: tensor for tensor in artifact.contents.tensors}
    assert artifact.contents.format == "pickle"
    assert len(tensors) == 73
    assert sum(len(r.span) for r in artifact.contents.regions if r.tensor) == 8_952_106
    assert tensors["base.linear_embedding.weight/q"].shape == (1024, 320)
    loaded = dict(named(ArraysOnly(io.BytesIO(bytes(artifact.leaves[0].data))).load()))
    for name, tensor in tensors.items():
        assert same(elements(bytes(artifact.leaves[0].data), tensor, big=False), np.asarray(loaded[name]))


def test_the_public_npz_has_its_arrays(corpus: Path) -> None:
    path = corpus / "ngram_npz/model_artifact.npz"
    data = path.read_bytes()
    loaded = np.load(path)
    streams = inner_streams(data, bundle(data))
    assert len(streams) == 8
    assert sum(len(r.span) for _, _, inner in streams for r in inner.regions if r.tensor) == 12_587_036
    for _, raw, inner in streams:
        (tensor,) = inner.tensors
        assert same(elements(raw, tensor, big=False), loaded[tensor.name])


def test_the_public_npy_has_its_array(corpus: Path) -> None:
    path = corpus / "npy/embedding_mask.npy"
    (tensor,) = open_artifact(path).contents.tensors
    assert same(elements(path.read_bytes(), tensor, big=False), np.load(path))
    assert tensor.elements == 1024
