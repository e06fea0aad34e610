"""Repacking: the same tensors and values out of a smaller file, by the ordinary readers and by the counted decoder."""

from __future__ import annotations

import io
import json
import lzma
import pickle
import signal
import subprocess
import sys
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from support.command_line import Run

from golfbudget import codecs, filters
from golfbudget.artifact import open_artifact, open_bytes
from golfbudget.baseline import load_side
from golfbudget.errors import CorruptError, GolfbudgetError, UsageError
from golfbudget.filters import shuffle
from golfbudget.formats.pack import Piece
from golfbudget.ledger import Account
from golfbudget.repacking import Lever, Repacked, repack
from golfbudget.repacking.compressors import COMPRESSORS
from golfbudget.repacking.decoders import chain_source, pack_source
from golfbudget.repacking.proof import prove_rebuilt, prove_same_container
from golfbudget.repacking.result import REBUILT, SAME_CONTAINER
from golfbudget.repacking.saved_object import Item, SavedObject, saved_object
from golfbudget.repacking.settings import TUNED, lzma_file, tuned
from golfbudget.repacking.unpickle import NotCarriedError
from golfbudget.repacking.writing import Arrangement, assemble, narrowed, raw_streams, sorted_rows
from golfbudget.roles import assign, load_roles

#: Without a filter around the container only a new one can shuffle floats, so that small files are rebuilt too.
UNFILTERED = [lever for lever in Lever if lever is not Lever.FILTER]


def saved(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def model(seed: int = 0) -> dict[str, Any]:
    """A small quantised model with values of every kind that public artifacts hold, and a few more."""
    generator = torch.Generator().manual_seed(seed)
    head = torch.randint(-31, 32, (96, 40), generator=generator, dtype=torch.int8)
    state = OrderedDict([("a", torch.randn(8, 9, generator=generator)), ("b", torch.ones(3))])
    state._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    return {
        "__format__": "by hand",
        "quantized": {"tok_emb.weight": head, "tied": head},
        "scales": {"tok_emb.weight": torch.randn(96, generator=generator).half()},
        "state": state,
        "exact": torch.arange(600).float() / 8,
        "bfloat16": torch.randn(5, 4, generator=generator).bfloat16(),
        "float8": torch.randn(6, generator=generator).to(torch.float8_e4m3fn),
        "layers": {f"blocks.{n}.w": torch.randn(6, 5, generator=generator).half() for n in range(60)},
        "scalar": torch.tensor(7),
        "none there": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
        "packed": bytes(range(256)) * 3,
        "shape": head.shape,
        "pair": (1, "two"),
        "list": [None, True, 1, 1.0, -0.0, float("inf"), "", "é\ud800"],
        "": {3: "a key that is no text"},
        "empty": [{}, [], ()],
    }


def same(one: object, other: object) -> bool:  # noqa: PLR0911  (one answer for each kind of value)
    """Equal to the last bit, types included, aliases aside."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        assert isinstance(other, dict)
        attributes = getattr(one, "_metadata", None) == getattr(other, "_metadata", None)
        return attributes and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        assert isinstance(other, (list, tuple))
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        return one.numel() == 0 or one.reshape(-1).view(torch.uint8).equal(other.reshape(-1).view(torch.uint8))
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return repr(one) == repr(other)


def executed(source: str, data: bytes, name: str) -> Any:  # noqa: ANN401  (whatever the decoder makes)
    """Run a decoder as a submission would, in a namespace that holds the file and nothing else."""
    namespace: dict[str, object] = {"d": data}
    exec(source, namespace)  # noqa: S102  (the decoder that is counted is run as it stands)
    return namespace[name]


def taken(packed: Repacked) -> list[Lever]:
    return [step.lever for step in packed.steps if step.taken]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def held(data: bytes) -> SavedObject:
    return saved_object(open_bytes(data, name="m.pt"), data)


def packed_as(value: SavedObject, arrangement: Arrangement, codec: str = "zlib") -> bytes:
    streams = [(codec, COMPRESSORS[codec](data)) for data in raw_streams(value, arrangement)]
    return assemble(streams, arrangement.shuffled)


def whole(value: SavedObject) -> Arrangement:
    return Arrangement(streams=(tuple(range(len(value.items))),))


# The whole way


def test_a_rebuilt_file_decodes_to_what_torch_loads(tmp_path: Path) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    packed = repack(path)
    assert packed.data is not None
    assert packed.container == "golfbudget-pack"
    assert (
        packed.saved
        == sum(step.saved for step in packed.steps if step.taken)
        == len(path.read_bytes()) - len(packed.data)
    )
    decoded = executed(packed.decoder_source, packed.data, "o")
    assert same(decoded, torch.load(io.BytesIO(saved(model())), weights_only=True))
    assert decoded["quantized"]["tied"] is decoded["quantized"]["tok_emb.weight"]
    assert packed.decoder_extra == len(packed.decoder_source.encode()) - len(b"import zlib\nd=zlib.decompress(d)\n")


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: zlib.compress(d, 9), lzma.compress])
def test_the_same_container_comes_out_of_the_counted_decoder(wrap: Callable[[bytes], bytes], tmp_path: Path) -> None:
    container = saved({"w": (torch.randn(60, 50, generator=torch.Generator().manual_seed(1))).half(), "n": 3})
    packed = repack(write(tmp_path / "m.pt", wrap(container)), levers=SAME_CONTAINER)
    assert packed.data is not None
    assert packed.container == "same"
    assert executed(packed.decoder_source, packed.data, "d") == container
    assert packed.not_rebuilt == "not asked for"
    assert set(taken(packed)) <= set(SAME_CONTAINER)
    assert bytes(open_bytes(packed.data, name="x").leaves[0].data) == container


def arrays() -> dict[str, Any]:
    """Integers of few levels beside floats: streams of their own save more than their decoder takes."""
    rng = np.random.default_rng(0)
    return {
        "b": rng.integers(-9, 10, (100, 200)).astype(np.int8),
        "a": rng.normal(size=(90, 100)).astype(np.float32),
        "c": np.arange(5, dtype=np.int64),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.safetensors", "m.npz", "m.pkl"])
def test_other_containers_are_rebuilt(name: str, tmp_path: Path) -> None:
    given_arrays, out = arrays(), io.BytesIO()
    expected: object = given_arrays
    if name == "m.npz":
        np.savez(out, **given_arrays)
    elif name == "m.pkl":
        expected = {"n": 5, "arrays": given_arrays, "t": (b"xyz", [0.5])}
        pickle.dump(expected, out)
    else:
        tensors = {key: torch.from_numpy(value) for key, value in given_arrays.items()}
        out.write(save(tensors, {"note": "kept"}))
        expected = {**tensors, "__metadata__": {"note": "kept"}}
    packed = repack(write(tmp_path / name, out.getvalue()), levers=UNFILTERED)
    assert packed.data is not None
    assert packed.container == "golfbudget-pack"
    decoded = executed(packed.decoder_source, packed.data, "o")
    assert isinstance(expected, dict)
    if name == "m.safetensors":  # Its header sorts names; a dict of tensors by name has no order of its own.
        assert decoded.keys() == expected.keys()
        expected = {key: expected[key] for key in decoded}
    assert same(decoded, expected)


def test_inspect_reads_a_rebuilt_file_to_the_same_tensors_roles_and_contents(tmp_path: Path) -> None:
    table = torch.from_numpy(arrays()["b"])
    value = {
        "quantized": {"tok_emb.weight": table},
        "scales": {"tok_emb.weight": torch.rand(100).half()},
        "passthrough": {"blocks.0.attn_scale": torch.from_numpy(arrays()["a"])},
    }
    before = write(tmp_path / "m.pt", saved(value))
    packed = repack(before)
    assert packed.data is not None
    after = write(tmp_path / "m.gbpk", packed.data)
    opened = open_artifact(after)
    assert opened.format == "golfbudget-pack"
    assert {(t.name, t.dtype, t.shape) for t in opened.tensors} == {
        (t.name, t.dtype, t.shape) for t in open_artifact(before).tensors
    }
    assign(opened, load_roles())  # The law is checked here.
    one, other = load_side(before), load_side(after)
    rows = {(row.owner, row.role): row.content for row in one.rows if row.tensors}
    assert rows == {(row.owner, row.role): row.content for row in other.rows if row.tensors}


def test_a_file_that_cannot_be_smaller_is_left_alone(tmp_path: Path, golfbudget: Run) -> None:
    noise = np.random.default_rng(0).bytes(3000)
    path = write(tmp_path / "m.bin", noise)
    done = golfbudget("repack", path, "-o", tmp_path / "out", "--no-cache")
    assert done.returncode == 0, done.stderr
    assert "nothing to gain" in done.stdout
    assert "nothing to gain, nothing is written" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_decoder_that_takes_more_than_is_saved_is_not_chosen(tmp_path: Path) -> None:
    # Rebuilding would save a few hundred bytes of torch's records, and its decoder takes more.
    container = saved({"w": torch.zeros(4)})
    packed = repack(write(tmp_path / "m.ptz", zlib.compress(container, 9)))
    rebuilt = [step for step in packed.steps if step.lever is Lever.CONTAINER]
    assert rebuilt
    assert not rebuilt[0].taken
    assert packed.container == "same"


# Laws


def plain() -> st.SearchStrategy[Any]:
    keys = st.text(max_size=4) | st.integers(-3, 3)
    tensors = st.builds(
        lambda dtype, shape: torch.randint(-9, 9, shape).to(dtype),
        st.sampled_from([torch.int8, torch.float16, torch.bfloat16, torch.float32, torch.int64]),
        st.lists(st.integers(0, 4), max_size=3),
    )
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.binary(min_size=1, max_size=5)
        | tensors
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner)
            | st.dictionaries(keys, inner, max_size=4)
            | st.dictionaries(keys, inner, max_size=3).map(OrderedDict)
        ),
        max_leaves=12,
    )


@given(value=plain(), streams=st.integers(1, 3), codec=st.sampled_from(["none", "zlib", "lzma"]))
@settings(max_examples=60)
def test_whatever_can_be_carried_decodes_to_itself(value: object, streams: int, codec: str) -> None:
    data = saved({"w": torch.ones(2), "value": value})
    try:
        artifact = open_bytes(data, name="m.pt")
        value_held = saved_object(artifact, data)
    except (NotCarriedError, GolfbudgetError):
        return
    numbers = range(len(value_held.items))
    arrangement = Arrangement(streams=tuple(tuple(numbers[at::streams]) for at in range(streams)))
    packed = packed_as(value_held, arrangement, codec)
    prove_rebuilt(packed, artifact, value_held, where="law")
    forms = [str(item.piece.form()[0]) for item in value_held.items]
    source = pack_source(value_held, [codec], shuffled=False, forms=forms)
    assert same(executed(source, packed, "o"), torch.load(io.BytesIO(data), weights_only=True))


@given(data=st.binary(max_size=200), stride=st.integers(2, 8))
def test_shuffling_is_undone_by_the_filter_and_by_the_counted_source(data: bytes, stride: int) -> None:
    made = shuffle(data, stride)
    assert executed(chain_source(["byte-shuffle"]), made, "d") == data
    undone = filters.registered()["byte-shuffle"].undo(made, lambda _head: False)
    assert undone is not None
    assert undone.decoded == data


@pytest.mark.parametrize(
    ("codec", "decode"),
    [
        ("zlib", zlib.decompress),
        ("lzma", lzma.decompress),
        ("zstd", lambda d: zstandard.ZstdDecompressor().decompress(d)),
        ("brotli", brotli.decompress),
    ],
)
@pytest.mark.parametrize("data", [b"", b"x", saved({"w": torch.ones(30, 30)}), bytes(1 << 19)], ids=len)
def test_the_codecs_own_libraries_decode_what_is_written(
    codec: str, decode: Callable[[bytes], bytes], data: bytes
) -> None:
    assert decode(COMPRESSORS[codec](data)) == data


# Other forms of tensors


def item(values: torch.Tensor) -> Item:
    return Item(
        name="w",
        piece=Piece(dtype=str(values.dtype).removeprefix("torch."), shape=tuple(values.shape)),
        data=values.numpy().tobytes(),
    )


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0.0, -0.0, 1.5, float("inf"), 65504.0, 2.0**-24], "float16"),
        ([-(2.0**100), -0.0, float("nan")], "bfloat16"),
        ([0.1], None),
        ([65536.0 + 1], None),
    ],
)
def test_a_tensor_is_narrowed_only_where_every_bit_comes_back(values: list[float], dtype: str | None) -> None:
    tensor = torch.tensor(values)
    found = narrowed(item(tensor))
    assert (None if found is None else found.piece.dtype) == dtype
    if found is not None and dtype is not None:
        narrow = torch.frombuffer(bytearray(found.data), dtype=getattr(torch, dtype))
        assert narrow.float().numpy().tobytes() == tensor.numpy().tobytes()


def test_a_nan_whose_payload_would_be_lost_is_not_narrowed() -> None:
    bits = np.array([0x7FC00001], dtype="<u4").tobytes()
    assert narrowed(Item(name="w", piece=Piece(dtype="float32", shape=(1,)), data=bits)) is None


def test_rows_are_reordered_where_that_pays_and_come_back_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randint(-127, 128, (8, 4096), generator=generator, dtype=torch.int8)
    table = prototypes[torch.randint(0, 8, (600,), generator=generator)].clone()
    table[:, ::16] = torch.randint(-127, 128, (600, 256), generator=generator, dtype=torch.int8)
    data = table.numpy().tobytes()
    found = sorted_rows(Piece(dtype="int8", shape=(600, 4096)), data)
    value = held(saved({"w": table, "n": 1}))
    assert found is not None
    assert found.data != data
    packed = packed_as(value, replace(whole(value), stored=((0, found),)))
    prove_rebuilt(packed, open_bytes(saved({"w": table, "n": 1}), name="m.pt"), value, where="rows")
    source = pack_source(value, ["zlib"], shuffled=False, forms=["int8~0"])
    assert torch.equal(executed(source, packed, "o")["w"], table)
    ledger = assign(open_bytes(packed, name="x"), load_roles()).ledger
    (order,) = [entry for entry in ledger.entries if entry.account is Account.MAPPING]
    assert order.decoded_bytes == 2 * 600


def test_numpy_arrays_are_not_narrowed_to_what_numpy_lacks() -> None:
    assert narrowed(item(torch.tensor([2.0**100])), framework="numpy") is None
    assert narrowed(item(torch.tensor([0.5])), framework="numpy") is not None


@pytest.mark.parametrize("codec", ["gzip", "deflate", "bz2", "xz", "zstd"])
def test_without_the_codec_lever_the_codec_stays_of_its_kind(codec: str, tmp_path: Path) -> None:
    data = codecs.get(codec).encode(saved(model()), codecs.get(codec).default_level)
    packed = repack(write(tmp_path / "m.ptz", data), levers=[Lever.CONTAINER])
    assert packed.data is not None
    assert same(executed(packed.decoder_source, packed.data, "o"), torch.load(io.BytesIO(saved(model()))))


def test_rows_that_promise_nothing_stay_where_they_are() -> None:
    noise = np.random.default_rng(0).bytes(200 * 50)
    assert sorted_rows(Piece(dtype="int8", shape=(200, 50)), noise) is None


# What cannot be carried


class Unknown:
    pass


def _sliced() -> dict[str, object]:
    return {"w": torch.randn(4, 6).t()}


def _overlapping() -> dict[str, object]:
    base = torch.randn(10)
    return {"a": base[:6], "b": base[3:]}


def _shared() -> dict[str, object]:
    one = {"w": torch.ones(2)}
    return {"a": one, "b": one}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (_sliced(), "no single run of its storage"),
        (_overlapping(), "share part of their bytes"),
        (_shared(), "one dict at two places"),
        ({"w": torch.ones(2, requires_grad=True)}, "requires gradients"),
        ({"w": torch.ones(2), "s": {1, 2}}, "values of __builtin__.set"),
        ({"w": torch.ones(2), "o": Unknown()}, "values of test_repack.Unknown"),
        ({"w": torch.ones(2), "d": torch.float16}, "a value of type _Kind"),
        ({"w": torch.ones(2), "k": {(1, 2): 3}}, "keys are not text or numbers"),
        (torch.ones(5), "one tensor by itself"),
        ({"n": 1}, "no tensors"),
    ],
)
def test_what_cannot_be_carried_is_said_and_only_the_codec_is_turned(
    value: object, reason: str, tmp_path: Path
) -> None:
    packed = repack(write(tmp_path / "m.pt", saved(value)))
    assert packed.not_rebuilt is not None
    assert reason in packed.not_rebuilt
    assert packed.data is not None
    assert packed.container == "same"
    assert executed(packed.decoder_source, packed.data, "d") == saved(value)


def test_programs_and_shards_are_refused(tmp_path: Path) -> None:
    source = b"import zlib\nexec(zlib.decompress(%r))\n" % zlib.compress(b"print(1)" * 9)
    with pytest.raises(UsageError, match="pack-code packs programs"):
        repack(write(tmp_path / "m.py", source))
    with pytest.raises(UsageError, match="bytes follow its compressed stream"):
        repack(write(tmp_path / "m.ptz", zlib.compress(saved({"w": torch.ones(3)})) + b"more"))


# The proof


def test_the_proof_refuses_another_tensor_value_or_nesting() -> None:
    base = {"w": torch.arange(6).half(), "n": 1, "t": [1]}
    original = open_bytes(saved(base), name="m.pt")
    value = held(saved(base))
    prove_rebuilt(packed_as(value, whole(value)), original, value, where="m")
    for other, message in [
        (base | {"w": torch.arange(1, 7).half()}, "tensor 'w'"),
        (base | {"w": torch.arange(6).bfloat16()}, "tensor 'w'"),
        (base | {"v": torch.ones(1)}, "tensor 'v'"),
        (base | {"n": True}, "values"),
        (base | {"n": 1.0}, "values"),
        (base | {"t": (1,)}, "nesting"),
        (OrderedDict(base), "nesting"),
    ]:
        changed = held(saved(other))
        with pytest.raises(CorruptError, match=message):
            prove_rebuilt(packed_as(changed, whole(changed)), original, value, where="m")
    with pytest.raises(CorruptError, match="same container"):
        prove_same_container(zlib.compress(saved(base)), saved({"w": torch.ones(1)}), where="m")


# The format, on files that lie


def pack() -> bytes:
    value = held(saved({"w": torch.arange(300).half(), "m": torch.ones(4, 4), "raw": b"abc", "n": 1}))
    arrangement = Arrangement(streams=((), (0,), (1, 2)), shuffled=frozenset({1}))
    return packed_as(value, arrangement)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=200)
def test_a_truncated_or_flipped_pack_gives_a_tiling_or_an_error(at: int, bit: int, cut: bool) -> None:  # noqa: FBT001
    data = bytearray(pack())
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    try:
        assign(open_bytes(bytes(data), name="x"), load_roles())
    except GolfbudgetError:
        return


def of_header(header: str, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header.encode()
    stream = (len(text) if length is None else length).to_bytes(4, "little") + text + body
    return b"GBPK\x01\x00" + len(stream).to_bytes(4, "little") + stream


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GBPK", "1 to 255 streams"),
        (b"GBPK\x00", "1 to 255 streams"),
        (b"GBPK\x01\x07" + bytes(4), "encoded in way 7"),
        (b"GBPK\x01\x11" + bytes(4), "encoded in way 17"),
        (b"GBPK\x01\x00\xff\0\0\0", "ends at byte"),
        (of_header("[]", length=99), "says it takes 99 bytes"),
        (of_header("[]"), "a list of tree, pieces and counts"),
        (of_header("["), "not sound"),
        (of_header("[" * 100_000), "nests too deep"),
        (of_header(f"[{'[' * 70}{']' * 70},[],[0]]"), "nests more than 64 deep"),
        (of_header('[{"":0},[],[0]]'), "refers to piece 0 of 0"),
        (of_header('[{"":["x",[]]},[],[0]]'), "no known kind"),
        (of_header('[{"":0,"a":1},[],[0]]'), "an empty key beside others"),
        (of_header('[{"w":{"":0}},[["int9",1]],[1]]'), "unknown dtype 'int9'"),
        (of_header('[{"w":{"":0}},[["int8",-1]],[1]]'), "whole numbers"),
        (of_header('[{"w":{"":0}},[["int8",1e999]],[1]]'), "whole numbers"),
        (of_header('[{"w":{"":0}},[["int8",99999999999999999]],[1]]'), "at most"),
        (of_header('[{"w":{"":0}},[["int8",1]],[2]]'), "sum to 1"),
        (of_header('[{"w":{"":0}},[["int8",1]],[1,0]]', b"a"), "lists 1"),
        (of_header('[{"w":{"":0}},[["int8",3]],[1]]', b"ab"), "its pieces take"),
        (of_header('[{"w":{"":0}},[["int8~0",3]],[1]]', b"abc"), "no order of 3 rows"),
        (of_header('[{"w":{"":0}},[["int8~9",3]],[1]]', b"abc"), "no piece holds"),
    ],
)
def test_a_pack_that_lies_is_refused_by_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        open_bytes(data, name="x")


# The command


def test_json_adds_up_and_a_second_run_comes_from_the_cache(tmp_path: Path, golfbudget: Run) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    run = ("repack", path, "--cache", tmp_path / "cache", "--format", "json")
    first = golfbudget(*run, "-o", tmp_path / "one.gbpk", "--decoder", tmp_path / "read.py")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["schema"] == "golfbudget/repack/1"
    assert report["packed"]["bytes"] == (tmp_path / "one.gbpk").stat().st_size
    assert report["source"]["bytes"] - report["packed"]["bytes"] == report["saved_bytes"]
    assert sum(step["saved_bytes"] for step in report["steps"] if step["taken"]) == report["saved_bytes"]
    assert report["net_saved_bytes"] == report["saved_bytes"] - report["decoder_extra_bytes"]
    assert (tmp_path / "read.py").read_text(encoding="utf-8") == report["decoder_source"]
    (kept,) = (tmp_path / "cache").iterdir()
    second = golfbudget(*run, "-o", tmp_path / "two.gbpk")
    assert (second.stdout, (tmp_path / "two.gbpk").read_bytes()) == (first.stdout, (tmp_path / "one.gbpk").read_bytes())
    # A damaged result is not believed: the search runs again and mends it.
    whole_result = kept.read_bytes()
    kept.write_bytes(whole_result[:-1] + bytes([whole_result[-1] ^ 1]))
    assert golfbudget(*run).stdout == first.stdout
    assert kept.read_bytes() == whole_result


@pytest.mark.slow
def test_a_cached_result_is_used_and_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    first = repack(path, cached=tmp_path / "cache")
    monkeypatch.setattr("golfbudget.repacking.run._searched", None)
    again = repack(path, cached=tmp_path / "cache")
    assert again == replace(first, cached=True)


def test_the_table_shows_every_lever_and_the_decoder_on_a_line_of_its_own(tmp_path: Path, golfbudget: Run) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    done = golfbudget("repack", path, "--no-cache", "--same-container")
    assert done.returncode == 0, done.stderr
    assert "container      not rebuilt: not asked for" in done.stdout
    assert "bytes of plain Python" in done.stdout
    assert "order-0 floor" in done.stdout
    assert "* codec" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levers", "codec,magic"], "no lever is called 'magic'; known: codec, filter, container"),
        (["--levers", "order"], "need container"),
        (["--same-container", "--levers", "codec,container"], "give one of them"),
        (["--cache", "x", "--no-cache"], "exclude each other"),
        (["--cache", "{path}"], "is a file, expected a folder, there or to be made"),
        (["-o", "{path}"], "is read here, and the result would replace it"),
        (["-o", "x", "--decoder", "x"], "name two files"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], message: str, tmp_path: Path, golfbudget: Run) -> None:
    path = write(tmp_path / "m.pt", saved({"w": torch.ones(3)}))
    done = golfbudget("repack", path, *(a.format(path=path) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.slow
def test_an_interrupt_ends_at_once_and_leaves_no_file(tmp_path: Path) -> None:
    noise = torch.randint(-40, 40, (6_000_000,), dtype=torch.int8)
    path = write(tmp_path / "m.pt", saved({"w": noise}))
    code = "import sys; from golfbudget.cli.app import run; print(1, flush=True); sys.exit(run(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "repack",
        str(path),
        "-o",
        str(tmp_path / "out"),
        "--cache",
        str(tmp_path / "c"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        time.sleep(1.5)  # The search is at its first encodings, which take several seconds.
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, errors = process.communicate(timeout=30)
    # It takes a second, more where the machine is busy; a search that was not interrupted ends with 0.
    assert time.monotonic() - start < 20
    assert process.returncode == 130, errors
    assert list(tmp_path.iterdir()) == [path]


def test_the_levers_asked_for_are_the_only_ones_tried(tmp_path: Path) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    packed = repack(path, levers=[Lever.CONTAINER])
    assert [step.lever for step in packed.steps if step.lever in REBUILT] == [Lever.CONTAINER]
    assert all("brotli" not in step.choice for step in packed.steps)


@pytest.mark.slow
def test_other_settings_of_codecs_are_tried_last_and_never_longer(tmp_path: Path) -> None:
    path = write(tmp_path / "m.ptz", zlib.compress(saved(model()), 9))
    without = repack(path, levers=[lever for lever in Lever if lever is not Lever.SETTINGS])
    packed = repack(path)
    assert packed.data is not None
    assert without.data is not None
    (step,) = [step for step in packed.steps if step.lever is Lever.SETTINGS]
    assert step.taken
    assert step is packed.steps[-1]
    assert len(without.data) - len(packed.data) == step.saved > 0
    assert packed.decoder_source == without.decoder_source


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(sorted(TUNED)))
@settings(max_examples=20)
def test_tuned_streams_decode_by_a_plain_call(data: bytes, codec: str) -> None:
    usual = {"lzma": lzma_file(data * 3, (3, 0, 2)), "brotli": brotli.compress(data * 3, quality=11, lgwin=24)}
    made = tuned(codec, data * 3)
    assert len(made) <= len(usual[codec])
    assert {"lzma": lzma, "brotli": brotli}[codec].decompress(made) == data * 3


# Public artifacts

SMALL = (
    "fp16_xz_pair/final_model.int6.ptz",
    "fp16_xz_pair/final_model.pt",
    "fp16_zlib_exact_ledger/final_model.int8.ptz",
)
LARGER = (
    "fp16_zlib_exact_ledger/final_model.pt",
    "fp16_zlib_pair/final_model.int8.ptz",
    "fp16_zlib_pair/final_model.pt",
    "int8_zlib_sp4096/final_model.int8.ptz",
    "ternary_xz/model.ternary.ptz",
)


def check_public(packed: Repacked, path: Path) -> None:
    """Bytes are saved, and torch loads the original to what the counted decoder makes of the result."""
    assert packed.data is not None
    assert packed.saved == sum(step.saved for step in packed.steps if step.taken)
    assert packed.saved > max(0, packed.decoder_extra)
    container = bytes(open_artifact(path).leaves[0].data)
    expected = torch.load(io.BytesIO(container), weights_only=True, map_location="cpu")
    assert packed.container == "golfbudget-pack"
    assert same(executed(packed.decoder_source, packed.data, "o"), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER)])
def test_public_torch_archives_lose_bytes_and_nothing_else(name: str, corpus: Path) -> None:
    check_public(repack(corpus / name), corpus / name)


@pytest.mark.slow
def test_the_largest_public_archive_loses_bytes_even_with_its_own_codec(corpus: Path) -> None:
    path = corpus / "int8_zlib_4mb/final_model.int8.ptz"
    packed = repack(path, levers=[Lever.CONTAINER, Lever.STREAMS, Lever.SHUFFLE])
    check_public(packed, path)
    assert packed.saved > 20_000
