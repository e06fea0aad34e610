"""Extensions by other packages: objects announced as entry points, loaded only when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from golfbudget.errors import UsageError


def load(group: str) -> Iterator[tuple[str, Any]]:
    """(name, object) of every entry point of the group; `UsageError` names one that cannot be imported."""
    return iter(_loaded(group))


@cache
def _loaded(group: str) -> tuple[tuple[str, Any], ...]:
    from importlib.metadata import entry_points

    found = []
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            found.append((point.name, point.load()))
        except Exception as error:
            raise UsageError(
                f"the entry point {point.name!r} ({point.value}) of {group} cannot be loaded: {error}"
            ) from error
    return tuple(found)
