"""Sort names as people count."""

from __future__ import annotations

import re


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key by which `blocks.2` comes before `blocks.10`.

    >>> sorted(["b.10", "b.2", "a"], key=natural)
    ['a', 'b.2', 'b.10']
    """
    parts = re.split(r"([0-9]+)", text)
    # Digits that no tensor's number has would take time to convert; they sort as text.
    return [(1, int(p), "") if n % 2 and len(p) < 20 else (0, 0, p) for n, p in enumerate(parts)]
