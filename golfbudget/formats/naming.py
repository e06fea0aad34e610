"""Names of stored things: always printable, of bounded length, and no two alike."""

from __future__ import annotations

#: No tensor of a model has a longer name; a hostile file's could cost hours.
LONGEST_NAME = 512
_LARGEST_NUMBER = 1 << 63
_PLAIN = (type(None), bool, int, float, str, bytes)


def spelled(key: object) -> str:
    """A dict's key as part of a name: always printable as UTF-8, and "?" for what has no short spelling."""
    if isinstance(key, (str, bytes)):
        key = key[: LONGEST_NAME + 1]
    elif not isinstance(key, _PLAIN) or (isinstance(key, int) and abs(key) >= _LARGEST_NUMBER):
        return "?"
    return str(key).encode("utf-8", errors="backslashreplace").decode("utf-8")


def unique(name: str, taken: dict[str, int]) -> str:
    """The name, cut if no tensor's is as long, numbered if taken (keys 1 and "1"): no tensor hides another."""
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}…"
    made = name
    while made in taken:
        taken[name] += 1
        made = f"{name}#{taken[name]}"
    taken[made] = 1
    return made
