"""Attribution by one decode: equal to feeding byte by byte, whatever was foreseen; and most of it is foreseen."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import brotli
import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import archive, saved
from support.kit import brute_force

from golfbudget import codecs, formats
from golfbudget.artifact import open_bytes
from golfbudget.codecs import Foresee, Foresight, Method, Stream
from golfbudget.errors import CorruptError, LimitError
from golfbudget.formats.foresight.foreseer import Foreseer
from golfbudget.formats.foresight.scans import PickleScan

BYTE_EXACT = [name for name, codec in codecs.registered().items() if codec.method is Method.BYTE_EXACT]
BYTE_EXACT.remove("none")


def weights(tensors: int = 24, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Matrices, scales, constants and zeros, as exports of small models hold them."""
    rng = np.random.default_rng(seed)
    made: dict[str, torch.Tensor] = {}
    for i in range(tensors // 4):
        rows = int(rng.integers(1, 40))
        matrix = np.clip(rng.normal(0, 9, (rows, 48)), -31, 31).astype(np.int8)
        made[f"blocks.{i}.attn.c_q.weight.q"] = torch.from_numpy(matrix)
        made[f"blocks.{i}.attn.c_q.weight.scale"] = torch.from_numpy(rng.uniform(0.01, 0.02, rows).astype(np.float16))
        made[f"blocks.{i}.mlp.bias"] = torch.zeros(int(rng.integers(1, 900)))
        made[f"blocks.{i}.norm.weight"] = torch.ones(int(rng.integers(1, 300)), dtype=torch.bfloat16)
    return made


def views() -> dict[str, torch.Tensor]:
    """Windows on one storage."""
    flat = torch.from_numpy(np.random.default_rng(3).integers(-31, 32, 9000).astype(np.int8))
    return {f"w{i}": flat[700 * i : 700 * i + 500].view(20, 25) for i in range(12)}


def in_safetensors(state: dict[str, torch.Tensor]) -> bytes:
    return safetensors.numpy.save({n: t.numpy() for n, t in state.items() if t.dtype is not torch.bfloat16})


def in_npz(state: dict[str, torch.Tensor]) -> bytes:
    out = io.BytesIO()
    arrays: dict[str, Any] = {n: t.numpy() for n, t in state.items() if t.dtype is not torch.bfloat16}
    np.savez(out, **arrays)
    return out.getvalue()


CONTAINERS: dict[str, Callable[[], bytes]] = {
    "torch-zip": lambda: saved({"w": weights(), "m": {"lr": 0.1, "note": "x" * 700}}),
    "torch-zip of views": lambda: saved(views()),
    "torch-zip by zipfile": lambda: archive(
        pickle.dumps({"a": list(range(99))}, 2), {"0": bytes(300), "1": b"ab" * 99}
    ),
    "safetensors": lambda: in_safetensors(weights()),
    "npz": lambda: in_npz(weights()),
    "pickle": lambda: pickle.dumps({n: t.numpy() for n, t in weights().items() if t.dtype is not torch.bfloat16}, 4),
    "nothing known": lambda: bytes(random.Random(0).choices(b"abcdefgh", k=5000)) + bytes(9000),
}


def boundaries(data: bytes, *, seed: int = 0) -> list[int]:
    """Those of the container's own regions, where a format reads it, and a few that nothing foretells."""
    found = {0, len(data), *random.Random(seed).choices(range(len(data) + 1), k=9)}
    for known in formats.registered().values():
        if known.sniff(data) is codecs.Sniff.SURE and (contents := known.read(data, where="test")) is not None:
            found |= {region.span.stop for region in contents.regions}
    return sorted(found)


def expected(name: str, stored: bytes, cuts: list[int]) -> list[int]:
    """Bits per range of a stream of one member, by feeding it byte by byte."""
    codec = codecs.get(name)
    header = codec.header_length(stored, 0)
    exact = [max(header, fed) for fed in brute_force(codec, stored, cuts)]
    return [8 * (b - a) for a, b in pairwise(exact)]


def unknown(stream: Stream, offsets: list[int]) -> list[int]:
    """Offsets that a feed of more than one byte reached, so that they are left to a second pass."""
    left = []
    for member in stream.members:
        for offset in offsets:
            if member.decoded.start < offset <= member.decoded.stop:
                before, fed = member.growth.reaching(offset - member.decoded.start)
                left += [offset] if fed - before > 1 else []
    return left


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", BYTE_EXACT)
def test_equal_to_feeding_byte_by_byte_with_and_without_foresight(name: str, container: str) -> None:
    data = CONTAINERS[container]()
    codec = codecs.get(name)
    stored = codec.encode(data, min(codec.default_level, 9))
    cuts = boundaries(data)
    wanted = expected(name, stored, cuts)
    for foresee in (None, Foreseer()):
        stream = codecs.decode(codec, stored, where="test", foresee=foresee)
        assert bytes(stream.decoded) == data
        assert list(codecs.attribute(stream, cuts).ranges) == wanted


def liar(answers: list[Foresight | None]) -> Foresee:
    """Answers one after another, whatever it is asked."""
    waiting = iter(answers)
    return lambda _prefix: next(waiting, None)


offsets = st.integers(-(1 << 40), 1 << 70) | st.integers(-5, 20_000)
answers = st.lists(
    st.none()
    | st.builds(Foresight, dense=st.lists(st.tuples(offsets, offsets), max_size=9), horizon=st.none() | offsets),
    max_size=9,
)


@pytest.mark.parametrize("name", BYTE_EXACT)
@given(lies=answers, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_foresight_that_lies_changes_nothing(name: str, lies: list[Foresight | None], seed: int) -> None:
    data = bytes(random.Random(5).choices(range(60), k=4000)) + bytes(6000) + b"words words " * 99
    codec = codecs.get(name)
    stored = codec.encode(data, 6)
    cuts = boundaries(data, seed=seed)
    stream = codecs.decode(codec, stored, where="test", foresee=liar(lies))
    assert bytes(stream.decoded) == data
    assert list(codecs.attribute(stream, cuts).ranges) == expected(name, stored, cuts)


@given(
    kind=st.sampled_from(list(CONTAINERS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    lengths=st.lists(st.integers(0, 30_000), max_size=12),
)
@settings(max_examples=150)
def test_headers_that_lie_are_read_without_an_error(
    kind: str, changes: list[tuple[float, int]], lengths: list[int]
) -> None:
    data = bytearray(_made(kind))
    for place, value in changes:
        data[int(place * min(len(data), 4000))] = value
    foreseer = Foreseer()
    for length in sorted(lengths):
        found = foreseer(data[:length])
        assert found is None or all(first <= last for first, last in found.dense)


_CACHE: dict[str, bytes] = {}


def _made(kind: str) -> bytes:
    return _CACHE.setdefault(kind, CONTAINERS[kind]())


@given(data=st.binary(max_size=300), head=st.sampled_from([b"\x80\x02", b"PK\x03\x04", b"\x40" + bytes(7) + b"{"]))
@settings(max_examples=150)
def test_rubbish_behind_a_signature_is_read_without_an_error(data: bytes, head: bytes) -> None:
    foreseer, whole = Foreseer(), bytearray(head + data)
    for length in range(0, len(whole) + 1, 7):
        foreseer(whole[:length])


@pytest.mark.parametrize("name", BYTE_EXACT)
@pytest.mark.parametrize("container", ["torch-zip", "torch-zip of views", "torch-zip by zipfile", "safetensors"])
def test_nothing_is_left_to_a_second_pass(name: str, container: str) -> None:
    data = CONTAINERS[container]()
    stored = codecs.get(name).encode(data, min(codecs.get(name).default_level, 9))
    regions = open_bytes(stored, name="m.ptz").contents.regions
    stream = codecs.decode(codecs.get(name), stored, where="test", foresee=Foreseer())
    tensors = [edge for r in regions if r.tensor for edge in (r.span.start, r.span.stop)]
    assert len(tensors) >= 2 * min(12, len(regions) // 4) or container == "torch-zip by zipfile"
    assert unknown(stream, tensors) == []
    assert unknown(stream, [r.span.stop for r in regions]) == []
    # Without foresight there is something to leave, or the check above could not fail.
    assert unknown(codecs.decode(codecs.get(name), stored, where="test"), [r.span.stop for r in regions])


def test_foresight_feeds_a_small_part_byte_by_byte() -> None:
    rng = np.random.default_rng(0)
    state = {f"w{i}": torch.from_numpy(rng.integers(-31, 32, 100_000).astype(np.int8)) for i in range(8)}
    stored = zlib.compress(saved(state))
    stream = codecs.decode(codecs.get("zlib"), stored, where="test", foresee=Foreseer())
    growth = stream.members[0].growth
    assert len(growth.fed) - len(growth.since) < len(stored) // 50


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("gzip", gzip.compress(b"a" * 3000 + b"bc" * 50) + bytes(7) + gzip.compress(b"x" * 500) + gzip.compress(b"")),
        ("xz", lzma.compress(b"a" * 3000 + b"bc" * 50) + bytes(8) + lzma.compress(b"x" * 500)),
    ],
    ids=("gzip", "xz"),
)
def test_members_with_padding_between_them(name: str, stored: bytes) -> None:
    codec = codecs.get(name)
    stream = codecs.decode(codec, stored, where="test", foresee=Foreseer())
    assert len(stream.members) == 2 + (name == "gzip")
    cuts = [0, 1, 2999, 3000, 3100, 3101, 3599, 3600]
    costs = codecs.attribute(stream, cuts)
    assert sum(costs.ranges) + costs.framing == 8 * len(stored)
    for member, inner in zip(stream.members, ([0, 1, 2999, 3000, 3100], [0, 1, 499, 500]), strict=False):
        own = stored[member.stored.start : member.stored.stop]
        at = cuts.index(member.decoded.start)
        assert list(costs.ranges[at : at + len(inner) - 1]) == expected(name, own, inner)


@pytest.mark.parametrize("name", BYTE_EXACT)
def test_zeros_by_the_thousand_keep_their_edges(name: str) -> None:
    """A stream's expansion changes a thousandfold from one byte to the next."""
    noise = random.Random(1).randbytes(3000)
    data = noise + bytes(3_000_000) + noise[::-1] + bytes(2_000_000)
    cuts = [0, 3000, 3001, 1_500_000, 3_003_000, 3_006_000, 4_000_000, len(data)]
    codec = codecs.get(name)
    stored = codec.encode(data, 6)
    stream = codecs.decode(codec, stored, where="test", foresee=Foreseer())
    assert list(codecs.attribute(stream, cuts).ranges) == expected(name, stored, cuts)


@pytest.mark.parametrize("quality", [1, 5, 11])
def test_the_brotli_decoder_holds_nothing_back(quality: int) -> None:
    """Its `drained` is a shortcut: asked again and again, the library itself has no more to give."""
    data = saved(weights()) + bytes(200_000) + random.Random(2).randbytes(100_000)
    stored = brotli.compress(data, quality=quality)
    ours, theirs = codecs.get("brotli").decoder(), brotli.Decompressor()
    at, rng = 0, random.Random(quality)
    while at < len(stored):
        chunk = stored[at : at + rng.choice([1, 1, 1, 1, 7, 300, 5000])]
        at += len(chunk)
        made = ours.feed(chunk)
        while not ours.drained:
            made += ours.feed(b"")
        kept, idle = theirs.process(chunk), 0
        while idle < 2 and not theirs.is_finished():
            more = theirs.process(b"")
            kept, idle = kept + more, 0 if more else idle + 1
        assert made == kept
    assert ours.finished


@pytest.mark.parametrize("after", [1, 63, 64, 65, 5000])
@pytest.mark.parametrize("name", ["zlib", "deflate", "lzma", "brotli"])
def test_bytes_after_a_stream_are_trailing_however_many(name: str, after: int) -> None:
    data = in_safetensors(weights())
    stored = codecs.get(name).encode(data, 6)
    if name == "lzma":  # Its encoder writes no length, so that the stream ends with a marker.
        assert stored[5:13] == b"\xff" * 8
    stream = codecs.decode(codecs.get(name), stored + b"\xaa" * after, where="test", foresee=Foreseer())
    assert bytes(stream.decoded) == data
    assert len(stream.trailing) == after
    cuts = boundaries(data)
    assert list(codecs.attribute(stream, cuts).ranges) == expected(name, stored, cuts)


def test_a_corrupt_stream_is_named_to_the_byte() -> None:
    """Pieces are long by then; the place is found again byte by byte."""
    blocks = zlib.compressobj(0)
    stored = blocks.compress(random.Random(0).randbytes(100_000)) + blocks.flush(zlib.Z_FULL_FLUSH)
    with pytest.raises(
        CorruptError, match=rf"corrupt near byte {len(stored)} \(after 100000 decoded bytes\)"
    ) as caught:
        codecs.decode(codecs.get("zlib"), stored + b"\x07" + bytes(50_000), where="test")
    assert caught.value.progress == 100_000


def test_the_limit_is_kept_promptly() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(LimitError, match=rf"more than 1000000 bytes \(seen by stored byte \d+ of {len(bomb)}\)"):
        codecs.decode(codecs.get("zlib"), bomb, where="test", limit=1_000_000, foresee=Foreseer())


@pytest.mark.slow
@given(count=st.integers(0, 40), protocol=st.integers(2, 5), data=st.data())
@settings(max_examples=40)
def test_a_pickle_is_followed_to_its_end(count: int, protocol: int, data: st.DataObject) -> None:
    """The standard library's writer is the oracle, whatever pieces the pickle comes in."""
    value = {f"k{i}": [i * 977, -i, i / 7, b"z" * 40 * i, "ü" * i, (i, True), {None: i}, 1 << i] for i in range(count)}
    written = pickle.dumps(value, protocol)
    scan, length = PickleScan(), 0
    while length < len(written):
        length += data.draw(st.integers(1, 2000))
        scan(bytearray((written + b"after")[:length]))
    assert scan.end == len(written)


def test_storages_and_views_are_found_in_a_pickle() -> None:
    with zipfile.ZipFile(
        io.BytesIO(saved({"a": torch.zeros(3, 5), "b": torch.zeros(40)[4:20], "c": torch.ones(())}))
    ) as z:
        scan = PickleScan()
        scan(z.read("archive/data.pkl"))
    assert scan.storages == {b"0": 60, b"1": 160, b"2": 4}
    assert scan.cuts == {b"1": {16, 80}}


def test_raw_deflate_is_recognised_by_what_it_holds() -> None:
    data = saved(weights())
    stored = codecs.get("deflate").encode(data, 9)
    artifact = open_bytes(stored, name="m.ptz")
    assert [layer.name for layer in artifact.layers] == ["deflate", "torch-zip"]
    assert bytes(artifact.leaves[0].data) == data
    other = open_bytes(codecs.get("deflate").encode(b"not a container " * 30, 9), name="m.ptz")
    assert [layer.name for layer in other.layers] == ["opaque"]


def test_a_deflate_block_that_cannot_be_is_not_tried() -> None:
    deflate = codecs.get("deflate")
    assert deflate.sniff(b"\x07") is codecs.Sniff.NO
    assert deflate.sniff(b"\x01" + struct.pack("<HH", 5, 5)) is codecs.Sniff.NO
    assert deflate.sniff(b"\x01" + struct.pack("<HH", 5, 5 ^ 0xFFFF)) is codecs.Sniff.UNSIGNED
