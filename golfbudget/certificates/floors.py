"""Tie floors as certificates: of a given token-to-code map, and the lowest that any map could have; and VQ's ceiling.

Tokens that share a code get equal logits, so a code of n tokens gives none of them more than 1/n of its probability:
the loss of every token on it is at least ln n, for any trunk and any training.  With a bias per token the split of a
code among its tokens is free but the same everywhere, and the least loss of a fixed split is H(W|C).  (The bias must
be added after any soft cap on the logits; under a cap the split could follow the state.)  Both hold on the very text
whose counts are given, so count the tokens that are predicted.  The proofs hold for any map in which each token has
one code; rows kept explicit are codes of their own; a residual that tells tokens apart has no such floor.

The ceiling is what a vector quantiser can save over entropy-coded scalars on a matrix without structure: a model
(independent entries of one density, equal mean squared error, fine resolution).  It is printed, and never rules
anything out; a file that beats it has found structure, repeated rows for instance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from golfbudget.certificates.base import NATS_PER_TOKEN, Certificate, code_ids, token_counts
from golfbudget.certificates.best_floor import best_partition, biased_bound
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence

#: Bits a weight: the space-filling gain of the best possible quantiser cell over the cube, 1/2 log2(2 pi e / 12).
CEILING_BITS = 0.5 * math.log2(2 * math.pi * math.e / 12)
_PROOF = "proved in golfbudget.certificates.floors; VQ-Logits: arXiv:2505.10202"
_BEST_PROOF = "exact, proved in golfbudget.certificates.best_floor"
_BOUND_PROOF = "majorisation, proved in golfbudget.certificates.best_floor"


def tie_floor_nats(counts: ArrayLike, codes: ArrayLike) -> float:
    """E[ln n_code(w)], nats per token: counts [vocabulary], one code id for each token.

    >>> round(tie_floor_nats([3, 1, 1, 1], [0, 1, 1, 2]), 4)  # two of six tokens share a code with one other
    0.231
    """
    numbers = token_counts(counts)
    _, inverse, sizes = np.unique(code_ids(codes, len(numbers)), return_inverse=True, return_counts=True)
    return float(numbers @ np.log(sizes)[inverse]) / float(numbers.sum())


def biased_floor_nats(counts: ArrayLike, codes: ArrayLike) -> float:
    """H(W|C), nats per token: what a bias per token cannot repair.

    >>> round(biased_floor_nats([3, 1, 1, 1], [0, 1, 1, 2]), 4)  # the two are as frequent as each other
    0.231
    >>> round(biased_floor_nats([3, 1, 1, 1], [0, 0, 1, 2]), 4)  # 3 to 1, less uncertain than even
    0.3749
    """
    numbers = token_counts(counts)
    _, inverse = np.unique(code_ids(codes, len(numbers)), return_inverse=True)
    masses = np.bincount(inverse, weights=numbers)
    seen = numbers > 0
    # A sum of small terms, each at least zero, where a difference of entropies would cancel.
    shares = np.log(masses[inverse][seen] / numbers[seen])
    return max(float(numbers[seen] @ shares), 0.0) / float(numbers.sum())


def tie_floor(counts: ArrayLike, codes: ArrayLike, *, of: str) -> Certificate:
    """The plain floor of one map; `of` names the candidate."""
    statement = (
        f"the {_distinct(codes):,} codes of {of} give the tokens on one code equal logits, so no trunk and no training "
        "takes its loss on this text below"
    )
    return _floor(f"tie-floor:{of}", statement, tie_floor_nats(counts, codes), _PROOF)


def biased_floor(counts: ArrayLike, codes: ArrayLike, *, of: str) -> Certificate:
    """The floor of one map when a bias per token splits each code; `of` names the candidate."""
    statement = (
        f"the {_distinct(codes):,} codes of {of} with a bias per token (added after any soft cap) split each code the "
        "same way in every context, so no trunk and no training takes its loss on this text below"
    )
    return _floor(f"tie-floor-bias:{of}", statement, biased_floor_nats(counts, codes), _PROOF)


def best_tie_floor(counts: ArrayLike, codes: int) -> Certificate:
    """The lowest plain floor of any map onto `codes` codes, whatever the map."""
    statement = (
        f"no map of this vocabulary onto {codes:,} codes without bias, however it is found, has a loss on this "
        "text below"
    )
    return _floor(f"best-tie-floor:{codes}", statement, best_partition(counts, codes).floor, _BEST_PROOF)


def best_biased_floor(counts: ArrayLike, codes: int) -> Certificate:
    """A bound on the lowest floor with bias of any map onto `codes` codes; no map need attain it."""
    statement = (
        f"no map of this vocabulary onto {codes:,} codes with a bias per token (added after any soft cap), however "
        "it is found, has a loss on this text below this bound, which no map need attain"
    )
    return _floor(f"best-tie-floor-bias:{codes}", statement, biased_bound(counts, codes), _BOUND_PROOF)


def _distinct(codes: ArrayLike) -> int:
    return len(np.unique(np.asarray(codes)))


def _floor(name: str, statement: str, value: float, source: str) -> Certificate:
    return Certificate(
        name=name, statement=statement, value=value, unit=NATS_PER_TOKEN, source=source, evidence=Evidence.CERTIFIED
    )


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
