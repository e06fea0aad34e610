"""A saved report's values as the type that a page reads, or an error that names the key that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from golfbudget.errors import CorruptError

T = TypeVar("T")


def read(report: Mapping[str, object], of: type[T], where: str) -> T:
    """The report as this type; fields that the type lacks are left out; `CorruptError` where it is not sound."""
    try:
        return msgspec.convert(report, type=of)
    except msgspec.ValidationError as error:
        raise CorruptError(f"{where}: not a sound report: {error}; save it again with --format json") from None
