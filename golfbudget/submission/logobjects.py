"""A line of a log that is an object, as structured loggers write it: the lines that its texts and numbers stand for.

JSON is read, and what Python prints of a dictionary.  Nothing is looked for in lists, which are rows of data.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

#: Longer lines are dumped data.
LONGEST_OBJECT = 1 << 16
_DEEPEST = 8
_BYTES = re.compile(r"(?<![a-z])bytes(?![a-z])", re.IGNORECASE)


def texts_of(line: str) -> list[str]:
    """What an object says, as lines of names and numbers; none where it is no object.

    >>> texts_of('{"artifact": {"total_bytes": 15}, "step": 3, "msg": "Code size: 4 bytes"}')
    ['artifact total_bytes:15', 'step:3', 'Code size: 4 bytes']
    >>> texts_of("{'bytes_total': 15, 'ok': True}"), texts_of("{x: 15}")
    (['bytes_total:15'], [])
    """
    return list(_texts(_read(line), "", 0))


def _read(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _texts(value: object, name: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items() if depth < _DEEPEST else ():
            # A size is one of bytes by its own name, or by that of what it is in.
            path = f"{name} {key}" if name and (isinstance(inner, dict) or _BYTES.search(f"{name} {key}")) else str(key)
            yield from _texts(inner, path, depth + 1)
    elif isinstance(value, str) and "\n" in value.strip():
        yield from value.splitlines()
    elif isinstance(value, str):
        yield value.strip()
        if _BYTES.search(name):
            yield f"{name}:{value.strip()}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield f"{name}:{value}"
