"""The order-0 floor against its formula, what a tensor takes alone, and blocks of zstd, all beside the ledger."""

from __future__ import annotations

import io
import math
import zlib
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from random import Random

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from golfbudget import codecs
from golfbudget.artifact import Artifact, open_bytes
from golfbudget.entropy import Entropy, floor_bytes, measure, roll_up, symbol_bytes, total, zstd_blocks
from golfbudget.ledger import Ledger
from golfbudget.roles import assign, load_roles


def formula(data: bytes, width: int) -> float:
    """Shannon's, in bytes, with nothing shared with the code under test."""
    symbols = [data[i : i + width] for i in range(0, len(data), width)]
    counts = Counter(symbols)
    return sum(-n * math.log2(n / len(symbols)) for n in counts.values()) / 8


def measured(artifact: Artifact) -> tuple[Ledger, Entropy]:
    ledger = assign(artifact, load_roles()).ledger
    return ledger, measure(artifact, ledger)


def saved(state: dict[str, torch.Tensor]) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def state() -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    return {
        "tok_emb.weight": torch.randint(-9, 9, (64, 48), dtype=torch.int8, generator=made),
        "blocks.0.attn.c_q.weight": torch.randint(0, 40, (32, 16), generator=made).half(),
        "blocks.0.mlp.fc.weight": torch.randn(24, 16, generator=made),
    }


@pytest.mark.parametrize("times", [1, 3, 4321])
def test_uniform_symbols_cost_themselves_and_constants_nothing(times: int) -> None:
    assert floor_bytes([bytes(range(256)) * times], 1) == 256 * times
    assert floor_bytes([b"\x07" * times], 1) == 0
    assert floor_bytes([np.arange(65536, dtype="<u2").tobytes()], 2) == 2 * 65536
    assert floor_bytes([b"ab" * times], 2) == 0
    assert floor_bytes([], 1) == floor_bytes([b""], 2) == 0


@given(st.binary(max_size=3000), st.sampled_from([1, 2]), st.randoms(use_true_random=False))
def test_the_floor_is_the_formula_whatever_the_order(data: bytes, width: int, random: Random) -> None:
    data = data[: len(data) // width * width]
    found = floor_bytes([data], width)
    assert abs(found - formula(data, width)) <= 0.5 + 1e-6
    symbols = [data[i : i + width] for i in range(0, len(data), width)]
    random.shuffle(symbols)
    assert floor_bytes([b"".join(symbols)], width) == found
    middle = len(symbols) // 2
    assert floor_bytes([b"".join(symbols[:middle]), b"".join(symbols[middle:])], width) == found


def test_more_symbols_than_are_counted_at_once() -> None:
    data = np.random.default_rng(0).integers(0, 7, 3_000_001, dtype=np.uint8)
    counts = np.bincount(data)
    expected = float(-(counts * np.log2(counts / counts.sum())).sum() / 8)
    assert abs(floor_bytes([data.tobytes()], 1) - expected) <= 0.51


@pytest.mark.parametrize(
    ("dtype", "width"),
    [("int8", 1), ("bool", 1), ("bytes", 1), (None, 1), ("float16", 2), ("bfloat16", 2), ("int16", 2), ("float32", 1)],
)
def test_elements_of_one_or_two_bytes_are_symbols(dtype: str | None, width: int) -> None:
    assert symbol_bytes(dtype) == width


def test_symbols_follow_the_dtype_of_the_stored_tensor() -> None:
    ledger, entropy = measured(open_bytes(saved(state()), name="m.pt"))
    expected = {
        name: round(formula(tensor.numpy().tobytes(), 2 if tensor.dtype is torch.float16 else 1))
        for name, tensor in state().items()
    }
    found = {
        entry.tensor: one.floor
        for entry, one in zip(ledger.entries, entropy.entries, strict=True)
        if one is not None and entry.tensor
    }
    assert found == expected


@pytest.mark.parametrize("name", ["zlib", "gzip", "xz", "bz2", "zstd", "brotli"])
def test_codec_and_order_do_not_change_the_floor(name: str) -> None:
    codec = codecs.get(name)
    backwards = dict(reversed(state().items()))
    ledger, plain = measured(open_bytes(saved(state()), name="m.pt"))
    floors = {at: one.floor for at, one in roll_up(ledger, plain, lambda entry: entry.tensor).items()}
    for tensors in (state(), backwards):
        coded = codec.encode(saved(tensors), codec.levels.stop - 1)
        ledger, entropy = measured(open_bytes(coded, name="m.ptz"))
        found = roll_up(ledger, entropy, lambda entry: entry.tensor)
        assert {at: one.floor for at, one in found.items()} == floors
        assert [(coder.codec, coder.level) for coder in entropy.coders] == [(name, codec.default_level)]
        for tensor, one in found.items():
            raw = tensors[str(tensor)].numpy().tobytes()
            assert one.alone == len(codec.encode(raw, codec.default_level))


def test_slack_is_stored_minus_floor_and_may_be_negative() -> None:
    repeated = {"w": torch.arange(256, dtype=torch.uint8).repeat(64)}
    ledger, entropy = measured(open_bytes(zlib.compress(saved(repeated), 9), name="m.ptz"))
    ((entry, one, stored),) = [
        row for row in zip(ledger.entries, entropy.entries, ledger.stored_bytes(), strict=True) if row[1] is not None
    ]
    assert entry.tensor == "w"
    assert one is not None
    assert one.floor == 256 * 64
    assert one.slack == stored - one.floor < -15_000


def test_measures_sum_over_any_key_and_overhead_has_none() -> None:
    ledger, entropy = measured(open_bytes(zlib.compress(saved(state())), name="m.ptz"))
    whole = total([one for one in entropy.entries if one is not None])
    for key in ("role", "account", "owner", "dtype"):
        grouped = roll_up(ledger, entropy, attrgetter(key))
        assert total(list(grouped.values())) == whole
    assert {
        entry.tensor is None for entry, one in zip(ledger.entries, entropy.entries, strict=True) if one is None
    } == {True}


def test_without_a_codec_nothing_is_invented() -> None:
    _, entropy = measured(open_bytes(saved(state()), name="m.pt"))
    assert (entropy.coders, entropy.zstd_blocks) == ((), ())
    assert {one.alone for one in entropy.entries if one is not None} == {None}


def test_a_sum_with_a_part_that_has_no_codec_has_no_alone_figure() -> None:
    _, entropy = measured(open_bytes(zlib.compress(saved(state())), name="m.ptz"))
    ones = [one for one in entropy.entries if one is not None]
    assert total(ones).alone == sum(one.alone or 0 for one in ones)
    assert total([*ones, replace(ones[0], alone=None)]).alone is None


def test_views_of_one_storage_are_counted_as_one_symbol_stream() -> None:
    """A storage that two tensors share is cut in regions; those of one tensor are pooled."""
    base = torch.arange(512, dtype=torch.int64).remainder(17).to(torch.int8)
    artifact = open_bytes(zlib.compress(saved({"a": base[:400], "b": base[100:200]})), name="m.ptz")
    ledger, entropy = measured(artifact)
    own: dict[str, bytes] = {}
    for entry in ledger.entries:
        if entry.tensor and entry.span and entry.leaf is not None:
            own[entry.tensor] = own.get(entry.tensor, b"") + bytes(
                artifact.leaves[entry.leaf].data[entry.span.start : entry.span.stop]
            )
    found = roll_up(ledger, entropy, lambda entry: entry.tensor)
    assert {name: one.floor for name, one in found.items()} == {n: round(formula(d, 1)) for n, d in own.items()}


def test_zstd_blocks_tile_their_frames_and_decode_to_the_stream() -> None:
    data = saved(state() | {"blocks.1.mlp.fc.weight": torch.randn(300, 300), "zeros": torch.zeros(200_000)})
    frame = zstandard.ZstdCompressor(level=19).compress(data)
    ledger, entropy = measured(open_bytes(frame, name="m.ptz"))
    blocks = entropy.zstd_blocks
    assert ledger.size == len(frame)
    assert len(blocks) > 3
    assert sum(block.decoded for block in blocks) == len(data)
    assert blocks[-1].offset + blocks[-1].stored == len(frame)
    assert all(b.offset == a.offset + a.stored for a, b in pairwise(blocks))
    assert {block.kind for block in blocks} <= {"raw", "rle", "compressed"}
    assert all(block.literals <= block.decoded for block in blocks if block.kind == "compressed")
    assert {block.member for block in blocks} == {None}


def test_progress_names_every_tensor_once() -> None:
    artifact = open_bytes(zlib.compress(saved(state())), name="m.ptz")
    seen: list[tuple[str, int]] = []
    measure(artifact, assign(artifact, load_roles()).ledger, lambda name, steps: seen.append((name, steps)))
    assert sorted(seen) == sorted((name, 3) for name in state())


def test_a_codec_around_a_bundle_is_around_each_of_its_members() -> None:
    out = io.BytesIO()
    np.savez(out, a=np.arange(4000, dtype=np.int16), b=np.zeros(4000, np.int16))
    artifact = open_bytes(zstandard.compress(out.getvalue(), 3), name="m.npz")
    assert [[stream.codec.name for stream in leaf.streams] for leaf in artifact.leaves] == [["zstd"], ["zstd"]]
    blocks = zstd_blocks(artifact)
    assert sum(block.stored for block in blocks) <= artifact.size
    assert sum(block.decoded for block in blocks) == len(out.getvalue())
