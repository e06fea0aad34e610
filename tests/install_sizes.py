"""Print the table of docs/install.md: what the plain install and golfbudget[plan] take, in fresh environments.

It installs gigabytes from the package index, and so is run by hand: `python tests/install_sizes.py`.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

from support.installed import build_wheel, install, installed_bytes


def platform_line() -> str:
    """Where sizes were measured: they differ by system, and by Python for byte code."""
    major, minor, _ = platform.python_version_tuple()
    return f"Python {major}.{minor}, {sys.platform} {platform.machine()}"


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def row(command: str, environment: Path) -> str:
    brought, compiled = installed_bytes(environment)
    return f"| `{command}` | {megabytes(brought)} | {megabytes(compiled)} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        wheel = build_wheel(Path(name))
        print(platform_line())
        for extra, command in (("", "pip install golfbudget"), ("[plan]", "pip install 'golfbudget[plan]'")):
            environment = Path(name) / f"env{extra}"
            print(row(command, install(environment, wheel, extra).folder))
