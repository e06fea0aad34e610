"""`golfbudget check` as users run it: exit codes, JSON laws, findings, and what it says of bad input."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run
from support.standins import log_text, submission

from golfbudget.submission import TABLE

#: Bytes that no codec and no format claims, and that are no placeholder.
MODEL = bytes(range(1, 256)) * 400


def report(golfbudget: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    done = golfbudget("check", *arguments, "--format", "json")
    assert done.returncode == code, done.stderr
    assert "\x1b" not in done.stdout
    return dict(json.loads(done.stdout))


def text(golfbudget: Run, folder: Path, *, columns: int) -> list[str]:
    return golfbudget("check", folder, environ={"COLUMNS": str(columns)}).stdout.splitlines()


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["submissions"][0]["findings"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound submission of 102,006 bytes."""
    return submission(tmp_path / "mine", {"train_gpt.py": "x = 1\n", "final_model.int8.ptz": MODEL, "README.md": "hi"})


def test_on_a_narrow_screen_every_figure_keeps_its_name(golfbudget: Run, folder: Path) -> None:
    for seed in (1, 2):
        submission(folder, {f"train_seed{seed}.log": log_text(code=6, model=len(MODEL) + seed)})
    lines = text(golfbudget, folder, columns=40)
    assert max(map(len, lines)) <= 40
    assert {"logged", "shipped", "packed", "folder", "largest"} <= {line.split(" ")[0] for line in lines}
    assert "102,006" in next(line for line in lines if line.startswith("shipped *"))
    assert not any("not shown" in line for line in text(golfbudget, folder, columns=80))


def test_a_file_that_is_named_twice_counts_once(golfbudget: Run, folder: Path) -> None:
    names = ("--model", "--code", "--log")
    submission(folder, {"train.log": log_text(code=6, model=len(MODEL))})
    for option, name in zip(names, ("final_model.int8.ptz", "train_gpt.py", "train.log"), strict=True):
        once, twice = [name], [name, folder / ".." / "mine" / name]
        found = [
            report(golfbudget, folder, *(part for one in given for part in (option, one))) for given in (once, twice)
        ]
        assert found[0] == found[1]
        assert found[1]["submissions"][0]["conventions"]["shipped"]["total_bytes"] == 102_006


def test_model_and_code_of_a_public_artifact(golfbudget: Run, corpus: Path, tmp_path: Path) -> None:
    for name in ("final_model.int8.ptz", "final_model.pt"):
        (tmp_path / name).write_bytes((corpus / "fp16_zlib_exact_ledger" / name).read_bytes())
    (tmp_path / "train_gpt.py").write_bytes(b"#" * 65_839 + b"\n")
    found = report(golfbudget, tmp_path)
    shipped = found["submissions"][0]["conventions"]["shipped"]
    assert (shipped["model_bytes"], shipped["code_bytes"], shipped["total_bytes"]) == (87_971, 65_840, 153_811)
    assert shipped["headroom"] == 16_000_000 - 153_811
    assert shipped["fits"] is True
    assert shipped["claimed"] is False


def test_json_obeys_the_laws_a_reader_can_check(golfbudget: Run, folder: Path) -> None:
    submission(folder, {"train.log": log_text(code=6, model=len(MODEL)), "tokenizers/a.model": b"t" * 10})
    found = report(golfbudget, folder)
    assert found["schema"] == "golfbudget/check/1"
    assert found["passed"] is True
    (one,) = found["submissions"]
    assert one["path"] == str(folder)
    assert list(one["conventions"]) == ["logged", "shipped", "packed", "folder"]
    for tally in one["conventions"].values():
        if tally["total_bytes"] is not None:
            assert tally["total_bytes"] == tally["code_bytes"] + tally["model_bytes"] + tally["other_bytes"]
            assert tally["headroom"] == found["cap"] - tally["total_bytes"]
            assert tally["fits"] == (tally["headroom"] >= 0)
            assert tally["total_bytes"] == max(run["total_bytes"] for run in tally["runs"])
    assert one["conventions"]["folder"]["other_bytes"] == one["tokenizer"]["bytes"] == 10
    assert {claim["key"]: claim["agrees_with"] for claim in one["claims"]} == {
        "Code size": "shipped.code_bytes",
        "Serialized model int8+zlib": "model_bytes of final_model.int8.ptz",
        "Total submission size int8+zlib": "shipped.total_bytes",
    }
    assert all(TABLE[finding["code"]].severity == finding["severity"] for finding in one["findings"])
    again = report(golfbudget, folder)
    assert again == found


def test_exit_codes(golfbudget: Run, folder: Path, tmp_path: Path) -> None:
    size = len(MODEL) + 6
    for cap, code in ((size, 0), (size - 1, 1)):
        rules = tmp_path / "rules.toml"
        rules.write_text(f'name = "mine"\ncap = {cap}\n', encoding="utf-8")
        for output in ("table", "json", "markdown"):
            assert golfbudget("check", folder, "--rules", rules, "--format", output).returncode == code
    over = golfbudget("check", folder, "--rules", rules)
    assert f"FAILED: {size:,} of {size - 1:,} bytes as shipped, over by 1" in over.stdout
    assert "GB101" in over.stdout


def test_warnings_fail_only_when_strict(golfbudget: Run, folder: Path) -> None:
    submission(folder, {"submission.json": '{"bytes_total": 5}'})
    assert codes(report(golfbudget, folder)) == ["GB304"]
    strict = report(golfbudget, folder, "--strict", code=1)
    assert strict["passed"] is False
    assert "FAILED: GB304 (--strict)" in golfbudget("check", folder, "--strict").stdout
    (folder / "submission.json").unlink()
    assert report(golfbudget, folder, "--strict")["passed"] is True


def test_another_convention_decides(golfbudget: Run, tmp_path: Path) -> None:
    folder = submission(tmp_path, {"train_gpt.py": "#" * 200_000, "train.log": log_text(code=30_000, model=15_900_000)})
    assert "GB101" in codes(report(golfbudget, folder, code=1))
    by_log = report(golfbudget, folder, "--convention", "logged")
    assert by_log["convention"] == "logged"
    assert "GB102" in codes(by_log)
    wrong = golfbudget("check", folder, "--convention", "best")
    assert (wrong.returncode, "logged, shipped, packed, folder" in wrong.stderr) == (2, True)


def test_one_model_of_each_seed(golfbudget: Run, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"train_gpt.py": "x = 1\n"}
    files |= {f"model_seed{seed}.ptz": MODEL * times for seed, times in ((1, 1), (42, 3), (7, 2))}
    found = report(golfbudget, submission(tmp_path, files))
    shipped = found["submissions"][0]["conventions"]["shipped"]
    assert {run["label"]: run["total_bytes"] for run in shipped["runs"]} == {
        f"seed {seed}": times * len(MODEL) + 6 for seed, times in ((1, 1), (42, 3), (7, 2))
    }
    assert shipped["total_bytes"] == 3 * len(MODEL) + 6
    assert shipped["spread_bytes"] == 2 * len(MODEL)


def test_several_submissions_at_once(golfbudget: Run, folder: Path, tmp_path: Path) -> None:
    bad = submission(tmp_path / "bad", {"train_gpt.py": "x", "train.log": log_text(model=16_000_000)})
    done = golfbudget("check", folder, bad, "--format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [one["passed"] for one in found["submissions"]] == [True, False]
    assert golfbudget("check", folder, bad, "--code", "train_gpt.py").returncode == 2


def _helper(folder: Path) -> None:
    (folder / "train_gpt.py").write_text("import helper\n", encoding="utf-8")
    (folder / "helper.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "train.log").write_text(log_text(code=14, model=len(MODEL)), encoding="utf-8")


def _write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        submission(folder, {name: content})

    return write


@pytest.mark.parametrize(
    ("change", "code", "message", "exit_code"),
    [
        (_helper, "GB203", "helper.py (6 bytes) is imported by train_gpt.py", 0),
        (_write("train.log", log_text(code=5, model=len(MODEL))), "GB201", "5 bytes of code are claimed", 0),
        (_write("train.log", log_text(code=6, model=99)), "GB201", "99 bytes of model are claimed", 0),
        (
            _write("train.log", log_text(code=6, model=len(MODEL)).replace(f"{len(MODEL) + 6} ", "7 ")),
            "GB306",
            "a total of 7 bytes is printed",
            0,
        ),
        (_write("final_model.int8.ptz", b""), "GB402", "is empty", 1),
        (_write("final_model.int8.ptz", b"version https://git-lfs.github.com/spec/v1\n"), "GB402", "Git LFS", 1),
        (_write("final_model.int8.ptz", b"xy"), "GB402", "has 2 bytes", 1),
        (_write("final_model.int8.ptz", b"\0" * 5000), "GB403", "one byte value", 0),
        (_write("final_model.int8.ptz", zlib.compress(MODEL)[:-9].ljust(2000)), "GB403", "cannot be decoded", 0),
        (_write("submission.json", json.dumps({"bytes_total": len(MODEL)})), "GB302", "the model alone", 0),
        (_write("submission.json", '{"size_limit_bytes": 16777216}'), "GB305", "16 MiB", 0),
        (_write("train_gpt.py", "LIMIT = 16 * 1024 * 1024\n"), "GB305", "line 1", 0),
        (_write("train_gpt.py", "def broken("), "GB208", "no valid Python", 1),
        (_write("train_gpt.py", ""), "GB207", "is empty", 1),
        (_write("other.py", "x"), "GB205", "other.py (1 bytes)", 0),
    ],
)
def test_findings(
    golfbudget: Run, folder: Path, change: Callable[[Path], None], code: str, message: str, exit_code: int
) -> None:
    change(folder)
    found = report(golfbudget, folder, code=exit_code)
    messages = [one["message"] for one in found["submissions"][0]["findings"] if one["code"] == code]
    assert any(message in text for text in messages), found["submissions"][0]["findings"]


def test_a_label_that_contradicts_the_bytes(golfbudget: Run, corpus: Path, tmp_path: Path) -> None:
    data = (corpus / "fp16_zlib_exact_ledger" / "final_model.int8.ptz").read_bytes()
    folder = submission(tmp_path, {"train_gpt.py": "x = 1\n", "final_model.int8.ptz": data})
    for label, found in (("int6+zstd", True), ("int8+zlib", False), ("int8+zlib-9", False), ("quantized", False)):
        submission(folder, {"train.log": log_text(code=6, model=len(data), label=label)})
        assert ("GB401" in codes(report(golfbudget, folder))) is found


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("bad_placeholder_text/model.bin", "GB402"),
        ("bad_placeholder_zlib/final_model_submission.ptz", "GB402"),
        ("bad_two_bytes/final_model.int8.ptz", "GB402"),
        ("bad_truncated_xz/truncated.ternary.ptz", "GB403"),
    ],
)
def test_public_files_that_hold_no_model(golfbudget: Run, corpus: Path, tmp_path: Path, name: str, code: str) -> None:
    data = (corpus / name).read_bytes()
    folder = submission(tmp_path, {"train_gpt.py": "x = 1\n", Path(name).name: data})
    assert code in codes(report(golfbudget, folder, code=1 if code == "GB402" else 0))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"submission.json": '{"bytes_total": 5'}, ["submission.json", "not valid JSON", "line 1"]),
        ({"submission.json": "[" * 100_000}, ["submission.json", "not valid JSON"]),
        ({"train.log": bytes(range(128, 256)) * 9}, ["train.log", "not a readable log", "--log FILE"]),
        ({"other.ptz": MODEL[1:]}, ["final_model.int8.ptz", "other.ptz", "--model FILE"]),
        ({"a.py": "", "train_gpt_b.py": "", "train_gpt_c.py": "", "train_gpt.py": b"1\n"}, []),
    ],
)
def test_bad_input_is_named_with_the_option_that_decides(
    golfbudget: Run, folder: Path, files: dict[str, str | bytes], words: list[str]
) -> None:
    done = golfbudget("check", submission(folder, files))
    assert done.returncode == (2 if words else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_log_that_may_not_be_read(golfbudget: Run, folder: Path) -> None:
    submission(folder, {"train.log": log_text()})
    (folder / "train.log").chmod(0)
    done = golfbudget("check", folder)
    assert (done.returncode, "train.log: cannot be read" in done.stderr) == (2, True)


def test_options_decide_where_files_do_not(golfbudget: Run, folder: Path) -> None:
    submission(folder, {"other.ptz": MODEL * 2, "bad.log": b"\xff" * 500, "good.txt": log_text()})
    log = ("--log", "good.txt")
    one = report(golfbudget, folder, "--model", "other.ptz", *log)["submissions"][0]
    assert one["conventions"]["shipped"]["model_bytes"] == 2 * len(MODEL)
    assert [run["sources"] for run in one["runs"]] == [["good.txt"]]
    both = report(golfbudget, folder, "--model", "other.ptz", "--model", folder / "final_model.int8.ptz", *log)
    assert both["submissions"][0]["conventions"]["shipped"]["model_bytes"] == 3 * len(MODEL)


def test_what_cannot_be_counted_is_not_passed(golfbudget: Run, tmp_path: Path) -> None:
    folder = submission(tmp_path, {"train_gpt.py": "x = 1\n", "submission.json": '{"bytes_total": 5}'})
    done = golfbudget("check", folder, "--format", "json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["passed"] is False
    assert "GB104" in codes(found)
    assert "no model bytes are known" in done.stderr
    for path in (tmp_path / "nowhere", folder / "train_gpt.py", submission(tmp_path / "empty", {"a.md": ""})):
        done = golfbudget("check", path)
        assert (done.returncode, str(path) in done.stderr) == (2, True)


def test_model_bytes_from_json_where_there_is_nothing_else(golfbudget: Run, tmp_path: Path) -> None:
    claims = json.dumps({"bytes_total": 1000, "bytes_code": 100})
    folder = submission(tmp_path, {"train_gpt.py": "#" * 120, "submission.json": claims})
    shipped = report(golfbudget, folder)["submissions"][0]["conventions"]["shipped"]
    assert (shipped["model_bytes"], shipped["total_bytes"], shipped["claimed"]) == (900, 1020, True)


def test_markdown_is_safe_and_folds_claims(golfbudget: Run, folder: Path) -> None:
    submission(folder, {"a|<b>`c.py": "x", "train.log": log_text()})
    text = golfbudget("check", folder, "--format", "markdown").stdout
    assert text.startswith("### mine\n\n**passed: ")
    assert "<details><summary>claims</summary>" in text
    assert "<b>" not in text
    assert "a\\|&lt;b&gt;\\`c.py" in text


def test_the_list_of_findings_is_the_table(golfbudget: Run) -> None:
    done = golfbudget("check", "--list-findings")
    assert done.returncode == 0
    for code, kind in TABLE.items():
        assert any(line.split()[:2] == [code, str(kind.severity)] for line in done.stdout.splitlines())
