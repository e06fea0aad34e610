"""golfbudget as a user installs it: the wheel in an empty environment, run from another folder.

The plain install is made for real, from the package index.  What `golfbudget[plan]` adds is gigabytes, so that a second
environment takes it from the one that the tests run in, and golfbudget itself from the plain install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: What every environment has before anything is installed.
BEFORE = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils", "__pycache__"}


@dataclass(frozen=True)
class Installation:
    """An environment that holds the wheel and what it depends on, and nothing of this checkout."""

    folder: Path
    wheel: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    @property
    def packages(self) -> Path:
        return packages(self.folder)

    def run(self, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        hidden = {"PYTHONPATH", "COLUMNS", "FORCE_COLOR"}
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        return subprocess.run(
            [str(self.python.with_name("golfbudget")), *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@dataclass
class Demo:
    """One run of `golfbudget demo --save build/example`, shared by every test that reads its result."""

    folder: Path
    stdout: str
    stderr: str
    seconds: float

    @property
    def files(self) -> Path:
        return self.folder / "build" / "example"

    @cached_property
    def plan(self) -> dict[str, Any]:
        return dict(json.loads((self.files / "plan.json").read_text(encoding="utf-8")))


def packages(environment: Path) -> Path:
    """The folder of an environment's packages."""
    names = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", scheme="venv", vars=names))


def run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")


def build_wheel(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path, wheel: Path, extra: str = "") -> Installation:
    """Install a wheel into a new, empty environment, with the versions that are pinned for tests."""
    run(sys.executable, "-m", "venv", folder)
    made = Installation(folder, wheel)
    run(made.python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", f"{wheel}{extra}")
    return made


def with_plan(plain: Installation, folder: Path) -> Installation:
    """The same golfbudget beside all packages that the tests run with, in an environment that holds no files itself."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    made = Installation(folder, plain.wheel)
    # Such a file adds folders, but reads no such files in them: an editable golfbudget there is not seen.
    added = [str(plain.packages), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (made.packages / "beside.pth").write_text("\n".join(added) + "\n", encoding="utf-8")
    program = made.python.with_name("golfbudget")
    program.write_text(f'#!/bin/sh\nexec "{made.python}" -m golfbudget "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return made


def installed_bytes(environment: Path) -> tuple[int, int]:
    """Bytes that the packages brought, and bytes of byte code that pip compiled from them.

    pip, setuptools and what else came with the empty environment do not count; what pip writes about a package does.
    """
    brought = compiled = 0
    found = packages(environment)
    for file in found.rglob("*"):
        if file.is_file() and file.relative_to(found).parts[0].partition("-")[0].removesuffix(".pth") not in BEFORE:
            if file.suffix == ".pyc":
                compiled += file.stat().st_size
            else:
                brought += file.stat().st_size
    return brought, compiled


def run_demo(installation: Installation, folder: Path) -> Demo:
    """Run the demo from a folder outside the checkout."""
    folder.mkdir(parents=True)
    start = time.monotonic()
    done = installation.run("demo", "--save", "build/example", cwd=folder)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Demo(folder=folder, stdout=done.stdout, stderr=done.stderr, seconds=time.monotonic() - start)
