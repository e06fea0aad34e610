"""Schemes: ways to represent a matrix.  Importing this package (it imports torch) fills the registry."""

from golfbudget.schemes import (  # noqa: F401  (they register themselves)
    by_frequency,
    factorised,
    grouped,
    product_codes,
    scalar,
    seeded,
    vq_family,
    vq_logits,
)
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Scheme, Table, collisions, get, registered

__all__ = ["Context", "Encoded", "Options", "Parameter", "Scheme", "Table", "collisions", "get", "registered"]
