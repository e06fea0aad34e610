"""The page about trained heads says what its result files say; and what is proved of a map holds for every run."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import msgspec
import pytest

from golfbudget.example.heads.arms import ARMS, BY_NAME
from golfbudget.example.heads.runs import REFERENCE, runs
from golfbudget.study.__main__ import main
from golfbudget.study.comparing import DENSE, SCALES, ArmSide, Study, verdict
from golfbudget.study.figure import digest_of, points
from golfbudget.study.measuring import LADDERS
from golfbudget.study.page import parts, rewritten
from golfbudget.study.results import RunResult, bits_per_byte, load
from golfbudget.study.tables import answer, missing

FOLDER = Path(__file__).parents[2] / "docs" / "studies"
PAGE = FOLDER / "trained-heads.md"
STUDY = Study(results=load(FOLDER / "results"))
EACH = pytest.mark.parametrize("result", STUDY.results, ids=lambda result: result.name)


def test_there_are_results() -> None:
    assert {"1024-dense-tied-1", "1024-vq-2-nearest-1"} <= {result.name for result in STUDY.results}


def test_the_page_is_what_its_results_make_of_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert rewritten(text, STUDY, str(PAGE)) == text
    marks = re.findall(r"^<!-- ([a-z0-9-]+) -->$", text, re.MULTILINE)
    assert sorted(marks[::2]) == sorted(parts(STUDY))
    assert set(marks[1::2]) == {"end"}


@pytest.mark.slow
def test_the_first_paragraph_is_the_answer_and_follows_the_results() -> None:
    told = answer(STUDY)
    assert PAGE.read_text(encoding="utf-8").split("<!-- end -->")[0].strip().endswith(told)
    # As if every VQ head lost so much less than the dense one in every block, and other heads as much.
    better = [_beside_dense(result, -0.1 if result.kind == "vq" else 0.0) for result in STUDY.results]
    known = answer(Study(results=better))
    assert "best head of its counted bytes, of those run, at 60,000, 85,000, 120,000 and 170,000 bytes" in known
    dense = next(r for r in STUDY.results if (r.scale, r.arm) == ("1024", DENSE))
    assert f"the dense tied model has {min(map(_least_bits, SCALES)):.1f} to " in known
    whole = [
        *better,
        *(msgspec.structs.replace(dense, arm=arm.name) for arm in ARMS if STUDY.of("1024", arm.name) is None),
    ]
    assert "best head of its counted bytes at 60,000" in answer(
        Study(results=[result for result in whole if result.scale == "1024"])
    )
    alone = [result for result in better if result.arm == DENSE or result.kind == "vq"]
    assert "are not run yet" in answer(Study(results=alone))
    worse = [_beside_dense(result, 0.1 if result.kind == "vq" else 0.0) for result in STUDY.results]
    assert answer(Study(results=worse)).startswith("Nowhere yet is a trained VQ head shown to be the best")
    assert "does not beat the dense tied head anywhere" in answer(Study(results=worse))
    assert len({told, answer(Study(results=better)), answer(Study(results=worse))}) == 3


def test_the_page_on_plans_says_of_training_what_was_found() -> None:
    page = (PAGE.parent.parent / "plan.md").read_text(encoding="utf-8")
    assert "would have two bits a weight or fewer; above, the dense tied head does as well or better" in page
    dense = STUDY.of("8192", DENSE)
    assert dense is not None
    for budget in LADDERS["8192"]:
        found, other = (STUDY.best("8192", budget, side) for side in (ArmSide.VQ, ArmSide.OTHER))
        assert found is not None
        assert other is not None
        few = round(8 * budget / dense.parameters, 1) <= 2.0
        moved = STUDY.spread("8192", budget, found.result.arm, DENSE)
        assert (verdict(found, moved) == "wins") == few
        assert not few or found.interval.delta < other.interval.delta


def _least_bits(scale: str) -> float:
    dense = next(r for r in STUDY.results if (r.scale, r.arm) == (scale, DENSE))
    return 8 * min(LADDERS[scale]) / (dense.head_parameters + dense.trunk_parameters)


def _beside_dense(result: RunResult, more: float) -> RunResult:
    """The result with the dense tied run's losses, and nats a byte more."""
    dense = STUDY.of(result.scale, DENSE, result.seed)
    files = []
    for file in result.files:
        base = dense and dense.at(file.budget)
        nats = [own + more * size for own, size in zip((base or file).nats, result.block_bytes, strict=True)]
        files.append(msgspec.structs.replace(file, nats=nats))
    return msgspec.structs.replace(result, files=files)


def test_the_figure_is_of_these_results() -> None:
    svg = PAGE.with_suffix(".svg").read_text(encoding="utf-8")
    assert f"points {digest_of(points(STUDY))}" in svg
    assert svg.startswith("<svg")


def test_what_is_missing_is_said_and_nothing_else() -> None:
    told = missing(STUDY)
    for scale in SCALES:
        line = next((line for line in told.splitlines() if f"vocabulary {int(scale):,}: `" in line), "")
        assert set(re.findall(r"`([a-z0-9-]+)`", line)) == {
            arm.name for arm in ARMS if f"{scale}-{arm.name}-1" not in {result.name for result in STUDY.results}
        }
    assert ("--only reference" in told) == all(result.scale != REFERENCE for result in STUDY.results)


@EACH
def test_a_result_is_of_a_run_of_the_study(result: RunResult) -> None:
    assert result.scale in LADDERS
    assert result.arm in BY_NAME
    known = {run.name: run for run in runs()}
    if result.name in known:
        at = known[result.name].at
        assert result.facts["training_tokens"] == at.schedule.tokens
        assert result.vocabulary == at.sizes.vocabulary
    facts = result.facts
    assert {"text", "licence", "tokenizer_sha256", "training_text_sha256", "held_out_sha256", "torch", "seed"} <= set(
        facts
    )


@EACH
def test_a_file_is_within_its_budget_and_its_parts_sum_to_it(result: RunResult) -> None:
    assert [file.budget for file in result.files] == sorted(
        set(LADDERS[result.scale]) & {f.budget for f in result.files}
    )
    for file in result.files:
        assert file.counted_bytes <= file.budget
        assert file.counted_bytes == file.file_bytes + file.loader_bytes + file.structure_bytes
        own = file.head_bytes + file.input_bytes + file.trunk_bytes + file.container_bytes
        assert own == file.file_bytes
        assert min(file.head_bytes, file.trunk_bytes, file.container_bytes) > 0
        assert (file.structure_bytes > 0) == (result.kind != "dense")
        assert math.isclose(file.bits_per_byte, bits_per_byte(file.nats, result.block_bytes), abs_tol=1e-6)


@EACH
def test_tie_floors_hold_before_rounding_and_in_every_file(result: RunResult) -> None:
    if not BY_NAME[result.arm].is_vq:
        assert result.ties is None
        return
    assert result.ties is not None
    assert result.ties.codes < result.vocabulary
    assert result.ties.floor > 0
    for nats in (result.nats, *(file.nats for file in result.files)):
        assert sum(nats) / result.held_out_tokens >= result.ties.floor


@EACH
def test_runs_that_are_compared_have_one_text_and_one_budget_of_tokens(result: RunResult) -> None:
    first = STUDY.of(result.scale, DENSE, result.seed)
    if first is not None:
        for fact in ("training_text_sha256", "held_out_sha256", "tokenizer_sha256", "training_tokens"):
            assert result.facts[fact] == first.facts[fact]
        assert result.block_bytes == first.block_bytes


def test_results_are_small() -> None:
    for path in (FOLDER / "results").glob("*.json"):
        assert path.stat().st_size < 40_000
        assert json.loads(path.read_bytes())["schema"].startswith("golfbudget/trained-heads/")


def test_the_programs_of_the_study_refuse_what_they_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1024-vq-4-1.json").write_text("{}")
    options = ["--out", str(tmp_path / "out"), "--trained", "--minutes", "0"]
    with pytest.raises(SystemExit) as ended:
        main([*options, "--results", str(tmp_path), "--page", str(PAGE)])
    assert ended.value.code == 2
    assert "1024-vq-4-1.json: no result of the study" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*options, "--seeds", "1,x"])
    assert ended.value.code == 2
    assert "--seeds: expected whole numbers with commas between, as 1,2; found '1,x'" in capsys.readouterr().err
