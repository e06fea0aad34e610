"""What all tests share, in however many processes they run: the corpus, the command line, one demo, one cache."""

from __future__ import annotations

import atexit
import os
import pickle
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from support.command_line import Run, run_here, run_process
from support.installed import Demo, Installation, build_wheel, install, run_demo, with_plan

settings.register_profile("golfbudget", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("golfbudget")

#: Test processes stand side by side, each with one thread: threads of several would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
#: Processes that tests start keep their byte code, as users' do: compiling the package takes longer than most commands.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if "PYTEST_XDIST_WORKER" not in os.environ:
    # What is tested keeps its results here, and never where the user's are; test processes inherit the folder.
    os.environ["GOLFBUDGET_CACHE"] = tempfile.mkdtemp(prefix="golfbudget-tests-")
    atexit.register(shutil.rmtree, os.environ["GOLFBUDGET_CACHE"], ignore_errors=True)

#: What stands beside the tests has no doctests, and some of it imports whole libraries.
collect_ignore = [str(path) for path in Path(__file__).parent.rglob("*.py") if not path.name.startswith("test_")]
#: These take longest, and one process makes them: it begins with the tests that need them, which all are slow.
_LONGEST = frozenset({"demo", "installation"})
T = TypeVar("T")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Tests of what is installed are slow and come first."""

    def needs_none(item: pytest.Item) -> bool:
        return _LONGEST.isdisjoint(getattr(item, "fixturenames", ()))

    for item in items:
        if not needs_none(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=needs_none)


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
def cases() -> Path:
    """The folder of scripts that write small inputs with right answers; tests that need it skip, saying so."""
    folder = os.environ.get("GOLFBUDGET_CASES")
    if not folder:
        pytest.skip("GOLFBUDGET_CASES is not set: the folder of scripts that write cases is not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def golfbudget() -> Run:
    """Run the command line in this process, which is fast."""
    return run_here


@pytest.fixture(scope="session")
def golfbudget_process() -> Run:
    """Run the command line in a process of its own, where start-up, signals, memory or a crash matter."""
    return run_process


def once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], T]) -> T:
    """What `make` makes in a folder of that name, made by the first test process that needs it."""
    own = factory.getbasetemp()
    # Processes have folders of their own, side by side.
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    made = folder / "made.pickle"
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            folder.mkdir()  # A first try that failed is there: the tests that need it all fail.
            made.write_bytes(pickle.dumps(make(folder)))
        found: T = pickle.loads(made.read_bytes())
        return found


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The plain install of the wheel, in an empty environment."""
    return once("wheel", tmp_path_factory, lambda folder: install(folder / "env", build_wheel(folder)))


@pytest.fixture(scope="session")
def demo(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once from the installed wheel in another folder."""

    def made(folder: Path) -> Demo:
        return run_demo(with_plan(installation, folder / "env"), folder / "elsewhere")

    return once("demo", tmp_path_factory, made)
