"""The two ways of running the command line give the same; the fast one leaves nothing behind."""

from __future__ import annotations

import os
import random
import sys
import warnings
from pathlib import Path

import pytest
import torch
from support.command_line import Run
from support.marks import slow_for
from support.models import repeated_rows_model, save

from golfbudget import example

MODEL = """import torch
torch.manual_seed(1)
torch.set_num_threads(2)
class Model(torch.nn.Module):
    pass
"""

COMMANDS: dict[str, tuple[object, ...]] = {
    "no command": (),
    "version": ("--version",),
    "help": ("--help",),
    "help of a command": ("inspect", "--help"),
    "an unknown command": ("inspekt",),
    "an unknown option": ("inspect", "model.ptz", "--capp", "1"),
    "a missing argument": ("inspect",),
    "a bad value": ("inspect", "model.ptz", "--by", "colour"),
    "a missing file": ("inspect", "absent.pt"),
    "a broken file": ("inspect", "broken.safetensors"),
    "a table": ("inspect", "model.ptz"),
    "a table of owners": ("inspect", example.CHECKPOINT, "--by", "owner"),
    "a report": ("inspect", "model.ptz", "--format", "json"),
    "a gate that fails": ("inspect", "model.ptz", "--cap", "1kB"),
    "a written report": ("inspect", "model.ptz", "--format", "markdown", "-o", "report.md"),
    "a report that cannot be written": ("inspect", "model.ptz", "-o", "no/report.txt"),
    "a comparison": ("compare", "model.ptz", example.CHECKPOINT, "--fail-on", "total>+0"),
    "a comparison of nothing": ("compare", "model.ptz", "absent.json"),
    "a check": ("check", ".", "--format", "json"),
    "an estimate": ("estimate", "sp8192", "--fast"),
    "an estimate of nothing": ("estimate", "absent.toml"),
    "packed code": ("pack-code", "model.py"),
    "a plan": ("plan", "small.safetensors", "--schemes", "tiers,ternary", "--format", "json"),
    "a plan with a model that does not fit": (
        *("plan", "small.safetensors", "--model", "model.py:Model", "--tokens", example.EVALUATION),
        *("--schemes", "ternary"),
    ),
    "a decoder": ("decoder", "model.ptz", "-o", "decode.py"),
    "a repacked file": ("repack", "broken.safetensors"),
}

#: One of each kind of end: what each of the others does beside it, `make slow` compares.
QUICK = {
    "help",
    "a missing argument",
    "a broken file",
    "a table",
    "a gate that fails",
    "a report that cannot be written",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.ptz").write_bytes(example.ARTIFACT.read_bytes())
    (tmp_path / "broken.safetensors").write_bytes(b"\xff\xff")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    save(tmp_path, repeated_rows_model(), "small.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", slow_for(COMMANDS.keys() - QUICK, COMMANDS))
def test_a_command_does_the_same_here_and_in_a_process(
    golfbudget: Run, golfbudget_process: Run, folder: Path, name: str
) -> None:
    here, process = (
        run(*COMMANDS[name], cwd=folder, environ={"COLUMNS": "100"}) for run in (golfbudget, golfbudget_process)
    )
    assert (here.returncode, here.stdout, here.stderr) == (process.returncode, process.stdout, process.stderr)


def test_without_a_terminal_lines_are_of_any_length(golfbudget: Run, golfbudget_process: Run, folder: Path) -> None:
    for command in ("a table of owners", "help of a command"):
        here, process = (run(*COMMANDS[command], cwd=folder) for run in (golfbudget, golfbudget_process))
        assert (here.stdout, here.stderr) == (process.stdout, process.stderr)


def test_no_columns_are_none_that_were_named(golfbudget: Run, folder: Path) -> None:
    named, other = (golfbudget(*COMMANDS["a table of owners"], cwd=folder, environ=e) for e in ({"COLUMNS": "0"}, {}))
    assert named.stdout == other.stdout != ""


def state() -> dict[str, object]:
    """What a command could leave changed in this process."""
    return {
        "folder": Path.cwd(),
        "arguments": list(sys.argv),
        "variables": dict(os.environ),
        "path": list(sys.path),
        "streams": (sys.stdout, sys.stderr, sys.__stdout__),
        "program": sys.modules["__main__"],
        "warnings": list(warnings.filters),
        "threads": torch.get_num_threads(),
        "models": {name for name in sys.modules if "user_model_" in name},
        "random": (random.getstate(), torch.get_rng_state().tolist()),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_leaves_this_process_as_it_was(golfbudget: Run, folder: Path, name: str) -> None:
    torch.manual_seed(0)
    before = state()
    golfbudget(*COMMANDS[name], cwd=folder)
    assert state() == before


def test_a_bug_ends_with_its_traceback(golfbudget: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("golfbudget.api.inspect.inspect_file", bug)
    done = golfbudget("inspect", example.ARTIFACT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("ZeroDivisionError: a bug\n")


def test_a_warning_fails_a_command_under_test(golfbudget: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_arguments: object, **_options: object) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr("golfbudget.api.inspect.inspect_file", warn)
    done = golfbudget("inspect", example.ARTIFACT)
    assert done.returncode == 1
    assert done.stderr.endswith("DeprecationWarning: old\n")
