"""What long work tells whoever watches it, step by step."""

from __future__ import annotations

from collections.abc import Callable

#: Called before each step with what the step is about and how many steps there are in all, as far as is known.
Progress = Callable[[str, int], None]


def unwatched(_what: str, _steps: int) -> None:
    """Progress that nobody watches."""
