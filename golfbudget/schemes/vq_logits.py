"""VQ-Logits (arXiv:2505.10202): each token's row becomes one of K shared codebook rows; and k-means for codebooks.

Tables: an fp16 codebook [K, width] and a packed token-to-code map of ceil(log2 K) bits a token.  Tokens that
share a code get equal logits.  The codebook is fitted to the matrix by k-means, which starts from Ward's clusters; it
is not trained further.  faiss, on one thread and from a fixed seed, fits the codebooks of product and residual codes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes.agglomeration import MOST_ROWS, cluster_means
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.values import half_table, map_bytes, map_table, read_map, to_half

#: Where one iteration multiplies this many numbers, which takes seconds, iterations are fewer.
_MAX_ITERATIONS, _HUGE, _HUGE_ITERATIONS = 100, 5_000_000_000, 25
#: Share of the energies involved by which squared distances from a product in double precision are surely not wrong.
_CLOSE = 1e-9


def fit_codebook(matrix: Tensor, codes: int, context: Context) -> Tensor:
    """Codebook rows, float32 [at most codes, width]: k-means on one thread, in double precision.

    It starts from Ward's clusters, which on trained heads leaves less error than the best of eight random starts at a
    tenth of the time; where there are too many rows for a tree, from one random start (k-means++).  Rows are weighted
    by token counts plus one where counts are known: a token never seen must still go somewhere.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points = matrix.double().numpy()
    weights: NDArray[np.float64] | None = None
    if context.counts is not None:
        if len(context.counts) != len(points):
            raise UsageError(f"token counts are for {len(context.counts)} tokens, the matrix has {len(points)} rows")
        weights = context.counts.double().numpy() + 1
    codes = min(codes, len(np.unique(matrix.numpy(), axis=0)))
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(
            n_clusters=codes,
            init="k-means++" if len(points) > MOST_ROWS else cluster_means(points, weights, codes),
            n_init=1,
            max_iter=_HUGE_ITERATIONS if points.size * codes > _HUGE else _MAX_ITERATIONS,
            random_state=context.seed,
            algorithm="lloyd",
        ).fit(points, sample_weight=weights)
    return torch.from_numpy(np.asarray(fitted.cluster_centers_)).float()


def nearest(matrix: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codebook row closest to each row, int64 [rows]; ties go to the lower index.

    Rows whose nearest is plain by a matrix product, |c|² - 2 x·c, are settled by it, which takes a fraction of the
    time; where the second comes within `_CLOSE` of the first, differences are squared and summed.
    """
    rows, codes = matrix.double(), codebook.double()
    if len(codes) == 1:
        return torch.zeros(len(rows), dtype=torch.int64)
    energy = codes.square().sum(1)
    least, indices = torch.addmm(energy, rows, codes.T, alpha=-2).topk(2, dim=1, largest=False)
    close = least[:, 1] - least[:, 0] <= _CLOSE * (rows.square().sum(1) + energy.max())
    best = indices[:, 0].clone()
    if close.any():
        best[close] = torch.cdist(rows[close], codes, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    return best


def to_used(codebook: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The codebook without rows that no code names, and the codes renumbered."""
    used, assigned = codes.unique(sorted=True, return_inverse=True)
    return codebook[used].contiguous(), assigned


def code_means(matrix: Tensor, codes: Tensor, count: int) -> Tensor:
    """The mean row of each code, float32 [count, columns], differentiable in the matrix.

    No row is weighted by its token's frequency: the gradient of a mean is the same for all its rows, so that rows
    which start equal stay equal whatever the weights, and training sees the frequencies in its text.
    """
    sums = torch.zeros(count, matrix.shape[1]).index_add(0, codes, matrix)
    return sums / codes.bincount(minlength=count).clamp_min(1)[:, None]


@register
class VqLogits(TableScheme):
    """K shared rows and a map; `codes` is K before codes that no token uses are dropped."""

    name = "vq-logits"
    summary = "K shared rows and a token-to-code map (arXiv:2505.10202)"
    formula = "2·K·d + V·idx(K)/8"
    parameters = (Parameter("codes", int, "K, the codebook's rows", lowest=1),)
    decoder_source = (
        "k=max(1,(len(t['codebook'])-1).bit_length())\n"
        "b=n.unpackbits(t['map'],count=R*k,bitorder='little').reshape(R,k)\n"
        "w=t['codebook'].astype('f')[b@(1<<n.arange(k))]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        codebook = to_half(fit_codebook(matrix, int(options["codes"]), context))
        codebook, assigned = to_used(codebook, nearest(matrix, codebook.float()))
        return half_table("codebook", codebook, Account.CODEBOOK), map_table("map", assigned, len(codebook))

    def decode(self, encoded: Encoded) -> Tensor:
        return encoded.tensor("codebook").float()[self._codes(encoded)]

    def _codes(self, encoded: Encoded) -> Tensor:
        return read_map(encoded.tensor("map"), encoded.shape[0], len(encoded.tensor("codebook")))

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded:
        """The same map; each codebook row is the mean of its tokens' rows."""
        return encoded.with_tables(replace(encoded.tables[0], tensor=to_half(self._means(encoded, matrix))))

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return self._means(encoded, matrix)[self._codes(encoded)]

    def _means(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        return code_means(matrix, self._codes(encoded), len(encoded.tensor("codebook")))

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        codes = min(shape[0], int(options["codes"]))
        return 2 * codes * shape[1] + map_bytes(shape[0], codes)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, int(self.options(options)["codes"]))


_ITERATIONS, _LEAST_GAIN = 25, 1e-3
#: k-means++ restarts for small problems, and for those where an iteration takes this many distances or products.
_FAISS_RESTARTS, _FEW_FAISS_RESTARTS, _MANY_DISTANCES, _MANY_PRODUCTS = 4, 1, 500_000, 200_000_000


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
        nredo=_FEW_FAISS_RESTARTS if large else _FAISS_RESTARTS,
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
