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
from command_line import Run

from golfbudget import __version__, example
from golfbudget.report.compare import MARK

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the Action and the hook are bash scripts")


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


def normal(name: str) -> str:
    """A package's name as indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow
def test_the_action_makes_the_plain_install_in_tested_versions(temporary: Path) -> None:
    (command,) = action()["runs"]["steps"][0]["run"].split("\n", 1)[1].split(" && ")
    *options, source = shlex.split(command)
    assert source == "$ACTION_PATH"  # No extra in brackets behind it.
    assert options[options.index("--constraint") + 1] == "$ACTION_PATH/constraints.txt"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(name): version for name, version in (line.split("==") for line in lines)}
    installed = importlib.metadata.distributions(path=[str(temporary / "golfbudget")])
    found = {normal(package.metadata["Name"]): package.version for package in installed}
    assert found.pop("golfbudget") == __version__
    assert found.items() <= pinned.items()
    assert {"numpy", "rich", "typer", "zstandard"} <= found.keys()
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
