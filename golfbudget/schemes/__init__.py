"""Schemes: ways to represent a matrix.  Importing this package (it imports torch) fills the registry."""

from golfbudget.schemes import (  # noqa: F401  (they register themselves)
    bits_by_frequency,
    clipped,
    factorised,
    grouped,
    grouped_scalar,
    low_rank,
    product_codes,
    pruned,
    scalar,
    seeded,
    vq_family,
    vq_logits,
    weight_vq,
)
from golfbudget.schemes.base import (
    Context,
    Encoded,
    Options,
    Parameter,
    Scheme,
    Table,
    collisions,
    get,
    load_others,
    registered,
)

__all__ = [
    "Context",
    "Encoded",
    "Options",
    "Parameter",
    "Scheme",
    "Table",
    "collisions",
    "get",
    "load_others",
    "registered",
]
