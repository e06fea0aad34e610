"""The coder lever: each tensor under rANS or under a codec, whichever is shorter, and back from the counted source."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import saved

from golfbudget.artifact import open_bytes
from golfbudget.codecs.rans.encoding import SymbolRun, encode, encode_runs
from golfbudget.efficiency.measuring import efficiency
from golfbudget.entropy import floor_bytes, measure
from golfbudget.errors import GolfbudgetError
from golfbudget.repacking import Lever, Repacked, repack
from golfbudget.repacking.coding import ByteItem, tables
from golfbudget.report.repack import document
from golfbudget.roles import assign, load_roles
from golfbudget.schemes import Context, get


def gaussian(rows: int, columns: int, *, deviation: float = 9.0, seed: int = 0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).normal(0, deviation, (rows, columns))
    return torch.from_numpy(np.clip(np.round(drawn), -127, 127).astype(np.int8))


def model() -> dict[str, torch.Tensor]:
    """Weights that only their frequencies tell apart, a table that repeats, and scales."""
    state = {f"blocks.{n}.mlp.weight": gaussian(256, 320, deviation=6.0 + 3 * (n % 2), seed=n) for n in range(4)}
    state["tok_emb.weight"] = gaussian(8, 256, seed=9).repeat(24, 1)
    for name in list(state):
        rows = state[name].shape[0]
        state[f"{name}.scale"] = torch.from_numpy(np.random.default_rng(rows).uniform(0.01, 0.02, rows).astype("f2"))
    return state


def repacked(state: object, folder: Path, *, levers: tuple[Lever, ...] = tuple(Lever)) -> Repacked:
    path = folder / "m.ptz"
    path.write_bytes(zlib.compress(saved(state), 9))
    return repack(path, levers=levers)


def executed(source: str, data: bytes) -> Any:  # noqa: ANN401  (whatever was saved)
    namespace: dict[str, object] = {"d": data}
    exec(source, namespace)  # noqa: S102  (the decoder a submission carries is run as it stands)
    return namespace["o"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Repacked:
    return repacked(model(), tmp_path_factory.mktemp("packed"))


@pytest.mark.slow
def test_each_tensor_gets_the_coder_that_is_shorter(packed: Repacked) -> None:
    assert packed.data is not None
    (step,) = [step for step in packed.steps if step.lever is Lever.CODER]
    assert step.taken
    assert step.saved > 500
    coders = {stream.coder for stream in packed.streams}
    assert "rans" in coders
    artifact = open_bytes(packed.data, name="x")
    around = {tensor.name: [s.codec.name for s in leaf.streams] for leaf, tensor in artifact.placed()}
    assert all(around[f"blocks.{n}.mlp.weight"] == ["rans"] for n in range(4))
    assert around["tok_emb.weight"] != ["rans"]
    assert same(executed(packed.decoder_source, packed.data), model())


@pytest.mark.slow
def test_streams_are_listed_and_sum_to_the_file(packed: Repacked) -> None:
    assert packed.data is not None
    assert 5 + 5 * len(packed.streams) + sum(stream.bytes for stream in packed.streams) == len(packed.data)
    assert sum(stream.tensors for stream in packed.streams) == len(model())
    text = str(document(packed).parts[0])
    rans = [stream for stream in packed.streams if stream.coder == "rans"]
    assert f"rans {sum(stream.tensors for stream in rans)} tensors" in text


@pytest.mark.slow
def test_what_each_tensor_costs_is_what_its_symbols_took(packed: Repacked) -> None:
    """Tensors of one table differ only by their symbols: each costs its order-0 bits, to within the coder's own."""
    assert packed.data is not None
    artifact = open_bytes(packed.data, name="x")
    assignment = assign(artifact, load_roles())
    ledger = assignment.ledger
    assert sum(entry.stored_bits for entry in ledger.entries) == 8 * len(packed.data)
    state = model()
    for entry in ledger.entries:
        if entry.tensor is not None and "mlp.weight" in entry.tensor and entry.dtype == "int8":
            floor = floor_bytes([state[entry.tensor].numpy().tobytes()], 1)
            assert floor <= entry.stored_bits / 8 < 1.008 * floor
    coders = efficiency(artifact, assignment, measure(artifact, ledger)).coders
    (rans,) = [one for one in coders if one.codec == "rans"]
    assert 0 < rans.slack_bytes < 0.008 * rans.floor_bytes


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_trellis_coded_matrix_has_its_machine_found(framework: str, tmp_path: Path) -> None:
    matrix = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    options = {"step": 0.7, "states": 8, "rd": 0.35}
    stored = get("trellis").encode(matrix, options, Context(seed=0)).tables[0].tensor
    path = tmp_path / "m"
    if framework == "torch":
        path.write_bytes(saved({"w": stored}))
    else:
        out = io.BytesIO()
        np.savez(out, w=stored.numpy())
        path.write_bytes(out.getvalue())
    packed = repack(path)
    assert packed.data is not None
    assert "s//k//2" in packed.decoder_source
    assert np.array_equal(np.asarray(executed(packed.decoder_source, packed.data)["w"]), stored.numpy())
    plain = encode(stored.numpy().tobytes())
    assert len(packed.data) < len(plain)


def test_the_lever_is_left_where_its_decoder_takes_more(tmp_path: Path) -> None:
    packed = repacked({"w": gaussian(64, 96)}, tmp_path)
    assert [step.taken for step in packed.steps if step.lever is Lever.CODER] in ([], [False])
    assert "def r(d)" not in packed.decoder_source


@pytest.mark.slow
def test_without_the_lever_nothing_is_coded(tmp_path: Path) -> None:
    levers = tuple(lever for lever in Lever if lever is not Lever.CODER)
    packed = repacked(model(), tmp_path, levers=levers)
    assert "rans" not in {stream.coder for stream in packed.streams}


@pytest.mark.slow
def test_planes_of_scales_are_coded_where_that_is_shorter(tmp_path: Path) -> None:
    """The high bytes of scales are few, and the low ones noise that no codec shortens."""
    rng = np.random.default_rng(0)
    state = {f"s{n}": torch.from_numpy(np.exp(rng.normal(-4, 0.4, 40_000)).astype("f2")) for n in range(2)}
    packed = repacked(state, tmp_path, levers=(Lever.CODEC, Lever.CONTAINER, Lever.CODER))
    assert packed.data is not None
    assert {(stream.coder, stream.shuffled) for stream in packed.streams if stream.tensors} == {("rans", True)}
    assert same(executed(packed.decoder_source, packed.data), state)


# Tables


def byte_item(number: int, deviation: float, *, count: int = 20_000) -> ByteItem:
    data = gaussian(1, count, deviation=deviation, seed=number).numpy().tobytes()
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    return ByteItem(number=number, data=data, rows=1, states=None, counts=counts, now=0.0, coded=0.0)


def test_like_tensors_share_a_table_and_unlike_ones_do_not() -> None:
    items = [byte_item(n, deviation) for n, deviation in enumerate((4.0, 20.0, 4.0, 20.0, 4.0))]
    groups = sorted(sorted(item.number for item in group) for group in tables(items))
    assert groups == [[0, 2, 4], [1, 3]]


@given(st.lists(st.tuples(st.sampled_from((2.0, 4.0, 9.0)), st.integers(1, 3000)), min_size=1, max_size=7))
@settings(max_examples=20)
def test_joined_tables_take_no_more_than_a_table_each(drawn: list[tuple[float, int]]) -> None:
    items = [byte_item(n, deviation, count=count) for n, (deviation, count) in enumerate(drawn)]
    groups = tables(items)
    assert sorted(item.number for group in groups for item in group) == list(range(len(items)))
    joined = encode_runs([SymbolRun(symbols=b"".join(item.data for item in group)) for group in groups])
    apart = encode_runs([SymbolRun(symbols=item.data) for item in items])
    # Tables are judged by entropy: what rounding and the lanes add may differ a little.
    assert len(joined) <= len(apart) + 8 * len(items)


# Files that lie


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_pack_gives_a_tiling_or_an_error(seed: int, packed: Repacked) -> None:
    chance, data = random.Random(seed), bytearray(packed.data or b"")
    at = chance.randrange(5, 200) if seed % 2 else chance.randrange(len(data))
    if seed % 3:
        data[at] ^= 1 << chance.randrange(8)
    else:
        del data[at:]
    try:
        ledger = assign(open_bytes(bytes(data), name="x"), load_roles()).ledger
    except GolfbudgetError:
        return
    assert sum(entry.stored_bits for entry in ledger.entries) == 8 * len(data)
