"""Low-rank factors of a matrix, quantised: the part that `factorised`, `lqer`, `bands` and a VQ residual share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golfbudget.schemes.base import Encoded, Table
from golfbudget.schemes.values import matrix_bytes, matrix_tables, read_matrix, reread

#: Directions weaker than this share of the strongest are rounding noise of float32, and are left out.
_NOISE = 1e-7

#: `f(a,r)`: the product of the factors named with suffix `a`, for `r` rows; needs `g`.
READ_PRODUCT = "def f(a,r):return(g('left'+a,r).T.astype('d')@g('right'+a,C)).astype('f')\n"


def factor_tables(
    matrix: Tensor, rank: int, bits: int, store: str, suffix: str = "", weighted: Tensor | None = None
) -> tuple[Table, ...]:
    """`left` [rank, rows] and `right` [rank, columns] of a float32 matrix [rows, columns].

    The best approximation of that rank comes from the singular vectors.  Each factor has one scale per direction, and
    the right one is solved again, by least squares, for the left one as it was rounded.  The left one spans the best
    approximation of `weighted` instead, where it is given: the matrix times a root of its inputs' covariance.
    """
    double = matrix.double()
    left = _left(double if weighted is None else weighted, rank)
    left_tables = matrix_tables(f"left{suffix}", left.T.float().contiguous(), bits, store)
    rounded = reread(left_tables, matrix.shape[0]).double()
    right = torch.linalg.pinv(rounded @ rounded.T, hermitian=True) @ (rounded @ double)
    return left_tables + matrix_tables(f"right{suffix}", right.float().contiguous(), bits, store)


def _left(matrix: Tensor, rank: int) -> Tensor:
    """The first left singular vectors, each times the root of its singular value: float64 [rows, rank].

    From the eigenvectors of the smaller Gram matrix: a vocabulary has far more rows than columns.
    """
    rows, columns = matrix.shape
    largest = matrix.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    matrix = matrix / largest
    if columns <= rows:
        vectors = torch.linalg.eigh(matrix.T @ matrix).eigenvectors.flip(1)[:, :rank]
        scaled = matrix @ vectors
        strength = scaled.norm(dim=0)
    else:
        energies, vectors = torch.linalg.eigh(matrix @ matrix.T)
        strength = energies.flip(0)[:rank].clamp_min(0).sqrt()
        scaled = vectors.flip(1)[:, :rank] * strength
    kept = strength > _NOISE * strength.max()
    root = torch.where(kept, (largest / strength.clamp_min(torch.finfo(torch.float64).tiny)).sqrt(), 0.0)
    return torch.mul(scaled, root)


def factor_bytes(rows: int, columns: int, rank: int, bits: int, store: str) -> int:
    """Raw bytes of what `factor_tables` gives."""
    return matrix_bytes(rank, rows, bits, store) + matrix_bytes(rank, columns, bits, store)


def product(encoded: Encoded, rows: int, suffix: str = "") -> Tensor:
    """Left times right, float32 [rows, columns]; summed in double precision, whose order of sums no rounding shows."""
    left = read_matrix(encoded, f"left{suffix}", rows).numpy()
    right = read_matrix(encoded, f"right{suffix}", encoded.shape[1]).numpy()
    return torch.from_numpy((left.T.astype(np.float64) @ right).astype(np.float32))
