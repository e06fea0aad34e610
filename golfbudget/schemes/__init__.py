"""Schemes: ways to represent a matrix.  Importing this package (it imports torch) fills the registry."""

from golfbudget.schemes import scalar, vq_logits  # noqa: F401  (they register themselves)
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Scheme, Table, collisions, get, registered

__all__ = ["Context", "Encoded", "Options", "Parameter", "Scheme", "Table", "collisions", "get", "registered"]
