"""Bits per value of quantised distributions: exact sums over bins, no numpy.

Under an ideal order-0 coder that is the entropy; brotli at its strongest, which gives every symbol a whole number of
bits, needs the average length of the best prefix code, 0.5 to 1.5 % more on such values.  Deflate and zstd also take
short repetitions that cost more than they save where values have few bits, up to 15 %, bzip2 sorts what has no order,
and xz learns its many contexts one by one.  That has no formula, so a sample of the levels goes through them.
"""

from __future__ import annotations

import heapq
import math
import random
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

from golfbudget import codecs

Family = Literal["gaussian", "laplace"]
Coder = Literal["arithmetic", "prefix", "zlib", "zstd", "xz", "bz2"]

#: Values of a sample: several of deflate's windows of 32 KiB.
_SAMPLE = 1 << 18
_ROOT_HALF = math.sqrt(0.5)


def cumulative(family: Family) -> Callable[[float], float]:
    """The distribution function of mean 0 and standard deviation 1."""
    if family == "gaussian":
        return lambda x: 0.5 * math.erfc(-x * _ROOT_HALF)
    return lambda x: 0.5 * math.exp(x / _ROOT_HALF) if x < 0 else 1 - 0.5 * math.exp(-x / _ROOT_HALF)


def entropy(probabilities: Iterable[float]) -> float:
    """Shannon entropy in bits."""
    return -sum(p * math.log2(p) for p in probabilities if p > 0)


def prefix_length(probabilities: Iterable[float]) -> float:
    """Average bits of the best prefix code (D. A. Huffman, 1952): the sum of all merged weights.

    >>> prefix_length([0.5, 0.25, 0.25])
    1.5
    """
    weights = [p for p in probabilities if p > 0]
    heapq.heapify(weights)
    length = 0.0
    while len(weights) > 1:
        merged = heapq.heappop(weights) + heapq.heappop(weights)
        length += merged
        heapq.heappush(weights, merged)
    return length


def sampled_length(probabilities: Iterable[float], codec: str) -> float:
    """Bits per value that a codec at its strongest needs for independent values of these probabilities."""
    shares = list(probabilities)
    drawn = random.Random(0).choices(range(len(shares)), shares, k=_SAMPLE)  # noqa: S311  a sample, no secret
    known = codecs.get(codec)
    return 8 * len(known.encode(bytes(drawn), known.default_level)) / _SAMPLE


_BITS: dict[str, Callable[[Iterable[float]], float]] = {"arithmetic": entropy, "prefix": prefix_length}
_BITS |= {name: partial(sampled_length, codec=name) for name in ("zlib", "zstd", "xz", "bz2")}


@lru_cache(maxsize=4096)
def level_bits(
    width: float, lowest: int, highest: int, family: Family = "gaussian", coder: Coder = "arithmetic"
) -> float:
    """Bits per value after rounding to multiples of `width` standard deviations, kept within the levels.

    Exact for the quantised distribution: the ends take their tails.

    >>> round(level_bits(20 / 127, -127, 127), 3), round(level_bits(12.85 / 31, -31, 31), 3)
    (4.715, 3.328)
    """
    below = cumulative(family)
    edges = [0.0, *(below((level + 0.5) * width) for level in range(lowest, highest)), 1.0]
    return _BITS[coder](high - low for low, high in pairwise(edges))


@lru_cache(maxsize=4096)
def float_bits(
    dtype: str, mean: float, deviation: float, family: Family = "gaussian", coder: Coder = "arithmetic"
) -> float:
    """Bits per element of a float type, each of its byte planes coded by itself.

    The lower two bytes of float32 count as 16 bits: rounding noise.
    """
    if deviation <= 0:
        return 0.0
    if dtype == "float32":
        return 16 + float_bits("bfloat16", mean, deviation, family, coder)
    values = _float8() if dtype == "float8_e4m3fn" else _half(dtype)
    below = cumulative(family)
    planes: tuple[dict[int, float], dict[int, float]] = ({}, {})
    previous = 0.0
    for number, (value, code) in enumerate(values):
        upper = (value + values[number + 1][0]) / 2 if number + 1 < len(values) else math.inf
        reached = below((upper - mean) / deviation)
        probability, previous = reached - previous, reached
        if probability > 0:
            for plane, byte in zip(planes, (code >> 8, code & 255), strict=True):
                plane[byte] = plane.get(byte, 0.0) + probability
    bits = entropy if coder == "arithmetic" else prefix_length
    return sum(bits(plane.values()) for plane in planes)


@lru_cache(maxsize=2)
def _half(dtype: str) -> list[tuple[float, int]]:
    """Finite values of a 16-bit float, ascending, with their codes; of the two zeros the positive one."""
    edges = []
    for code in range(1 << 16):
        if dtype == "float16":
            (value,) = struct.unpack("<e", struct.pack("<H", code))
        else:
            (value,) = struct.unpack("<f", struct.pack("<I", code << 16))
        if math.isfinite(value) and code != 0x8000:
            edges.append((value, code))
    return sorted(edges)


@lru_cache(maxsize=1)
def _float8() -> list[tuple[float, int]]:
    """Values of float8 e4m3fn: bias 7, no infinities, all ones a NaN (the OCP 8-bit floating point specification)."""
    edges = []
    for code in range(256):
        exponent, mantissa = code >> 3 & 15, code & 7
        if (exponent == 15 and mantissa == 7) or code == 0x80:
            continue
        size = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        edges.append((-size if code >> 7 else size, code))
    return sorted(edges)


@lru_cache(maxsize=4096)
def typical_maximum(count: int, family: Family = "gaussian") -> float:
    """The median of the largest absolute value of `count` draws, in standard deviations."""
    both_tails = -math.expm1(math.log(0.5) / count)
    if family == "laplace":
        return -_ROOT_HALF * math.log(both_tails)
    return -NormalDist().inv_cdf(both_tails / 2)
