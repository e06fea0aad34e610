"""A folder of results kept by content, shared by all commands: whole entries or none, and damage is seen.

An entry is a digest, a JSON text of facts, and bytes.  Whatever is wrong with the folder, work is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: Names the folder; it wins over the system's own place.
VARIABLE = "GOLFBUDGET_CACHE"
#: Bytes of one command's entries that are left when its work is done, the newest.
MOST_BYTES = 2_000_000_000
_DIGEST = 32


def default_folder() -> Path:
    """`$GOLFBUDGET_CACHE`, or the folder `golfbudget` where the system keeps a user's caches."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin" and not os.environ.get("XDG_CACHE_HOME"):
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "golfbudget"


def key(facts: Mapping[str, object]) -> str:
    """The name of the result that depends on these facts alone."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:40]


def read(folder: Path, name: str) -> tuple[dict[str, object], bytes] | None:
    """(facts, bytes) of an entry; None where there is none that is whole."""
    try:
        raw = (folder / name).read_bytes()
        digest, body = raw[:_DIGEST], raw[_DIGEST:]
        if digest != hashlib.sha256(body).digest():
            return None
        length = int.from_bytes(body[:4], "little")
        facts = json.loads(body[4 : 4 + length])
    except (OSError, ValueError):
        return None
    return (facts, body[4 + length :]) if isinstance(facts, dict) else None


def write(folder: Path, name: str, facts: Mapping[str, object], data: bytes) -> bool:
    """Keep an entry in a folder that is made if need be; whether that was possible.  Other entries stay."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return write_into(folder, name, facts, data)


def write_into(folder: Path, name: str, facts: Mapping[str, object], data: bytes) -> bool:
    """Keep an entry in a folder that is there; whether that was possible."""
    text = json.dumps(facts).encode()
    body = len(text).to_bytes(4, "little") + text + data
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name[:16]}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            Path(temporary).replace(folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError:
        return False
    return True


def prune(folder: Path, prefix: str, most: int = MOST_BYTES) -> None:
    """Remove the oldest entries whose names begin with `prefix` until the others take at most so many bytes."""
    try:
        entries = [(path.stat(), path) for path in folder.iterdir() if path.name.startswith(prefix)]
        total = 0
        for facts, path in sorted(entries, key=lambda pair: -pair[0].st_mtime_ns):
            total += facts.st_size
            if total > most:
                path.unlink(missing_ok=True)
    except OSError:
        return  # Another program may be at work there; nothing depends on this.
