"""Plans of models that were never trained, and plans through a preview codec: what they write and what they say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import repeated_rows_model, save
from typer.testing import CliRunner

from golfbudget import configs
from golfbudget.artifact import open_bytes
from golfbudget.cli.app import app
from golfbudget.errors import UsageError
from golfbudget.estimate.measured import Draw, write
from golfbudget.estimate.settings import make_request
from golfbudget.models import load_model
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan, plan_of
from golfbudget.plan.source import Preview, named_model, parse_preview
from golfbudget.recipe.artifacts import container_bytes, read_export
from golfbudget.recipe.export import decode
from golfbudget.report import ReportFormat
from golfbudget.report.plan import document as plan_document
from golfbudget.report.render import rendered
from golfbudget.schemes.vq_logits import nearest

MODEL = """
name = "small"
recipe = "{recipe}"
[variables]
vocabulary = 512
width = 32
[[tensors]]
name = "tok_emb.weight"
shape = ["vocabulary", "width"]
deviation = 0.02
[[tensors]]
repeat = 2
tensors = [
  {{ name = "blocks.{{i}}.mlp.fc.weight", shape = ["4 * width", "vocabulary // 4"], deviation = 0.1 }},
  {{ name = "blocks.{{i}}.mlp_scale", shape = ["width"], mean = 1, deviation = 0.1 }},
]
"""
#: A recipe file whose rules reach matrices of a small model; layout and the trunk's rule are filled in.
RECIPE = """
name = "tiny"
layout = "{layout}"
codec = "zlib"
level = 6
[[tensors]]
name = "head"
match = ["tok_emb.weight"]
quantizer = "integer"
bits = 8
clip_deviations = 20.0
[[tensors]]
name = "trunk"
match = ["*.mlp.fc.weight"]
{trunk}
[[tensors]]
name = "rest"
match = ["*"]
quantizer = "keep"
dtype = "float16"
"""
INTEGERS = 'quantizer = "integer"\nbits = 6\nclip_deviations = 12.85'
TERNARY = 'quantizer = "scheme"\nscheme = "ternary"'
LAYOUTS = ("w-m", "safetensors", "packed", "int8_clean_per_row_v1")


def written(folder: Path, *, layout: str = "w-m", trunk: str = INTEGERS, text: str = "") -> Path:
    """The small model file and its recipe in a folder."""
    (folder / "tiny.toml").write_text(RECIPE.format(layout=layout, trunk=trunk))
    path = folder / "small.toml"
    path.write_text(MODEL.format(recipe="tiny.toml") + text)
    return path


def planned(path: Path, **more: object) -> Plan:
    choices = {"path": path, "cap": 16_000_000, "schemes": ("scalar", "vq-logits", "ternary"), **more}
    return make_plan(PlanRequest(**choices))  # type: ignore[arg-type]


def document(plan: Plan) -> str:
    return json.dumps(plan_json(plan))


def saved(folder: Path, plan: Plan) -> Path:
    path = folder / "plan.json"
    path.write_text(document(plan))
    return path


def table(plan: Plan) -> str:
    return rendered(plan_document(plan, details=True), ReportFormat.TABLE)


def refused(path: Path, **more: object) -> str:
    with pytest.raises(UsageError) as error:
        prepare(PlanRequest(path=path, cap=1, **more))  # type: ignore[arg-type]
    return str(error.value)


def test_a_model_file_is_planned_from_the_artifact_that_estimate_measures(tmp_path: Path) -> None:
    path = written(tmp_path)
    prepared = prepare(PlanRequest(path=path, cap=1, seed=3, settings={"width": 64}, schemes=("ternary",)))
    sample, artifact = write(
        make_request(path, None, {"width": 64}),
        Draw(seed=3, family="gaussian", tensors=frozenset()),
        lambda _step: None,
    )
    source, plan = prepared.source, plan_of(prepared)
    assert plan.baseline.artifact.size == sample.artifact_bytes == len(artifact)
    assert write_candidate(saved(tmp_path, plan), "baseline") == artifact
    assert {name: tuple(tensor.shape) for name, tensor in source.reference.items()} == {
        spec.name: spec.shape for spec in load_model(path, variables={"width": 64}).tensors
    }


@pytest.mark.slow
@pytest.mark.parametrize("trunk", [INTEGERS, TERNARY], ids=["integers", "ternary"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_model_recipes_is_planned_and_packed(tmp_path: Path, layout: str, trunk: str) -> None:
    plan = planned(written(tmp_path, layout=layout, trunk=trunk))
    assert {str(trial.candidate.side) for trial in plan.trials} >= {"head", "trunk"}
    path = saved(tmp_path, plan)
    for name in ("head-int5", "head-vq64-shared", "trunk-int4", "trunk-ternary"):
        trial = plan.trial(name)
        assert trial is not None
        data = write_candidate(path, name)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (trial.artifact_bytes, trial.sha256)
        state = decode(read_export(open_bytes(data, name=name)))
        assert len(state["tok_emb.weight"].unique(dim=0)) <= (64 if "vq64" in name else 512)
        assert state.keys() == {spec.name for spec in load_model(tmp_path / "small.toml").tensors}


def test_a_layout_without_a_place_for_encoded_matrices_is_refused(tmp_path: Path) -> None:
    assert "layout state-dict of recipe tiny has no place for encoded matrices" in refused(
        written(tmp_path, layout="state-dict")
    )


@pytest.mark.slow
def test_plans_of_one_seed_are_equal_and_of_two_are_not(tmp_path: Path) -> None:
    path = written(tmp_path)
    few: dict[str, object] = {"schemes": ("vq-logits", "ternary")}
    once = planned(path, **few)
    assert document(planned(path, **few)) == document(once)
    assert document(planned(path, jobs=2, **few)) == document(once)
    other = {trial.name: trial.sha256 for trial in planned(path, seed=1, schemes=("ternary",)).trials}
    assert other["trunk-ternary"] != next(trial.sha256 for trial in once.trials if trial.name == "trunk-ternary")


def test_what_a_synthetic_plan_says(tmp_path: Path) -> None:
    path = written(tmp_path)
    plan = planned(path, settings={"vocabulary": 1024}, schemes=("scalar",))
    found = plan_json(plan)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["source"] == {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256}
    inputs = found["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["model_file"] == {"path": str(path), "sha256": sha256, "settings": {"vocabulary": 1024}}
    assert found["preview"] is None
    assert "never trained" in plan.notes[0]
    assert "independent Gaussian weights" in plan.notes[0]
    assert "modelled at most" in plan.verdict.reasons[-1] or any("modelled at most" in r for r in plan.verdict.reasons)
    assert "synthetic weights of a model file, seed 0" in table(plan)
    assert "golfbudget plan CHECKPOINT" in str(plan.verdict) or plan.verdict.winner.value != "undecided"


def test_a_shipped_model_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = named_model(Path("sp8192"))
    assert named is not None
    assert named.file == configs.find("models", "sp8192")
    # A file of that name is what a path has always meant.
    (tmp_path / "sp8192").write_bytes(b"")
    assert named_model(Path("sp8192")) is None
    assert named_model(Path("model.safetensors")) is None


def test_bytes_that_depend_on_training_are_said_to() -> None:
    source = prepare(PlanRequest(path=Path("baseline"), cap=1, settings={"layers": 2, "vocabulary": 256})).source
    assert any(note.startswith("bytes depend on training: rule ") for note in source.notes)


@pytest.mark.parametrize("option", ["model", "tokens"])
def test_there_is_nothing_trained_to_measure(tmp_path: Path, option: str) -> None:
    given = {"model": "builtin:baseline"} if option == "model" else {"tokens": tmp_path / "text.safetensors"}
    message = refused(written(tmp_path), **given)
    assert f"--{option}" in message
    assert "nothing trained to measure" in message


def test_settings_are_for_model_files(tmp_path: Path) -> None:
    assert "--set width" in refused(save(tmp_path, repeated_rows_model()), settings={"width": 8})
    assert "'depths'" in refused(written(tmp_path), settings={"depths": 8})


def test_packing_notices_a_changed_model_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    plan = saved(tmp_path, planned(path, schemes=("ternary",)))
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(UsageError, match="changed since the plan was made"):
        write_candidate(plan, "baseline")


def test_packing_notices_a_changed_recipe_beside_it(tmp_path: Path) -> None:
    plan = saved(tmp_path, planned(written(tmp_path), schemes=("ternary",)))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(recipe.read_text().replace("bits = 6", "bits = 5"))
    with pytest.raises(UsageError, match="a base or recipe that the model file names has changed"):
        write_candidate(plan, "baseline")


def test_a_saved_plan_and_its_model_file_move_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    written(old)
    monkeypatch.chdir(old)
    plan = planned(Path("small.toml"), schemes=("ternary",))
    saved(old, plan)
    old.rename(new)
    monkeypatch.chdir(tmp_path)
    assert len(write_candidate(new / "plan.json", "baseline")) == plan.baseline.artifact.size


@pytest.mark.slow
def test_a_preview_writes_every_file_by_its_codec_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path)
    plan = planned(path, preview="zstd-3", schemes=("scalar", "vq-logits", "repack"))
    source = prepare(PlanRequest(path=path, cap=1, preview="zstd-3")).source
    import zstandard

    container = container_bytes(source.export, source.recipe)
    file = saved(tmp_path, plan)
    assert zstandard.decompress(write_candidate(file, "baseline")) == container
    assert [layer.name for layer in plan.baseline.artifact.layers if layer.kind == "codec"] == ["zstd"]
    data = write_candidate(file, "head-int5")
    assert data[:4] == b"\x28\xb5\x2f\xfd"
    trial = plan.trial("head-int5")
    assert trial is not None
    assert hashlib.sha256(data).hexdigest() == trial.sha256
    assert plan_json(plan)["preview"] == "zstd-3"
    assert not [trial for trial in plan.trials if trial.candidate.scheme == "repack"]
    assert any(r.startswith("bytes are those of a preview codec, zstd-3") for r in plan.verdict.reasons)
    assert "preview: every file is written by zstd-3 instead of the recipe's zlib-6" in table(plan)
    assert plan_json(planned(path))["preview"] is None


@pytest.mark.slow
def test_a_checkpoint_and_an_artifact_are_previewed_too(tmp_path: Path) -> None:
    path = save(tmp_path, repeated_rows_model())
    plain = planned(path, schemes=("repack",))
    quick = planned(path, preview="zstd-22", schemes=("ternary",))
    again = plain.trial("lossless-zstd-22")
    assert again is not None
    # The recipe's container through that codec is what the lossless packing writes.
    assert quick.baseline.artifact.size == again.artifact_bytes
    artifact = tmp_path / "model.ptz"
    artifact.write_bytes(write_candidate(saved(tmp_path, plain), "baseline"))
    found = planned(artifact, preview="zstd-22", schemes=("ternary",))
    assert found.baseline.artifact.size == again.artifact_bytes


def test_previews_that_there_are_not(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert parse_preview("xz-6") == Preview("xz", 6)
    assert "known codecs: " in refused(path, preview="zstd")
    assert "known codecs: " in refused(path, preview="gzap-3")
    assert "zstd takes levels -5 to 22" in refused(path, preview="zstd-40")
    assert parse_preview("zstd--5") == Preview("zstd", -5)
    assert "known codecs: " in refused(path, preview="zstd-fast")


def test_the_command_takes_both(tmp_path: Path) -> None:
    path = written(tmp_path)
    command = ["plan", str(path), "--set", "vocabulary=256", "--preview", "zstd-3", "--schemes", "ternary"]
    result = CliRunner().invoke(app, [*command, "--no-cache", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["preview"] == "zstd-3"
    assert found["inputs"]["model_file"]["settings"] == {"vocabulary": 256}


@given(
    rows=st.integers(1, 40), codes=st.integers(1, 12), width=st.integers(1, 6), seed=st.integers(0, 999),
    scale=st.sampled_from([2.0**-20, 1.0, 2.0**20]), levels=st.sampled_from([2, 4, 4096]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_nearest_code_is_that_of_summed_squares_and_ties_go_to_the_lower(
    rows: int, codes: int, width: int, seed: int, scale: float, levels: int
) -> None:
    """Coarse values make ties, which a product alone may break either way; powers of two keep the sums here exact."""
    generator = torch.Generator().manual_seed(seed)
    matrix, book = (scale * (torch.randint(0, levels, (n, width), generator=generator) / levels) for n in (rows, codes))
    expected = [
        min(range(codes), key=lambda c: (float((row - book[c].double()).square().sum()), c)) for row in matrix.double()
    ]
    assert nearest(matrix, book).tolist() == expected


def test_a_file_opened_without_pricing_holds_the_same(tmp_path: Path) -> None:
    data = write_candidate(saved(tmp_path, planned(written(tmp_path), schemes=("ternary",))), "trunk-ternary")
    priced, plain = open_bytes(data, name="x"), open_bytes(data, name="x", priced=False)
    assert sum(part.stored_bits for part in priced.parts) == 8 * len(data)
    assert plain.parts == ()
    assert (plain.values, plain.tensors, plain.layers) == (priced.values, priced.tensors, priced.layers)


@pytest.mark.slow
def test_the_weights_do_not_depend_on_threads(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert document(planned(path, schemes=("scalar",))) == document(planned(path, schemes=("scalar",)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
