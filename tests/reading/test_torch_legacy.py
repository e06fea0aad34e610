"""The reader of torch's layout before 1.6 against torch itself, which still writes and reads it."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import opened
from test_torch_zip import DTYPES, VALUES, check_against_torch, check_tensor, raw, tied, views
from torch import Tensor, nn

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, UnsupportedError
from golfbudget.ledger import Account, Role
from golfbudget.recipe.state import read_tensors
from golfbudget.roles import assign, load_roles


def legacy(value: object, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    return out.getvalue()


def checked(data: bytes, name: str = "m.pt", *, protocol: int = 2) -> Artifact:
    artifact = opened(data, name)
    assert artifact.contents.format == "torch-legacy"
    assert Account.UNMAPPED not in {region.account for region in artifact.contents.regions}
    check_against_torch(data, artifact, trusted=protocol != 2)
    return artifact


# Torch refuses to write one storage under two dtypes in this layout.
WRITTEN = [name for name in VALUES if name != "bytes of two dtypes"]


@pytest.mark.parametrize("name", WRITTEN)
def test_names_dtypes_shapes_strides_and_values_are_torchs(name: str) -> None:
    torch.manual_seed(0)
    checked(legacy(VALUES[name]()))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.bin", "m"])
def test_every_protocol_and_suffix_is_known_by_the_magic(protocol: int, name: str) -> None:
    checked(legacy({"a": torch.randn(3, 4), "b": [torch.ones(2)]}, protocol), name, protocol=protocol)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_of_torch_that_is_known_by_name_is_read(dtype: torch.dtype) -> None:
    tensor = torch.arange(12, dtype=torch.uint8).repeat(dtype.itemsize)
    value = {"w": tensor.view(dtype).reshape(3, 4) if dtype is not torch.bool else tensor.view(3, 4) > 5}
    data = legacy(value)
    # Torch cannot read back its own files of dtypes that have no storage class; what was written is the judge there.
    artifact = opened(data) if b"UntypedStorage" in data else checked(data)
    (stored,) = artifact.contents.tensors
    check_tensor(stored, value["w"])
    assert raw(read_tensors(artifact)["w"]) == raw(value["w"])


@settings(max_examples=80, derandomize=True)
@given(views(), st.sampled_from([2, 4]))
def test_windows_on_one_storage_are_torchs(value: dict[str, Tensor], protocol: int) -> None:
    checked(legacy(value, protocol), protocol=protocol)


def test_a_storage_its_length_and_its_key_belong_to_its_tensor() -> None:
    data = legacy({"tok_emb.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)})
    artifact = checked(data)
    (own,) = (r for r in artifact.contents.regions if r.tensor and r.name == "tok_emb.weight")
    assert data[own.span.start : own.span.stop] == torch.arange(6.0).numpy().tobytes()
    (count,) = (r for r in artifact.contents.regions if r.span.stop == own.span.start)
    assert (count.name, data[count.span.start : count.span.stop]) == ("tok_emb.weight", struct.pack("<q", 6))
    keys = [r for r in artifact.contents.regions if r.label == "[storage keys]"]
    assert {r.name for r in keys} == {None, "tok_emb.weight", "b"}
    listed = pickle.loads(data[keys[0].span.start : keys[-1].span.stop])
    assert all(key.encode() in b"".join(data[r.span.start : r.span.stop] for r in keys if r.name) for key in listed)


def test_the_ledger_gives_the_tied_matrix_to_the_head_once() -> None:
    data = legacy(tied())
    assignment = assign(opened(data), load_roles())
    assert assignment.tied is True
    entries = assignment.ledger.entries
    assert sum(e.parameters for e in entries if e.role is Role.HEAD) == 18
    assert sum(e.decoded_bytes for e in entries if e.account is Account.WEIGHTS) == 4 * 20
    assert sum(e.stored_bits for e in entries) == 8 * len(data)


def test_a_whole_module_is_read_without_its_class() -> None:
    first = nn.Linear(3, 2)
    model = nn.Sequential(first, nn.LayerNorm(2))
    artifact = opened(legacy(model))
    loaded = read_tensors(artifact)
    assert loaded.keys() == {
        f"_modules/{number}/_parameters/{name}" for number in (0, 1) for name in ("weight", "bias")
    }
    assert torch.equal(loaded["_modules/0/_parameters/weight"], first.weight)
    assert str(artifact.contents.values["_modules/0"]) == "torch.nn.modules.linear Linear"


def test_a_storage_saved_without_a_tensor_is_unmapped_and_so_is_what_follows() -> None:
    data = legacy({"s": torch.ones(3).untyped_storage(), "w": torch.ones(2)})
    regions = opened(data + b"rest").contents.regions
    assert [len(r.span) for r in regions if r.account is Account.UNMAPPED] in ([12, 4], [4, 12])
    assert regions[-1].label == "[after the storages]"


# Files that torch did not write

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
HEAD = MAGIC + b"\x80\x02M\xe9\x03." + pickle.dumps({"little_endian": True}, 2)
TYPE = b"ctorch\nFloatStorage\n"


def reference(*, kind: bytes = TYPE, key: bytes = b"X\x01\x00\x00\x000", view: bytes = b"N") -> bytes:
    return b"(X\x07\x00\x00\x00storage" + kind + key + b"X\x03\x00\x00\x00cpuK\x04" + view + b"tQ"


def tensor(stored: bytes, first: int = 0, size: int = 2) -> bytes:
    numbers = b"K" + bytes([first]) + b"K" + bytes([size]) + b"\x85K\x01\x85"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + numbers + b"\x89ccollections\nOrderedDict\n)RtR"


def made(
    objects: bytes,
    keys: tuple[str, ...] = ("0",),
    count: int = 4,
    content: bytes = bytes(range(16)),
    head: bytes = HEAD,
) -> bytes:
    storages = b"".join(struct.pack("<q", count) + content for _ in keys)
    return head + b"\x80\x02}(" + objects + b"u." + pickle.dumps(list(keys), 2) + storages


def item(name: str, value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(name)) + name.encode() + value


def test_views_that_torch_once_described_in_the_reference_start_at_their_offset() -> None:
    view = b"(X\x01\x00\x00\x00vK\x02K\x02t"
    data = made(item("a", tensor(reference())) + item("b", tensor(reference(view=view))))
    theirs = torch.load(io.BytesIO(data), weights_only=False)
    ours = read_tensors(opened(data))
    assert torch.equal(ours["b"], theirs["b"])
    assert raw(ours["b"]) == bytes(range(8, 16))
    assert [len(r.span) for r in opened(data).contents.regions if r.tensor] == [8, 8]


def test_a_file_of_a_big_endian_machine_says_so() -> None:
    head = MAGIC + b"\x80\x02M\xe9\x03." + pickle.dumps({"little_endian": False}, 2)
    artifact = opened(made(item("a", tensor(reference())), head=head))
    assert artifact.contents.values["[byteorder]"] == "big"
    with pytest.raises(UnsupportedError, match="big-endian"):
        read_tensors(artifact)


ONE = item("a", tensor(reference()))
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "another version": (
        lambda: made(ONE, head=MAGIC + b"\x80\x02M\xea\x03." + pickle.dumps({}, 2)),
        "the pickle at byte 15 says torch layout 1002, known: 1001",
    ),
    "a key that is not there": (lambda: made(ONE, keys=("1",)), "name '1', which is listed twice or which no tensor"),
    "a key that stands twice": (lambda: made(ONE, keys=("0", "0")), "name '0', which is listed twice"),
    "no keys": (lambda: made(ONE, keys=()), "tensor 'a' lies in storage '0', which the list at byte"),
    "a negative count": (lambda: made(ONE, count=-1), "says -1 elements of 4 bytes"),
    "a huge count": (lambda: made(ONE, count=1 << 62), f"says {1 << 62} elements of 4 bytes, the file has 16 bytes"),
    "a count too small": (lambda: made(ONE, count=1), r"tensor 'a' \[2\] float32 needs 8 bytes, .* has 4"),
    "a storage of no known type": (
        lambda: made(item("a", tensor(reference(kind=b"ctorch\nPositStorage\n")))),
        "storage '0' is a torch.PositStorage, whose elements have no known width",
    ),
    "two widths": (
        lambda: made(ONE + item("b", tensor(reference(kind=b"ctorch\nDoubleStorage\n")))),
        "storage '0' is referred to with elements of two widths",
    ),
    "a reference to something else": (lambda: made(item("a", b"K\x01Q")), "a reference of the pickle is no storage"),
    "keys that are no list": (
        lambda: made(ONE)[: -len(pickle.dumps(["0"], 2)) - 24] + b"\x80\x02N.",
        "is no list of storage keys",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_file_is_refused_and_says_where(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises((CorruptError, UnsupportedError), match=rf"^m\.pt: .*{message}"):
        open_bytes(build(), name="m.pt")


def test_a_file_cut_anywhere_is_refused() -> None:
    data = legacy({"a": torch.arange(3.0), "b": torch.ones(2, dtype=torch.int8)})
    for length in range(14, len(data)):
        with pytest.raises(CorruptError, match=r"^m\.pt: .*byte"):
            open_bytes(data[:length], name="m.pt")


@settings(max_examples=200, derandomize=True)
@given(st.data())
def test_a_changed_file_gives_a_ledger_or_an_error_that_names_it(data: st.DataObject) -> None:
    changed = bytearray(made(ONE + item("b", tensor(reference(), 2))))
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=3)):
        changed[at] = data.draw(st.sampled_from(b"()}]tuRQq\x00h\x85\x80K\x01.0XN") | st.integers(0, 255))
    try:
        opened(bytes(changed))
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(error).startswith("m.pt: ")  # noqa: PT017
