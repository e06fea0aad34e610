"""The plain install: small, enough for what reads, compares and repacks, and plain about what it leaves out."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from install_sizes import platform_line
from support.installed import Installation, installed_bytes

from golfbudget import errors, example
from golfbudget.errors import MissingExtraError
from golfbudget.repacking import Lever, repack

ROOT = Path(__file__).parents[2]
LARGEST = 120_000_000
#: Distributions of the extra, by the module that each is imported as.
DISTRIBUTIONS = {
    "faiss": "faiss-cpu",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "torch": "torch",
}


def extra(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = project["dependencies"] if name == "" else project["optional-dependencies"][name]
    return [re.split(r"[<>=]", wanted)[0] for wanted in found]


def test_the_extra_is_named_as_it_is_declared() -> None:
    assert DISTRIBUTIONS.keys() == errors.PLAN_MODULES
    assert sorted(extra("plan")) == sorted(DISTRIBUTIONS.values())
    assert {name.replace("-", "_") for name in extra("hf")} - errors.HUB_MODULES == {"golfbudget[plan]"}
    assert set(extra("dask")) == errors.DASK_MODULES
    assert set(extra("slurm")) == errors.SLURM_MODULES
    for part in ("", "plan", "hf", "dask", "slurm", "train", "dev"):
        assert len(extra(part)) == len(set(extra(part)))
    for part in ("train", "hf"):
        assert "golfbudget[plan]" in extra(part)
    assert {"golfbudget[hf]", "golfbudget[dask]", "golfbudget[slurm]"} <= {*extra("dev")}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout that holds the example's files, and a submission made of them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for file in (example.CHECKPOINT, example.ARTIFACT):
        shutil.copy(file, folder)
    (folder / "submission").mkdir()
    shutil.copy(example.ARTIFACT, folder / "submission" / "final_model.int8.ptz")
    (folder / "submission" / "train_gpt.py").write_text("print('a model')\n", encoding="utf-8")
    return folder


def test_the_plain_install_is_small(installation: Installation) -> None:
    brought, compiled = installed_bytes(installation.folder)
    assert brought < LARGEST
    assert 0 < compiled < brought
    names = {path.name for path in installation.packages.iterdir()}
    assert {"golfbudget", "numpy", "rich", "typer", "zstandard"} <= names
    assert not names & errors.PLAN_MODULES


def test_the_docs_print_what_the_plain_install_takes(installation: Installation) -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    if platform_line() not in text:
        pytest.skip("the docs print the sizes of another system")
    shown = re.search(r"^\| `pip install golfbudget` \| (\d+) MB \| (\d+) MB \|$", text, re.MULTILINE)
    assert shown is not None
    # A megabyte is the last digit that is printed, and this package is a part of the sum.
    for printed, taken in zip(map(int, shown.groups()), installed_bytes(installation.folder), strict=True):
        assert abs(printed - taken / 1e6) < 2


#: Commands of the plain install, with the end of what they print.
PLAIN = {
    "inspect": (f"inspect {example.ARTIFACT.name} --format json", '"schema": "golfbudget/inspect/1"'),
    "inspect --entropy": (f"inspect {example.ARTIFACT.name} --entropy", "entropy floor"),
    "compare": (f"compare {example.ARTIFACT.name} {example.CHECKPOINT.name}", "+3,295,820"),
    "check": ("check submission", "final_model.int8.ptz"),
    "estimate": ("estimate sp8192 --fast", "fits"),
    "pack-code": ("pack-code submission/train_gpt.py", "source"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_install_runs(installation: Installation, elsewhere: Path, name: str) -> None:
    command, shown = PLAIN[name]
    done = installation.run(*command.split(), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_the_plain_install_repacks_to_the_same_bytes(installation: Installation, elsewhere: Path) -> None:
    done = installation.run(
        *("repack", example.ARTIFACT.name, "--no-cache", "--levers", "container", "-o", "smaller.gbpk"), cwd=elsewhere
    )
    assert done.returncode == 0, done.stderr
    packed = repack(example.ARTIFACT, levers=[Lever.CONTAINER])
    assert (elsewhere / "smaller.gbpk").read_bytes() == packed.data


@pytest.mark.parametrize(
    "command",
    [
        "estimate baseline",
        f"plan {example.ARTIFACT.name}",
        "plan sp8192 --vocab 1024:2.44",
        "pack plan.json --candidate head-int6 -o packed.ptz",
        f"unpack {example.ARTIFACT.name} -o decoded.safetensors",
        "demo",
        "schemes",
    ],
)
def test_a_command_that_needs_more_says_what_to_type(installation: Installation, elsewhere: Path, command: str) -> None:
    done = installation.run(*command.split(), cwd=elsewhere)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "golfbudget: error: this needs torch, which is not installed; type: pip install 'golfbudget[plan]'\n"
    )


@pytest.mark.parametrize("name", ["numpy", "torch.nn", "someone_elses", None])
def test_no_other_missing_module_is_explained_away(name: str | None) -> None:
    error = ModuleNotFoundError("gone", name=name)
    with pytest.raises(ModuleNotFoundError) as caught, errors.explained():
        raise error
    assert caught.value is error


def test_a_missing_module_of_the_extra_is_explained() -> None:
    told = r"needs scipy, .* pip install 'golfbudget"
    with pytest.raises(MissingExtraError, match=told) as caught, errors.explained():
        raise ModuleNotFoundError("gone", name="scipy")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
