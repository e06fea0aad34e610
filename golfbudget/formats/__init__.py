"""Formats: one reader, or one room of them, per file grammar.  Importing this package fills the registry."""

from golfbudget.formats import recognition  # noqa: F401  (fills the registry)
from golfbudget.formats.base import (
    BYTE_ORDER,
    Contents,
    Format,
    Inner,
    Region,
    StoredTensor,
    begins,
    candidates,
    claimed_by,
    get,
    others,
    registered,
)
from golfbudget.formats.beginnings import Beginning
from golfbudget.formats.partial import read_beginning
from golfbudget.formats.unread import Unread, unread, unread_as

__all__ = ["BYTE_ORDER", "Beginning", "Contents", "Format", "Inner", "Region", "StoredTensor", "Unread"]
__all__ += ["begins", "candidates", "claimed_by", "get", "others", "read_beginning", "registered"]
__all__ += ["unread", "unread_as"]
