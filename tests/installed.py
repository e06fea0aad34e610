"""golfbudget as a user installs it: the wheel in an empty environment, run from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Installation:
    """An environment that holds the wheel and what it depends on, and nothing of this checkout."""

    folder: Path
    wheel: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    @property
    def program(self) -> Path:
        return self.python.with_name("golfbudget")

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        hidden = {"PYTHONPATH", "COLUMNS", "FORCE_COLOR"}
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        return subprocess.run(
            [str(self.program), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
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


def install(folder: Path) -> Installation:
    """Build the wheel and install it into a new, empty environment, with the versions that are pinned for tests."""

    def run(*command: str | Path) -> None:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", folder / "env")
    made = Installation(folder / "env", wheel)
    run(made.python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    return made


def run_demo(installation: Installation, folder: Path) -> Demo:
    """Run the demo from a folder outside the checkout."""
    folder.mkdir(parents=True)
    start = time.monotonic()
    done = installation.run("demo", "--save", "build/example", cwd=folder)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Demo(folder=folder, stdout=done.stdout, stderr=done.stderr, seconds=time.monotonic() - start)
