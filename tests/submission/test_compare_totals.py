"""`golfbudget compare` of what has no model to read: submissions by logs and claims, and saved `check` reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run
from support.standins import log_text, submission

import golfbudget as gb
from golfbudget import example
from golfbudget.errors import CorruptError, UnsupportedError, UsageError

CODE = "x = 1\n"
TOTAL = "seed:1\nTotal submission size int8+zlib: 15000006 bytes\n"


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    return submission(tmp_path / "logged", {"train_gpt.py": CODE, "train.log": log_text(code=6, model=15_000_000)})


@pytest.fixture
def claimed(tmp_path: Path) -> Path:
    claims = json.dumps({"bytes_total": 15_500_012, "bytes_code": 12})
    return submission(tmp_path / "claimed", {"train_gpt.py": CODE * 2, "submission.json": claims})


def saved(folder: Path, **change: object) -> Path:
    """The report that `check` saves of a folder, with some of its fields changed."""
    report = gb.check(folder).to_dict() | change
    path = folder.parent / "check.json"
    path.write_text(json.dumps(report))
    return path


def parts(found: gb.CompareResult) -> dict[str, tuple[int, int]]:
    return {one.row.owner: (one.amount.base_bytes, one.amount.new_bytes) for one in found.comparison.changes}


def test_two_submissions_without_a_model_are_compared_by_their_totals(
    golfbudget: Run, logged: Path, claimed: Path
) -> None:
    found = gb.compare(logged, claimed, fail_on=["total>+500kB", "code>+5"])
    assert (found.total.base_bytes, found.total.new_bytes) == (15_000_006, 15_500_012)
    assert parts(found) == {"[model]": (15_000_000, 15_500_000), "[code beside the file]": (6, 12)}
    assert [gate.passed for gate in found.gates] == [False, False]
    done = golfbudget("compare", logged, claimed, "--fail-on", "total>16MB", environ={"COLUMNS": "200"})
    assert done.returncode == 0
    assert done.stdout.startswith("15,000,006 to 15,500,012 bytes, +500,006 (+3.3 %), as logged and claimed\n")
    assert "15,000,000 bytes and 6 bytes of code, logged\n" in done.stdout
    assert "15,500,000 bytes and 12 bytes of code, claimed\n" in done.stdout
    assert "note  totals are compared (base logged, new claimed); owners are not" in done.stdout
    data = json.loads(golfbudget("compare", logged, claimed, "--format", "json").stdout)
    assert [data[side]["known"] for side in ("base", "new")] == ["logged", "claimed"]
    assert data["base"]["sha256"] is data["base"]["parameters"] is None
    assert data["total"]["delta_bytes"] == sum(one["delta_bytes"] for one in data["owners"]) == 500_006


def test_a_saved_check_is_the_side_that_its_folder_is(logged: Path, claimed: Path) -> None:
    direct, from_report = gb.compare(logged, claimed), gb.compare(saved(logged), claimed)
    assert from_report.comparison.changes == direct.comparison.changes
    assert from_report.comparison.base.basis == "logged"
    assert from_report.comparison.base.report is not None


def test_bytes_that_nobody_knows_are_no_saving_without_a_word(golfbudget: Run, tmp_path: Path, logged: Path) -> None:
    empty = submission(tmp_path / "empty", {"train_gpt.py": "\n", "train.log": log_text(code=1, model=14_000_000)})
    note = "new may take other bytes: GB207 train_gpt.py: the program is empty"
    assert any(one.startswith(note) for one in gb.compare(logged, empty).comparison.notes)
    assert gb.compare(logged, saved(empty)).comparison.notes == gb.compare(logged, empty).comparison.notes
    assert not any("may take" in one for one in gb.compare(logged, logged).comparison.notes)
    model: dict[str, str | bytes] = {"train_gpt.py": CODE, "final_model.int8.ptz": example.ARTIFACT.read_bytes()}
    real, none = (
        submission(tmp_path / "real", model),
        submission(tmp_path / "none", {**model, "final_model.int8.ptz": b"x" * 99}),
    )
    done = golfbudget("compare", real, none, "--fail-on", "total>+0", environ={"COLUMNS": "200"})
    assert done.returncode == 0
    assert "new may take other bytes: GB402 final_model.int8.ptz has 99 bytes: a placeholder" in done.stdout


def test_a_side_of_totals_against_an_artifact(logged: Path) -> None:
    artifact = gb.compare(logged, example.ARTIFACT, new_code=10)
    size = example.ARTIFACT.stat().st_size
    assert parts(artifact) == {"[model]": (15_000_000, size), "[code beside the file]": (6, 10)}
    assert artifact.comparison.new.basis == "counted"
    without = gb.compare(logged, example.ARTIFACT)
    assert parts(without) == {"[model]": (15_000_000, size)}
    assert "code is left out: new counts none (--new-code FILE or SIZE)" in without.comparison.notes
    with pytest.raises(UsageError, match="needs the code of both sides"):
        gb.compare(logged, example.ARTIFACT, fail_on="total>+0")


def test_a_sum_of_code_and_model_is_compared_with_sums(tmp_path: Path, logged: Path) -> None:
    whole = submission(tmp_path / "whole", {"train_gpt.py": CODE, "train.log": TOTAL})
    report = gb.check(whole, convention="logged").to_dict()
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(report))
    found = gb.compare(path, logged, fail_on="total>+0")
    assert found.comparison.base.whole
    assert parts(found) == {"[code and model]": (15_000_006, 15_000_006)}
    assert found.passed
    assert "nor code apart from model" in found.comparison.notes[0]
    with pytest.raises(UsageError, match="gates on total work"):
        gb.compare(path, logged, fail_on="code>+0")
    with pytest.raises(UsageError, match="counts no code, and the other side is known by the sum"):
        gb.compare(path, example.ARTIFACT)
    assert gb.compare(path, example.ARTIFACT, new_code=7).total.new_bytes == example.ARTIFACT.stat().st_size + 7
    with pytest.raises(UsageError, match=r"--base-code: .* so the code counts already"):
        gb.compare(path, logged, base_code=7)


def test_what_cannot_be_compared_is_said(tmp_path: Path, logged: Path) -> None:
    with pytest.raises(UsageError, match=r"'head>.1' needs owners on both sides.*gates on total and code work"):
        gb.compare(logged, logged, fail_on="head>+1")
    nothing = submission(tmp_path / "nothing", {"train_gpt.py": CODE})
    with pytest.raises(UsageError, match=r"no model file.*as shipped it cannot be counted: no model bytes are known"):
        gb.compare(nothing, logged)
    unread = submission(tmp_path / "unread", {"submission.json": '{"bytes_total": 5}'})
    with pytest.raises(UsageError, match=r"no model file.*cannot be counted: expected the program"):
        gb.compare(unread, logged)
    other = submission(tmp_path / "other", {"notes.rst": "x"})
    with pytest.raises(UsageError, match=r"the folder holds no model file.*name the file itself$"):
        gb.compare(other, logged)


def _tally(**change: object) -> list[dict[str, Any]]:
    tally = {"total_bytes": 10, "code_bytes": 4, "model_bytes": 6, "other_bytes": 0, "claimed": True, "missing": None}
    return [{"path": "x", "conventions": {"shipped": tally | change}}]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema": "golfbudget/check/2"}, UnsupportedError, "schema 'golfbudget/check/2', this version reads"),
        ({"submissions": []}, UsageError, "with 0 submissions, expected one"),
        ({"submissions": _tally() * 2}, UsageError, "with 2 submissions, expected one"),
        ({"submissions": 3}, UsageError, "with no list of submissions"),
        ({"submissions": [{}]}, CorruptError, "fields are missing"),
        ({"submissions": [3]}, CorruptError, "fields are missing"),
        ({"submissions": _tally(total_bytes=None, missing="why")}, UsageError, "x has no total as shipped: why"),
        ({"submissions": _tally(code_bytes="4")}, CorruptError, "amounts are no numbers of bytes"),
        ({"submissions": _tally(code_bytes=-4)}, CorruptError, "amounts are no numbers of bytes"),
        ({"submissions": _tally(code_bytes=5)}, CorruptError, "owners do not sum to 10 bytes"),
    ],
)
def test_a_check_report_that_is_not_sound_is_refused(
    logged: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gb.compare(saved(logged, **change), logged)


def test_an_older_report_without_the_word_is_claimed_or_counted(logged: Path) -> None:
    assert gb.compare(saved(logged, submissions=_tally()), logged).comparison.base.basis == "claimed"
    counted = saved(logged, submissions=_tally(claimed=False))
    assert gb.compare(counted, logged).comparison.base.basis == "counted"
