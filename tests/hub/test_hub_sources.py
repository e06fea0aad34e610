"""Plans of models as users have them: Hugging Face folders of shards, and GGUF files that are their own baseline."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import zstandard
from safetensors.torch import load_file
from support.hub_models import MODELS, folder_of, gguf_of

from golfbudget import configs, schemes
from golfbudget.artifact import open_bytes
from golfbudget.errors import UnsupportedError, UsageError
from golfbudget.estimate.describe import describe
from golfbudget.estimate.measured import draw
from golfbudget.estimate.model_text import model_toml
from golfbudget.estimate.settings import make_request
from golfbudget.formats.ggml_types import GGML_TYPES, WRITTEN
from golfbudget.plan.files import source_files
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.recipe.artifacts import artifact_bytes, read_export
from golfbudget.recipe.export import decode, quantise
from golfbudget.schemes import Context


def planned(path: Path, **more: object) -> Plan:
    choices = {"path": path, "cap": 16_000_000, "schemes": ("scalar", "vq-logits"), **more}
    return make_plan(PlanRequest(**choices))  # type: ignore[arg-type]


def saved(folder: Path, plan: Plan) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps(plan_json(plan)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_of_transformers_is_planned_and_packed(tmp_path: Path, kind: str) -> None:
    folder = folder_of(kind, tmp_path / kind)
    plan = planned(folder)
    assert plan.tied == (kind != "llama")
    files = source_files(folder)
    assert plan.inputs.source_bytes == files.size
    assert len(files.files) == (1 if kind != "llama" else 3)
    for name in ("baseline", "trunk-int5"):
        data = write_candidate(saved(tmp_path, plan), name)
        trial = plan.trial(name)
        assert trial is None or hashlib.sha256(data).hexdigest() == trial.sha256


@pytest.mark.slow
def test_packing_notices_a_changed_shard(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    plan = saved(tmp_path, planned(folder, schemes=("scalar",)))
    shard = source_files(folder).files[-1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UsageError, match="changed since the plan was made"):
        write_candidate(plan, "baseline")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_its_own_baseline(tmp_path: Path, kind: str, *, tied: bool) -> None:
    path = gguf_of(tmp_path / "m.gguf", kind, tied=tied)
    plan = planned(path, schemes=None if kind == "Q8_0" and tied else ("ggml",))
    assert plan.tied == tied
    assert plan.baseline.artifact.size == path.stat().st_size
    at = saved(tmp_path, plan)
    assert write_candidate(at, "baseline") == path.read_bytes()
    trial = plan.trial("trunk-ggml-q4_0")
    assert trial is not None
    assert trial.decoder_bytes == 0
    data = write_candidate(at, trial.name)
    assert len(data) == trial.artifact_bytes
    written = tmp_path / "out.gguf"
    written.write_bytes(data)
    # The package reads what was written, and dequantises it to what was judged.
    own = decode(read_export(open_bytes(data, name="out")))
    reader = gguf.GGUFReader(written)
    assert {tensor.name for tensor in reader.tensors} == own.keys()
    for tensor in reader.tensors:
        found = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(found, own[tensor.name].float().numpy()), tensor.name
        blocks = "Q4_0" if tensor.name in trial.candidate.owners else (kind, "F32")
        assert tensor.tensor_type.name in blocks
    assert [field for field in reader.fields if not field.startswith("GGUF.")] == [
        field for field in gguf.GGUFReader(path).fields if not field.startswith("GGUF.")
    ]


@pytest.mark.slow
def test_what_ggml_has_no_type_for_stands_in_the_file_with_its_label(tmp_path: Path) -> None:
    path = gguf_of(tmp_path / "m.gguf")
    plan = planned(path)
    at = saved(tmp_path, plan)
    for name in ("head-vq64-shared", "head-int5"):
        data = write_candidate(at, name)
        written = tmp_path / f"{name}.gguf"
        written.write_bytes(data)
        names = {tensor.name for tensor in gguf.GGUFReader(written).tensors}
        assert ("schemes/token_embd.weight/map" in names) == ("vq" in name)
        again = prepare(PlanRequest(path=path, cap=1)).source
        found = decode(read_export(open_bytes(data, name=name)))
        assert found.keys() == again.reference.keys()
        ledger = planned(written, schemes=("scalar",)).baseline.assignment.ledger if "int5" in name else None
        assert ledger is None or sum(entry.stored_bits for entry in ledger.entries) == 8 * len(data)


def test_the_written_gguf_of_a_recipe_opens_in_the_package(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    plan = planned(folder, recipe="gguf-q8_0", schemes=("ggml",))
    data = write_candidate(saved(tmp_path, plan), "baseline")
    assert len(data) == plan.baseline.artifact.size
    path = tmp_path / "out.gguf"
    path.write_bytes(data)
    reader = gguf.GGUFReader(path)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["model.layers.0.mlp.up_proj.weight"] == "Q8_0"
    assert kinds["model.norm.weight"] == "F32"
    reference = prepare(PlanRequest(path=folder, cap=1)).source.reference
    for tensor in reader.tensors:
        expected = reference[tensor.name].float().numpy()
        found = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.abs(found - expected).max() <= np.abs(expected).max() / 100


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("columns", [256, 48])
def test_blocks_are_the_packages_own(kind: str, columns: int) -> None:
    matrix = torch.randn(7, columns, generator=torch.Generator().manual_seed(1))
    scheme = schemes.get("ggml")
    encoded = scheme.encode(matrix, {"type": kind}, Context())
    assert encoded.raw_bytes == scheme.raw_bytes((7, columns), {"type": kind})
    known = next(one for one in GGML_TYPES.values() if one.name == kind)
    if columns % known.elements:
        assert torch.equal(scheme.decode(encoded), matrix.half().float())
        return
    member = gguf.GGMLQuantizationType[kind.upper()]
    expected = gguf.quants.dequantize(gguf.quants.quantize(matrix.numpy(), member), member)
    assert np.array_equal(scheme.decode(encoded).numpy(), expected)
    assert gguf.GGML_QUANT_SIZES[member] == (known.elements, known.bytes)


@pytest.mark.slow
def test_blocks_are_no_candidates_for_other_files(tmp_path: Path) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    plan = planned(folder, schemes=("scalar", "ggml"))
    assert not [trial for trial in plan.trials if trial.candidate.scheme == "ggml"]
    assert any(note.startswith("left out, because they need a GGUF file") for note in plan.notes)


def test_a_type_that_the_package_cannot_read_is_named(tmp_path: Path) -> None:
    path = gguf_of(tmp_path / "m.gguf")
    data = path.read_bytes()
    record = b"blk.0.attn_q.weight" + (2).to_bytes(4, "little") + (64).to_bytes(8, "little") * 2
    at = data.index(record) + len(record)
    path.write_bytes(data[:at] + (31).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(UnsupportedError, match="q4_0_4_4"):
        prepare(PlanRequest(path=path, cap=1))


def test_the_config_of_a_gguf_file_gives_its_tensors(tmp_path: Path) -> None:
    path = gguf_of(tmp_path / "m.gguf", "Q4_1")
    opened = open_bytes(path.read_bytes(), name="m.gguf")
    config = tmp_path / "again.toml"
    config.write_text(model_toml(describe(opened, name="again", tied=True)), encoding="utf-8")
    request = make_request(config)
    state = dict(draw(request.model.tensors, 0))
    # The metadata of the file is its own; its tensors, their types and the blocks of each are what a recipe says.
    written = open_bytes(artifact_bytes(quantise(state, request.recipe), request.recipe), name="again.gguf")
    assert {(t.name, t.dtype, t.shape, t.stored_bytes) for t in written.tensors} == {
        (t.name, t.dtype, t.shape, t.stored_bytes) for t in opened.tensors
    }
    own = decode(read_export(opened))["blk.1.ffn_up.weight"]
    assert float(state["blk.1.ffn_up.weight"].std()) == pytest.approx(float(own.std()), rel=0.05)


def test_a_gguf_file_of_types_that_no_recipe_writes_has_no_config(tmp_path: Path) -> None:
    path = gguf_of(tmp_path / "m.gguf", "MXFP4")
    with pytest.raises(UnsupportedError, match=r"is of type mxfp4 and shape .*; recipes write matrices of types q8_0"):
        describe(open_bytes(path.read_bytes(), name="m.gguf"), name="again", tied=True)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["gguf-q4_0", "safetensors-int8"])
def test_a_codec_lies_on_top_of_what_users_ship(tmp_path: Path, recipe: str) -> None:
    folder, own = folder_of("llama", tmp_path / "llama"), tmp_path / "own.toml"
    text = configs.find("recipes", recipe).read_text()
    own.write_text(text.replace('"none"', '"zstd"').replace("level = 0", "level = 9").partition("\n")[2])
    plan = planned(folder, recipe=str(own), schemes=("scalar",))
    data = write_candidate(saved(tmp_path, plan), "trunk-int5")
    layers = [layer.name for layer in open_bytes(data, name="m").layers]
    assert layers[0] == "zstd"
    assert len(write_candidate(saved(tmp_path, plan), "baseline")) == plan.baseline.artifact.size
    inside, stored = tmp_path / "inside", zstandard.decompress(data)
    inside.write_bytes(stored)
    if recipe.startswith("gguf"):
        assert len(gguf.GGUFReader(inside).tensors) > 0
    else:
        assert load_file(inside)
