"""Arguments of Python callers as golfbudget takes them: sizes in bytes or as text, paths as text or `Path`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.budget import code_size, parse_size
from golfbudget.errors import UsageError

if TYPE_CHECKING:
    from golfbudget.formats import Format

StrPath = str | os.PathLike[str]
#: Bytes, or a text such as `16MB`.
Size = int | str
#: A file of code, or its size.
Code = Size | os.PathLike[str]
#: One, or several.
Paths = StrPath | Sequence[StrPath]


def size(given: Size) -> int:
    """Bytes; `UsageError` for a text that is no size, and for less than nothing.

    >>> size("16MB"), size(16)
    (16000000, 16)
    """
    if isinstance(given, str):
        return parse_size(given)
    if given < 0:
        raise UsageError(f"{given} bytes are no size; give zero or more")
    return given


def cap_size(cap: Size | None) -> int:
    """Bytes of the cap; without one, that of the contest's rules."""
    if cap is not None:
        return size(cap)
    from golfbudget.rules import load_rules

    return load_rules().cap


def code_bytes(code: Code | None, *, option: str = "--code") -> int | None:
    """Bytes of code from a file or a size; None for code that does not count."""
    if code is None or isinstance(code, int):
        return None if code is None else size(code)
    return code_size(os.fspath(code), option=option)


def path_or_none(path: StrPath | None) -> Path | None:
    """A path, where there is one."""
    return None if path is None else Path(path)


def paths(given: Paths) -> list[Path]:
    """One path or several, as a list."""
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(one) for one in given]


def own_format(layout: StrPath | None, as_format: str | None, files: str = "file") -> Format | None:
    """The format that a layout file describes, if there is one; `UsageError` where `as_format` says something else."""
    if layout is None:
        return None
    if as_format is not None:
        raise UsageError(f"--layout and --as both say how to read the {files}; give one of them")
    from golfbudget.formats.custom import load_layout

    return load_layout(Path(layout))


def cache_folder(cache: StrPath | None, *, off: bool) -> Path | None:
    """The folder where results are kept; None for none.  `UsageError` where one is named and all are turned off."""
    from golfbudget.cache import default_folder

    if off and cache is not None:
        raise UsageError("--cache and --no-cache exclude each other; give one of them")
    return None if off else path_or_none(cache) or default_folder()
