"""k-means by faiss, on one thread and from a fixed seed: the codebooks of product and residual codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from golfbudget.schemes.vq_logits import nearest

_ITERATIONS, _LEAST_GAIN = 25, 1e-3
#: k-means++ restarts for small problems, and for those where an iteration takes this many distances or products.
_RESTARTS, _FEW_RESTARTS, _MANY_DISTANCES, _MANY_PRODUCTS = 4, 1, 500_000, 200_000_000


@contextmanager
def one_thread() -> Iterator[None]:
    """Faiss adds up in the order its threads finish: with one thread, encoding is deterministic."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def fit_centres(matrix: Tensor, codes: int, seed: int) -> Tensor:
    """`codes` centres, float32 [codes, columns], of a float32 matrix of at least as many rows.

    Where the matrix has no more distinct rows than codes, they are its rows, and zeros after them.
    """
    import faiss

    rows, columns = matrix.shape
    distinct = torch.from_numpy(np.unique(matrix.numpy(), axis=0))
    if len(distinct) <= codes:
        return torch.cat((distinct, torch.zeros(codes - len(distinct), columns)))
    # faiss squares in float32: numbers around one neither overflow nor vanish.
    largest = float(matrix.abs().max())
    large = rows * codes > _MANY_DISTANCES or rows * columns * codes > _MANY_PRODUCTS
    clustering = faiss.Kmeans(
        columns,
        codes,
        niter=_ITERATIONS,
        early_stop_threshold=_LEAST_GAIN,
        nredo=_FEW_RESTARTS if large else _RESTARTS,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=rows,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    )
    with one_thread():
        clustering.train((matrix / largest).contiguous().numpy())
    return torch.from_numpy(np.asarray(clustering.centroids, dtype=np.float32).reshape(codes, columns)) * largest


def assign(matrix: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest codebook row, int64 [rows], a bounded number of distances at a time."""
    at_once = max(1, (1 << 24) // len(codebook))
    return torch.cat([nearest(part, codebook) for part in matrix.split(at_once)])
