"""Fixtures shared by all tests: the corpus of public artifacts, and the command line run as users run it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, run_here, run_process
from hypothesis import HealthCheck, settings
from installed import Demo, Installation, install, run_demo

settings.register_profile("golfbudget", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("golfbudget")

#: Commands under test keep their results here, and never where the user's are.
_CACHE = tempfile.mkdtemp(prefix="golfbudget-tests-")
os.environ["GOLFBUDGET_CACHE"] = _CACHE
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)


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
    """Run the command line in this process, which is fast."""
    return run_here


@pytest.fixture(scope="session")
def golfbudget_process() -> Run:
    """Run the command line in a process of its own, where start-up, signals, memory or a crash matter."""
    return run_process


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, installed into an empty environment."""
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def demo(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once from the installed wheel in another folder."""
    return run_demo(installation, tmp_path_factory.mktemp("demo") / "elsewhere")
