"""Schemes: ways to represent a matrix.  Importing this package (it imports torch) fills the registry."""

from golfbudget.schemes import (  # noqa: F401  (they register themselves, in this order)
    bits_by_frequency,
    clipped,
    factorised,
    ggml,
    grouped_codes,
    grouped_scalar,
    packed_integers,
    reduced,
    seeded,
    trellis,
    vq_family,
    weight_vq,
)
from golfbudget.schemes.base import (
    Context,
    Encoded,
    Options,
    Parameter,
    Scheme,
    Table,
    bound,
    get,
    load_others,
    registered,
)

__all__ = ["Context", "Encoded", "Options", "Parameter", "Scheme", "Table"]
__all__ += ["bound", "get", "load_others", "registered"]
