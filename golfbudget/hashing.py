"""File hashes, for reports that say which bytes they speak of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from golfbudget.errors import UsageError


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hex, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
