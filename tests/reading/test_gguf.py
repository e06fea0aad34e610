"""The GGUF reader against the gguf package, against literal files, and against broken headers."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import opened

from golfbudget import formats
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.codecs import Sniff
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, LimitError, UnsupportedError
from golfbudget.formats import Contents, Region
from golfbudget.formats.ggml_types import GGML_TYPES
from golfbudget.ledger import Account, Role, check_tiling
from golfbudget.roles import assign, load_roles

READER = formats.get("gguf")
Array = np.ndarray[Any, np.dtype[Any]]
Row = tuple[int, int, str | None, str]


def read(data: bytes) -> Contents:
    contents = READER.read(data, where="m.gguf")
    assert contents is not None
    check_tiling(len(data), [region.span for region in contents.regions], "m.gguf")
    return contents


def row(region: Region) -> Row:
    label = {"[gguf gap]": Account.UNMAPPED}.get(region.label, Account.CONTAINER)
    assert region.account is (Account.WEIGHTS if region.tensor else label)
    return region.span.start, region.span.stop, region.name, region.label


# Files from parts, each replaceable by a lie


def string(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def record(name: str | bytes, dims: Sequence[int], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def file(
    pairs: Sequence[bytes] = (),
    records: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    counts: tuple[int, int] | None = None,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    tensors, keys = counts or (len(records), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(pairs) + b"".join(records)
    return head + (bytes(-len(head) % alignment) if records else b"") + data


I8, F32, Q8_0, Q4_K = 24, 0, 8, 12
ONE = record("w", [3], I8, 0)

LITERALS: dict[str, tuple[bytes, list[Row]]] = {
    "nothing": (file(), [(0, 24, None, "[header]")]),
    "one tensor": (
        file([], [ONE], b"abc"),
        [
            (0, 24, None, "[header]"),
            (24, 57, "w", "[tensor record]"),
            (57, 64, None, "[padding]"),
            (64, 67, "w", ""),
        ],
    ),
    "version 2, another alignment, a tokenizer, two tensors out of order, one of them empty, padding at the end": (
        file(
            [
                pair("general.alignment", 4, struct.pack("<I", 8)),
                pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + string("a") + string("é")),
            ],
            [record("b", [2, 1], I8, 8), record("e", [0, 5], F32, 16), record("a", [], F32, 0)],
            b"aaaa\0\0\0\0bb\0\0\0\0\0\0",
            version=2,
            alignment=8,
        ),
        [
            (0, 24, None, "[header]"),
            (24, 57, None, "[metadata]"),
            (57, 121, "[tokenizer metadata]", "[tokenizer metadata]"),
            (121, 162, "b", "[tensor record]"),
            (162, 203, "e", "[tensor record]"),
            (203, 228, "a", "[tensor record]"),
            (228, 232, None, "[padding]"),
            (232, 236, "a", ""),
            (236, 240, "b", "[padding]"),
            (240, 242, "b", ""),
            (242, 248, "e", "[padding]"),
            (248, 248, "e", ""),
        ],
    ),
    "holes: between tensors, padding that is not zero, and bytes after the last": (
        file(
            [],
            [record("a", [1], I8, 32), record("b", [1], I8, 128), record("c", [1], I8, 160)],
            b"x" * 32 + b"a" + bytes(31) + b"y" * 64 + b"b" + bytes(30) + b"z" + b"c" + bytes(31) + b"end",
        ),
        [
            (0, 24, None, "[header]"),
            (24, 57, "a", "[tensor record]"),
            (57, 90, "b", "[tensor record]"),
            (90, 123, "c", "[tensor record]"),
            (123, 128, None, "[padding]"),
            (128, 160, None, "[gguf gap]"),
            (160, 161, "a", ""),
            (161, 192, "b", "[padding]"),
            (192, 256, None, "[gguf gap]"),
            (256, 257, "b", ""),
            (257, 288, None, "[gguf gap]"),
            (288, 289, "c", ""),
            (289, 320, None, "[padding]"),
            (320, 323, None, "[gguf gap]"),
        ],
    ),
}


@pytest.mark.parametrize("name", LITERALS)
def test_literal_files_give_their_rows(name: str) -> None:
    data, rows = LITERALS[name]
    assert [row(region) for region in read(data).regions] == rows


def test_metadata_is_kept_as_values_and_long_arrays_as_their_length() -> None:
    long_text = "x" * 70_000
    values = {
        "u8": (0, b"\x07", 7), "i8": (1, b"\xff", -1), "u16": (2, b"\x00\x01", 256), "i16": (3, b"\xfe\xff", -2),
        "u32": (4, b"\x01\0\0\0", 1), "i32": (5, b"\xff" * 4, -1), "f32": (6, struct.pack("<f", 0.5), 0.5),
        "true": (7, b"\x01", True), "text": (8, string("é"), "é"), "u64": (10, b"\xff" * 8, 2**64 - 1),
        "i64": (11, b"\xff" * 8, -1), "f64": (12, struct.pack("<d", 0.1), 0.1),
        "not text": (8, string(b"\xff"), "\\xff"),
        "long text": (8, string(long_text), 70_000),
        "numbers": (9, struct.pack("<IQ3H", 2, 3, 1, 2, 3), (1, 2, 3)),
        "many": (9, struct.pack("<IQ", 0, 1000) + bytes(1000), 1000),
        "strings": (9, struct.pack("<IQ", 8, 2) + string("a") + string(""), ("a", "")),
        "many strings": (9, struct.pack("<IQ", 8, 100) + string("ab") * 100, 100),
        "arrays": (9, struct.pack("<IQ", 9, 2) + struct.pack("<IQ2B", 0, 2, 1, 2) * 2, 2),
        "none": (9, struct.pack("<IQ", 8, 0), ()),
    }  # fmt: skip
    data = file([pair(key, kind, raw) for key, (kind, raw, _) in values.items()])
    assert read(data).values == {key: value for key, (_, _, value) in values.items()}


# The gguf package as the judge


def written(
    tensors: Mapping[str, tuple[Array, Type | None]],
    metadata: Mapping[str, object] | None = None,
    *,
    alignment: int | None = None,
    endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(path, "llama", endianess=endianess)
        if alignment is not None:
            writer.add_custom_alignment(alignment)
        for key, value in (metadata or {}).items():
            if isinstance(value, str):
                writer.add_string(key, value)
            elif isinstance(value, bool):
                writer.add_bool(key, value)
            elif isinstance(value, int):
                writer.add_int64(key, value)
            elif isinstance(value, float):
                writer.add_float64(key, value)
            elif isinstance(value, list):
                writer.add_array(key, value)
        for name, (array, kind) in tensors.items():
            writer.add_tensor(name, array, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def judged(data: bytes) -> Contents:
    """Read a file, and have the package's own reader agree on every tensor, record and key-value."""
    contents = read(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        path.write_bytes(data)
        reader = gguf.GGUFReader(path)
        spans = {r.name: r.span for r in contents.regions if r.tensor}
        records = {r.name: r.span for r in contents.regions if r.label == "[tensor record]"}
        assert [t.name for t in reader.tensors] == [t.name for t in contents.tensors]
        for theirs, ours in zip(reader.tensors, contents.tensors, strict=True):
            assert ours.shape == tuple(reversed(theirs.shape.tolist()))
            assert ours.offset == theirs.data_offset == spans[ours.name].start
            assert ours.elements == theirs.n_elements
            assert len(spans[ours.name]) == theirs.n_bytes
            assert data[spans[ours.name].start : spans[ours.name].stop] == theirs.data.tobytes()
            assert ours.contiguous
            elements, length = gguf.GGML_QUANT_SIZES[theirs.tensor_type]
            assert ours.block == (None if elements == 1 else (elements, length))
            if elements == 1:
                assert DTYPE_BITS[ours.dtype] == 8 * length
            else:
                assert ours.dtype == theirs.tensor_type.name.lower()
            length = sum(part.nbytes for part in theirs.field.parts)
            start = theirs.field.offset
            assert (start, start + length) == (records[ours.name].start, records[ours.name].stop)
        pairs = [r.span for r in contents.regions if "metadata]" in r.label]
        fields = {k: f for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        assert [span.start for span in pairs] == [f.offset for f in fields.values()]
        assert [len(span) for span in pairs] == [sum(p.nbytes for p in f.parts) for f in fields.values()]
        for key, field in fields.items():
            value = field.contents()
            assert contents.values[key] in (value, len(value) if isinstance(value, list) else None) or (
                isinstance(value, list) and contents.values[key] == tuple(value)
            )
        assert fields.keys() == contents.values.keys()
        del reader
    return contents


QUANTISED = [
    *(Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0),
    *(Type.TQ1_0, Type.TQ2_0),
]


def test_files_that_the_package_quantised() -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    tensors: dict[str, tuple[Array, Type | None]] = {
        f"blk.{kind.value}.attn_q.weight": (gguf.quants.quantize(matrix, kind), kind) for kind in QUANTISED
    }
    tensors |= {
        f"plain.{np.dtype(kind).name}": (np.arange(6).astype(kind).reshape(1, 2, 3), None)
        for kind in (np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64)
    }
    metadata = {
        "tokenizer.ggml.tokens": [f"token {i}" for i in range(300)],
        "tokenizer.ggml.model": "gpt2",
        "llama.block_count": 7,
        "x.rate": 0.25,
        "x.yes": True,
        "x.sizes": [1, 2, 3],
    }
    contents = judged(written(tensors, metadata))
    for name, (array, kind) in tensors.items():
        (tensor,) = (t for t in contents.tensors if t.name == name)
        assert tensor.shape == ((3, 512) if kind is not None else (1, 2, 3))
        assert tensor.dtype == array.dtype.name or kind is not None
    labels = [r.label for r in contents.regions if "metadata]" in r.label]
    assert labels.count("[tokenizer metadata]") == 2


#: Types that this version of the package has and we know under another size, each with the reason.
DIFFERENT = {Type.Q8_1: "the package's table keeps the layout of before 2024, two single-precision numbers"}


def test_every_type_of_the_package_has_its_block() -> None:
    for kind, block in gguf.GGML_QUANT_SIZES.items():
        known = GGML_TYPES[kind.value]
        if kind not in DIFFERENT:
            assert (known.elements, known.bytes) == block, kind.name
    assert len({known.name for known in GGML_TYPES.values()}) == len(GGML_TYPES)


@st.composite
def models(draw: st.DrawFn) -> bytes:
    """A file of the package's writer: raw blocks of any type, any alignment, metadata of every shape."""
    tensors: dict[str, tuple[Array, Type | None]] = {}
    for name in draw(st.lists(st.text(max_size=8), unique=True, max_size=5)):
        kind = draw(st.sampled_from([kind for kind in gguf.GGML_QUANT_SIZES if kind not in DIFFERENT]))
        width = gguf.GGML_QUANT_SIZES[kind][1] * draw(st.integers(1, 2))
        shape = (*draw(st.lists(st.integers(1, 3), max_size=2)), width)
        count = int(np.prod(shape))
        raw = draw(st.binary(min_size=1, max_size=20))
        tensors[name] = (np.frombuffer((raw * count)[:count], np.uint8).reshape(shape), kind)
    keys = st.text(max_size=8).filter(lambda key: not key.startswith(("GGUF.", "general.")))
    values = (
        st.text(max_size=10)
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=80)
        | st.lists(st.text(max_size=3), min_size=1, max_size=80)
        | st.lists(st.booleans(), min_size=1, max_size=3)
    )
    metadata = draw(st.dictionaries(keys, values, max_size=4))
    return written(tensors, metadata, alignment=draw(st.sampled_from([None, 8, 16, 64, 256])))


@settings(max_examples=60, derandomize=True)
@given(models())
def test_any_file_that_the_package_wrote_is_read_as_it_reads_it(data: bytes) -> None:
    judged(data)
    # Version 2 differs from 3 by the number only.
    judged(data[:4] + b"\x02" + data[5:])


SAMPLE = written(
    {
        "token_embd.weight": (np.arange(64, dtype=np.float32).reshape(8, 8), None),
        "blk.0.attn_q.weight": (np.zeros((2, 144), np.uint8), Type.Q4_K),
        "output_norm.weight": (np.ones(8, np.float16), None),
    },
    {"tokenizer.ggml.tokens": ["a", "b", "cd"], "x.n": 3, "x.list": [1.0, 2.0]},
    alignment=16,
)


@pytest.mark.slow
@settings(max_examples=400, derandomize=True)
@given(
    cut=st.integers(0, len(SAMPLE)),
    flips=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255)), max_size=4),
    names=st.sampled_from(["m.gguf", "m.bin"]),
)
def test_changed_files_give_a_ledger_or_a_golfbudget_error(cut: int, flips: list[tuple[int, int]], names: str) -> None:
    data = bytearray(SAMPLE)
    for at, change in flips:
        data[at] ^= change
    for changed in (bytes(data), bytes(data[:cut])):
        try:
            opened(changed or b"\0", names)
        except LedgerError:
            raise
        except (CorruptError, UnsupportedError, LimitError) as error:
            assert str(error).startswith(names)  # noqa: PT017  (most changes are not refused)


def test_every_truncation_is_refused_or_loses_padding_only() -> None:
    whole = read(SAMPLE)
    last = max(r.span.stop for r in whole.regions if r.tensor)
    for at in range(len(SAMPLE)):
        if at >= last:
            assert [t.name for t in read(SAMPLE[:at]).tensors] == [t.name for t in whole.tensors]
        else:
            with pytest.raises(CorruptError, match=r"byte \d+"):
                read(SAMPLE[:at])


# Refusals

REFUSALS: dict[str, tuple[bytes, str]] = {
    "another magic": (b"GGML" + bytes(40), r"at byte 0: expected a GGUF file"),
    "too short": (b"GGUF\x03", r"at byte 4: the version takes 4 bytes, but only 1 are left"),
    "absurd tensor count": (file(counts=(2**63, 0)), r"at byte 8: the header claims \d+ tensors, but only 0 bytes"),
    "absurd key count": (file(counts=(0, 2**64 - 1)), r"at byte 16: the header claims \d+ key-values"),
    "a key past the end": (
        file([struct.pack("<Q", 60_000) + bytes(9)], counts=(0, 1)),
        r"at byte 32: a key takes 60000 bytes, but only 9 are left",
    ),
    "a key of absurd length": (
        file([struct.pack("<Q", 2**63) + bytes(9)], counts=(0, 1)),
        r"at byte 24: a key has \d+",
    ),
    "a key that is no text": (file([pair(b"\xff", 0, b"\0")]), "at byte 24: a key is not UTF-8"),
    "a key twice": (file([pair("k", 0, b"\0")] * 2), "at byte 38: the key 'k' stands twice"),
    "an unknown value type": (file([pair("k", 13, b"\0")]), "the value of 'k' has type 13, expected 0 to 12"),
    "a bool of two": (file([pair("k", 7, b"\x02")]), "is a bool of value 2"),
    "a string past the end": (
        file([pair("k", 8, struct.pack("<Q", 2**62))]),
        "at byte 45: the value of 'k' takes 4611686018427387904 bytes, but only 0",
    ),
    "an array of an unknown type": (file([pair("k", 9, struct.pack("<IQ", 99, 0))]), "is an array of type 99"),
    "an array past the end": (
        file([pair("k", 9, struct.pack("<IQ", 4, 2**61))]),
        "at byte 49: the value of 'k' takes 9223372036854775808 bytes, but only 0 are left",
    ),
    "strings past the end": (
        file([pair("k", 9, struct.pack("<IQ", 8, 2**60))]),
        "at byte 37: the value of 'k' has 1152921504606846976 elements",
    ),
    "a string of an array past the end": (
        file([pair("k", 9, struct.pack("<IQ", 8, 100) + string("a") * 99 + struct.pack("<Q", 2**64 - 1))]),
        "at byte 940: string 99 of the value of 'k' runs past the end of the file at byte 948",
    ),
    "arrays nested deep": (
        file([pair("k", 9, struct.pack("<IQ", 9, 1) * 5000 + struct.pack("<IQ", 0, 0))]),
        "nests arrays more than 8 deep",
    ),
    "an alignment of zero": (
        file([pair("general.alignment", 4, bytes(4))]),
        "general.alignment must be a power of two",
    ),
    "an alignment of 24": (file([pair("general.alignment", 4, b"\x18\0\0\0")]), "must be a power of two .*found 24"),
    "an alignment that is a string": (file([pair("general.alignment", 8, string("32"))]), "found '32'"),
    "a tensor twice": (file([], [ONE, ONE], bytes(64)), "at byte 57: tensor 'w' stands twice"),
    "too many dimensions": (
        file([], [string("w") + struct.pack("<I", 2**32 - 1) + bytes(20)]),
        "tensor 'w' claims 4294967295 dimensions",
    ),
    "a negative dimension": (file([], [record("w", [2**64 - 1], I8, 0)]), "claims the impossible shape"),
    "half a block": (
        file([], [record("w", [48], Q8_0, 0)], bytes(99)),
        "rows of 48 elements, expected a multiple of 32",
    ),
    "a quantised scalar": (file([], [record("w", [], Q4_K, 0)], bytes(999)), "rows of 1 elements"),
    "an offset off the grid": (file([], [record("w", [3], I8, 7)], bytes(99)), "lies at offset 7"),
    "data cut short": (file([], [ONE], b"ab"), "at byte 24: tensor 'w' ends at byte 67, the file at 66; it is trunc"),
    "data far away": (file([], [record("w", [3], I8, 2**63)], b"abc"), "it is truncated"),
    "a huge shape": (file([], [record("w", [2**62] * 4, F32, 0)], b"abc"), "it is truncated"),
    "overlapping tensors": (
        file([], [record("w", [40], I8, 0), record("v", [1], I8, 32)], bytes(99)),
        r"at byte 57: bytes \[128, 129\) of tensor 'v' are also tensor 'w''s",
    ),
    "an empty tensor inside another": (
        file([], [record("w", [40], I8, 0), record("v", [0], I8, 32)], bytes(99)),
        r"of tensor 'v' are also tensor 'w''s",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(name: str) -> None:
    data, message = REFUSALS[name]
    with pytest.raises(CorruptError, match=rf"(?s)^m\.gguf: .*{message}"):
        open_bytes(data, name="m.gguf")
    contents = open_bytes(data, name="m.gguf", as_format="opaque").contents
    assert [(r.span.start, r.span.stop, r.account) for r in contents.regions] == [(0, len(data), Account.UNMAPPED)]


def test_other_versions_and_byte_orders_are_not_supported() -> None:
    big = written({"w": (np.zeros(3, np.float32), None)}, endianess=gguf.GGUFEndian.BIG)
    for data, message in (
        (big, r"big-endian GGUF file \(version 3 at byte 4\)"),
        (b"GGUF" + struct.pack("<III", 1, 0, 0), "GGUF version 1 .* is not read"),
        (file(version=4), "GGUF version 4 .* is not known"),
        (file(version=0), "GGUF version 0 .* is not known"),
    ):
        with pytest.raises(UnsupportedError, match=rf"^m\.gguf: .*{message}"):
            read(data)


def test_claims_that_the_bytes_could_hold_are_still_limited() -> None:
    small = pair("", 0, b"\0")
    with pytest.raises(LimitError, match="claims 100001 key-values"):
        read(file([small] * 100_001))
    arrays = struct.pack("<IQ", 9, 1 << 22) + bytes(12 << 22)
    with pytest.raises(LimitError, match="more than 4194304 strings and arrays"):
        read(file([pair("k", 9, struct.pack("<IQ", 9, 1) + arrays)]))


def test_a_file_is_recognised_by_its_magic_not_by_its_name() -> None:
    assert READER.sniff(SAMPLE) is Sniff.SURE
    assert READER.sniff(b"GGU") is Sniff.NO
    assert opened(SAMPLE, "weights").contents.format == "gguf"
    with pytest.raises(GolfbudgetError, match="expected a GGUF file"):
        opened(b"text", "m.gguf")


def test_reading_touches_the_header_only(tmp_path: Path) -> None:
    size = 1 << 33
    path = tmp_path / "m.gguf"
    head = file([], [record("w", [size], I8, 0)])
    with path.open("wb") as sparse:
        sparse.write(head)
        sparse.truncate(len(head) + size)
    artifact = open_artifact(path)
    assert [(t.name, t.shape, t.offset) for t in artifact.contents.tensors] == [("w", (size,), len(head))]
    assert sum(part.stored_bits for part in artifact.parts) == 8 * path.stat().st_size


# Roles


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("output.weight", Role.HEAD),
        ("token_embd.weight", Role.EMBEDDING),
        ("position_embd.weight", Role.EMBEDDING),
        ("token_types.weight", Role.EMBEDDING),
        ("blk.0.attn_q.weight", Role.TRUNK),
        ("blk.11.attn_output.weight", Role.TRUNK),
        ("blk.3.ffn_down.bias", Role.TRUNK),
        ("enc.blk.0.ffn_up.weight", Role.TRUNK),
        ("output_norm.weight", Role.TRUNK),
        ("token_embd_norm.weight", Role.TRUNK),
        ("rope_freqs.weight", Role.TRUNK),
        ("rope_factors_long.weight", Role.TRUNK),
        ("mm.model.fc.weight", Role.UNASSIGNED),
    ],
)
def test_names_of_llama_cpp_have_roles(name: str, role: Role) -> None:
    one = np.ones((2, 4), np.float32)
    data = written({name: (one, None), "other.weight": (one, None)} | {"output.weight": (one, None)})
    found = assign(opened(data, "m.gguf"), load_roles())
    own = {e.role for e in found.ledger.entries if e.owner == name}
    assert own == {role}
    assert {e.account for e in found.ledger.entries if e.owner == name} >= {Account.CONTAINER}


def test_an_input_table_alone_is_the_tied_head_and_bytes_count_by_block() -> None:
    quantised = np.zeros((5, 2 * 34), np.uint8)
    data = written({"token_embd.weight": (quantised, Type.Q8_0), "blk.0.ffn_up.weight": (quantised, Type.Q8_0)})
    found = assign(opened(data, "m.gguf"), load_roles())
    assert found.tied is True
    (entry,) = (e for e in found.ledger.entries if e.tensor == "token_embd.weight")
    assert (entry.role, entry.dtype, entry.shape) == (Role.HEAD, "q8_0", (5, 64))
    assert (entry.parameters, entry.decoded_bytes) == (320, 340)
    untied = written({"token_embd.weight": (quantised, Type.Q8_0), "output.weight": (quantised, Type.Q8_0)})
    assert assign(opened(untied, "m.gguf"), load_roles()).tied is False
