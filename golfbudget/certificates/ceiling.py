"""How much a vector quantiser can save over entropy-coded scalars on a matrix without structure.

A model, not a proof for real matrices: independent entries of one density, equal mean squared error, fine resolution.
It is printed, and never rules anything out; a file that beats it has found structure, repeated rows for instance.
"""

from __future__ import annotations

import math

from golfbudget.certificates.base import Certificate
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence

#: Bits a weight: the space-filling gain of the best possible quantiser cell over the cube, 1/2 log2(2 pi e / 12).
CEILING_BITS = 0.5 * math.log2(2 * math.pi * math.e / 12)


def _bits(weights: int) -> float:
    if weights < 0:
        raise UsageError(f"a matrix has zero or more weights, found {weights}")
    return weights * CEILING_BITS


def ceiling(weights: int, *, of: str) -> Certificate:
    """The most bytes that vector quantisation of `weights` unstructured weights saves, before codebook and map."""
    return Certificate(
        name=f"vq-ceiling:{of}",
        statement=(
            f"if the {weights:,} weights of {of} were independent, no vector quantiser would save more than "
            f"{CEILING_BITS:.4f} bits a weight over entropy-coded uniform scalars of equal error, before its codebook "
            "and map; a file that saves more has found structure"
        ),
        value=_bits(weights) / 8,
        unit="bytes",
        source="high-resolution theory: Gish and Pierce 1968, Zamir and Feder 1996",
        evidence=Evidence.MODELLED,
    )


def structure_found(weights: int, *, scalar_bytes: int, vector_bytes: int) -> bool:
    """Whether a vector-quantised file beats the ceiling against the scalar file of equal error."""
    return 8 * (scalar_bytes - vector_bytes) > _bits(weights)
