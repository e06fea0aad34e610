"""Files in the layout of compressed-tensors: transformers loads them, and loses there what the plan measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.command_line import run_here
from support.hub_models import folder_of
from test_hub_quality import bits_per_byte, evaluator, opened

from golfbudget import schemes
from golfbudget.artifact import open_bytes
from golfbudget.errors import UsageError
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.run import plan_of
from golfbudget.recipe.artifacts import read_export
from golfbudget.recipe.config import recipe_from
from golfbudget.recipe.export import decode, quantise
from golfbudget.roles import assign, load_roles
from golfbudget.schemes import Context
from golfbudget.schemes.packed_integers import pack_words, unpack_words

transformers = pytest.importorskip("transformers", reason="needs golfbudget[hf]: transformers")


@pytest.fixture(scope="module", autouse=True)
def reader() -> None:
    """What transformers reads packed integers with; it takes six seconds to import, and one process is enough."""
    pytest.importorskip("compressed_tensors", reason="needs golfbudget[hf]: compressed-tensors")


def loaded(folder: Path) -> Any:  # noqa: ANN401
    """As the library loads it by default: decompressed once it runs, each group of modules by its own bits."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_transformers_loads_what_was_written_and_loses_what_was_measured(tmp_path: Path) -> None:
    folder = folder_of("llama", tmp_path / "llama")
    prepared = opened(folder, recipe="safetensors-int8", schemes=("packed-int",))
    plan = plan_of(prepared)
    assert plan.evaluation is not None
    at = tmp_path / "plan.json"
    at.write_text(json.dumps(plan_json(plan)))
    for name in ("baseline", "trunk-packed-int-b4-g32", "head-packed-int-b4-g32"):
        out = tmp_path / name
        out.mkdir()
        done = run_here("pack", at, "--candidate", name, "-o", out)
        assert done.returncode == 0, done.stderr
        trial = plan.trial(name)
        size = (out / "model.safetensors").stat().st_size
        assert size == (plan.baseline.artifact.size if trial is None else trial.artifact_bytes)
        delta = 0.0 if trial is None else trial.quality.delta
        assert delta is not None
        found = bits_per_byte(prepared, loaded(out))
        assert found == pytest.approx(plan.evaluation.baseline_bits_per_byte + delta, abs=1e-4)
        assert trial is None or trial.decoder_bytes == 0
    assert evaluator(prepared).model.split


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("columns", [5, 32, 77])
def test_words_are_the_packages_own(bits: int, columns: int) -> None:
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    generator = torch.Generator().manual_seed(bits)
    values = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, columns), generator=generator)
    words = pack_words(values, bits)
    assert torch.equal(words, pack_to_int32(values.to(torch.int8), bits))
    assert torch.equal(unpack_words(words, bits, columns), values)


@pytest.mark.parametrize("options", [{"bits": 4, "group": 32}, {"bits": 8, "group": 64}, {"bits": 3, "group": 40}])
def test_packed_integers_are_as_long_as_they_say_and_near_the_matrix(options: dict[str, int]) -> None:
    matrix = torch.randn(9, 128, generator=torch.Generator().manual_seed(2))
    matrix[3] = 0
    scheme = schemes.get("packed-int")
    encoded = scheme.encode(matrix, options, Context())
    assert encoded.raw_bytes == scheme.raw_bytes((9, 128), options)
    error = (scheme.decode(encoded) - matrix).square().sum() / matrix.square().sum()
    assert float(error) < 4.0 ** (1 - options["bits"])


def test_the_layout_comes_back_and_every_byte_has_its_owner() -> None:
    state = {
        "model.embed_tokens.weight": torch.randn(64, 32),
        "model.layers.0.mlp.up_proj.weight": torch.randn(48, 64),
        "model.layers.0.mlp.down_proj.weight": torch.randn(32, 33),
        "model.norm.weight": torch.ones(32),
    }
    from golfbudget.recipe import layouts
    from golfbudget.recipe.artifacts import artifact_bytes
    from golfbudget.recipe.config import load_recipe

    recipe = load_recipe("safetensors-int4")
    export = quantise(state, recipe)
    vq = schemes.get("vq-logits").encode(state["model.embed_tokens.weight"], {"codes": 9}, Context())
    for one in (export, export.with_encoded("model.embed_tokens.weight", vq, "float32")):
        data = artifact_bytes(one, recipe)
        artifact = open_bytes(data, name="x")
        assert layouts.recognise(artifact) is layouts.get("compressed-tensors")
        again = read_export(artifact)
        found, expected = decode(again), decode(one)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name].float(), expected[name].float()) for name in found)
        assert len(artifact_bytes(again, recipe)) == len(data)
        ledger = assign(artifact, load_roles()).ledger
        assert {entry.owner for entry in ledger.entries if entry.parameters} >= set(state)
        assert sum(entry.stored_bits for entry in ledger.entries) == 8 * len(data)


def test_a_scheme_of_one_layout_has_no_place_in_another() -> None:
    rule = {"name": "all", "match": ["*"], "quantizer": "scheme", "scheme": "packed-int"}
    recipe = recipe_from({"name": "r", "layout": "w-m", "codec": "none", "level": 0, "tensors": [rule]}, "t")
    with pytest.raises(UsageError, match="has its place in layout compressed-tensors, not in w-m"):
        quantise({"a": torch.randn(4, 32)}, recipe)


@pytest.mark.slow
def test_other_files_are_no_folders_for_transformers(tmp_path: Path) -> None:
    folder = folder_of("gpt2", tmp_path / "gpt2")
    plan = plan_of(opened(folder, model=None, tokens=None, schemes=("scalar",)))
    at = tmp_path / "plan.json"
    at.write_text(json.dumps(plan_json(plan)))
    done = run_here("pack", at, "--candidate", "baseline", "-o", tmp_path)
    assert done.returncode == 2
    assert "give a file's name to write it alone" in done.stderr
