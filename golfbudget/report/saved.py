"""A report that a command saved with `--format json`, read back as plain values."""

from __future__ import annotations

import json
import math
from pathlib import Path

from golfbudget.errors import CorruptError, LimitError, readable

#: Bytes of the largest report that is read; one of 100,000 entries takes 30 million.
_LARGEST = 200_000_000
_WANTED = "expected a report saved with --format json"


def read_saved(path: Path) -> object:
    """The values of a JSON file.

    `UsageError` where it cannot be read, `CorruptError` where it is no JSON, `LimitError` where it is too large.
    """
    with readable(path), path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise LimitError(f"{path}: {_WANTED}, found more than {_LARGEST:,} bytes")
    try:
        value: object = json.loads(data.removeprefix(b"\xef\xbb\xbf"), parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: {_WANTED}, found what is no JSON: {error}") from None
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond all numbers that JSON readers hold")
    return number


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
