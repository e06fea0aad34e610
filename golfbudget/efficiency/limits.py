"""Two floors that the order-0 entropy is held against: the rate-distortion limit, and the entropy given a state.

The limit is Shannon's for independent Gaussian numbers of variance σ² at mean squared error D: ½·log2(σ²/D) bits each,
0 where D is σ² or more (Cover and Thomas, Elements of Information Theory, theorem 10.3.2).  Weights are not Gaussian,
so a real row's limit may be lower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_BYTE_VALUES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLimits:
    """Rows of a matrix against their originals.  `bits` are the limits of all rows that have an error, summed.

    `exact` numbers are in rows that vary and have none: no rate is their limit.  `error` and `energy` are sums of
    squares, the energy about each row's mean; `unsound` counts the numbers, of either side, that are not finite, or are
    in rows whose squares are not.
    """

    bits: float = 0.0
    numbers: int = 0
    exact: int = 0
    error: float = 0.0
    energy: float = 0.0
    unsound: int = 0

    def __add__(self, other: RowLimits) -> RowLimits:
        return RowLimits(
            bits=self.bits + other.bits,
            numbers=self.numbers + other.numbers,
            exact=self.exact + other.exact,
            error=self.error + other.error,
            energy=self.energy + other.energy,
            unsound=self.unsound + other.unsound,
        )

    @property
    def relative_error(self) -> float | None:
        """Squared error over energy, of four digits; None where all rows are constant."""
        return float(f"{self.error / self.energy:.4g}") if self.energy else None

    def bits_a_weight(self, floor_bits: float) -> float:
        """The mean limit; rows without error count as stored, at `floor_bits` bits a weight."""
        return (self.bits + self.exact * floor_bits) / self.numbers


def row_limits(original: Matrix, decoded: Matrix) -> RowLimits:
    """Limits of rows [rows, columns] at the error they have.

    >>> ones = np.array([[1.0, -1.0, 1.0, -1.0]])
    >>> row_limits(ones, ones * 0.5).bits, row_limits(ones, ones * 0).bits, row_limits(ones * 0, ones).bits
    (4.0, 0.0, 0.0)
    """
    rows, columns = original.shape
    unsound = int(original.size - np.isfinite(original).sum()) + int(decoded.size - np.isfinite(decoded).sum())
    if unsound or not original.size:
        return RowLimits(numbers=original.size, unsound=unsound)
    with np.errstate(over="ignore", invalid="ignore"):
        variance, error = original.var(axis=1), np.square(original - decoded).mean(axis=1)
    beyond = ~np.isfinite(variance + error)
    if beyond.any():
        return RowLimits(numbers=original.size, unsound=int(beyond.sum()) * columns)
    lossy, exact = (error > 0) & (error < variance), (error == 0) & (variance > 0)
    bits = math.fsum((0.5 * columns * np.log2(variance[lossy] / error[lossy])).tolist())
    return RowLimits(
        bits=bits,
        numbers=rows * columns,
        exact=int(exact.sum()) * columns,
        error=columns * math.fsum(error.tolist()),
        energy=columns * math.fsum(variance.tolist()),
    )


def counts_by_parity(stored: NDArray[np.int8], parities: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each byte stands at each parity, int64 [2, 256]; stored bytes and parities are of one shape."""
    symbols = stored.astype(np.uint8) + _BYTE_VALUES * parities.astype(np.int64)
    return np.bincount(symbols.ravel(), minlength=2 * _BYTE_VALUES).reshape(2, _BYTE_VALUES).astype(np.int64)


def conditional_bytes(counts: NDArray[np.int64]) -> int:
    """Entropy of symbols given what row of `counts` [states, symbols] they are in, in whole bytes.

    >>> conditional_bytes(np.array([[800, 0], [0, 800]])), conditional_bytes(np.array([[400, 400], [400, 400]]))
    (0, 200)
    """
    bits = [
        count * math.log2(whole / count) for row in counts.tolist() for whole in [sum(row)] for count in row if count
    ]
    return round(math.fsum(bits) / 8)
