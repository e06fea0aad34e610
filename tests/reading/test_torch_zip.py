"""The torch.save reader against torch itself, against zipfile, and against zips and pickles that torch never writes.

Hostile pickles are written here and never loaded.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import archive, at_w, inner_streams, member_at, opened, pickled_tensor_v3, rewritten, saved
from torch import Tensor, nn

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats import StoredTensor, get
from golfbudget.formats.zip_directory import read_directory
from golfbudget.ledger import Account, Role, check_tiling
from golfbudget.recipe.state import read_tensors
from golfbudget.roles import assign, load_roles


def named(value: object, path: str = "", inside: tuple[int, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a loaded value, which may hold itself, under the name the reader must give it."""
    if isinstance(value, Tensor):
        yield path or "[tensor]", value
    elif isinstance(value, (dict, list, tuple)) and id(value) not in inside:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from named(item, f"{path}/{key}" if path else str(key), (*inside, id(value)))


def window(tensor: Tensor) -> tuple[object, ...]:
    """What two names must agree in to be one tensor; an empty tensor is only itself."""
    own = id(tensor) if tensor.numel() == 0 else None
    place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
    return (*place, tensor.dtype, tensor.shape, tensor.stride(), own)


def raw(tensor: Tensor) -> bytes:
    """The elements in order, as bytes; fp8 has no equality of its own."""
    if not tensor.numel():
        return b""
    flat = tensor.detach().contiguous().as_strided((tensor.numel(),), (1,))
    return bytes(flat.view(torch.uint8).tolist())


# torch as the judge


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(7, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4, bias=bool(i)) for i in range(2))
        self.norm = nn.BatchNorm1d(4)
        self.lm_head = nn.Linear(4, 7, bias=False)
        self.lm_head.weight = self.tok_emb.weight


def tied() -> dict[str, Tensor]:
    weight = torch.randn(6, 3)
    return {"tok_emb.weight": weight, "lm_head.weight": weight, "blocks.0.w": torch.randn(2)}


def halves() -> dict[str, Tensor]:
    both = torch.arange(10.0)
    return {"a": both[:4], "b": both[4:]}


def transposed() -> dict[str, Tensor]:
    matrix = torch.arange(6, dtype=torch.int16).reshape(2, 3)
    return {"a": matrix, "b": matrix.t()}


def recursive() -> dict[str, object]:
    made: dict[str, object] = {"w": torch.ones(3)}
    made["again"] = made
    return made


VALUES: dict[str, Callable[[], object]] = {
    "a flat dict": lambda: {"a.weight": torch.randn(3, 5), "b": torch.ones(7, dtype=torch.int8)},
    "nested dicts, lists and tuples": lambda: {
        "model": {"a": torch.randn(2), "deep": [{"b": torch.randn(1)}, (torch.randn(3), torch.randn(4))]},
        "step": 3,
        "note": "x",
        "rate": 0.5,
        "none": None,
        "raw": b"\x00\xffbytes",
        "flags": {True, False},
    },
    "the state dict of a module": lambda: Tiny().state_dict(),
    "an OrderedDict": lambda: OrderedDict(a=torch.randn(2, 2), b=torch.randn(1)),
    "parameters": lambda: {"p": nn.Parameter(torch.randn(2)), "q": nn.Parameter(torch.ones(3), requires_grad=False)},
    "an optimizer's state": lambda: {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(4)}}, "lr": 1e-3},
    "scalars and empty tensors": lambda: {"s": torch.tensor(3.5), "e": torch.empty(0), "f": torch.empty(2, 0, 3)},
    "empty views of a tensor that is stored": lambda: {"w": (w := torch.randn(5)), "e": w[2:2], "f": w[5:5]},
    "a view with slack": lambda: {"v": torch.arange(100.0)[10:20], "w": torch.arange(9.0)[::3]},
    "tied names": tied,
    "a transposed view": transposed,
    "a transposed tensor by itself": lambda: {"t": torch.randn(3, 5).t(), "p": torch.randn(2, 3, 4).permute(2, 0, 1)},
    "halves of one storage": halves,
    "overlapping views": lambda: {"a": (w := torch.arange(9.0))[:6], "b": w[3:], "c": w[4:5], "d": w},
    "an expanded view": lambda: {"x": torch.arange(3.0)[:, None].expand(3, 4)},
    "bytes of two dtypes": lambda: {"f": (w := torch.ones(4).view(torch.uint16)), "i": w.view(torch.float8_e5m2)},
    "names that are not ASCII": lambda: {"é/日": torch.randn(1), "🏌": {"": torch.randn(2)}},
    "other keys": lambda: {0: torch.randn(1), 1.5: torch.randn(2), None: torch.ones(3), b"k": torch.ones(4)},
    "a tensor by itself": lambda: torch.randn(4, 2),
    "a list of tensors": lambda: [torch.randn(1), torch.randn(2)],
    "a dict that holds itself": recursive,
    "nothing": dict,
}  # fmt: skip
#: Torch knows two more that it does not save, and warns of the one that no operator takes.
_UNSAVED = ("uint2", "uint4", "complex32")
DTYPES = [getattr(torch, name) for name in DTYPE_BITS if hasattr(torch, name) and name not in _UNSAVED]


def check_against_torch(data: bytes, artifact: Artifact, *, trusted: bool = False) -> None:
    """`trusted` data was written by the test itself, by a protocol that torch's safe loader does not read."""
    expected = dict(named(torch.load(io.BytesIO(data), weights_only=not trusted)))
    stored = {tensor.name: tensor for tensor in artifact.contents.tensors}
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in expected.items():
        groups.setdefault(window(tensor), []).append(name)
    assert {t.name: list(t.aliases) for t in stored.values()} == {names[0]: names[1:] for names in groups.values()}
    loaded = read_tensors(artifact)
    assert loaded.keys() == stored.keys()
    for name, found in stored.items():
        check_tensor(found, expected[name])
        assert raw(loaded[name]) == raw(expected[name])


def check_tensor(tensor: StoredTensor, expected: Tensor) -> None:
    assert tensor.dtype == str(expected.dtype).removeprefix("torch.")
    assert tensor.shape == tuple(expected.shape)
    assert tensor.strides == expected.stride()
    assert tensor.elements == expected.numel()
    assert tensor.contiguous == expected.is_contiguous()


@pytest.mark.parametrize("name", VALUES)
def test_names_dtypes_shapes_strides_and_values_are_torchs(name: str) -> None:
    torch.manual_seed(0)
    data = saved(VALUES[name]())
    artifact = opened(data)
    assert Account.UNMAPPED not in {region.account for region in artifact.contents.regions}
    check_against_torch(data, artifact)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_of_torch_that_is_known_by_name_is_read(dtype: torch.dtype) -> None:
    tensor = torch.arange(12, dtype=torch.uint8).repeat(dtype.itemsize)
    value = {"w": tensor.view(dtype).reshape(3, 4) if dtype is not torch.bool else tensor.view(3, 4) > 5}
    data = saved(value)
    artifact = opened(data)
    (stored,) = artifact.contents.tensors
    check_tensor(stored, value["w"])
    assert stored.offset is not None
    (own,) = (region for region in artifact.contents.regions if region.tensor)
    assert len(own.span) == 12 * dtype.itemsize
    assert data[own.span.start : own.span.stop] == bytes(value["w"].view(torch.uint8).flatten().tolist())
    assert raw(read_tensors(artifact)["w"]) == raw(value["w"])


@st.composite
def views(draw: st.DrawFn) -> dict[str, Tensor]:
    """Windows of every kind on one storage."""
    length = draw(st.integers(1, 16))
    base = torch.arange(length, dtype=draw(st.sampled_from([torch.int8, torch.float32, torch.int64])))
    made = {}
    for number in range(draw(st.integers(1, 5))):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=2)))
        strides = tuple(draw(st.integers(0, 4)) for _ in shape)
        first = draw(st.integers(0, length - 1))
        reach = 0 if 0 in shape else sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if first + reach < length:
            made[f"v{number}"] = base.as_strided(shape, strides, first)
    return made or {"v": base}


@settings(max_examples=150, derandomize=True)
@given(views())
def test_each_byte_of_a_shared_storage_goes_to_the_earliest_view_that_spans_it(value: dict[str, Tensor]) -> None:
    data = saved(value)
    artifact = opened(data)
    check_against_torch(data, artifact)
    base = next(iter(value.values())).untyped_storage()
    width = next(iter(value.values())).element_size()
    (member,) = (m for m in read_directory(data, "m.pt").members if m.name == "archive/data/0")
    assert len(member.data) == base.nbytes()
    reaches = []
    for number, (name, view) in enumerate(value.items()):
        last = sum((n - 1) * s for n, s in zip(view.shape, view.stride(), strict=True))
        if view.numel():
            start = width * view.storage_offset()
            reaches.append((start, start + width * (last + 1), number, name))
    for at in range(base.nbytes()):
        (region,) = (r for r in artifact.contents.regions if r.span.start <= member.data.start + at < r.span.stop)
        owners = [name for start, stop, _, name in sorted(reaches) if start <= at < stop]
        assert (region.tensor, region.name) == ((True, owners[0]) if owners else (False, next(iter(value))))
        assert region.account is (Account.WEIGHTS if owners else Account.CONTAINER)


# Who owns what, with zipfile as the judge


def test_a_tensor_owns_its_storages_header_padding_descriptor_and_directory_record() -> None:
    torch.manual_seed(0)
    value = {"tok_emb.weight": torch.randn(5, 3), "blocks.0.fc.weight": torch.randn(3, 3), "odd": torch.ones(1).bool()}
    data = saved(value)
    owner_of_key = dict(zip("012", value, strict=True))
    owners: list[str | None] = [None] * len(data)
    for region in opened(data).contents.regions:
        owners[region.span.start : region.span.stop] = [region.name] * len(region.span)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        infos = sorted(zipped.infolist(), key=lambda info: info.header_offset)
        ends = [info.header_offset for info in infos[1:]] + [zipped.start_dir]
        record = zipped.start_dir
        for info, end in zip(infos, ends, strict=True):
            owner = owner_of_key.get(info.filename.removeprefix("archive/data/"))
            record_end = record + 46 + len(info.filename.encode()) + len(info.extra) + len(info.comment)
            assert set(owners[record:record_end]) == {owner}
            record = record_end
            if info.filename != "archive/data.pkl":
                assert set(owners[info.header_offset : end]) == {owner}
        assert set(owners[record:]) == {None}
        at = member_at(data, "archive/data.pkl")
        for name in value:
            spelled = data.index(b"X" + struct.pack("<I", len(name)) + name.encode(), at.start, at.stop)
            assert set(owners[spelled : spelled + 5 + len(name)]) == {name}
        assert set(owners[at.start : at.stop]) == {None, *value}


def test_the_ledger_gives_the_tied_matrix_to_the_head_once_and_the_rest_to_all() -> None:
    value = tied()
    data = saved(value)
    assignment = assign(opened(data), load_roles())
    assert assignment.tied is True
    entries = assignment.ledger.entries
    assert sum(e.parameters for e in entries if e.role is Role.HEAD) == 18
    assert sum(e.parameters for e in entries) == 20
    assert sum(e.decoded_bytes for e in entries if e.account is Account.WEIGHTS) == 4 * 20
    assert {e.owner for e in entries if e.role is Role.HEAD} == {"tok_emb.weight"}
    assert sum(e.stored_bits for e in entries) == 8 * len(data)


def test_slack_belongs_to_the_view_but_is_no_weight() -> None:
    regions = [r for r in opened(saved({"v": torch.arange(100.0)[10:20]})).contents.regions if r.name == "v"]
    weights = [len(r.span) for r in regions if r.account is Account.WEIGHTS]
    slack = [len(r.span) for r in regions if r.label == "[slack]"]
    assert (weights, slack) == ([40], [40, 320])


def test_a_storage_that_no_tensor_uses_is_unmapped() -> None:
    data = archive(b"\x80\x02}.", {"0": b"abcd"})
    orphans = [r for r in opened(data).contents.regions if r.account is Account.UNMAPPED]
    assert [(len(r.span), r.label, r.name) for r in orphans] == [(4, "[orphan storage archive/data/0]", None)]


def test_the_name_of_the_file_is_in_the_archive_and_changes_nothing_else(tmp_path: Path) -> None:
    value = {"a": torch.randn(3), "b": {"c": torch.randn(2)}}
    found = []
    for stem in ("one", "a_much_longer_name.of.a.model"):
        torch.save(value, tmp_path / f"{stem}.pt")
        data = (tmp_path / f"{stem}.pt").read_bytes()
        assert f"{stem}/data.pkl".encode() in data
        artifact = opened(data)
        check_against_torch(data, artifact)
        found.append([(r.name, r.label, r.account) for r in artifact.contents.regions if r.label != "[zip gap]"])
    assert found[0] == found[1]


# Zips that torch does not write


def bundle_against_torch(plain: bytes, data: bytes) -> dict[str, StoredTensor]:
    """Read a bundle's streams and compare every tensor with torch's; the tensors by name."""
    expected = dict(named(torch.load(io.BytesIO(plain), weights_only=True)))
    contents = get("torch-zip").read(data, where="m.pt")
    assert contents is not None
    assert contents.tensors == ()
    check_tiling(len(data), [region.span for region in contents.regions], "m.pt")
    assert Account.UNMAPPED not in {region.account for region in contents.regions}
    found = {}
    for region, raw_bytes, inner in inner_streams(data, contents):
        assert inner.format == ("pickle" if region.label == "[data.pkl]" else "torch-storage")
        assert region.name == next((tensor.name for tensor in inner.tensors), None)
        for tensor in inner.tensors:
            found[tensor.name] = tensor
            check_tensor(tensor, expected[tensor.name])
            assert tensor.offset is not None
            if tensor.elements:
                flat = torch.frombuffer(
                    bytearray(raw_bytes), dtype=expected[tensor.name].dtype, offset=tensor.offset
                ).as_strided(tensor.shape, tensor.strides)
                assert raw(flat) == raw(expected[tensor.name])
    assert found.keys() | {name for tensor in found.values() for name in tensor.aliases} == expected.keys()
    return found


@pytest.mark.parametrize("name", VALUES)
def test_deflated_storages_are_streams_of_their_own_in_which_torchs_values_stand(name: str) -> None:
    torch.manual_seed(0)
    data = saved(VALUES[name]())
    if next(named(torch.load(io.BytesIO(data), weights_only=True)), None) is not None:
        bundle_against_torch(data, rewritten(data, zipfile.ZIP_DEFLATED))


def test_one_deflated_storage_makes_every_storage_and_the_pickle_a_stream() -> None:
    torch.manual_seed(0)
    data = saved({"a": torch.zeros(40, 5), "b": torch.randn(3), "c": {"d": torch.arange(6)}, "n": 5})
    mixed = rewritten(data, zipfile.ZIP_DEFLATED, only="data/0")
    assert bundle_against_torch(data, mixed).keys() == {"a", "b", "c/d"}
    contents = get("torch-zip").read(mixed, where="m.pt")
    assert contents is not None
    streams = inner_streams(mixed, contents)
    assert {(r.inner.name, r.inner.codec) for r, _, _ in streams if r.inner} == {
        ("archive/data.pkl", "none"),
        ("archive/data/0", "deflate"),
        ("archive/data/1", "none"),
        ("archive/data/2", "none"),
    }
    (pickle,) = (inner for _, _, inner in streams if inner.format == "pickle")
    assert {r.name for r in pickle.regions} >= {"a", "b", "c/d", "n"}
    assert pickle.values["n"] == 5


def test_slack_splits_and_orphans_keep_their_owners_inside_deflated_storages() -> None:
    base = torch.arange(100.0)
    data = saved({"v": base[10:20], "w": base[30:40]})
    bundle_against_torch(data, rewritten(data, zipfile.ZIP_DEFLATED))
    contents = get("torch-zip").read(rewritten(data, zipfile.ZIP_DEFLATED), where="m.pt")
    assert contents is not None
    (storage,) = (
        i for _, _, i in inner_streams(rewritten(data, zipfile.ZIP_DEFLATED), contents) if i.format != "pickle"
    )
    found = [(r.name, r.label, len(r.span), r.tensor) for r in storage.regions]
    expected = [("v", "[slack]", 40, False), ("v", "", 40, True), ("v", "[slack]", 40, False), ("w", "", 40, True)]
    assert found == [*expected, ("v", "[slack]", 240, False)]
    orphan = archive(b"\x80\x02}.", {"0": b"abcd"}, zipfile.ZIP_DEFLATED)
    contents = get("torch-zip").read(orphan, where="m.pt")
    assert contents is not None
    unmapped = [r for _, _, i in inner_streams(orphan, contents) for r in i.regions if r.account is Account.UNMAPPED]
    assert [(len(r.span), r.label) for r in unmapped] == [(4, "[orphan storage archive/data/0]")]


def test_a_stream_that_does_not_match_its_directory_record_is_refused() -> None:
    data = rewritten(saved({"a": torch.zeros(40)}), zipfile.ZIP_DEFLATED)
    contents = get("torch-zip").read(data, where="m.pt")
    assert contents is not None
    for region, raw_bytes, _ in inner_streams(data, contents):
        assert region.inner is not None
        assert region.inner.read is not None
        flipped = bytes([raw_bytes[0] ^ 1]) + raw_bytes[1:]
        for wrong, message in ((flipped, "does not match its checksum"), (raw_bytes[:-1], "its directory record says")):
            with pytest.raises(CorruptError, match=rf"^inner: '{region.inner.name}' .*{message}"):
                region.inner.read(wrong, "inner")


def test_a_deflated_pickle_still_names_stored_tensors() -> None:
    data = rewritten(saved(tied()), zipfile.ZIP_DEFLATED, only="data.pkl")
    check_against_torch(data, opened(data))


def test_other_compression_is_refused() -> None:
    for only in ("data.pkl", "data/0"):
        with pytest.raises(UnsupportedError, match=rf"member 'archive/{only}' is compressed by method 12"):
            opened(rewritten(saved(tied()), zipfile.ZIP_BZIP2, only=only))


def zip64(data: bytes, *, records: bool) -> bytes:
    """The same zip with zip64 end records, and with all sizes and offsets of the directory in zip64 fields."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        infos, start = zipped.infolist(), zipped.start_dir
    if records:
        directory = b""
        at = start
        for info in infos:
            fields = list(struct.unpack_from("<4s6H3L5H2L", data, at))
            extra = struct.pack("<HH3Q", 1, 24, info.file_size, info.compress_size, info.header_offset)
            at += 46 + fields[10] + fields[11] + fields[12]
            fields[8] = fields[9] = fields[16] = 0xFFFFFFFF
            fields[11], fields[12] = len(extra), 0
            directory += struct.pack("<4s6H3L5H2L", *fields) + info.filename.encode() + extra
    else:
        directory = data[start:-22]
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, len(infos), len(infos), len(directory), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:start] + directory + end64 + locator + end


@pytest.mark.parametrize("records", [False, True])
def test_zip64_records_are_read(records: bool) -> None:  # noqa: FBT001
    data = zip64(rewritten(saved(tied()), zipfile.ZIP_STORED), records=records)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        assert zipped.testzip() is None
    artifact = opened(data)
    check_against_torch(data, artifact)
    assert artifact.contents.regions[-1].label == "[zip end record]"
    assert len(artifact.contents.regions[-1].span) == 56 + 20 + 22
    assert Account.UNMAPPED not in {r.account for r in artifact.contents.regions}


@pytest.mark.parametrize("comment", [b"a comment", b"PK\x05\x06" + bytes(40), b"x" * 65535])
def test_a_trailing_comment_belongs_to_the_end_record(comment: bytes) -> None:
    out = io.BytesIO(saved(tied()))
    with zipfile.ZipFile(out, "a") as zipped:
        zipped.comment = comment
    artifact = opened(out.getvalue())
    assert read_tensors(artifact).keys() == {"tok_emb.weight", "blocks.0.w"}
    assert len(artifact.contents.regions[-1].span) >= 22 + len(comment)
    assert Account.UNMAPPED not in {r.account for r in artifact.contents.regions}


class Pipe:
    """A stream that cannot seek or tell, for which zip writers put sizes after the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("wide", [False, True])
def test_streamed_members_own_the_descriptor_after_their_data(wide: bool) -> None:  # noqa: FBT001
    source, pipe = saved({"w": torch.arange(5.0)}), Pipe()
    with zipfile.ZipFile(io.BytesIO(source)) as read, zipfile.ZipFile(pipe, "w") as written:
        for info in read.infolist():
            with written.open(zipfile.ZipInfo(info.filename), "w", force_zip64=wide) as member:
                member.write(read.read(info))
    data = bytes(pipe.data)
    artifact = opened(data)
    assert raw(read_tensors(artifact)["w"]) == raw(torch.arange(5.0))
    assert {len(member.descriptor) for member in read_directory(data, "m.pt").members} == {24 if wide else 16}
    assert Account.UNMAPPED not in {r.account for r in artifact.contents.regions}


def test_bytes_between_members_that_no_record_explains_are_unmapped() -> None:
    data = rewritten(saved({"w": torch.arange(5.0)}), zipfile.ZIP_STORED)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        start = zipped.start_dir
    shifted = bytearray(data[:start] + b"hidden" + data[start:])
    struct.pack_into("<L", shifted, len(shifted) - 6, start + 6)
    gaps = [r for r in opened(bytes(shifted)).contents.regions if r.account is Account.UNMAPPED]
    assert [(r.span.start, r.span.stop, r.label) for r in gaps] == [(start, start + 6, "[zip gap]")]


def test_a_zip_of_another_kind_is_named_and_unmapped() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("readme.txt", "no model")
    for name in ("m.zip", "m.pt"):
        artifact = open_bytes(out.getvalue(), name=name)
        assert artifact.contents.format == "zip"
        assert artifact.notes[0].startswith("a zip archive that is no checkpoint")
        assert [r.account for r in artifact.contents.regions] == [Account.UNMAPPED]


def test_two_tensors_under_names_of_one_spelling_are_both_there() -> None:
    value = {1: torch.randn(2), "1": torch.randn(3), "a": {"b": torch.randn(4)}, "a/b": torch.randn(5)}
    assert {n: t.numel() for n, t in read_tensors(opened(saved(value))).items()} == {
        "1": 2,
        "1#2": 3,
        "a/b": 4,
        "a/b#2": 5,
    }


def test_a_byte_that_holds_two_four_bit_numbers_is_one_element() -> None:
    data = archive(at_w(pickled_tensor_v3("float4_e2m1fn_x2")), {"0": b"abcd"})
    (own,) = (r for r in opened(data).contents.regions if r.tensor)
    assert data[own.span.start : own.span.stop] == b"abcd"


def test_a_pickle_that_does_not_match_its_directory_record_is_refused() -> None:
    data = saved({"a": torch.randn(3)})
    at = member_at(data, "archive/data.pkl").start
    flipped = bytearray(data)
    flipped[at + 3] ^= 1
    with pytest.raises(CorruptError, match=rf"'archive/data.pkl' at byte {at} does not match its checksum"):
        open_bytes(bytes(flipped), name="m.pt")
    deflated = bytearray(rewritten(data, zipfile.ZIP_DEFLATED))
    flipped = bytearray(deflated)
    flipped[member_at(bytes(deflated), "archive/data.pkl").start] ^= 6
    with pytest.raises(CorruptError, match=r"'archive/data.pkl' at byte \d+ (does not inflate|does not match|holds)"):
        open_bytes(bytes(flipped), name="m.pt")
