"""Results of the search by content: the same artifact under the same search and libraries is searched once.

A cached file is proved like a fresh one before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golfbudget import cache
from golfbudget.cache import default_folder

#: Raised with every change of the search that can change its result.
SEARCH_VERSION = 1
PREFIX = "repack-"


def key(sha256: str, options: Mapping[str, object]) -> str:
    """The name of a result."""
    return cache.key({"search": SEARCH_VERSION, "sha256": sha256, **options})[:32]


def read(folder: Path, name: str) -> tuple[dict[str, object], bytes] | None:
    """(facts, file) of a result; None where there is none that is whole."""
    return cache.read(folder, PREFIX + name)


def write(folder: Path, name: str, facts: Mapping[str, object], data: bytes) -> bool:
    """Keep a result; whether that was possible."""
    kept = cache.write(folder, PREFIX + name, facts, data)
    cache.prune(folder, PREFIX)
    return kept


__all__ = ["PREFIX", "SEARCH_VERSION", "default_folder", "key", "read", "write"]
