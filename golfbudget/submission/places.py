"""Where in a submission something is said: what findings name, and annotations stand at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file by its path from the folder, and a line of it; `inside`: the line is one of what the file unpacks to.

    >>> str(Place(file="a.py", line=3)), str(Place(file="a.py", line=3, inside=True)), str(Place(file="m.ptz"))
    ('a.py, line 3', 'a.py, line 3 of what it unpacks to', 'm.ptz')
    """

    file: str
    line: int | None = None
    inside: bool = False

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.file}{line}{' of what it unpacks to' if self.inside else ''}"


def listed(places: Iterable[object]) -> str:
    """The first few, each once."""
    names = list(dict.fromkeys(map(str, places)))
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
