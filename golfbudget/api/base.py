"""What every function of the face shares: arguments as callers give them, progress, and what every result can do."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golfbudget.errors import UsageError
from golfbudget.progress import Progress, unwatched
from golfbudget.rules import code_size, parse_size

if TYPE_CHECKING:
    from golfbudget.inspection import Reading
    from golfbudget.report.document import Document


class Result(ABC):
    """A value that stands for a whole report; `str` of it is the report as text, `repr` one line."""

    __slots__ = ()

    @abstractmethod
    def document(self) -> Document:
        """The report as its renderers take it."""

    @abstractmethod
    def summary(self) -> str:
        """The result in one line, without its name."""

    def to_json(self) -> str:
        """The text that the command writes with `--format json`; a saved one is a baseline for `compare`."""
        return self._text("json")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return dict(json.loads(self.to_json()))

    def to_markdown(self) -> str:
        """The text that the command writes with `--format markdown`."""
        return self._text("markdown")

    def to_html(self) -> str:
        """The page that the command writes with `--format html`."""
        return self._text("html")

    def __str__(self) -> str:
        return self._text("table").rstrip("\n")

    def _text(self, output_format: str) -> str:
        from golfbudget.report import ReportFormat
        from golfbudget.report.render import rendered

        return rendered(self.document(), ReportFormat(output_format))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    def _repr_html_(self) -> str:
        from golfbudget.report.render import html_fragment

        return html_fragment(self.document())


StrPath = str | os.PathLike[str]
#: Bytes, whole ones, `16e6` too, or a text such as `16MB`.
Size = float | str
#: A file of code, or its size.
Code = Size | os.PathLike[str]
#: One, or several.
Paths = StrPath | Sequence[StrPath]


def size(given: Size) -> int:
    """Bytes; `UsageError` for a text that is no size, for a number that is not whole, and for less than nothing.

    >>> size("16MB"), size(16), size(16e6)
    (16000000, 16, 16000000)
    """
    if isinstance(given, str):
        return parse_size(given)
    try:
        whole = int(given)
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if isinstance(given, bool) or whole != given or whole < 0:
        raise UsageError(f"{str(given)[:80]} bytes are no size; give a whole number, zero or more")
    return whole


#: What `within` holds numbers to, as the command line does.
SEEDS, JOBS, COMPRESSIONS, REPEATS = (0, 2**32 - 1), (1, 256), (1, 64), (1, 100)


def within(option: str, given: int | None, ends: tuple[int, int]) -> None:
    """`UsageError` for a number outside of what the option takes."""
    least, most = ends
    if given is not None and not least <= given <= most:
        raise UsageError(f"{option} {given}: expected a number from {least} to {most}")


def cap_size(cap: Size | None) -> int:
    """Bytes of the cap; without one, that of the contest's rules."""
    if cap is not None:
        return size(cap)
    from golfbudget.rules import load_rules

    return load_rules().cap


def code_bytes(code: Code | None, *, option: str = "--code") -> int | None:
    """Bytes of code from a file or a size; None for code that does not count."""
    if code is None:
        return None
    return code_size(os.fspath(code), option=option) if isinstance(code, str | os.PathLike) else size(code)


def path_or_none(path: StrPath | None) -> Path | None:
    """A path, where there is one."""
    return None if path is None else Path(path)


def here(path: StrPath, progress: Watch) -> Path:
    """A path of this machine: what an hf:// path names is downloaded first, once, into the cache of `huggingface_hub`.

    Raises a `GolfbudgetError` in one line for what cannot be had.
    """
    from golfbudget.hub import is_hub_path, parse_address

    if not is_hub_path(path):
        return Path(path)
    from golfbudget.artifact.repositories import fetch

    return fetch(parse_address(path), shown=progress is True and sys.stderr.isatty())


def paths(given: Paths) -> list[Path]:
    """One path or several, as a list."""
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(one) for one in given]


def reading(
    *, roles: StrPath | None, as_format: str | None, layout: StrPath | None, max_decoded: Size, files: str = "file"
) -> Reading:
    """How to read files; `UsageError` where `layout`, the description of a format, and `as_format` differ."""
    from golfbudget.inspection import Reading
    from golfbudget.roles import load_roles

    rules, own = load_roles(path_or_none(roles)), None
    if layout is not None:
        if as_format is not None:
            raise UsageError(f"--layout and --as both say how to read the {files}; give one of them")
        from golfbudget.formats.custom import load_layout

        own = load_layout(Path(layout))
    return Reading(roles=rules, as_format=as_format, layout=own, limit=size(max_decoded))


def cache_folder(cache: StrPath | None, *, off: bool) -> Path | None:
    """The folder where results are kept; None for none.

    `UsageError` where one is named and all are turned off, and for what is there and no folder.
    """
    from golfbudget.cache import default_folder

    if off and cache is not None:
        raise UsageError("--cache and --no-cache exclude each other; give one of them")
    named = path_or_none(cache)
    if named is not None and named.exists() and not named.is_dir():
        raise UsageError(f"--cache {named}: is a file, expected a folder, there or to be made")
    return None if off else named or default_folder()


#: True shows a bar where there is a screen; a function is called with what is being done and the number of steps.
Watch = bool | Progress


@contextmanager
def watched(progress: Watch, title: str) -> Iterator[Progress]:
    """Yields the function that long work calls before each step."""
    if callable(progress):
        yield progress
    elif not progress or not (
        sys.stderr.isatty() or "ipykernel" in sys.modules
    ):  # Only a notebook's kernel imports it.
        yield unwatched
    else:
        yield from _bar(title)


def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        started = False

        def step(description: str, steps: int) -> None:
            nonlocal started
            bar.update(task, description=f"{title}: {description}", total=steps, advance=1 if started else 0)
            started = True

        yield step
