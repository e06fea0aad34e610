"""Formats: one reader per file grammar.  Importing this package fills the registry, `opaque` last."""

from golfbudget.formats import safetensors, torch_zip, opaque  # noqa: F401, I001  (registry order)
from golfbudget.formats.base import BYTE_ORDER, Contents, Format, Region, StoredTensor, get, registered
from golfbudget.formats.foresight import Foreseer

__all__ = ["BYTE_ORDER", "Contents", "Foreseer", "Format", "Region", "StoredTensor", "get", "registered"]
