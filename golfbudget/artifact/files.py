"""Reading whole files: mapped bytes, JSON of a bounded length, and pointers that stand in for a file."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

from golfbudget.codecs import Buffer
from golfbudget.errors import CorruptError, UnsupportedError, readable

#: An index of a hundred thousand tensors takes 10 MB.
JSON_LIMIT = 1 << 27
#: What git checks out where the LFS extension is not installed: https://github.com/git-lfs/git-lfs, docs/spec.md.
_POINTER = b"version https://git-lfs.github.com/spec/v1"
#: The specification's limit; pointers have about 130 bytes.
_LONGEST_POINTER = 1024


def read_file(path: Path) -> Buffer:
    """A file's bytes, mapped; `CorruptError` where it is empty, `UsageError` where it cannot be read."""
    with readable(path), path.open("rb") as file:
        if path.stat().st_size == 0:
            raise CorruptError(f"{path}: the file is empty, expected a model artifact")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def is_there(path: Path) -> bool:
    """Whether a path is a file, or one that may not be looked at: whoever opens that says why."""
    try:
        return path.is_file()
    except OSError:
        return True


def read_json(path: Path) -> object:
    """The value of a JSON file; `CorruptError` when it is none, `UnsupportedError` for a Git LFS pointer.

    `UsageError` where it cannot be read.  More than `JSON_LIMIT` bytes are a `CorruptError`, too.
    """
    with readable(path):
        if path.stat().st_size > JSON_LIMIT:
            raise CorruptError(f"{path}: {path.stat().st_size} bytes, expected JSON of at most {JSON_LIMIT}")
        data = path.read_bytes()
    return parsed_json(data, str(path))


def parsed_json(data: bytes, where: str) -> object:
    """The value of a JSON text that messages call `where`; errors as of `read_json`."""
    refuse_pointer(data, where)
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{where}: not valid JSON: {error}") from None
    return value


def refuse_pointer(data: Buffer, path: Path | str) -> None:
    """`UnsupportedError` where the bytes are a Git LFS pointer: the text that stands in for a file not fetched."""
    if bytes(data[: len(_POINTER)]) != _POINTER:
        return
    text = bytes(data[:_LONGEST_POINTER]).decode("utf-8", "replace")
    oid, size = re.search(r"^oid (\S+)\n", text, re.MULTILINE), re.search(r"^size (\d+)\n", text, re.MULTILINE)
    told = "; ".join(
        what for what in (oid and f"oid {oid[1][:80]}", size and f"{int(size[1][:20]):,} bytes") if what is not None
    )
    raise UnsupportedError(
        f"{path}: a Git LFS pointer of {len(data)} bytes, not the file it points to ({told or 'it names none'}); fetch "
        "that with: git lfs pull"
    )
