"""File hashes, for reports that say which bytes they speak of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from golfbudget.errors import readable

_PIECE = 1 << 20


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hex, read in pieces."""
    return file_hashes([path])[0]


def bytes_hash(data: bytes) -> str:
    """SHA-256 of bytes at hand, hex."""
    return hashlib.sha256(data).hexdigest()


def file_hashes(paths: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """SHA-256 of the files' bytes one after another, and of each file, hex; every file is read once.

    `UsageError` for a file that cannot be read.
    """
    together, each = hashlib.sha256(), []
    for path in paths:
        own = hashlib.sha256()
        with readable(path), path.open("rb") as file:
            while piece := file.read(_PIECE):
                own.update(piece)
                if len(paths) > 1:
                    together.update(piece)
        each.append(own.hexdigest())
    return (each[0] if len(each) == 1 else together.hexdigest()), tuple(each)
