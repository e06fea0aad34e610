"""Workflow commands, by which a run on GitHub is annotated, and how long a comment may be."""

from __future__ import annotations

import re
from pathlib import Path

from golfbudget.report.numbers import printable

#: GitHub takes comments of 65,536 characters.
LONGEST = 60_000
#: A line as messages name it: by itself, as JSON's errors do, or behind the path.
_LINE = re.compile(r"\bline (\d{1,9})\b")


def command(name: str, title: str, text: str, *, file: Path | None = None, line: int | None = None) -> str:
    r"""A workflow command: data and properties are escaped, so that no name can begin a command of its own.

    >>> command("error", "a: b, c", "100 %\n::error::x")
    '::error title=a%3A b%2C c::100 %25\\n::error::x'
    >>> command("error", "t", "x", file=Path("a,b/c.json"), line=3)
    '::error file=a%2Cb/c.json,line=3,title=t::x'
    """
    place = "" if file is None else f"file={_property(str(file))},"
    place += "" if file is None or line is None else f"line={line},"
    return f"::{name} {place}title={_property(title)}::{_safe(text)}"


def trouble(title: str, text: str, among: Path) -> str:
    """An error that says which file could not be read: the one that the text begins with, else `among`."""
    named = Path(text.partition(": ")[0])
    try:
        file = named if named.exists() else among
    except (OSError, ValueError):
        file = among
    found = _LINE.search(text)
    return command("error", title, text, file=file, line=int(found[1]) if found and file.is_file() else None)


def _property(text: str) -> str:
    return _safe(text).replace(":", "%3A").replace(",", "%2C")


def _safe(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
