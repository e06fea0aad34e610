"""Fixtures shared by all tests: the corpus of public artifacts, and the command line run as users run it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from installed import Demo, Installation, build_wheel, install, run_demo, with_plan

import golfbudget as package

settings.register_profile("golfbudget", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("golfbudget")

#: Commands under test keep their results here, and never where the user's are.
_CACHE = tempfile.mkdtemp(prefix="golfbudget-tests-")
os.environ["GOLFBUDGET_CACHE"] = _CACHE
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real public artifacts; tests that need it skip, saying so, where it is not at hand."""
    folder = os.environ.get("GOLFBUDGET_CORPUS")
    if not folder:
        pytest.skip("GOLFBUDGET_CORPUS is not set: the folder of public artifacts is not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def corpus_facts(corpus: Path) -> list[dict[str, Any]]:
    """What is true of each artifact of the corpus."""
    with (corpus / "corpus.toml").open("rb") as file:
        return list(tomllib.load(file)["artifact"])


@pytest.fixture(scope="session")
def runs() -> Path:
    """The folder of public runs: logs, JSON and file lengths; tests that need it skip, saying so."""
    folder = os.environ.get("GOLFBUDGET_RUNS")
    if not folder:
        pytest.skip("GOLFBUDGET_RUNS is not set: the folder of public runs is not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def golfbudget() -> Run:
    """Run the command line in a process of its own."""

    def run(
        *arguments: object, cwd: Path | None = None, python: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "FORCE_COLOR", "PYTHONPATH"}}
        if python is None:
            # The checkout under test, whichever one the interpreter has installed.
            environment["PYTHONPATH"] = str(Path(package.__file__).parents[1])
        return subprocess.run(
            [str(python or sys.executable), "-m", "golfbudget", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    return run


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The plain install of the wheel, in an empty environment."""
    folder = tmp_path_factory.mktemp("wheel")
    return install(folder / "env", build_wheel(folder))


@pytest.fixture(scope="session")
def demo(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once from the installed wheel in another folder."""
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(with_plan(installation, folder / "env"), folder / "elsewhere")
