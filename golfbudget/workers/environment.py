"""What a process must have in common with another for their results to be the same: versions, and our own code."""

from __future__ import annotations

import hashlib
import json
import platform
import zlib
from collections.abc import Iterable
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from golfbudget.version import __version__

_PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "faiss-cpu", "threadpoolctl", "zstandard", "brotli", "safetensors",
    "msgspec", "python-minifier", "tree-sitter", "tree-sitter-python", "gguf", "compressed-tensors", "transformers",
    "tokenizers",
)  # fmt: skip
#: What the facts call the digest of our own modules.
CODE = "the code of golfbudget"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions by name: golfbudget's, Python's and its machine's, and those of packages, `none` of what is missing."""
    found = {
        "golfbudget": __version__,
        "Python": platform.python_version(),
        "machine": platform.machine(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@once
def facts() -> dict[str, str]:
    """Versions, and a digest of all modules of golfbudget."""
    package, code = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        data = path.read_bytes()
        code.update(f"{path.relative_to(package).as_posix()} {len(data)} ".encode() + data)
    return {**versions(_PACKAGES), CODE: code.hexdigest()[:12]}


@once
def digest() -> str:
    """The facts in 40 digits."""
    return hashlib.sha256(json.dumps(facts()).encode()).hexdigest()[:40]


def difference(theirs: object) -> str:
    """What another process has that this one has not, in words."""
    own = facts()
    known = theirs if isinstance(theirs, dict) else {}
    found = [f"{name} {known.get(name, 'unknown')} (here {value})" for name, value in own.items()
             if known.get(name) != value]  # fmt: skip
    return ", ".join(found[:3]) or "other facts"
