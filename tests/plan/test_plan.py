"""Plans without a model to run: constructed truths, sources of both kinds, and refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from support.command_line import Run
from support.models import WIDTH, repeated_rows_model, save, ternary_trunk_model

from golfbudget import example
from golfbudget.cache import default_folder
from golfbudget.errors import GolfbudgetError, UsageError
from golfbudget.evidence import Evidence
from golfbudget.plan.plan_json import candidate_of, load_plan, plan_json
from golfbudget.plan.plan_json import saved as saved_plan
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Answer, Plan, Winner
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.plan.trials import EQUAL_ERROR, Side
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import quantise


def planned(path: Path, **changes: object) -> Plan:
    """A plan whose files are taken from the tests' cache where another test had the same ones written."""
    choices = {"cap": 16_000_000, "cache": default_folder(), **changes}
    return make_plan(PlanRequest(path=path, **choices))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(save(tmp_path_factory.mktemp("repeated"), repeated_rows_model()))


@pytest.fixture(scope="module")
def ternary(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(save(tmp_path_factory.mktemp("ternary"), ternary_trunk_model()))


@pytest.mark.slow
def test_a_head_of_repeated_rows_is_won_by_vq(repeated: Plan) -> None:
    """64 well-separated rows under noise just below half an int8 step, above a random trunk."""
    assert (repeated.vq.answer, repeated.verdict.winner) == (Answer.YES, Winner.HEAD)
    assert repeated.vq.best == repeated.verdict.best_head == "head-vq64-shared"
    assert repeated.verdict.evidence is Evidence.EQUAL_ERROR
    # The recipe stores about 4.5 bits for each of 131,072 values; 64 fp16 rows and a six-bit map are 17 kB.
    assert repeated.vq.margin_bytes == repeated.verdict.margin_bytes
    assert 60_000 < (repeated.vq.margin_bytes or 0) < 75_000


@pytest.mark.slow
def test_a_trunk_of_three_values_is_won_by_the_trunk(ternary: Plan) -> None:
    """Rows of -s, 0 and +s under the same noise, under a random dense head."""
    assert (ternary.vq.answer, ternary.verdict.winner) == (Answer.NO, Winner.TRUNK)
    assert ternary.verdict.best_trunk == "trunk-ternary-packed"
    assert ternary.vq.margin_bytes is not None
    assert -40_000 < ternary.vq.margin_bytes < -28_000
    assert 28_000 < (ternary.verdict.margin_bytes or 0) < 40_000
    assert "untrained" in ternary.vq.reason


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_the_truths_do_not_depend_on_the_noise(tmp_path: Path, seed: int) -> None:
    head = planned(save(tmp_path, repeated_rows_model(seed), "h.safetensors"), schemes=("vq-logits", "scalar"))
    assert (head.vq.answer, head.verdict.winner) == (Answer.YES, Winner.HEAD)
    trunk = planned(save(tmp_path, ternary_trunk_model(seed), "t.safetensors"))
    assert (trunk.vq.answer, trunk.verdict.winner) == (Answer.NO, Winner.TRUNK)


@pytest.mark.slow
def test_the_equal_error_rule_lets_pass_what_it_says(repeated: Plan, ternary: Plan) -> None:
    for plan in (repeated, ternary):
        for trial in plan.trials:
            quality = trial.quality
            if quality.evidence is Evidence.EQUAL_ERROR:
                assert quality.error_ratio is not None
                assert quality.error_ratio <= EQUAL_ERROR
                assert quality.worst_row is not None
            elif quality.evidence is Evidence.MODELLED:
                assert quality.error_ratio is not None
                assert quality.error_ratio > EQUAL_ERROR


@pytest.mark.slow
def test_savings_are_differences_of_real_files(repeated: Plan) -> None:
    baseline = repeated.baseline.artifact.size
    for trial in repeated.trials:
        assert trial.saved_bytes == baseline - trial.artifact_bytes - trial.decoder_bytes
    counted = [trial.counted_bytes for trial in repeated.trials]
    assert counted == sorted(counted)
    assert {t.candidate.name for t in repeated.trials if t.candidate.side is Side.LOSSLESS} == {
        "lossless-zstd-22",
        "lossless-xz-9",
        "lossless-brotli-11",
    }


@pytest.mark.slow
def test_a_tied_head_kept_dense_on_the_input_side_adds_bytes(repeated: Plan) -> None:
    dense = [trial for trial in repeated.trials if trial.candidate.input_side == "dense"]
    assert dense
    assert all(trial.saved_bytes < 0 for trial in dense)
    assert all(trial.loser == "tying" for trial in dense)
    (tying,) = [certificate for certificate in repeated.certificates if certificate.name == "tying"]
    assert tying.value == min(-trial.saved_bytes for trial in dense)


@pytest.mark.slow
def test_structure_that_beats_the_ceiling_is_reported_and_the_ceiling_prunes_nothing(
    repeated: Plan, ternary: Plan
) -> None:
    names = [certificate.name for certificate in repeated.certificates]
    assert "vq-ceiling:tok_emb.weight" in names
    assert any(name.startswith("structure-found:head-vq") for name in names)
    assert not any(c.name.startswith("structure-found") for c in ternary.certificates)
    for plan in (repeated, ternary):
        ceiling = next(c for c in plan.certificates if c.name.startswith("vq-ceiling"))
        assert (ceiling.evidence, ceiling.unit) == ("modelled", "bytes")
        assert {trial.loser for trial in plan.trials} <= {None, "tying"}


@pytest.mark.slow
def test_every_head_has_its_rank_bound_and_nothing_else_has_one(repeated: Plan) -> None:
    bounds = {trial.name: trial.rank_bound for trial in repeated.trials}
    for trial in repeated.trials:
        assert (trial.rank_bound is not None) == (trial.candidate.side is Side.HEAD)
    assert (bounds["head-int6"], bounds["head-vq64-shared"]) == (WIDTH, 64)
    factors = next(trial for trial in repeated.trials if trial.candidate.scheme == "factorised")
    assert factors.rank_bound == factors.candidate.options["rank"]


def test_an_untied_head_is_replaced_alone(tmp_path: Path) -> None:
    tensors = repeated_rows_model()
    tensors["lm_head.weight"] = tensors.pop("tok_emb.weight")
    tensors["tok_emb.weight"] = torch.randn(1024, 128, generator=torch.Generator().manual_seed(9))
    plan = planned(save(tmp_path, tensors), schemes=("vq-logits", "scalar"))
    assert plan.tied is False
    assert not any(certificate.name == "tying" for certificate in plan.certificates)
    assert "head-vq32" in {trial.candidate.name for trial in plan.trials}
    assert plan.vq.answer is Answer.YES
    (best,) = [t for t in plan.trials if t.candidate.name == plan.vq.best]
    assert best.candidate.owners == ("lm_head.weight",)


@pytest.mark.slow
def test_over_a_cap_only_one_candidate_meets(tmp_path: Path, repeated: Plan) -> None:
    best = repeated.trial("head-vq64-shared")
    assert best is not None
    path = save(tmp_path, repeated_rows_model())
    plan = planned(path, cap=best.counted_bytes, schemes=("vq-logits", "scalar"))
    assert plan.baseline.budget.fits is False
    assert (plan.verdict.winner, plan.verdict.best_head) == (Winner.HEAD, "head-vq64-shared")
    assert plan.vq.answer is Answer.YES
    with_code = planned(path, cap=best.counted_bytes, code_bytes=1, schemes=("vq-logits",))
    assert with_code.verdict.winner is not Winner.HEAD or with_code.verdict.best_head != "head-vq64-shared"
    nothing = planned(path, cap=1000, schemes=("vq-logits",))
    assert nothing.verdict.winner is Winner.NONE


@pytest.mark.slow
def test_a_plan_from_an_artifact_recognises_its_recipe(tmp_path: Path) -> None:
    path = tmp_path / "final_model.int8.ptz"
    path.write_bytes(artifact_bytes(quantise(repeated_rows_model(), load_recipe()), load_recipe()))
    plan = planned(path, schemes=("scalar", "vq-logits"))
    assert plan.baseline.artifact.size == path.stat().st_size
    assert plan.inputs.recipe == "int8-zlib"
    int8 = plan.trial("head-int8")
    assert int8 is not None
    # The artifact's matrix already is int8: its own values come back, which costs nothing.
    assert int8.quality.evidence is Evidence.EQUAL_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["none", "xz", "zstd", "brotli", "gzip", "bz2"])
def test_an_artifact_in_another_codec_is_planned_in_that_codec(tmp_path: Path, codec: str) -> None:
    from golfbudget import codecs
    from golfbudget.plan.source import replace_codec

    recipe = replace_codec(load_recipe(), codec, codecs.get(codec).default_level)
    path = tmp_path / "final_model.ptz"
    path.write_bytes(artifact_bytes(quantise(repeated_rows_model(), recipe), recipe))
    plan = planned(path, schemes=("ternary",))
    assert plan.baseline.artifact.size == path.stat().st_size


@pytest.mark.slow
def test_packed_candidates_have_the_counted_bytes_and_the_judged_matrices(tmp_path: Path, repeated: Plan) -> None:
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(repeated)), encoding="utf-8")
    reference = repeated_rows_model()
    dense = next(trial.name for trial in repeated.trials if trial.name.endswith("-dense"))
    for name in ("head-vq64-shared", dense, "trunk-ternary-packed", "head-int5", "lossless-brotli-11"):
        trial = repeated.trial(name)
        assert trial is not None
        data = write_candidate(saved, name)
        assert len(data) == trial.artifact_bytes
        decoded = read_back(data, name).state
        worst = trial.quality.worst_row
        if worst is not None:
            matrix = reference.get(worst.owner, reference["tok_emb.weight"]).double()
            error = (decoded[worst.owner].double() - matrix).square().sum(1) / matrix.square().sum(1)
            assert float(error[worst.row]) == pytest.approx(worst.relative_error, rel=1e-3)
            assert int(error.argmax()) == worst.row
    assert len(write_candidate(saved, "baseline")) == repeated.baseline.artifact.size


def test_a_plan_whose_source_changed_packs_nothing(tmp_path: Path) -> None:
    path = save(tmp_path, repeated_rows_model())
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(planned(path, schemes=("ternary",)))), encoding="utf-8")
    assert load_plan(saved).candidates[0].name
    with pytest.raises(UsageError, match=r"no candidate is called 'head-int3'; known: baseline, trunk-ternary"):
        write_candidate(saved, "head-int3")
    save(tmp_path, ternary_trunk_model())
    with pytest.raises(UsageError, match="changed since the plan was made"):
        write_candidate(saved, "baseline")
    path.unlink()
    with pytest.raises(UsageError, match="is not there"):
        write_candidate(saved, "baseline")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"codec": "brotli"}, {"codec": "zip", "level": 1}, {"codec": "zlib", "level": 10**12},
                {"codec": "zlib", "level": "9"}, {"codec": 5, "level": 5}],
)  # fmt: skip
def test_a_saved_repacking_that_no_codec_does_is_refused(
    tmp_path: Path, repeated: Plan, options: dict[str, object]
) -> None:
    made: Any = plan_json(repeated)
    (trial,) = (one for one in made["candidates"] if one["name"] == "lossless-brotli-11")
    trial["options"] = options
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(UsageError, match=r"candidate lossless-brotli-11: codec .* is none that is known here"):
        write_candidate(saved, "lossless-brotli-11")


def test_bytes_that_are_no_text_are_no_saved_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b'{"schema": "\xff"}')
    with pytest.raises(UsageError, match=r"plan\.json: not a plan saved by"):
        load_plan(tmp_path / "plan.json")


@pytest.mark.slow
def test_a_saved_plan_reads_as_what_was_written(tmp_path: Path, repeated: Plan) -> None:
    path, document = tmp_path / "plan.json", plan_json(repeated)
    path.write_text(json.dumps(document), encoding="utf-8")
    found = load_plan(path)
    assert json.dumps(msgspec.to_builtins(found)) == json.dumps(document)
    assert found == saved_plan(repeated)
    assert [candidate_of(trial) for trial in found.candidates] == [trial.candidate for trial in repeated.trials]


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "golfbudget/inspect/1"}', "[1]", "\x00"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    saved = tmp_path / "plan.json"
    saved.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="not a plan saved by"):
        load_plan(saved)


def refused(tmp_path: Path, tensors: dict[str, torch.Tensor], **changes: object) -> str:
    with pytest.raises(GolfbudgetError) as caught:
        planned(save(tmp_path, tensors), **changes)
    return str(caught.value)


def test_sources_that_cannot_be_planned_say_why(tmp_path: Path) -> None:
    weight = torch.randn(8, 4)
    assert "no tensor is named like an output head" in refused(tmp_path, {"blocks.0.w": weight})
    several = {"lm_head.weight": weight, "head.weight": weight.clone()}
    assert "several matrices could be the head: head.weight, lm_head.weight" in refused(tmp_path, several)
    turned = {"tok_emb.weight": weight, "lm_head.weight": weight.t().contiguous()}
    assert "lm_head.weight [4, 8] has a column for every row of tok_emb.weight [8, 4]" in refused(tmp_path, turned)
    quantised = {"tok_emb.weight.q": torch.zeros(4, 4, dtype=torch.int8)}
    assert "in a layout not known to planning" in refused(tmp_path, quantised)
    bad = repeated_rows_model()
    bad["tok_emb.weight"][3, 5] = float("nan")
    assert "row 3, column 5" in refused(tmp_path, bad)
    assert "no recipes file is called 'nope'" in refused(tmp_path, repeated_rows_model(), recipe="nope")


def test_what_opening_left_open_is_a_note_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    plan = planned(save(tmp_path, repeated_rows_model()), schemes=("scalar",))
    assert any(note.startswith("config.json was not used: not valid JSON") for note in plan.notes)


def test_a_head_that_repeats_its_table_is_said(tmp_path: Path) -> None:
    model = repeated_rows_model()
    plan = planned(save(tmp_path, {**model, "lm_head.weight": model["tok_emb.weight"].clone()}), schemes=("scalar",))
    assert any(note.startswith("lm_head.weight repeats tok_emb.weight") for note in plan.notes)


def test_choices_that_contradict_each_other_are_refused_at_once(tmp_path: Path) -> None:
    model = repeated_rows_model()
    assert "--model builtin:nope: known models are" in refused(tmp_path, model, model="builtin:nope")
    assert "does nothing without --model hf" in refused(tmp_path, model, trust_remote_code=True)
    assert "needs --tokens FILE" in refused(tmp_path, model, model="builtin:baseline")
    counts = save(tmp_path, {"counts": torch.ones(5, dtype=torch.int64)}, "counts.safetensors")
    assert "expected integer token counts [1024]" in refused(tmp_path, model, counts=counts)
    for price in (-1.0, 0.0, math.inf, math.nan):
        assert f"--price {price:g}: expected µbpb per kilobyte" in refused(tmp_path, model, price=price)
    assert "--token-limit 5 does nothing without --tokens" in refused(tmp_path, model, token_limit=5)
    with pytest.raises(UsageError, match="leave out --recipe"):
        planned(example.ARTIFACT, recipe="int8-zlib")


@pytest.mark.slow
def test_plan_json_and_table_from_the_command_line(tmp_path: Path, golfbudget: Run) -> None:
    path = save(tmp_path, repeated_rows_model())
    saved = tmp_path / "plan.json"
    arguments = ("plan", path, "--schemes", "vq-logits,ternary", "--format", "json")
    done = golfbudget(*arguments, "-o", saved)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    plan = json.loads(saved.read_text(encoding="utf-8"))
    assert plan["schema"] == "golfbudget/plan/1"
    # The control was left out, so VQ cannot be said to beat it.
    assert plan["vq"]["answer"] == "undecided"
    assert "no scalar control was tried" in plan["vq"]["reason"]
    assert golfbudget(*arguments).stdout == saved.read_text(encoding="utf-8")
    table = golfbudget("plan", path, "--schemes", "vq-logits,ternary").stdout
    assert "does a VQ-Logits head win? undecided" in table
    assert "lossless: no other packing was tried" in table
    packed, decoded = tmp_path / "vq.ptz", tmp_path / "vq.safetensors"
    done = golfbudget("pack", saved, "--candidate", "head-vq64-shared", "-o", packed)
    assert done.returncode == 0, done.stderr
    (candidate,) = [c for c in plan["candidates"] if c["name"] == "head-vq64-shared"]
    assert packed.stat().st_size == candidate["artifact_bytes"]
    assert golfbudget("unpack", packed, "-o", decoded, "-q").stderr == ""
    from safetensors.torch import load_file

    loaded = load_file(decoded)
    assert loaded.keys() == repeated_rows_model().keys()
    assert all(torch.equal(loaded[k], v) for k, v in read_back(packed.read_bytes(), "x").state.items())
    wrong = golfbudget("plan", path, "--schemes", "vq")
    assert wrong.returncode == 2
    assert "no scheme is called 'vq'; known: " in wrong.stderr
