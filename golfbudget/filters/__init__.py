"""Filters: lossless reorderings and prefixes around a codec.  Importing this package fills the registry."""

from golfbudget.filters import byte_shuffle, method_prefix  # noqa: F401
from golfbudget.filters.base import Filter, Filtered, registered

__all__ = ["Filter", "Filtered", "registered"]
