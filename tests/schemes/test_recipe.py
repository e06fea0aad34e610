"""Recipes: quantisers against numpy, every layout there and back, rules that fit and rules that do not."""

from __future__ import annotations

import io
from typing import Any

import brotli
import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from golfbudget import codecs, configs
from golfbudget.artifact import open_bytes
from golfbudget.codecs.rans import encoding as rans
from golfbudget.errors import ConfigError, CorruptError, LimitError, UnsupportedError, UsageError
from golfbudget.filters import shuffle
from golfbudget.ledger import Account, Ledger, Role
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import artifact_bytes, read_export
from golfbudget.recipe.coding import coded
from golfbudget.recipe.config import Correction, Integer, Recipe, load_recipe, recipe_from, rule_for
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import (
    apply_correction,
    decode,
    dequantise,
    low_rank_correction,
    quantise,
    quantise_tensor,
)
from golfbudget.roles import assign, load_roles

SHAPES = {"tok_emb.weight": (40, 24), "blocks.0.attn.c_q.weight": (24, 24), "blocks.0.mlp.fc.weight": (30, 24),
          "blocks.0.attn_scale": (24,), "bigram.scale": (), "long": (50,)}  # fmt: skip


def state(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in SHAPES.items()}


def recipe(layout: str, codec: str = "zlib", level: int = 9, **more: object) -> Recipe:
    rules: list[dict[str, Any]] = [
        {"name": "embedding", "match": ["tok_emb.*"], "quantizer": "integer", "bits": 7, "clip_deviations": 6.0},
        {"name": "long", "match": ["long"], "quantizer": "integer", "bits": 8},
        {"name": "blocks", "match": ["*.weight"], "quantizer": "integer", "bits": 6, "clip_deviations": 4.0},
        {"name": "control", "match": ["*attn_scale"], "quantizer": "keep", "dtype": "float32"},
        {"name": "rest", "match": ["*"], "quantizer": "keep", "dtype": "float16"},
    ]
    return recipe_from(
        {"name": "mine", "layout": layout, "codec": codec, "level": level, "tensors": rules, **more}, "t"
    )


def plain(made: Recipe) -> dict[str, Any]:
    """A recipe as the values of a file."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return values


@given(
    st.integers(2, 8),
    st.sampled_from(["deviations", "quantile", "maximum"]),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 1000),
)
def test_integers_are_what_numpy_computes(bits: int, clip: str, step: int, seed: int) -> None:
    """Written independently: float32 arithmetic in numpy, row by row."""
    top = 2 ** (bits - 1) - 1
    if step > top:
        return
    matrix = np.random.default_rng(seed).normal(0, 0.3, (5, 33)).astype(np.float32)
    fields: dict[str, Any] = {"deviations": {"clip_deviations": 3.0}, "quantile": {"clip_quantile": 0.9}, "maximum": {}}
    rule = Integer(name="r", match=("*",), bits=bits, step=step, scale_floor="1/127", **fields[clip])
    values, scales = quantise_tensor(torch.from_numpy(matrix), rule)
    for row, own, scale in zip(matrix, values.numpy(), scales.numpy(), strict=True):
        limits = {
            "deviations": 3 * row.std(ddof=1),
            "quantile": np.quantile(np.abs(row), 0.9),
            "maximum": np.abs(row).max(),
        }
        expected = max(limits[clip] / top, 1 / 127)
        assert scale == pytest.approx(expected, rel=2**-10)
        assert own.max() <= top
        assert own.min() >= -top
        assert np.all(own % step == 0) or top % step
        inside = np.abs(row) <= limits[clip]
        assert np.abs(own * expected - row)[inside].max(initial=0) <= expected * (step / 2 + 0.02 + top * 2**-10)


def test_a_tensor_that_is_no_matrix_has_one_scale() -> None:
    rule = Integer(name="r", match=("*",), bits=8, scalar_scale_dtype="float32")
    values, scale = quantise_tensor(torch.tensor([0.0, -2.54, 1.27]), rule)
    assert values.tolist() == [0, -127, 64]
    assert scale.shape == ()
    assert scale.dtype == torch.float32
    assert quantise_tensor(torch.zeros(3), rule)[1] == 1


@pytest.mark.parametrize("name", sorted(layouts.registered()))
def test_a_layout_comes_back_as_it_was_written(name: str) -> None:
    """Through the reader of foreign files; the payload is counted from the bytes the container holds."""
    made = recipe(name, "xz", 6)
    export = quantise(state(), made)
    layout = layouts.registered()[name]
    data = artifact_bytes(export, made)
    artifact = open_bytes(data, name="mine")
    assert layouts.recognise(artifact) is layout
    again = read_export(artifact)
    expected, found = decode(export), decode(again)
    assert found.keys() == expected.keys()
    for key, tensor in found.items():
        assert torch.equal(tensor.float(), expected[key].float()), key
    strings = [value for value in artifact.values.values() if isinstance(value, bytes)]
    held = sum(t.stored_bytes for t in artifact.tensors) + sum(map(len, strings))
    assert layout.payload_bytes(export) == held
    if name != "packed":
        assert artifact_bytes(again, made) == data


@pytest.mark.parametrize("name", sorted(layouts.registered()))
def test_a_fixed_container_has_one_length_whatever_the_values(name: str) -> None:
    layout, made = layouts.registered()[name], recipe(name)
    lengths = {len(layout.container(quantise(state(seed), made))) for seed in range(4)}
    assert layout.fixed == (len(lengths) == 1)


@pytest.mark.parametrize("scheme", ["ternary-bitmask", "binary", "grouped-scalar", "vq-logits"])
@pytest.mark.parametrize("name", sorted(layouts.registered().keys() - {"state-dict"}))
def test_an_encoded_matrix_comes_back_from_every_layout(name: str, scheme: str) -> None:
    options = {"ternary-bitmask": {"group": 8}, "binary": {}, "grouped-scalar": {"bits": 4}, "vq-logits": {"codes": 5}}
    made = plain(recipe(name))
    made["tensors"][0] = {"name": "e", "match": ["tok_emb.*"], "quantizer": "scheme", "scheme": scheme,
                          "options": options[scheme]}  # fmt: skip
    own = recipe_from(made, "t")
    export = quantise(state(), own)
    data = artifact_bytes(export, own)
    found, expected = read_back(data, "mine").state, decode(export)
    assert found.keys() == expected.keys()
    assert torch.equal(found["tok_emb.weight"], expected["tok_emb.weight"])
    artifact = open_bytes(data, name="mine")
    assignment = assign(artifact, load_roles())
    assert {entry.owner for entry in assignment.ledger.entries if entry.role is Role.UNASSIGNED} == {"long"}
    head = [entry for entry in assignment.ledger.entries if entry.owner == "tok_emb.weight"]
    tables = sum(table.raw_bytes for table in export.schemes["tok_emb.weight"].tables)
    assert sum(entry.decoded_bytes for entry in head if entry.account is not Account.CONTAINER) >= tables
    strings = [value for value in artifact.values.values() if isinstance(value, bytes)]
    held = sum(t.stored_bytes for t in artifact.tensors) + sum(map(len, strings))
    assert layouts.registered()[name].payload_bytes(export) == held


#: Encodings with tables of integers a byte each; bits are none.
CODED: dict[str, dict[str, int | float | str]] = {
    "trellis": {"step": 0.3},
    "grouped-scalar": {"bits": 6, "store": "bytes"},
    "vq-logits-int": {"codes": 80, "bits": 6, "store": "bytes"},
    "binary": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", CODED)
def test_a_coder_takes_what_it_makes_smaller_and_every_byte_keeps_its_owner(scheme: str) -> None:
    weights = state()
    weights["tok_emb.weight"] = torch.randn(1000, 48)
    made = plain(recipe("packed", "brotli", 11))
    made["tensors"][0] = {"name": "e", "match": ["tok_emb.*"], "quantizer": "scheme", "scheme": scheme,
                          "options": CODED[scheme]}  # fmt: skip
    without, own = recipe_from(made, "t"), recipe_from({**made, "coder": "rans"}, "t")
    export = quantise(weights, own)
    data, other = artifact_bytes(export, own), artifact_bytes(export, without)
    assert len(data) < len(other) if scheme == "trellis" else len(data) <= len(other)
    expected = {
        f"tok_emb.weight/{table.name}"
        for table in export.schemes["tok_emb.weight"].tables
        if table.tensor.dtype in (torch.int8, torch.uint8)
        and len(rans.best(raw := table.tensor.numpy().tobytes(), len(table.tensor))) + 64
        < len(brotli.compress(raw, quality=11))
    }
    artifact = open_bytes(data, name="mine")
    again, expected_state = read_export(artifact), decode(export)
    assert {name for name in again.streams if "/" in name} == expected
    assert expected or scheme != "trellis"
    assert decode(again).keys() == expected_state.keys()
    assert all(torch.equal(tensor.float(), expected_state[name].float()) for name, tensor in decode(again).items())
    held = sum(t.stored_bytes for t in artifact.tensors) + sum(
        len(value) for value in artifact.values.values() if isinstance(value, bytes)
    )
    assert layouts.get("packed").payload_bytes(coded(export, own)) == held
    ledger, plainly = (
        assign(open_bytes(d, name="m"), load_roles()).ledger for d in (data, artifact_bytes(export, without))
    )
    assert sum(entry.stored_bits for entry in ledger.entries) == 8 * len(data)

    def counted(owned: Ledger) -> dict[tuple[str, Account], int]:
        found: dict[tuple[str, Account], int] = {}
        for entry in owned.entries:
            if entry.parameters:
                found[entry.owner, entry.account] = found.get((entry.owner, entry.account), 0) + entry.parameters
        return found

    assert counted(ledger) == counted(plainly)
    # Another encoding of the matrix takes none of its streams along.
    changed = again.with_encoded("blocks.0.mlp.fc.weight", export.schemes["tok_emb.weight"], "float32")
    assert "blocks.0.mlp.fc.weight" not in changed.streams
    assert not {name for name in again.without("tok_emb.weight").streams if name.startswith("tok_emb.weight")}


def test_streams_that_do_not_fit_what_stands_beside_them_are_refused() -> None:
    made = recipe("packed", "none", 0, coder="rans")
    weights = {"tok_emb.weight": torch.randn(100, 48), "long": torch.randn(60)}
    made = msgspec.structs.replace(made, tensors=(made.tensors[0], made.tensors[-1]))
    entries = torch.load(io.BytesIO(artifact_bytes(quantise(weights, made), made)), weights_only=True)
    entry = entries["tok_emb.weight"]
    assert entry["rans"].dtype is torch.uint8

    def refusal(**changed: object) -> str:
        out = io.BytesIO()
        torch.save({**entries, "tok_emb.weight": {**entry, **changed}}, out)
        with pytest.raises((CorruptError, LimitError)) as raised:
            read_back(out.getvalue(), "mine")
        return str(raised.value)

    assert "mine: 'tok_emb.weight' codes 4,800 integers, its shape is [100, 49]" in refusal(shape=[100, 49])
    assert "'tok_emb.weight'" in refusal(shape=[100, 47])
    assert "'tok_emb.weight'" in refusal(rans=entry["rans"][:-2].clone())


@pytest.mark.slow
def test_processes_change_no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golfbudget.recipe.export._WORTH_PROCESSES", 0)
    rule = {"name": "all", "match": ["*"], "quantizer": "scheme", "scheme": "trellis", "options": {"step": 0.3}}
    made = recipe_from({"name": "made", "layout": "w-m", "codec": "zlib", "level": 9, "tensors": [rule]}, "made")
    drawn = {f"matrix{number}": torch.randn(40, 30 + number) for number in range(5)}
    alone, together = (quantise(drawn, made, jobs=jobs).schemes for jobs in (1, 2))
    assert list(alone) == list(together) == list(drawn)
    tables = [(a.tensor, b.tensor) for n in drawn for a, b in zip(alone[n].tables, together[n].tables, strict=True)]
    assert all(torch.equal(a, b) for a, b in tables)


def test_a_state_dict_has_no_place_for_an_encoded_matrix() -> None:
    made = plain(recipe("state-dict"))
    made["tensors"][0] = {"name": "e", "match": ["tok_emb.*"], "quantizer": "scheme", "scheme": "binary"}
    own = recipe_from(made, "t")
    with pytest.raises(UsageError, match=r"layout state-dict has no place for the label of 'tok_emb\.weight'; use w-m"):
        artifact_bytes(quantise(state(), own), own)


def test_packed_integers_are_where_numpy_finds_them() -> None:
    made = recipe("packed", "none", 0)
    export = quantise(state(), made)
    entries = torch.load(io.BytesIO(artifact_bytes(export, made)), weights_only=True)
    entry = entries["blocks.0.mlp.fc.weight"]
    assert (entry["type"], entry["bits"], entry["shape"]) == ("int6", 6, [30, 24])
    bits = np.unpackbits(np.frombuffer(entry["packed"], np.uint8), bitorder="little", count=720 * 6).reshape(720, 6)
    values = (bits << np.arange(6)).sum(1) - 32
    assert np.array_equal(values, export.quantized["blocks.0.mlp.fc.weight"].numpy().ravel())


def test_labels_and_suffixes_are_as_the_recipe_says() -> None:
    base = plain(recipe("w-m"))
    base["tensors"][0] |= {"meta": "gptq (int7)", "suffixes": [".gq", ".gs"]}
    made = recipe_from(base, "t")
    stored = torch.load(io.BytesIO(layouts.get("w-m").container(quantise(state(), made))), weights_only=True)
    assert list(stored["w"])[:2] == ["tok_emb.weight.gq", "tok_emb.weight.gs"]
    assert stored["m"]["tok_emb.weight"] == "gptq (int7)"
    assert stored["m"]["blocks.0.mlp.fc.weight"] == {"type": "int6"}
    assert stored["m"]["bigram.scale"] == "passthrough"


@pytest.mark.parametrize("header", [5, 6])
@pytest.mark.parametrize("stride", [2, 3, 4])
def test_the_shuffle_is_undone_by_its_reader_and_by_numpy(stride: int, header: int) -> None:
    made = recipe("w-m", "brotli", 5, filter={"name": "byte-shuffle", "stride": stride, "header_bytes": header})
    export = quantise(state(), made)
    data = artifact_bytes(export, made)
    container = layouts.get("w-m").container(export)
    shuffled = brotli.decompress(data)
    planes = np.frombuffer(shuffled, np.uint8)[header:]
    order = np.concatenate([np.arange(phase, len(container), stride) for phase in range(stride)])
    back = np.empty_like(planes)
    back[order] = planes
    assert back.tobytes() == container
    assert shuffle(container, stride, header) == shuffled
    assert read_back(data, "mine").state.keys() == SHAPES.keys()


def test_a_correction_takes_the_leading_pairs_of_the_residual() -> None:
    """Oracle: numpy's singular values.  What is left is the tail, but for the factors' own rounding."""
    torch.manual_seed(0)
    residual = torch.randn(60, 6) @ torch.randn(6, 48) + 0.01 * torch.randn(60, 48)
    rule = Correction(match=("*",), rank=6, left_bits=8, right_bits=8, group=16)
    tables = low_rank_correction(residual, rule)
    assert {key: tuple(t.shape) for key, t in tables.items()} == {
        ".lqA_a": (60, 6), ".lqAs_a": (), ".lqB_a": (6, 48), ".lqBs_a": (18,)}  # fmt: skip
    left = float((residual - apply_correction(tables)).norm())
    singular = np.linalg.svd(residual.numpy(), compute_uv=False)
    assert left <= 0.05 * float(residual.norm()) + float(np.sqrt((singular[6:] ** 2).sum()))
    transposed = low_rank_correction(residual.T.contiguous(), rule)
    assert float((residual.T - apply_correction(transposed)).norm()) <= 0.06 * float(residual.norm())
    coarse = low_rank_correction(residual, Correction(match=("*",), rank=6))
    assert set(coarse[".lqA_a"].unique().tolist()) <= {-2, -1, 0, 1}
    assert int(coarse[".lqB_a"].min()) >= -8
    assert int(coarse[".lqB_a"].max()) <= 7


def test_corrections_go_to_the_matrices_that_lose_most_and_lower_their_error() -> None:
    weights = state()
    weights["blocks.0.mlp.fc.weight"] *= 50
    made = recipe("w-m", corrections=[{"match": ["*.weight"], "rank": 4, "left_bits": 8, "right_bits": 8, "group": 8}])
    export = quantise(weights, made)
    assert list(export.corrections) == ["blocks.0.mlp.fc.weight"]
    name = "blocks.0.mlp.fc.weight"
    plain = (dequantise(export.quantized[name], export.scales[name]) - weights[name]).norm()
    assert (decode(export)[name] - weights[name]).norm() < plain
    again = read_back(artifact_bytes(export, made), "mine").state
    assert torch.equal(again[name], decode(export)[name])


def test_the_first_rule_that_fits_has_a_tensor() -> None:
    made = load_recipe("sp8192-int7-brotli")
    assert rule_for(made, "tok_emb.weight", (8192, 512)).name == "embedding"
    assert rule_for(made, "tok_emb.weight", (128, 512)).name == "small"
    assert rule_for(made, "tok_emb.weight", (129, 512)).name == "embedding"
    assert rule_for(made, "blocks.3.mlp.fc.weight", (2048, 512)).name == "mlp"
    assert rule_for(made, "blocks.3.attn.c_q.weight", (512, 512)).name == "blocks"
    assert rule_for(made, "blocks.3.attn.attn_gate_w", (8, 12)).name == "gates"


def test_a_pattern_that_matches_nothing_is_a_mistake_unless_it_is_optional() -> None:
    base = plain(recipe("w-m"))
    base["tensors"][0]["match"] = ["token_emb.*"]
    with pytest.raises(
        ConfigError, match=r"recipe mine: tensors\[0\]\.match: 'token_emb\.\*' match none of the model's 6"
    ):
        quantise(state(), recipe_from(base, "t"))
    base["tensors"][0]["optional"] = True
    assert "tok_emb.weight" in quantise(state(), recipe_from(base, "t")).quantized
    base["tensors"] = base["tensors"][:3]
    with pytest.raises(ConfigError, match=r"no rule fits 'blocks\.0\.attn_scale' of shape \[24\]"):
        quantise(state(), recipe_from(base, "t"))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"bits": 9}, r"`int` <= 8 - at `\$\.tensors\[0\]\.bits`"),
        ({"clip_quantile": 0.5, "clip_deviations": 2.0}, r"tensors\[0\]\.clip_quantile: clip_deviations is given too"),
        ({"scale_floor": "1/0"}, r"tensors\[0\]\.scale_floor: found '1/0', expected a number or a fraction"),
        ({"scale_floor": "x"}, r"tensors\[0\]\.scale_floor"),
        ({"step": 64}, r"tensors\[0\]\.step: found 64, above the highest value 63"),
        ({"name": "rest"}, r"tensors\[4\]\.name: 'rest' is taken"),
        ({"quantizer": "gptq"}, "Invalid value 'gptq'"),
    ],
)
def test_a_wrong_rule_is_refused_by_key(rule: dict[str, Any], message: str) -> None:
    base = plain(recipe("w-m"))
    base["tensors"][0] |= rule
    if "clip_deviations" not in rule and "clip_quantile" not in rule:
        base["tensors"][0].pop("clip_deviations")
    with pytest.raises(ConfigError, match=message):
        recipe_from(base, "t")


def test_layouts_refuse_what_they_have_no_place_for() -> None:
    corrections = [{"match": ["*.weight"], "rank": 1}]
    with pytest.raises(ConfigError, match="corrections: layout int8_clean_per_row_v1 has no place"):
        recipe("int8_clean_per_row_v1", corrections=corrections)
    made = recipe("packed", corrections=corrections)
    with pytest.raises(UnsupportedError, match="layout packed has no place for the correction"):
        artifact_bytes(quantise(state(), made), made)


def test_shipped_recipes_write_what_they_can_read() -> None:
    """Every shipped recipe, on tensors above its thresholds, with its codec at the fastest level."""
    weights = {
        "tok_emb.weight": torch.randn(300, 256),
        "blocks.0.attn.c_q.weight": torch.randn(300, 256),
        "blocks.7.attn.c_k.weight": torch.randn(300, 256),
        "blocks.0.mlp.fc.weight": torch.randn(300, 256),
        "blocks.0.attn_scale": torch.ones(8),
    }
    for name in configs.names("recipes"):
        made = load_recipe(name)
        quick = msgspec.structs.replace(
            made, level=min(codecs.get(made.codec).levels, key=lambda level: abs(level - 1))
        )
        export = quantise(weights, quick)
        decoded = read_back(artifact_bytes(export, quick), name).state
        assert decoded.keys() == weights.keys(), name
        assert torch.equal(decoded["tok_emb.weight"].float(), decode(export)["tok_emb.weight"].float()), name
