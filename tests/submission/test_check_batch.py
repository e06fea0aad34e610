"""`golfbudget check` of many folders: a row each, whatever one of them holds, and one exit code for all."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import pytest
from support.command_line import Run
from support.standins import log_text, stand_in, submission

import golfbudget as gb
from golfbudget.code_packing import pack_code
from golfbudget.errors import UsageError
from golfbudget.rules import Convention, load_rules
from golfbudget.submission import batch, check_submission, packed_code
from golfbudget.submission.batch import Judgement, Known, Unchecked, check_all, known, verdict

MODEL = bytes(range(1, 256)) * 400
CODE = "x = 1\n"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """One of each kind, in the order of the verdicts."""
    claims = json.dumps({"bytes_total": 15_000_006, "bytes_code": 6})
    kinds: dict[str, dict[str, str | bytes]] = {
        "counted": {"train_gpt.py": CODE, "final_model.int8.ptz": MODEL},
        "logged": {"train_gpt.py": CODE, "train.log": log_text(code=6, model=15_000_000)},
        "claimed": {"train_gpt.py": CODE, "submission.json": claims},
        "over": {"train_gpt.py": CODE, "train.log": log_text(code=6, model=16_000_000)},
        "failed": {"train_gpt.py": CODE, "final_model.int8.ptz": b""},
        "undecided": {"train_gpt.py": CODE},
        "broken": {"train_gpt.py": CODE, "submission.json": "{"},
    }
    return {name: submission(tmp_path / name, files) for name, files in kinds.items()}


VERDICTS = {
    "counted": (Judgement.PASSED, Known.COUNTED),
    "logged": (Judgement.PASSED, Known.LOGGED),
    "claimed": (Judgement.PASSED, Known.CLAIMED),
    "over": (Judgement.OVER, Known.LOGGED),
    "failed": (Judgement.FAILED, Known.COUNTED),
    "undecided": (Judgement.UNDECIDED, None),
    "broken": (Judgement.ERROR, None),
}


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_folder_has_an_outcome_in_the_order_given(folders: dict[str, Path], jobs: int) -> None:
    found = check_all(list(folders.values()), load_rules(), jobs=jobs)
    told = {name: (verdict(one), known(one)) for name, one in zip(folders, found, strict=True)}
    assert told == VERDICTS


def test_the_table_has_a_row_of_each_with_its_reason(golfbudget: Run, folders: dict[str, Path], tmp_path: Path) -> None:
    done = golfbudget("check", *folders.values(), tmp_path / "nowhere", environ={"COLUMNS": "200"})
    assert done.returncode == 2
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines() if line.strip()}
    assert rows["counted"] == "– 102,006 passed counted"
    assert rows["logged"] == "15,000,006 15,000,006 passed logged"
    assert rows["claimed"].startswith("– 15,000,006 passed claimed")
    assert rows["over"] == "16,000,006 16,000,006 OVER logged over by 6"
    assert rows["failed"] == "– 6 FAILED counted GB402"
    assert rows["undecided"].startswith("– – UNDECIDED – no model bytes are known")
    assert rows["broken"].startswith("– – ERROR – submission.json: not valid JSON")
    assert rows["nowhere"] == "– – ERROR – expected a submission folder, found nothing"
    total = "8 submissions: 3 passed, 1 OVER, 1 FAILED, 1 UNDECIDED, 2 ERROR; passed as claimed 1, counted 1, logged 1"
    assert done.stdout.splitlines()[-1] == total
    assert "undecided: shipped cannot be counted" in done.stderr
    assert "(3 of 8 could not be judged)" in done.stderr
    assert "convention" not in done.stdout  # The reports are not printed.


def test_a_screen_of_80_columns_has_a_line_for_each_folder(golfbudget: Run, folders: dict[str, Path]) -> None:
    long = folders["over"].rename(folders["over"].parent / "2026-04-23_SP8192_CaseOps_SparseGate_PhasedTTT_FusedCE")
    programs = submission(long.parent / "two", {"train_1.py": "x", "train_2.py": "y", "train.log": log_text()})
    other = submission(long.parent / "none", {"README.md": "nothing", "train.log": log_text()})
    chosen = [folders["claimed"], long, folders["broken"], programs, other]
    lines = golfbudget("check", *chosen, environ={"COLUMNS": "80"}).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    start = next(number for number, line in enumerate(lines) if line.startswith("─")) + 1
    assert [" ".join(line.split()) for line in lines[start : start + len(chosen) + 1]] == [
        "claimed 15,000,006 passed claimed warns of GB304, GB505",
        "2026-04-23_S…TTT_FusedCE 16,000,006 OVER logged over by 6",
        "broken – ERROR – submission.json: not…",
        "two – UNDECIDED – 2 possible programs",
        "none – UNDECIDED – no program found",
        "not shown, the screen is too narrow: logged",
    ]


def test_a_narrow_screen_keeps_the_column_that_has_figures(golfbudget: Run, tmp_path: Path) -> None:
    """Without its program nothing of a submission is counted as shipped, and its log still says what it came to."""
    folder = submission(tmp_path / "logs-and-claims-of-one-record", {"train.log": log_text()})
    lines = golfbudget("check", folder, tmp_path / "nowhere", environ={"COLUMNS": "80"}).stdout.splitlines()
    (row,) = (line for line in lines if line.startswith("logs"))
    assert row.split()[1:3] == ["15,863,489", "UNDECIDED"]
    assert "not shown, the screen is too narrow: shipped *" in lines


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("counted", "logged"), 0),
        (("counted", "over"), 1),
        (("counted", "failed"), 1),
        (("over", "undecided"), 2),
        (("broken", "counted"), 2),
    ],
)
def test_one_exit_code_for_all(golfbudget: Run, folders: dict[str, Path], names: tuple[str, ...], code: int) -> None:
    chosen = [folders[name] for name in names]
    for output in ("table", "json", "markdown", "csv"):
        assert golfbudget("check", *chosen, "--format", output).returncode == code
    found = gb.check(*chosen)
    assert found.passed is (code == 0)
    assert (found.undecided is not None) is (code == 2)


def test_json_has_all_of_them(golfbudget: Run, folders: dict[str, Path]) -> None:
    done = golfbudget("check", *folders.values(), "--format", "json")
    found = json.loads(done.stdout)
    assert found["passed"] is False
    told = {Path(one["path"]).name: (one["verdict"], one["known"]) for one in found["submissions"]}
    assert told == VERDICTS
    broken = found["submissions"][-1]
    assert broken["error"].startswith(f"{folders['broken']}/submission.json: not valid JSON")
    assert not any("error" in one for one in found["submissions"][:-1])
    alone = json.loads(golfbudget("check", folders["over"], "--format", "json").stdout)
    assert alone["submissions"] == [one for one in found["submissions"] if one["path"] == str(folders["over"])]
    assert json.loads(gb.check(*folders.values()).to_json()) == found


def test_a_table_says_the_same_without_packing_what_nothing_hangs_on(tmp_path: Path) -> None:
    program = "# words\n" * 500 + "print(1)\n"
    length, model = len(program), 15_000_000
    packed = pack_code(program.encode(), name="train_gpt.py").length
    kinds: dict[str, tuple[dict[str, int], str, bool]] = {
        "agrees": ({"bytes_total": model + length}, "", False),
        "other": ({"bytes_total": model + length + 1}, "", False),
        "megabytes": ({}, f"Artifact: {(model + length) / 1e6:.2f} MB", False),
        "code": ({"bytes_code": packed}, "", True),
        "total": ({"bytes_total": model + packed}, "", True),
        "prose": ({}, f"Artifact: {(model + packed) / 2**20:.3f} MB", True),
        "over": ({}, "", True),
    }
    for name, (stated, readme, hangs) in kinds.items():
        weights = 16_000_000 - packed if name == "over" else model
        files: dict[str, str | bytes] = {
            "train_gpt.py": program,
            "train.log": log_text(code=length, model=weights),
            "submission.json": json.dumps(stated),
            "README.md": readme,
        }
        submission(tmp_path / name, files)
        full, short = (check_submission(tmp_path / name, load_rules(), packed=asked) for asked in (True, False))
        assert (short.packed is not None) is hangs, name
        assert (short.findings, short.matched) == (full.findings, full.matched)
        rows = [{**one.tallies, Convention.PACKED: None} for one in (full, short)]
        assert rows[0] == rows[1]
        assert hangs or "not packed" in short.tallies[Convention.PACKED].reason
    found = gb.check(*(tmp_path / name for name in kinds), packed=False)
    assert [one.packed is not None for one in found.submissions] == [hangs for _, _, hangs in kinds.values()]


def test_a_program_of_several_folders_is_packed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = "def once_for_all():\n    return 1\n"
    packing = Mock(wraps=pack_code)
    monkeypatch.setattr(packed_code, "pack_code", packing)
    made = [submission(tmp_path / str(n), {"train_gpt.py": source, "train.log": log_text()}) for n in range(3)]
    found = gb.check(*made, jobs=1)
    assert packing.call_count == 1
    assert len({one.packed for one in found.submissions}) == 1


def test_no_tree_of_a_program_travels_between_processes(folders: dict[str, Path]) -> None:
    assert check_submission(folders["logged"], load_rules()).code.programs == ()


def test_details_puts_every_report_under_the_table(golfbudget: Run, folders: dict[str, Path]) -> None:
    chosen = [folders[name] for name in ("counted", "over", "broken")]
    done = golfbudget("check", *chosen, "--details")
    assert [line for line in done.stdout.splitlines() if line.startswith("==")] == ["== counted ==", "== over =="]
    assert "FAILED: 16,000,006 of 16,000,000 bytes as shipped" in done.stdout


def test_csv_has_a_line_of_what_could_not_be_read(golfbudget: Run, folders: dict[str, Path]) -> None:
    text = golfbudget("check", folders["counted"], folders["broken"], "--format", "csv").stdout
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["convention"] for row in rows] == ["logged", "shipped", "packed", "folder", "shipped"]
    assert rows[-1]["total_bytes"] == rows[-1]["fits"] == ""


def test_strict_and_another_convention_are_in_the_table(golfbudget: Run, folders: dict[str, Path]) -> None:
    (folders["counted"] / "submission.json").write_text('{"bytes_total": 5}')
    both = (folders["counted"], folders["logged"])
    environ = {"COLUMNS": "200"}
    assert "passed   counted  warns of GB304" in golfbudget("check", *both, environ=environ).stdout
    strict = golfbudget("check", *both, "--strict", environ=environ)
    assert strict.returncode == 1
    assert "FAILED   counted  GB304" in strict.stdout
    heading = golfbudget("check", *both, "--convention", "packed", environ=environ).stdout.splitlines()[2].split()
    assert heading == ["submission", "logged", "shipped", "packed", "*", "verdict", "known", "reason"]


def test_one_folder_that_cannot_be_read_is_an_error_as_ever(folders: dict[str, Path]) -> None:
    with pytest.raises(gb.GolfbudgetError, match="not valid JSON"):
        gb.check(folders["broken"])


def test_a_fault_in_one_folder_does_not_lose_the_others(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    raised = [PermissionError(13, "Permission denied", "/x/train.log"), RecursionError("too deep"), UsageError("why")]
    monkeypatch.setattr(batch, "check_submission", Mock(side_effect=raised))
    found = check_all([folders["over"]] * 3, load_rules(), jobs=1)
    errors = [one.error for one in found if isinstance(one, Unchecked)]
    assert errors[0] == "/x/train.log: cannot be read: Permission denied"
    assert errors[1] == f"{folders['over']}: golfbudget fails on it, which is a fault: RecursionError: too deep"
    assert errors[2] == "why"


def test_progress_is_told_of_every_folder(folders: dict[str, Path]) -> None:
    told: list[tuple[str, int]] = []
    gb.check(*folders.values(), jobs=1, progress=lambda what, steps: told.append((what, steps)))
    assert [what for what, _ in told] == ["7 submissions", *folders]
    assert {steps for _, steps in told} == {7}


@pytest.mark.slow
def test_all_public_runs_are_one_table(golfbudget: Run, runs: Path, tmp_path: Path) -> None:
    sources = sorted(path for path in runs.iterdir() if path.is_dir())
    made = [stand_in(source, tmp_path / source.name) for source in sources]
    done = golfbudget("check", *made, "--format", "markdown")
    assert done.returncode in (0, 1, 2)
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    assert [row.replace("\\", "").replace("*", "") for row in rows] == [path.name for path in made]
    # A screen has those that need someone, and the others in a row.
    for folders in (made, sources):
        lines = golfbudget("check", *folders, environ={"COLUMNS": "300"}).stdout.splitlines()
        assert lines[-1].startswith(f"{len(made)} submissions: ")
        body = [line.strip() for line in lines[4:-1]]
        own, others = (body[: body.index("")], [line for line in body if line.startswith("[")])
        assert len(own) - len(others) + sum(int(line[1:].split()[0]) for line in others) == len(made)
