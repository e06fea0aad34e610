"""Results by content: the same artifact under the same search and the same libraries is searched once.

A cached file is proved like a fresh one before it is used; whatever is wrong with the cache, the search runs again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: Raised with every change of the search that can change its result.
SEARCH_VERSION = 1
_DIGEST = 32


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/golfbudget`, by default in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "golfbudget"


def key(sha256: str, options: Mapping[str, object]) -> str:
    """The name of a result."""
    text = json.dumps({"search": SEARCH_VERSION, "sha256": sha256, **options}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read(folder: Path, name: str) -> tuple[dict[str, object], bytes] | None:
    """(facts, file) of a result; None where there is none that is whole."""
    try:
        raw = (folder / f"repack-{name}").read_bytes()
        digest, body = raw[:_DIGEST], raw[_DIGEST:]
        if digest != hashlib.sha256(body).digest():
            return None
        length = int.from_bytes(body[:4], "little")
        facts = json.loads(body[4 : 4 + length])
    except (OSError, ValueError):
        return None
    return (facts, body[4 + length :]) if isinstance(facts, dict) else None


def write(folder: Path, name: str, facts: Mapping[str, object], data: bytes) -> bool:
    """Keep a result; whether that was possible.  Other results stay."""
    text = json.dumps(facts).encode()
    body = len(text).to_bytes(4, "little") + text + data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".repack-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            Path(temporary).replace(folder / f"repack-{name}")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError:
        return False
    return True
