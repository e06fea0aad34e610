"""Layouts: one file per way to lay an export out in a container.  Importing this package fills the registry."""

from golfbudget.recipe.layouts import compressed_tensors, flat, gguf, int8_clean, packed  # noqa: F401
from golfbudget.recipe.layouts.base import Layout, get, recognise, registered

__all__ = ["Layout", "get", "recognise", "registered"]
