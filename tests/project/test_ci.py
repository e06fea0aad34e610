"""The GitHub Action and the pre-commit hook: their very commands are run, on the embedded example."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command_line import Run
from support.standins import log_text, submission

from golfbudget import __version__, example
from golfbudget.report.check import MARK as CHECK_MARK
from golfbudget.report.compare import MARK

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the Action and the hook are bash scripts")


#: Where the Action leaves the page that it keeps.
PAGE = "golfbudget-report.html"


def action() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8")))


def filled(text: str, inputs: dict[str, str], temporary: Path) -> str:
    """A value with its expressions replaced, as the runner does."""
    known = {f"inputs.{name}": value for name, value in inputs.items()}
    known |= {"github.action_path": str(ROOT), "runner.temp": str(temporary)}
    return re.sub(r"\$\{\{\s*(\S+)\s*\}\}", lambda found: known[found[1]], text)


def step(number: int, folder: Path, temporary: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the Action with these inputs, in the shell that GitHub gives it."""
    found = action()
    inputs = {name: str(about.get("default", "")) for name, about in found["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    assert set(inputs) == set(found["inputs"])
    script = found["runs"]["steps"][number]
    assert script["shell"] == "bash"
    assert "${{" not in script["run"], "an expression in a script is a way in for whoever names a file"
    hidden = ("PYTHONPATH", "COLUMNS", "FORCE_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {name: filled(value, inputs, temporary) for name, value in script["env"].items()}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script["run"]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's temporary folder in which the Action has installed golfbudget."""
    folder = tmp_path_factory.mktemp("runner")
    done = step(0, folder, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def baseline(golfbudget: Run, tmp_path: Path) -> None:
    golfbudget("inspect", example.ARTIFACT, "--format", "json", "-o", tmp_path / "base.json")


@pytest.mark.slow
@pytest.mark.usefixtures("baseline")
def test_the_action_passes_an_artifact_that_did_not_grow(temporary: Path, tmp_path: Path) -> None:
    shutil.copy(example.ARTIFACT, tmp_path / "new model.ptz")
    done = step(
        1, tmp_path, temporary, base="base.json", new="new model.ptz", fail_on="total>+0\r\n\nhead>+1%\n", cap="16MB"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::notice title=golfbudget compare::no change: 962,340 bytes")
    comment = (tmp_path / "golfbudget-comment.md").read_text(encoding="utf-8")
    assert comment.startswith(f"<!-- {MARK} -->\n")
    for gate in ("total>+0", "head>+1%", "total>16MB"):
        assert f"- passed `{gate}`" in comment
    assert (tmp_path / "summary").read_text(encoding="utf-8") == comment
    assert (tmp_path / "outputs").read_text(encoding="utf-8") == "comment-file=golfbudget-comment.md\npassed=true\n"
    page = temporary / PAGE
    assert "golfbudget compare" in page.read_text(encoding="utf-8")
    page.unlink()
    step(1, tmp_path, temporary, base="base.json", new="new model.ptz", report="")
    assert not page.exists()


def test_the_page_is_kept_whatever_the_gates_say() -> None:
    *_, last = action()["runs"]["steps"]
    assert last["uses"].startswith("actions/upload-artifact@")
    assert last["if"] == "always() && inputs.report != ''"
    assert last["with"]["path"] == "${{ runner.temp }}/" + PAGE


@pytest.mark.slow
@pytest.mark.usefixtures("baseline")
def test_the_action_fails_growth_and_says_who_grew(temporary: Path, tmp_path: Path) -> None:
    done = step(1, tmp_path, temporary, base="base.json", new=str(example.CHECKPOINT), cap="4MB", comment_file="c.md")
    assert done.returncode == 1
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert len(errors) == 1
    assert "total>4MB failed: total is 4,258,160 bytes, +258,160 from 4,000,000; grew most: tok_emb.weight" in errors[0]
    assert "**failed** `total>4MB`" in (tmp_path / "c.md").read_text(encoding="utf-8")
    assert (tmp_path / "outputs").read_text(encoding="utf-8") == "comment-file=c.md\npassed=false\n"
    assert "1 of 1 gates failed" in (temporary / PAGE).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("baseline")
def test_the_action_counts_code_and_reports_trouble(temporary: Path, tmp_path: Path) -> None:
    new = str(example.ARTIFACT)
    done = step(1, tmp_path, temporary, base="base.json", new=new, base_code="10", new_code="11", fail_on="code>+0")
    assert done.returncode == 1
    assert "code>+0 failed: code changed by +1 bytes" in done.stdout
    missing = step(1, tmp_path, temporary, base="none.json", new=new)
    assert missing.returncode == 2
    assert "none.json: there is no such file" in missing.stderr
    assert (tmp_path / "outputs").read_text(encoding="utf-8").count("passed=") == 1

    lines = missing.stdout.splitlines()
    assert lines == [f"::error file=none.json,title=golfbudget compare::{missing.stderr.split('error: ')[1].strip()}"]
    unknown = step(1, tmp_path, temporary, command="chek", base="base.json", new=new)
    assert (unknown.returncode, "neither compare nor check" in unknown.stdout) == (2, True)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def pull_request(tmp_path: Path) -> Path:
    """A pull request that adds three record folders: one fine, one over the cap, one that cannot be read."""
    git(tmp_path, "init", "--quiet")
    code = {"train_gpt.py": "x = 1\n"}
    submission(tmp_path / "records/track/an old one", {**code, "train.log": log_text(code=6, model=17_000_000)})
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "before")
    submission(tmp_path / "records/track/fine", {**code, "train.log": log_text(code=6, model=15_000_000)})
    submission(tmp_path / "records/track/over", {**code, "train.log": log_text(code=6, model=16_000_000)})
    submission(tmp_path / "records/track/unreadable", {**code, "submission.json": '{\n"bytes_total": 5,,\n}'})
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "records")
    return tmp_path


NEW = {"command": "check", "submissions": "records/*/*\r\n\n", "changed_since": "HEAD^1"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="the Action asks git what changed")
def test_the_action_checks_the_folders_that_a_pull_request_adds(temporary: Path, pull_request: Path) -> None:
    done = step(2, pull_request, temporary, **NEW)
    assert done.returncode == 2
    notice, *errors = done.stdout.splitlines()
    assert notice == ("::notice title=golfbudget check::3 submissions: 1 passed, 1 OVER, 1 ERROR; passed as logged 1")
    over, unreadable = (line for line in errors if line.startswith("::error "))
    assert "::warning file=records/track/over/train_gpt.py,title=golfbudget check GB102::" in done.stdout
    file = "records/track/over/train_gpt.py"
    assert over == f"::error file={file},title=golfbudget check::records/track/over: OVER: over by 6"
    start = "::error file=records/track/unreadable/submission.json,line=2,title=golfbudget check::"
    assert unreadable.startswith(start)
    comment = (pull_request / "golfbudget-comment.md").read_text(encoding="utf-8")
    assert comment.startswith(f"<!-- {CHECK_MARK} -->\n**3 submissions: 1 passed")
    rows = re.findall(r"(?m)^\| (\w+) \| .* \| (passed|OVER|ERROR) \|", comment)
    assert rows[:3] == [("fine", "passed"), ("over", "OVER"), ("unreadable", "ERROR")]
    assert "<summary>over</summary>" in comment
    assert (pull_request / "summary").read_text(encoding="utf-8") == comment
    assert (pull_request / "outputs").read_text(encoding="utf-8") == "comment-file=golfbudget-comment.md\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="the Action asks git what changed")
def test_the_action_says_whether_submissions_pass(temporary: Path, pull_request: Path) -> None:
    for folders, code, outputs in (
        ("records/track/fine", 0, "passed=true"),
        ("records/track/fine\nrecords/track/an old one", 1, "passed=false"),
        ("records/track/fine\nrecords/none", 2, "comment-file=golfbudget-comment.md"),
    ):
        (pull_request / "outputs").unlink(missing_ok=True)
        done = step(2, pull_request, temporary, command="check", submissions=folders)
        assert done.returncode == code, done.stderr
        assert (pull_request / "outputs").read_text(encoding="utf-8").splitlines()[-1] == outputs
        assert "golfbudget check" in (temporary / PAGE).read_text(encoding="utf-8")
    assert "::error file=records/none,title=golfbudget check::records/none: expected a submission" in done.stdout
    (pull_request / "outputs").unlink()
    nothing = step(2, pull_request, temporary, **NEW | {"changed_since": "HEAD"})
    assert (nothing.returncode, nothing.stdout) == (0, "::notice title=golfbudget check::no submission changed\n")
    assert (pull_request / "outputs").read_text(encoding="utf-8") == "passed=true\n"
    shallow = step(2, pull_request, temporary, **NEW | {"changed_since": "no-such-commit"})
    assert (shallow.returncode, "fetch-depth 2" in shallow.stdout) == (2, True)
    none = step(2, pull_request, temporary, command="check")
    assert (none.returncode, "submissions names no folder" in none.stdout) == (2, True)
    assert step(2, pull_request, temporary, command="check", submissions="records/track/fine", strict="true").stdout


def normal(name: str) -> str:
    """A package's name as indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow
def test_the_action_makes_the_plain_install_in_tested_versions(temporary: Path) -> None:
    _, choice, command = action()["runs"]["steps"][0]["run"].split("\n", 2)
    assert "extra='[html]'" in choice  # And no other.
    *options, source = shlex.split(command)
    assert source == "$ACTION_PATH$extra"
    assert options[options.index("--constraint") + 1] == "$ACTION_PATH/constraints.txt"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(name): version for name, version in (line.split("==") for line in lines)}
    installed = importlib.metadata.distributions(path=[str(temporary / "golfbudget")])
    found = {normal(package.metadata["Name"]): package.version for package in installed}
    assert found.pop("golfbudget") == __version__
    assert found.items() <= pinned.items()
    assert {"numpy", "rich", "typer", "vl-convert-python", "zstandard"} <= found.keys()
    assert not found.keys() & {"torch", "scipy", "scikit-learn", "faiss-cpu", "threadpoolctl"}


def hook(folder: Path, *files: str, arguments: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    (found,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert found["id"] == "golfbudget-inspect"
    assert all(re.search(found["files"], name) for name in files)
    program = folder / "bin" / "golfbudget"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m golfbudget "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [*shlex.split(found["entry"]), *(found["args"] if arguments is None else arguments), *files],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_hook_refuses_files_over_the_cap(tmp_path: Path) -> None:
    shutil.copy(example.ARTIFACT, tmp_path / "a model.ptz")
    shutil.copy(example.CHECKPOINT, tmp_path / "b.safetensors")
    both = ("b.safetensors", "a model.ptz")
    assert hook(tmp_path, *both).returncode == 0
    over = hook(tmp_path, *both, arguments=["--cap=2MB", "--code=10"])
    assert over.returncode == 1
    assert "over by 2,258,170 bytes" in over.stdout
    assert "1,037,650 bytes left" in over.stdout
    (tmp_path / "bad.pt").write_bytes(b"no zip")
    assert hook(tmp_path, "bad.pt", *both, arguments=["--cap=2MB"]).returncode == 2
