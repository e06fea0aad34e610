"""Estimates: published containers to the byte, published artifacts within 0.3 %, agreement with `inspect`, mistakes."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from support.command_line import Run

from golfbudget.artifact import open_artifact
from golfbudget.errors import ConfigError, UsageError
from golfbudget.estimate.bins import Family, entropy, float_bits, level_bits, prefix_length, typical_maximum
from golfbudget.estimate.describe import describe
from golfbudget.estimate.measured import draw
from golfbudget.estimate.model_text import model_toml
from golfbudget.estimate.observed import equivalent_clip
from golfbudget.estimate.request import EstimateRequest, payload_bytes
from golfbudget.estimate.results import Estimate, chance_to_fit
from golfbudget.estimate.run import EstimateTerms, measured_estimate, modelled_estimate
from golfbudget.estimate.settings import Value, make_request
from golfbudget.recipe import layouts
from golfbudget.recipe.export import quantise
from golfbudget.roles import load_roles

TERMS = EstimateTerms(cap=16_000_000, code_bytes=None, spread=5_000, roles=load_roles())


def built(request: EstimateRequest) -> tuple[int, int]:
    """Payload and container of the very object, on storage full of zeros."""
    weights = {spec.name: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in request.model.tensors}
    export, layout = quantise(weights, request.recipe), layouts.get(request.recipe.layout)
    return layout.payload_bytes(export), len(layout.container(export))


def measured(request: EstimateRequest, seed: int = 0, repeat: int = 1) -> tuple[Estimate, bytes]:
    return measured_estimate(request, TERMS, seed=seed, repeat=repeat, progress=lambda _what, _steps: None)


#: Every payload and raw_torch that a public run logs: model, recipe, the two figures.
LOGGED: dict[str, tuple[str, str, int, int]] = {
    "2026-03-17_NaiveBaseline": ("baseline", "int8-zlib", 17_178_912, 17_224_025),
    "2026-03-19_SlidingWindow_FP16Emb_10L_MuonWD_OvertoneInit": (
        "baseline-10l",
        "int8-fp16-embedding-zlib",
        19_552_576,
        19_602_363,
    ),
    "2026-03-19_MLP3x_QAT_Int6_SlidingWindow": ("baseline-mlp3x", "int6-step4-zlib", 22_428_960, 22_473_755),
    "2026-03-19_MixedQuant_Int6Int8_SlidingWindow": ("baseline-mlp3x", "int6-zlib", 21_906_720, 21_951_833),
    "2026-03-19_Seq2048_FP16Emb_TunedLR": (
        "baseline-10l-mlp1344",
        "int6-fp16-embedding-zstd",
        22_835_776,
        22_885_563,
    ),
    "2026-03-19_smeargate_orthoinit_muonwd": ("bigram-smear", "int6-fp16-embedding-zstd", 23_609_632, 23_655_445),
    "2026-03-30_ByteJEPA": ("bytes-predictor", "int8-zlib", 17_310_496, 17_356_817),
    "2026-04-04_GDN_Hybrid_LongContext": ("gdn-hybrid", "int8-zlib", 17_632_760, 17_697_947),
    "2026-04-04_GDN_Hybrid_LongContext, 448 wide": ("gdn-hybrid-small", "int8-zlib", 14_564_800, 14_627_373),
    "2026-04-15_Mamba3Hybrid_SP8192_GPTQ_TTT": ("mamba3-hybrid", "int6-xz", 25_318_208, 25_355_471),
}
#: The one run whose container is not reproduced, and why.
NOT_REPRODUCED = {
    "2026-03-19_WarmdownQuantization": "22,690,080 is, 22,733,906 is not: 397 bytes less than ours are what the zip "
    "members .format_version and .storage_alignment take, which torch.save of 2.13 writes and older ones did not"
}


@pytest.mark.parametrize("run", LOGGED)
def test_published_payloads_and_containers_are_reproduced_to_the_byte(run: str) -> None:
    model, recipe, payload, container = LOGGED[run]
    request = make_request(model, recipe)
    assert built(request) == (payload, container)
    assert payload_bytes(request) == payload


def test_every_payload_and_container_that_a_log_prints_is_among_them(runs: Path) -> None:
    """Every log of every run, so that a table of ours cannot leave one out."""
    found: dict[tuple[int, int], set[str]] = {}
    for path in [*runs.rglob("*.log"), *runs.rglob("*.txt")]:
        text = path.read_text(encoding="utf-8", errors="replace")
        for payload, raw in re.findall(r"^Serialized model .*\(payload:(\d+) raw_torch:(\d+)", text, re.MULTILINE):
            found.setdefault((int(payload), int(raw)), set()).add(path.relative_to(runs).parts[0])
    known = {figures[2:]: run.partition(",")[0] for run, figures in LOGGED.items()}
    for figures, folders in found.items():
        if figures in known:
            assert known[figures] in folders
        else:
            assert folders <= NOT_REPRODUCED.keys(), figures
    assert found.keys() >= known.keys()


def test_the_container_that_is_not_reproduced_lacks_two_members_of_today() -> None:
    request = make_request("baseline-mlp3x", "int6-fp16-embedding-zlib")
    assert built(request) == (22_690_080, 22_733_906 + 397)
    weights = {spec.name: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in request.model.tensors}
    container = layouts.get(request.recipe.layout).container(quantise(weights, request.recipe))
    names = zipfile.ZipFile(io.BytesIO(container)).namelist()
    assert {"archive/.format_version", "archive/.storage_alignment"} <= set(names)


#: Logged model bytes of the records whose scales follow the row's deviation, by seed.
RECORDS = {
    ("sp8192", "sp8192-brotli"): (15_967_802, 15_973_467),
    ("sp8192-sparse-gated", "sp8192-int7-brotli"): (15_909_203, 15_909_613, 15_910_075),
    ("sp8192-lqer", "sp8192-int7-lqer-brotli"): (15_920_836,),
}


@pytest.mark.parametrize(("model", "recipe"), RECORDS)
def test_the_formula_is_within_a_thousandth_of_the_published_records(model: str, recipe: str) -> None:
    """One formula, no constant of a record; the issue asks for 0.3 % of what is measured, below."""
    found = modelled_estimate(make_request(model, recipe), TERMS)
    assert found.artifact.value is not None
    for logged in RECORDS[model, recipe]:
        assert abs(found.artifact.value / logged - 1) < 0.001


@pytest.mark.record
@pytest.mark.parametrize(("model", "recipe"), RECORDS)
def test_synthetic_artifacts_are_within_three_thousandths_of_the_published_records(model: str, recipe: str) -> None:
    """A minute and a half of brotli each: `make records`."""
    found, data = measured(make_request(model, recipe))
    assert found.artifact.value == len(data)
    assert found.inspection is not None
    for logged in RECORDS[model, recipe]:
        assert abs(len(data) / logged - 1) < 0.003


SMALL = """
name = "small"
recipe = "sp8192-brotli"
[variables]
vocabulary = 2048
width = 128
layers = 3
[[tensors]]
name = "tok_emb.weight"
shape = ["vocabulary", "width"]
deviation = 0.05
[[tensors]]
repeat = "layers"
tensors = [
  { name = "blocks.{i}.attn_scale", shape = ["width"], mean = 1, deviation = 0.1 },
  { name = "blocks.{i}.mlp.fc.weight", shape = ["8 * width", "width"], deviation = 0.03 },
]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.mark.slow
def test_formula_and_measurement_agree_for_every_codec(small: Path) -> None:
    """On 650,000 weights what codecs spend beside order 0 (tables, matches tried) still shows a little."""
    for codec, level in (("zlib", 9), ("zstd", 19), ("xz", 6), ("brotli", 11), ("bz2", 9), ("none", 0)):
        request = make_request(small, None, {"codec": codec, "level": level})
        found, _ = measured(request)
        assert found.modelled is not None
        assert found.modelled.value == pytest.approx(found.artifact.value, rel=0.05), codec


def test_estimated_roles_are_those_that_inspect_finds(small: Path, tmp_path: Path, golfbudget: Run) -> None:
    saved = tmp_path / "synthetic.ptz"
    arguments = ["estimate", small, "--set", "level=5", "--format", "json", "--seed", "3", "-q"]
    told = golfbudget(*arguments, "--save", saved)
    estimate = json.loads(told.stdout)
    inspected = json.loads(golfbudget("inspect", saved, "--format", "json").stdout)
    assert estimate["roles"] == inspected["roles"]
    assert estimate["tied"] is inspected["tied"] is True
    assert estimate["parameters"] == inspected["parameters"] == 2048 * 128 + 3 * (128 + 8 * 128 * 128)
    assert estimate["artifact_bytes"]["value"] == saved.stat().st_size == inspected["source"]["bytes"]
    assert estimate["artifact_bytes"]["evidence"] == "measured on synthetic weights"
    containers = [layer["decoded_bytes"] for layer in inspected["layers"] if layer["kind"] == "container"]
    assert containers == [estimate["container_bytes"]]
    assert estimate["container_exact"] is True
    assert golfbudget(*arguments).stdout == told.stdout


def test_seeds_give_a_spread(small: Path) -> None:
    request = make_request(small, None, {"level": 5})
    found, first = measured(request, seed=4, repeat=3)
    assert [sample.seed for sample in found.samples] == [4, 5, 6]
    sizes = [sample.artifact_bytes for sample in found.samples]
    assert len(set(sizes)) > 1
    assert (found.artifact.low, found.artifact.high, found.artifact.value) == (min(sizes), max(sizes), len(first))
    assert measured(request, seed=5)[0].artifact.value == sizes[1]


def test_size_that_depends_on_training_is_a_range(small: Path) -> None:
    found, _ = measured(make_request(small, "int8-zlib"))
    assert found.artifact.value is None
    assert found.chance is None
    assert found.artifact.low < 0.8 * found.artifact.high
    assert found.depends == (
        "rule large: scales are floored at 1/127, so the levels in use depend on the weights' magnitude",
    )
    assert {(sample.family, sample.artifact_bytes) for sample in found.samples} == {
        ("gaussian", found.artifact.high), ("laplace", found.artifact.low)}  # fmt: skip
    modelled = modelled_estimate(make_request(small, "int8-zlib"), TERMS).artifact
    assert modelled.high == pytest.approx(found.artifact.high, rel=0.02)


def test_small_tensors_that_depend_on_training_are_a_note() -> None:
    found = modelled_estimate(make_request("sp8192-sparse-gated"), TERMS)
    assert found.artifact.value is not None
    assert found.notes[0].startswith("rule gates: scales follow the maximum of a row")
    assert found.notes[0].endswith("these are 1,232 bytes at most")


def test_weights_depend_on_seed_and_name_only(small: Path) -> None:
    tensors = make_request(small).model.tensors
    one, two = dict(draw(tensors, 1)), dict(draw(tensors[::-1], 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = dict(draw(tensors, 2))
    assert not torch.equal(one["tok_emb.weight"], other["tok_emb.weight"])
    assert float(one["tok_emb.weight"].std()) == pytest.approx(0.05, rel=0.01)
    heavy = dict(draw(tensors, 1, "laplace", {"tok_emb.weight"}))["tok_emb.weight"]
    assert float(heavy.std()) == pytest.approx(0.05, rel=0.02)
    kurtosis = float((heavy**4).mean() / (heavy**2).mean() ** 2)
    assert kurtosis == pytest.approx(6, rel=0.1)
    assert float(dict(draw(tensors, 1, "gaussian", {"tok_emb.weight"}))["tok_emb.weight"].std()) > 0.99


def test_known_bits_per_weight() -> None:
    """Figures checked against public files: 4.715 and 3.328 bits a weight."""
    assert level_bits(20 / 127, -127, 127) == pytest.approx(4.715, abs=5e-4)
    assert level_bits(12.85 / 31, -31, 31) == pytest.approx(3.328, abs=5e-4)


@given(st.floats(0.05, 4), st.integers(1, 40), st.sampled_from(["gaussian", "laplace"]))
def test_level_bits_are_the_entropy_of_drawn_levels(width: float, top: int, family: Family) -> None:
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=200_000) if family == "gaussian" else generator.laplace(scale=0.5**0.5, size=200_000)
    levels = np.clip(np.rint(drawn / width), -top, top)
    _, counts = np.unique(levels, return_counts=True)
    assert level_bits(width, -top, top, family) == pytest.approx(entropy(counts / counts.sum()), abs=0.02)


@pytest.mark.parametrize(
    ("dtype", "mean", "deviation"), [("float16", 0, 1), ("float16", 1, 0.01), ("bfloat16", 0.5, 2)]
)
def test_float_bits_are_the_entropy_of_drawn_bytes(dtype: str, mean: float, deviation: float) -> None:
    drawn = (torch.randn(400_000, generator=torch.Generator().manual_seed(0)) * deviation + mean).to(
        getattr(torch, dtype)
    )
    planes = drawn.view(torch.uint8).numpy().reshape(-1, 2)
    found = sum(entropy(np.bincount(planes[:, i], minlength=256) / len(planes)) for i in range(2))
    assert float_bits(dtype, mean, deviation) == pytest.approx(found, abs=0.01)


def test_float8_values_are_those_that_torch_has() -> None:
    drawn = torch.randn(300_000, generator=torch.Generator().manual_seed(0)).to(torch.float8_e4m3fn)
    counts = np.bincount(drawn.view(torch.uint8).numpy(), minlength=256)
    assert float_bits("float8_e4m3fn", 0, 1) == pytest.approx(entropy(counts / counts.sum()), abs=0.01)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40))
def test_a_prefix_code_lies_within_a_bit_of_the_entropy(weights: list[int]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    assert entropy(shares) - 1e-9 <= prefix_length(shares) < entropy(shares) + 1


def test_a_prefix_code_of_powers_of_two_is_the_entropy() -> None:
    shares = [2.0**-k for k in range(1, 10)] + [2.0**-9]
    assert prefix_length(shares) == pytest.approx(entropy(shares))


def test_typical_maxima_are_the_median_of_drawn_ones() -> None:
    maxima = np.abs(np.random.default_rng(0).normal(size=(4000, 512))).max(1)
    assert typical_maximum(512) == pytest.approx(float(np.median(maxima)), rel=0.01)


@pytest.mark.parametrize("clip", [3.0, 7.5, 20.0])
def test_the_equivalent_clip_is_the_clip_of_gaussian_rows(clip: float) -> None:
    assert equivalent_clip(level_bits(clip / 127, -127, 127), -127, 127) == pytest.approx(clip, rel=0.002)


def test_the_formula_alone_gives_no_chance_where_most_is_floats(golfbudget: Run) -> None:
    # No matrix is large enough for the recipe to quantise: what is written is 482,522 bytes, the formula has 449,254.
    shape = ("--set", "layers=2", "--set", "vocabulary=256", "--set", "width=128", "--fast", "--cap", "465kB")
    text = golfbudget("estimate", "baseline", *shape).stdout
    assert "fits      not told: the formula is rough for floats" in text
    found = json.loads(golfbudget("estimate", "baseline", *shape, "--format", "json").stdout)
    assert found["chance_to_fit"]["value"] is None
    assert found["artifact_bytes"]["evidence"] == "modelled"
    assert not found["depends_on_training"]
    swept = golfbudget("estimate", "baseline", *shape, "--sweep", "heads=4,8").stdout
    assert swept.splitlines()[-1].split()[-1] == "–"
    assert ">99 %" in golfbudget("estimate", "sp8192", "--fast", "--set", "layers=10").stdout


def test_the_chance_to_fit() -> None:
    assert chance_to_fit(0, 0, 5_000) == 0.5
    assert chance_to_fit(5_000, 0, 5_000) == pytest.approx(0.8413, abs=1e-4)
    assert chance_to_fit(-1, 0, 0) == 0.0
    assert chance_to_fit(16_000, 16_000_000, 0) == pytest.approx(0.8413, abs=1e-4)


def test_fast_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from golfbudget.cli.app import run; code = run(['estimate', 'sp8192', '--fast']); "
        "sys.exit(code or bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0


def test_a_sweep_is_a_table_over_all_combinations(small: Path, golfbudget: Run) -> None:
    sweep = ["--sweep", "vocabulary=1024,2048", "--sweep", "embedding.bits=8,7"]
    report = json.loads(golfbudget("estimate", small, "--fast", *sweep, "--format", "json").stdout)
    settings = [tuple(point["settings"].values()) for point in report["points"]]
    assert settings == [(1024, 8), (1024, 7), (2048, 8), (2048, 7)]
    sizes = [point["artifact_bytes"]["value"] for point in report["points"]]
    assert sizes[1] < sizes[0] < sizes[3] < sizes[2]
    alone = golfbudget(
        "estimate", small, "--fast", "--set", "vocabulary=1024", "--set", "embedding.bits=7", "--format", "json"
    )
    assert json.loads(alone.stdout)["artifact_bytes"]["value"] == sizes[1]
    table = golfbudget("estimate", small, "--fast", *sweep).stdout
    assert "vocabulary  embedding.bits  parameters" in table
    markdown = golfbudget("estimate", small, "--fast", *sweep, "--format", "markdown").stdout
    assert markdown.startswith("| vocabulary | embedding.bits | parameters | payload | artifact | headroom | fits |\n")


@pytest.mark.slow
def test_codecs_are_swept_by_writing_files(small: Path, golfbudget: Run) -> None:
    report = json.loads(golfbudget("estimate", small, "--sweep", "codec=zlib,zstd,none", "--format", "json").stdout)
    found = {point["settings"]["codec"]: point for point in report["points"]}
    assert found["none"]["artifact_bytes"]["value"] == found["none"]["container_bytes"] + 5
    assert found["zstd"]["recipe"]["level"] == 22
    assert found["zlib"]["artifact_bytes"]["value"] < found["none"]["artifact_bytes"]["value"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"depth": 3},
            r"nothing is called 'depth'; the model's variables: vocabulary, width, layers; .*embedding\.FIELD",
        ),
        ({"embedding.bitz": 3}, r"nothing is called 'embedding.bitz'.*FIELD one of more_elements_than"),
        ({"codec": "zip"}, r"recipe sp8192-brotli with codec=zip: codec: found 'zip', known: "),
        ({"embedding.bits": 9}, r"recipe sp8192-brotli with embedding\.bits=9: .*\$\.tensors\[0\]\.bits"),
        ({"width": -4}, r"small\.toml: tensors\[0\]\.shape\[1\]: 'width' is -4, expected 1 or more"),
        ({"level": 99}, "level: found 99, brotli takes 0 to 11"),
    ],
)
def test_mistaken_settings_are_named(small: Path, settings: Mapping[str, Value], message: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=message):
        make_request(small, None, settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fast", "--save", "x"], "--fast writes no artifact"),
        (["--sweep", "layers"], "--sweep 'layers': write NAME=VALUE, or NAME=A,B,C"),
        (["--set", "layers=1,2"], "--set layers takes one value; several are for --sweep"),
        (["--set", "layers=1", "--sweep", "layers=2,3"], "--set layers and --sweep layers both say what it is"),
        (["--sweep", "layers=1", "--sweep", "layers=2"], "--sweep layers is given twice"),
        (["--recipe", "int9"], "no recipes file is called 'int9'; known: "),
        (["--set", "width=0.5"], "tensors[0].shape[1]: 'width' is 0.5, expected a whole number"),
        (["--sweep", f"layers={','.join(map(str, range(1, 202)))}"], "201 combinations; at most 200"),
    ],
)
def test_mistakes_at_the_command_line(small: Path, golfbudget: Run, arguments: list[str], message: str) -> None:
    result = golfbudget("estimate", small, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_an_embedded_recipe_whose_pattern_matches_nothing_is_refused(tmp_path: Path, golfbudget: Run) -> None:
    text = SMALL.replace('recipe = "sp8192-brotli"', "") + (
        '[recipe]\nname = "own"\nlayout = "w-m"\ncodec = "xz"\nlevel = 6\n'
        '[[recipe.tensors]]\nname = "a"\nmatch = ["tok_embed.*"]\nquantizer = "keep"\ndtype = "float16"\n'
    )
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    result = golfbudget("estimate", path)
    assert result.returncode == 2
    assert (
        "recipe own: tensors[0].match: 'tok_embed.*' match none of the model's 7 tensors; among them: tok_emb.weight"
        in (" ".join(result.stderr.split()))
    )


@pytest.mark.slow
def test_the_config_of_an_artifact_estimates_its_container_to_the_byte(tmp_path: Path, golfbudget: Run) -> None:
    from golfbudget import example

    path = tmp_path / "again.toml"
    assert golfbudget("inspect", example.ARTIFACT, "--as-config", "-o", path).returncode == 0
    assert "No file says the codec's level: it is the default." in path.read_text(encoding="utf-8")
    found, _ = measured(make_request(path))
    opened = open_artifact(example.ARTIFACT)
    assert found.container_bytes == len(opened.leaves[0].data)
    assert found.artifact.value == pytest.approx(opened.size, rel=0.02)
    assert make_request(path, None, {"blocks": 6}).model.parameters > make_request(path).model.parameters


@pytest.mark.parametrize(
    "file",
    [
        "fp16_zlib_pair/final_model.int8.ptz",
        "fp16_zlib_exact_ledger/final_model.int8.ptz",
        "fp16_xz_pair/final_model.int6.ptz",
        "int8_zlib_4mb/final_model.int8.ptz",
    ],
)
def test_configs_of_public_artifacts_give_their_containers(corpus: Path, tmp_path: Path, file: str) -> None:
    opened = open_artifact(corpus / file)
    path = tmp_path / "again.toml"
    path.write_text(model_toml(describe(opened, name="again", tied=True)), encoding="utf-8")
    assert built(make_request(path))[1] == len(opened.leaves[0].data)


def test_an_artifact_that_no_recipe_writes_has_no_config(corpus: Path, golfbudget: Run) -> None:
    result = golfbudget("inspect", corpus / "ternary_xz/model.ternary.ptz", "--as-config")
    assert result.returncode == 2
    assert "no config is written for bytes packed in" in result.stderr


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_no_mean_and_deviation_describe_have_no_config(
    tmp_path: Path, golfbudget: Run, value: float
) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.tensor([[1.0, value], [-value, 2.0]], dtype=torch.float64)}, path)
    result = golfbudget("inspect", path, "--as-config")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'w' holds NaN, infinite or overflowing values" in result.stderr


def test_reports_say_how_each_figure_is_known(small: Path, golfbudget: Run) -> None:
    text = golfbudget("estimate", small, "--set", "level=5", "--code", "10kB").stdout
    for part in (
        "exact: serialised, before filter and codec",
        "measured on synthetic weights",
        "bytes (",
        "against measured",
        "order 0, coded in whole bits",
        "head (tied)",
        "10,000 bytes",
        "±5,000 bytes between seeds",
    ):
        assert part in text
    assert not math.isnan(
        float(json.loads(golfbudget("estimate", small, "--fast", "--format", "json").stdout)["chance_to_fit"]["value"])
    )
    markdown = golfbudget("estimate", small, "--set", "level=5", "--format", "markdown").stdout
    assert "| **head** (tied)" in markdown or "| **head (tied)**" in markdown
