"""Byte shuffle and method prefixes: found by content, undone without loss, and priced through the permutation."""

from __future__ import annotations

import io
import json
import lzma
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import brotli
import numpy as np
import pytest
import safetensors.numpy
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import opened
from support.command_line import Run
from support.kit import brute_force

from golfbudget import codecs, filters
from golfbudget.artifact import Artifact
from golfbudget.ledger import Account
from golfbudget.roles import assign, load_roles

Header = Callable[[int], bytes]
ONE_BYTE: Header = lambda stride: b"BSHF" + bytes([stride])  # noqa: E731
TWO_BYTES: Header = lambda stride: b"BSHF" + stride.to_bytes(2, "little")  # noqa: E731


def shuffled(data: bytes, stride: int, header: Header = ONE_BYTE) -> bytes:
    """The filter by another road than ours: a padded table, read down its columns."""
    table = np.zeros(-(-len(data) // stride) * stride, np.int16) - 1
    table[: len(data)] = np.frombuffer(data, np.uint8)
    columns = table.reshape(-1, stride).T.reshape(-1)
    return header(stride) + columns[columns >= 0].astype(np.uint8).tobytes()


def torch_zip() -> bytes:
    rng = np.random.default_rng(0)
    out = io.BytesIO()
    state = {
        "w": {
            "tok_emb.weight.q": torch.tensor(np.clip(rng.normal(0, 6, (64, 32)), -31, 31).astype(np.int8)),
            "tok_emb.weight.scale": torch.rand(64).half(),
            "blocks.0.mlp.fc.weight": torch.randn(40, 33).half(),
        },
        "m": {"tok_emb.weight": "gptq (int6)"},
    }
    torch.save(state, out)
    return out.getvalue()


def st_file() -> bytes:
    return safetensors.numpy.save({"tok_emb.weight": np.arange(90, dtype=np.float16).reshape(9, 10)})


CONTAINERS = {"torch-zip": torch_zip, "safetensors": st_file}
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda d: d,
    "brotli": lambda d: bytes(brotli.compress(d)),
    "zlib": lambda d: zlib.compress(d, 9),
    "xz": lzma.compress,
    "zstd": lambda d: zstandard.compress(d, 19),
}


def names(artifact: Artifact) -> list[str]:
    return [layer.name for layer in artifact.layers]


@pytest.mark.parametrize("header", [ONE_BYTE, TWO_BYTES])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_shuffled_container_is_found_and_its_parts_sum(kind: str, codec: str, header: Header) -> None:
    plain = CONTAINERS[kind]()
    for stride in (2, 4):
        artifact = opened(CODECS[codec](shuffled(plain, stride, header)), "m.ptz")
        assert names(artifact) == [*([codec] if codec != "none" else []), "byte-shuffle", kind]
        assert bytes(artifact.leaves[0].data) == plain
        assert {tensor.name for tensor in artifact.tensors} == {t.name for t in opened(plain).tensors}


@pytest.mark.parametrize("codec", ["brotli", "zlib", "xz"])
def test_each_region_pays_for_its_bytes_in_every_plane(codec: str) -> None:
    """The oracle: where the permutation puts each byte, and byte-by-byte feeding of the codec around it."""
    plain = torch_zip()
    inside = shuffled(plain, 2)
    stored = CODECS[codec](inside)
    artifact = opened(stored, "m.ptz")
    place = np.argsort(np.concatenate([np.arange(len(plain))[phase::2] for phase in (0, 1)])) + 5
    fed = brute_force(codecs.get(codec), stored, list(range(len(inside) + 1)))
    header = codecs.get(codec).header_length(stored, 0)
    price = 8 * np.diff(np.maximum(header, np.array(fed)))
    parts = [part for part in artifact.parts if part.span is not None]
    for part in parts:
        assert part.span is not None
        assert part.stored_bits == int(price[place[part.span.start : part.span.stop]].sum()), part
    framing = [part for part in artifact.parts if part.account is Account.CODEC]
    assert sum(part.stored_bits for part in framing) == 8 * len(stored) - sum(part.stored_bits for part in parts)


@given(data=st.binary(max_size=300), stride=st.integers(2, 9))
@settings(max_examples=60)
def test_the_filter_is_lossless_and_every_byte_has_one_place(data: bytes, stride: int) -> None:
    (found,) = [f for f in filters.registered().values() if f.name == "byte-shuffle"]
    undone = found.undo(shuffled(data, stride), lambda _: False)
    assert undone is not None
    assert bytes(undone.decoded) == data
    cuts = [0, len(data) // 3, len(data) // 2, len(data)]
    spans = [s for a, b in pairwise(cuts) for s in undone.planes(a, b)]
    assert sorted(i for span in spans for i in range(span.start, span.stop)) == list(range(5, 5 + len(data)))


PREFIXED: dict[str, tuple[bytes, Callable[[bytes], bytes], str]] = {
    "letters zstd": (b"ZSTD", CODECS["zstd"], "zstd"),
    "letters zlib": (b"ZLIB", CODECS["zlib"], "zlib"),
    "letters lzma": (b"LZMA", CODECS["xz"], "xz"),
    "number 0 xz": (b"\0", CODECS["xz"], "xz"),
    "number 0 lzma": (b"\0", lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE), "lzma"),
    "number 1": (b"\1", CODECS["brotli"], "brotli"),
    "number 2": (b"\2", CODECS["zstd"], "zstd"),
}


@pytest.mark.parametrize("label", PREFIXED)
def test_a_named_codec_is_read_behind_its_name(label: str) -> None:
    prefix, encode, codec = PREFIXED[label]
    stream = encode(torch_zip())
    artifact = opened(prefix + stream, "final_model.ptz")
    assert names(artifact) == ["method-prefix", codec, "torch-zip"]
    bare = opened(stream, "final_model.ptz")
    paid = {part.name: part.stored_bits for part in artifact.parts if part.tensor}
    assert paid == {part.name: part.stored_bits for part in bare.parts if part.tensor}
    assert artifact.size == bare.size + len(prefix)


def test_a_prefix_that_the_stream_contradicts_is_no_prefix() -> None:
    assert names(opened(b"ZSTD" + zlib.compress(torch_zip()), "x")) == ["opaque"]
    assert names(opened(b"\1" + b"not brotli at all, surely not", "x")) == ["opaque"]
    assert names(opened(b"BSHF", "x")) == ["opaque"]


def test_the_command_names_the_filter(tmp_path: Path, golfbudget: Run) -> None:
    path = tmp_path / "final_model.int6.ptz"
    path.write_bytes(CODECS["brotli"](shuffled(torch_zip(), 2)))
    report = json.loads(golfbudget("inspect", path, "--format", "json").stdout)
    assert [(layer["kind"], layer["name"]) for layer in report["layers"]] == [
        ("codec", "brotli"),
        ("filter", "byte-shuffle"),
        ("container", "torch-zip"),
    ]
    assert sum(entry["stored_bytes"] for entry in report["entries"]) == path.stat().st_size


@pytest.mark.parametrize("inner", ["zlib", "xz", "zstd"])
def test_codecs_inside_one_another_sum_and_say_that_they_estimate(inner: str) -> None:
    stored = lzma.compress(CODECS[inner](torch_zip()))
    artifact = opened(stored, "m.ptz")
    assert [str(layer.attribution) for layer in artifact.layers if layer.kind == "codec"] == ["estimate"] * 2
    ledger = assign(artifact, load_roles()).ledger
    assert sum(entry.stored_bits for entry in ledger.entries) == 8 * len(stored)
