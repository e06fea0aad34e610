"""Formats: one reader per file grammar.  Importing this package fills the registry, `opaque` last."""

from golfbudget.formats import safetensors, torch_zip, gguf, python_source, opaque  # noqa: F401, I001  (registry order)
from golfbudget.formats.base import BYTE_ORDER, Contents, Format, Region, StoredTensor, get, registered

__all__ = ["BYTE_ORDER", "Contents", "Format", "Region", "StoredTensor", "get", "registered"]
