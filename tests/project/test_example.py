"""The embedded example, end to end, as installed from the wheel: inspect, plan, pack, and the verdict."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.installed import Demo, Installation

from golfbudget import example
from golfbudget.example.build import artifact
from golfbudget.plan.examine import by_error
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Side
from golfbudget.quality.evaluate import Evaluator, Losses
from golfbudget.quality.text import load_text
from golfbudget.recipe.decoded import read_back

CANDIDATES = [
    *(f"{side}-int{bits}" for side in ("head", "trunk") for bits in (8, 7, 6, 5, 4, 3)),
    *(f"head-vq-int-k{codes}-b8-shared" for codes in (32, 64, 128, 256, 512, 768)),
    "head-vq-int-k32-b8-dense",
    "head-vq256-shared",
    *(f"head-vq-bias-k{codes}-b8-bias8-shared" for codes in (256, 512)),
    *(f"head-vq-explicit-k{codes}-s128-b8-shared" for codes in (256, 512)),
    "head-tiers-8x64+6x256+5-bytes-shared",
    "head-factorised-r20-b16-shared",
    *(f"{side}-int{how}" for side in ("head", "trunk") for how in ("6-maximum", "5-rd0.1")),
    "trunk-clipped-b6-c12.85",
    "trunk-grouped-scalar-b4-g128-bytes",
    "trunk-ternary",
    "trunk-ternary-packed",
    *(f"{part}-int{bits}" for part in ("attention", "mlp") for bits in (7, 6)),
    "joint",
    "lossless-zstd-22",
    "lossless-xz-9",
    "lossless-brotli-11",
]


@pytest.fixture(scope="module")
def source() -> PlanSource:
    return prepare(PlanRequest(path=example.CHECKPOINT, recipe=example.RECIPE, cap=1)).source


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_text(example.EVALUATION))


@pytest.fixture(scope="module")
def baseline_losses(evaluator: Evaluator) -> Losses:
    return evaluator.losses(read_back(example.ARTIFACT.read_bytes(), "baseline").state)


def test_the_shipped_artifact_is_what_its_recipe_makes_of_the_checkpoint() -> None:
    rebuilt = read_back(artifact(), "rebuilt").state
    shipped = read_back(example.ARTIFACT.read_bytes(), "shipped").state
    assert rebuilt.keys() == shipped.keys()
    assert all(torch.equal(rebuilt[name], shipped[name]) for name in rebuilt)


def test_the_wheel_holds_configs_and_example_and_no_tests(installation: Installation) -> None:
    names = zipfile.ZipFile(installation.wheel).namelist()
    for needed in (
        "golfbudget/configs/roles/default.toml",
        "golfbudget/configs/rules/parameter-golf.toml",
        "golfbudget/configs/recipes/int8-zlib.toml",
        *(f"golfbudget/example/data/{file.name}" for file in example.FILES),
        "golfbudget/example/data/LICENSE.text",
        "golfbudget/py.typed",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests", "configs"))]


def test_the_installed_program_inspects_from_another_folder(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(example.CHECKPOINT.read_bytes())
    done = installation.run("inspect", "model.safetensors", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] == 1_063_380


@pytest.mark.slow
def test_the_demo_ends_with_the_verdict(demo: Demo) -> None:
    assert demo.stderr == ""
    lines = demo.stdout.splitlines()
    verdict = next(i for i, line in enumerate(lines) if line.startswith("verdict: "))
    answer = next(i for i, line in enumerate(lines) if line.startswith("does a VQ-Logits head win? "))
    # All of it stands on a screen of 40 lines, what was asked below the table and near the prompt.
    assert len(lines) - 14 < verdict < answer < len(lines) <= 40


@pytest.mark.slow
def test_the_example_is_decided_by_measurement(demo: Demo) -> None:
    plan = demo.plan
    assert plan["verdict"]["winner"] in ("head", "trunk")
    assert plan["verdict"]["evidence"] == "measured"
    assert plan["vq"]["answer"] == "no"
    assert "untrained" in plan["vq"]["reason"]
    by_name = {c["name"]: c for c in plan["candidates"]}
    assert sorted(by_name) == sorted(CANDIDATES)
    quality = by_name["head-int6"]["quality"]
    assert quality["metric"] == "bits-per-byte"
    assert quality["high"] - quality["low"] <= 2 * 0.002
    assert quality["low"] <= quality["delta"] <= quality["high"]


@pytest.mark.parametrize("name", ["baseline", *CANDIDATES])
def test_every_candidate_packs_to_the_counted_bytes(
    demo: Demo, source: PlanSource, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo.folder)
    data = write_candidate(demo.files / "plan.json", name)
    if name == "baseline":
        assert len(data) == demo.plan["baseline"]["artifact_bytes"]
        return
    (counted,) = [c for c in demo.plan["candidates"] if c["name"] == name]
    assert len(data) == counted["artifact_bytes"]
    assert counted["counted_bytes"] == counted["artifact_bytes"] + counted["decoder_bytes"]
    assert counted["saved_bytes"] == demo.plan["baseline"]["counted_bytes"] - counted["counted_bytes"]
    assert hashlib.sha256(data).hexdigest() == counted["sha256"]
    # The matrices that come out are the ones that were judged: they give the recorded error figures.
    candidate = Candidate(
        name=name,
        side=Side(counted["side"]),
        scheme=counted["scheme"],
        options=counted["options"],
        owners=tuple(counted["owners"]),
        input_side=counted["input_side"],
        input_options=counted["input_options"],
    )
    if candidate.side is not Side.LOSSLESS:
        baseline = read_back(example.ARTIFACT.read_bytes(), "baseline").state
        judged = by_error(source, candidate, baseline, read_back(data, name).state, biased="bias" in name)
        assert judged.error_ratio == counted["quality"]["error_ratio"]
        assert judged.worst_row is not None
        assert judged.worst_row.row == counted["quality"]["worst_row"]["row"]


@pytest.mark.parametrize("name", ["head-int4", "head-vq-int-k512-b8-shared"])
def test_a_packed_candidate_has_the_measured_loss(
    demo: Demo, evaluator: Evaluator, baseline_losses: Losses, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo.folder)
    losses = evaluator.losses(read_back(write_candidate(demo.files / "plan.json", name), name).state)
    (counted,) = [c for c in demo.plan["candidates"] if c["name"] == name]
    interval = evaluator.compare(baseline_losses, losses, demo.plan["seed"])
    found = [interval.delta, interval.low, interval.high]
    assert np.allclose(found, [counted["quality"][key] for key in ("delta", "low", "high")], atol=2e-5)


@pytest.mark.slow
def test_an_artifact_plans_against_its_own_matrices() -> None:
    choices = PlanRequest(path=example.ARTIFACT, model=example.MODEL, cap=16_000_000, schemes=("ternary",))
    plan = make_plan(replace(choices, token_limit=16_384))
    assert plan.evaluation is not None
    assert plan.evaluation.source_bits_per_byte == plan.evaluation.baseline_bits_per_byte
    assert plan.trials[0].quality.metric == "bits-per-byte"
