"""The safetensors reader against literal files, against the safetensors library, and against broken headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import ONE, deep, record
from support.blobs import safetensors_file as file

from golfbudget import formats
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.codecs import Sniff
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import CorruptError
from golfbudget.formats import Contents, Region
from golfbudget.formats.base import SAFETENSORS_HEADER_LIMIT as HEADER_LIMIT
from golfbudget.ledger import Account, Entry, Role, check_tiling
from golfbudget.roles import assign, load_roles

READER = formats.get("safetensors")

#: A region as a row: (first byte, last byte + 1, name, label, whether it is a tensor's data).
Row = tuple[int, int, str | None, str, bool]


def read(data: bytes) -> Contents:
    contents = READER.read(data, where="m.safetensors")
    assert contents is not None
    check_tiling(len(data), [region.span for region in contents.regions], "m.safetensors")
    return contents


def row(region: Region) -> Row:
    assert region.account is (Account.WEIGHTS if region.tensor else Account.CONTAINER)
    return region.span.start, region.span.stop, region.name, region.label, region.tensor


# Literal files and the rows they must give

LITERALS: dict[str, tuple[bytes, list[Row]]] = {
    "no tensors": (
        b"\x02\0\0\0\0\0\0\0{}",
        [(0, 8, None, "[header length]", False), (8, 10, None, "[header]", False)],
    ),
    "one tensor": (
        b'\x35\0\0\0\0\0\0\0{"w":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}abc',
        [
            (0, 8, None, "[header length]", False),
            (8, 9, None, "[header]", False),
            (9, 60, "w", "[metadata]", False),
            (60, 61, None, "[header]", False),
            (61, 64, "w", "", True),
        ],
    ),
    "padding, metadata, an empty tensor, and data in another order than the header": (
        b"\xc1"
        + bytes(7)
        + b'{"__metadata__":{"k":"v"}, "b":{"dtype":"F16","shape":[1,2],"data_offsets":[2,6]},'
        + b'"e":{"dtype":"F32","shape":[0,9],"data_offsets":[2,2]},'
        + b'"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}    aabbbb',
        [
            (0, 8, None, "[header length]", False),
            (8, 9, None, "[header]", False),
            (9, 33, None, "[metadata]", False),
            (33, 35, None, "[header]", False),
            (35, 89, "b", "[metadata]", False),
            (89, 90, None, "[header]", False),
            (90, 144, "e", "[metadata]", False),
            (144, 145, None, "[header]", False),
            (145, 196, "a", "[metadata]", False),
            (196, 201, None, "[header]", False),
            (203, 207, "b", "", True),
            (203, 203, "e", "", True),
            (201, 203, "a", "", True),
        ],
    ),
    "names whose characters take two, three and four bytes, and one that is escaped": (
        b"\xa9"
        + bytes(7)
        + b'{"\xc3\xa9\xe6\x97\xa5":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]},'
        + b'"\xf0\x9f\x8f\x8c":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},'
        + b'"\\u0041":{"dtype":"U8","shape":[],"data_offsets":[2,3]}}xyz',
        [
            (0, 8, None, "[header length]", False),
            (8, 9, None, "[header]", False),
            (9, 65, "é日", "[metadata]", False),
            (65, 66, None, "[header]", False),
            (66, 120, "🏌", "[metadata]", False),
            (120, 121, None, "[header]", False),
            (121, 176, "A", "[metadata]", False),
            (176, 177, None, "[header]", False),
            (177, 178, "é日", "", True),
            (178, 179, "🏌", "", True),
            (179, 180, "A", "", True),
        ],
    ),
}


@pytest.mark.parametrize("name", LITERALS)
def test_literal_files_give_their_rows(name: str) -> None:
    data, rows = LITERALS[name]
    assert [row(region) for region in read(data).regions] == rows


def test_metadata_is_kept_as_values_and_is_no_tensor() -> None:
    contents = read(file('{"__metadata__":{"format":"pt","é":"ü"}}'))
    assert contents.tensors == ()
    assert contents.values == {"__metadata__/format": "pt", "__metadata__/é": "ü"}


def test_the_ledger_charges_a_record_to_its_tensor_and_the_rest_to_everybody() -> None:
    own = record(name='"lm_head.weight"', shape="[2,2]", offsets="[0,4]")
    other = record(name='"x"', shape="[]", offsets="[4,5]")
    header = "{" + own + "," + other + "}"
    artifact = open_bytes(file(header, b"abcde"), name="m.safetensors")
    entries = assign(artifact, load_roles()).ledger.entries
    head = [(e.role, e.account, e.decoded_bytes, e.stored_bits) for e in entries if e.owner == "lm_head.weight"]
    assert head == [
        (Role.HEAD, Account.CONTAINER, len(own), 8 * len(own)),
        (Role.HEAD, Account.WEIGHTS, 4, 32),
    ]
    shared = {(e.owner, e.decoded_bytes) for e in entries if e.role is Role.SHARED}
    assert shared == {("[header length]", 8), ("[header]", 1)}
    assert sum(e.stored_bits for e in entries) == 8 * artifact.size


# The safetensors library as the judge

KINDS = [np.bool_, np.uint8, np.int8, np.int16, np.uint16, np.float16, np.int32, np.uint32, np.float32]
KINDS += [np.int64, np.uint64, np.float64, np.complex64]
NAMES = st.text(max_size=12).filter(lambda name: name != "__metadata__")
Arrays = dict[str, np.ndarray[tuple[int, ...], np.dtype[Any]]]


@st.composite
def states(draw: st.DrawFn) -> Arrays:
    """Named arrays of any dtype numpy shares with the format, empty ones and scalars included."""
    made: Arrays = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        kind = np.dtype(draw(st.sampled_from(KINDS)))
        count = int(np.prod(shape))
        raw = draw(st.binary(min_size=count, max_size=count))
        made[name] = np.frombuffer(raw, np.uint8).astype(kind).reshape(shape)
    return made


@settings(max_examples=80, derandomize=True)
@given(states(), st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=2))
def test_tensors_are_those_that_the_library_wrote(state: Arrays, metadata: dict[str, str] | None) -> None:
    data = safetensors.numpy.save(state, metadata)
    contents = read(data)
    assert {t.name for t in contents.tensors} == set(state)
    assert contents.values == {f"__metadata__/{key}": value for key, value in (metadata or {}).items()}
    for tensor in contents.tensors:
        array = state[tensor.name]
        assert (tensor.dtype, tensor.shape, tensor.aliases) == (array.dtype.name, array.shape, ())
        assert tensor.contiguous
        assert tensor.offset is not None
        assert data[tensor.offset : tensor.offset + array.nbytes] == array.tobytes()
    for region in contents.regions:
        if region.name is not None and not region.tensor:
            key, _, value = data[region.span.start : region.span.stop].decode().rpartition(":{")
            assert json.loads(key) == region.name
            assert json.loads("{" + value).keys() == {"dtype", "shape", "data_offsets"}


def test_offsets_and_shapes_are_those_of_safe_open(tmp_path: Path) -> None:
    state: Arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.arange(5, dtype=np.int8),
        "é": np.zeros((0, 4)),
    }
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(state, path, {"step": "7"})
    contents = read(path.read_bytes())
    with safetensors.safe_open(path, framework="np") as opened:
        assert {t.name for t in contents.tensors} == set(opened.keys())
        assert {k.removeprefix("__metadata__/"): v for k, v in contents.values.items()} == opened.metadata()
        # Both list tensors by where their data lies.
        in_file = sorted(contents.tensors, key=lambda t: (t.offset, t.elements))
        assert [t.name for t in in_file] == list(opened.offset_keys())
        for tensor in contents.tensors:
            assert list(tensor.shape) == opened.get_slice(tensor.name).get_shape()


DTYPES = [
    *("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16", "BF16"),
    *("I32", "U32", "F32", "I64", "U64", "F64", "C64", "F4", "F6_E2M3", "F6_E3M2"),
]


def judge(data: bytes) -> None:
    """Have the library read a file; it raises SafetensorError when it refuses."""
    safetensors.deserialize(data)  # type: ignore[no-untyped-call]


def test_every_dtype_of_the_library_is_known() -> None:
    with pytest.raises(safetensors.SafetensorError, match="expected one of") as refused:
        judge(file('{"w":{"dtype":"?","shape":[8],"data_offsets":[0,8]}}', bytes(8)))
    known = str(refused.value).partition("expected one of")[2].partition(" at line")[0]
    assert {name.strip(" `") for name in known.split(",")} == set(DTYPES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_elements_of_each_dtype_take_as_many_bytes_as_the_library_says(dtype: str) -> None:
    def of_length(length: int) -> bytes:
        return file(f'{{"w":{{"dtype":"{dtype}","shape":[8],"data_offsets":[0,{length}]}}}}', bytes(length))

    accepted = []
    for length in range(1, 70):
        try:
            judge(of_length(length))
        except safetensors.SafetensorError:
            with pytest.raises(CorruptError, match="bits, data_offsets"):
                read(of_length(length))
        else:
            accepted.append(length)
            assert DTYPE_BITS[read(of_length(length)).tensors[0].dtype] == length
    assert len(accepted) == 1


@settings(max_examples=200, derandomize=True)
@given(
    records=st.dictionaries(
        st.sampled_from("abc"),
        st.tuples(
            st.sampled_from(["U8", "I16", "F4"]),
            st.lists(st.sampled_from([0, 1, 2, 2, 2**62]), max_size=2),
            st.integers(0, 8),
            st.integers(0, 8),
        ),
        max_size=3,
    ),
    length=st.integers(0, 8),
)
def test_what_the_library_refuses_is_refused_or_has_bytes_that_no_tensor_claims(
    records: dict[str, tuple[str, list[int], int, int]], length: int
) -> None:
    header = json.dumps(
        {name: {"dtype": d, "shape": s, "data_offsets": [begin, end]} for name, (d, s, begin, end) in records.items()}
    )
    data = file(header, bytes(length))
    try:
        judge(data)
    except safetensors.SafetensorError:
        accounts, refusal = outcome(data)
        assert (refusal or "").startswith("m.safetensors: ") or Account.UNMAPPED in accounts
    else:
        read(data)


# Refusals, one cause each

REFUSALS: dict[str, tuple[bytes, str]] = {
    "too few bytes": (b"\x02\0\0\0", "4 bytes are too few for a safetensors file"),
    "nothing at all": (b"", "0 bytes are too few"),
    "a header length of 2**64 - 1": (
        file("{}", length=2**64 - 1),
        "header length at byte 0 says 18446744073709551615",
    ),
    "a header longer than the file": (file("{}", length=3), "says 3 bytes, expected at most 2"),
    "a header over the limit": (
        file("{}", b"x", length=HEADER_LIMIT + 1),
        f"says {HEADER_LIMIT + 1} bytes, expected at most 3;",
    ),
    "an empty header": (file(""), "near character 0: it ends early"),
    "a header that is text": (file("hello, world"), "near character 0: expected '{', found 'h'"),
    "a header that is a list": (file("[]"), r"expected '{', found '\['"),
    "a header cut short": (file("{" + ONE), "it ends early"),
    "a header that ends in a name": (file('{"w"'), "it ends early"),
    "a header without a comma": (
        file("{" + ONE + " " + record(name='"v"') + "}"),
        "expected ',', found '\"'",
    ),
    "a header with a trailing comma": (file("{" + ONE + ",}"), "from byte 8.* near character 53"),
    "a header with text after it": (file("{" + ONE + "} x", b"abc"), "text after the closing brace"),
    "a name that is a number": (file("{1:2}"), "a name is not a string"),
    "a header in Latin-1": (file(b'{"\xe9":1}'), "the header at byte 10 is not UTF-8"),
    "half a surrogate pair": (file("{" + record(name=r'"\ud800"') + "}", b"abc"), "surrogates not allowed"),
    "a number of 5000 digits": (file('{"w":' + "9" * 5000 + "}"), "4300 digits"),
    "nesting of 100 000": (file('{"w":' + deep(100_000) + "}"), "from byte 8.* near character 5"),
    "a name that stands twice": (file("{" + ONE + "," + ONE + "}", b"abc"), "the name 'w' stands twice"),
    "a name that stands twice, once escaped": (
        file("{" + ONE + "," + record(name=r'"\u0077"') + "}", b"abc"),
        "the name 'w' stands twice",
    ),
    "metadata that stands twice": (
        file('{"__metadata__":{},"__metadata__":{}}'),
        "'__metadata__' stands twice",
    ),
    "a key that stands twice": (
        file('{"w":{"dtype":"I8","dtype":"I8","shape":[3],"data_offsets":[0,3]}}', b"abc"),
        "a key stands twice in one record",
    ),
    "a record that is no object": (
        file('{"w":[1]}'),
        r"tensor 'w' \(record at byte 9\): expected an object with dtype",
    ),
    "a record without a shape": (
        file('{"w":{"dtype":"I8","data_offsets":[0,3]}}', b"abc"),
        "expected an object with",
    ),
    "an unknown dtype of no width": (
        file("{" + record('"I9"', "[5]") + "}", b"abc"),
        "unknown dtype 'I9', and 5 elements in 3 bytes give it no width; known: BOOL, U8",
    ),
    "a dtype that is a list": (file("{" + record("[]") + "}", b"abc"), r"dtype must be a name, found \[\]"),
    "a dtype that is null": (file("{" + record("null") + "}", b"abc"), "dtype must be a name, found None"),
    "a negative size": (file("{" + record(shape="[-3]") + "}", b"abc"), r"whole numbers, found \[-3\]"),
    "a fractional size": (
        file("{" + record(shape="[3.0]") + "}", b"abc"),
        r"whole numbers, found \[3\.0\]",
    ),
    "a size that is a boolean": (
        file("{" + record(shape="[true]") + "}", b"abc"),
        r"whole numbers, found \[True\]",
    ),
    "a size that is not a number": (
        file("{" + record(shape="[NaN]") + "}", b"abc"),
        r"whole numbers, found \[nan\]",
    ),
    "a size of 2**63": (file("{" + record(shape=f"[{2**63}]") + "}", b"abc"), "whole numbers, found"),
    "a shape of 65 dimensions": (
        file("{" + record(shape=str([1] * 65)) + "}", b"abc"),
        "at most 64 whole numbers",
    ),
    "a shape that is a number": (file("{" + record(shape="3") + "}", b"abc"), "whole numbers, found 3"),
    "a shape nested deep": (file("{" + record(shape=deep(500)) + "}", b"abc"), r"found \[\[\[.*\.\.\."),
    "sizes whose product overflows 64 bits": (
        file("{" + record(shape=str([2**62, 2**62])) + "}", b"abc"),
        f"takes {8 * 2**124} bits",
    ),
    "a range of three numbers": (
        file("{" + record(offsets="[0,3,3]") + "}", b"abc"),
        r"must be \[begin, end\]",
    ),
    "a range that runs backwards": (
        file("{" + record(offsets="[3,0]") + "}", b"abc"),
        "begin <= end, found",
    ),
    "a range that starts before the data": (
        file("{" + record(offsets="[-3,0]") + "}", b"abc"),
        "begin <= end, found",
    ),
    "a range of floats": (file("{" + record(offsets="[0.0,3.0]") + "}", b"abc"), "begin <= end, found"),
    "a shape that needs more than its range": (
        file("{" + record('"F32"') + "}", b"abc"),
        r"F32 of shape \[3\] takes 96 bits, data_offsets \[0, 3\] hold 24",
    ),
    "four-bit elements that fill no byte": (
        file("{" + record('"F4"', "[5]") + "}", b"abc"),
        "takes 20 bits",
    ),
    "two tensors on the same bytes": (
        file("{" + ONE + "," + record(name='"v"', offsets="[1,4]") + "}", b"abcd"),
        r"bytes \[114, 116\) before tensor 'v' are claimed twice, also by 'w'",
    ),
    "an empty tensor inside another": (
        file("{" + ONE + "," + record(name='"v"', shape="[0]", offsets="[1,1]") + "}", b"abc"),
        "before tensor 'v' are claimed twice",
    ),
    "data cut short": (
        file("{" + ONE + "}", b"ab"),
        "tensor 'w' ends at byte 64, the file at 63; it is truncated",
    ),
    "metadata that is a list": (file('{"__metadata__":[]}'), "__metadata__ must map strings to strings"),
    "metadata that holds a number": (
        file('{"__metadata__":{"a":1}}'),
        "__metadata__ must map strings to strings",
    ),
}


def outcome(data: bytes) -> tuple[set[Account], str | None]:
    """The accounts of a file's regions, or the message it is refused with."""
    try:
        return {region.account for region in read(data).regions}, None
    except CorruptError as error:
        return set(), str(error)


#: What other writers leave unclaimed: (file, the claimed-by-nobody range, its label).
UNCLAIMED: dict[str, tuple[bytes, tuple[int, int], str]] = {
    "a hole": (
        file("{" + ONE + "," + record(name='"v"', offsets="[5,8]") + "}", b"abcdefgh"),
        (116, 118),
        "[gap]",
    ),
    "a hole before the first tensor": (file("{" + record(offsets="[1,4]") + "}", b"abcd"), (61, 62), "[gap]"),
    "bytes after the last tensor": (file("{" + ONE + "}", b"abcd"), (64, 65), "[after the last tensor]"),
    "bytes after a header without tensors": (file("{}", b"x"), (10, 11), "[after the last tensor]"),
}


@pytest.mark.parametrize("name", UNCLAIMED)
def test_bytes_that_no_tensor_claims_are_unmapped(name: str) -> None:
    data, span, label = UNCLAIMED[name]
    (found,) = (entry for entry in entries_of(data) if entry.account is Account.UNMAPPED)
    assert found.span is not None
    assert ((found.span.start, found.span.stop), found.owner, found.role) == (span, label, Role.UNASSIGNED)


def entries_of(data: bytes) -> tuple[Entry, ...]:
    return assign(open_bytes(data, name="m.safetensors"), load_roles()).ledger.entries


@pytest.mark.parametrize(("shape", "block"), [("[3]", (1, 1)), ("[6]", (2, 1)), ("[4]", (4, 3)), ("[1]", (1, 3))])
def test_a_dtype_newer_than_the_reader_is_as_wide_as_its_bytes(shape: str, block: tuple[int, int]) -> None:
    artifact = open_bytes(file("{" + record('"I9"', shape) + "}", b"abc"), name="m.safetensors")
    (tensor,) = artifact.tensors
    assert (tensor.dtype, tensor.block, tensor.stored_bytes) == ("I9", block, 3)
    assert artifact.notes == ("1 tensors have dtype 'I9', which is not known; their width is what their bytes say",)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(name: str) -> None:
    data, message = REFUSALS[name]
    with pytest.raises(CorruptError, match=rf"(?s)^m\.safetensors: .*{message}"):
        READER.read(data, where="m.safetensors")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_file_that_claims_the_format_by_its_name_is_refused_or_counted_as_opaque_never_both(name: str) -> None:
    data, _ = REFUSALS[name]
    with pytest.raises(CorruptError):
        open_bytes(data, name="m.safetensors")
    contents = open_bytes(data, name="m.safetensors", as_format="opaque").leaves[0].contents
    assert [(r.span.start, r.span.stop, r.account) for r in contents.regions] == [(0, len(data), Account.UNMAPPED)]


def test_json_nested_to_about_the_interpreters_own_limit_is_refused_like_any_other() -> None:
    for levels in range(850, 1050, 3):
        for key in ("shape", "dtype", "data_offsets", "other"):
            fields = {"dtype": '"F32"', "shape": "[]", "data_offsets": "[0,5]"} | {key: deep(levels)}
            text = ",".join(f'"{name}":{value}' for name, value in fields.items())
            with pytest.raises(CorruptError):
                READER.read(file('{"w":{' + text + "}}", bytes(5)), where="m.safetensors")


def test_a_file_is_recognised_by_its_header_not_by_its_name() -> None:
    data = LITERALS["one tensor"][0]
    assert READER.sniff(data) is Sniff.SURE
    assert READER.sniff(data[:9]) is Sniff.NO
    assert READER.sniff(b"\x02\0\0\0\0\0\0\0[]") is Sniff.NO
    assert READER.sniff(file("{}", length=3)) is Sniff.NO
    assert open_bytes(data, name="weights").format == "safetensors"
    assert open_bytes(file("{}", length=3), name="weights").format == "opaque"


def test_the_libraries_own_limit_on_the_header_holds_for_files_of_any_length() -> None:
    with pytest.raises(CorruptError, match=f"says {HEADER_LIMIT + 1} bytes, expected at most {HEADER_LIMIT};"):
        READER.read(file("{}", bytes(HEADER_LIMIT), length=HEADER_LIMIT + 1), where="m.safetensors")


def test_reading_touches_the_header_only(tmp_path: Path) -> None:
    size = 1 << 33
    header = "{" + record('"U8"', f"[{size}]", f"[0,{size}]") + "}"
    path = tmp_path / "m.safetensors"
    with path.open("wb") as sparse:
        sparse.write(file(header))
        sparse.truncate(8 + len(header) + size)
    artifact = open_artifact(path)
    assert [(t.name, t.shape, t.offset) for t in artifact.tensors] == [("w", (size,), 8 + len(header))]
    assert sum(part.stored_bits for part in artifact.parts) == 8 * path.stat().st_size
