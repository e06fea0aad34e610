"""Formats: one reader per file grammar.  Importing this package fills the registry, `opaque` last."""

from golfbudget.formats import safetensors, torch_zip, pgrp, opaque  # noqa: F401, I001  (registry order)
from golfbudget.formats.base import (
    BYTE_ORDER,
    DTYPE_BITS,
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

__all__ = [
    "BYTE_ORDER",
    "DTYPE_BITS",
    "Contents",
    "Format",
    "Inner",
    "Region",
    "StoredTensor",
    "begins",
    "candidates",
    "claimed_by",
    "get",
    "others",
    "registered",
]
