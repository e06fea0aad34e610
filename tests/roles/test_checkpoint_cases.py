"""Small checkpoints in layouts met in public, written by a script that knows the right answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golfbudget.api.inspect import inspect
from golfbudget.errors import GolfbudgetError


@pytest.fixture(scope="session")
def answers(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("checkpoints")
    subprocess.run([sys.executable, str(cases / "checkpoints.py"), str(folder)], check=True, capture_output=True)
    return folder, json.loads((folder / "answers.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_answer_is_right(answers: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, known = answers
    wrong = {name: found for name, answer in known.items() if (found := _wrong(folder / name, answer))}
    assert not wrong
    assert known


def _wrong(path: Path, answer: dict[str, Any]) -> list[str]:
    """What golfbudget says otherwise."""
    try:
        report = inspect(path).to_dict()
    except GolfbudgetError as error:
        return [] if answer.get("exit") == 2 and answer["words"] in str(error) else [str(error)]
    stored = {entry["tensor"]: entry for entry in report["entries"] if entry["tensor"]}
    tied = None if answer.get("tied") == "unknown" else answer.get("tied")
    claims = [
        ("exit", "exit" not in answer),
        ("parameters", report["parameters"] == answer.get("parameters", report["parameters"])),
        ("tied", "tied" not in answer or report["tied"] is tied),
        ("redundant", report.get("redundant_bytes", 0) == answer.get("redundant", report.get("redundant_bytes", 0))),
        ("head", all(stored[name]["role"] == "head" for name in answer.get("head", []))),
        ("embedding", all(stored[name]["role"] == "embedding" for name in answer.get("embedding", []))),
        ("owner", all(stored[name]["owner"] == owner for name, owner in answer.get("owner", {}).items())),
        ("owners", set(answer.get("owners", [])) <= {entry["owner"] for entry in report["entries"]}),
        ("training", "training-role" not in answer or "training" in {row["role"] for row in report["roles"]}),
    ]
    return [claim for claim, holds in claims if not holds]
