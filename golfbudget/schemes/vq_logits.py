"""VQ-Logits (arXiv:2505.10202): each token's row becomes one of K shared codebook rows; and k-means for codebooks.

Tables: an fp16 codebook [K, width] and a packed token-to-code map of ceil(log2 K) bits a token.  Tokens that
share a code get equal logits.  The codebook is fitted to the matrix by k-means, which starts from Ward's clusters; it
is not trained further.  faiss, on one thread and from a fixed seed, fits the codebooks of product and residual codes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.schemes.agglomeration import MOST_ROWS
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.clusters import clusters_of, means
from golfbudget.schemes.threads import one_faiss_thread
from golfbudget.schemes.values import half_table, map_bytes, map_table, read_map, to_half

#: Where one iteration multiplies this many numbers, which takes seconds, iterations are fewer …
_MAX_ITERATIONS, _HUGE, _HUGE_ITERATIONS = 100, 5_000_000_000, 25
#: … and none multiply more than this many in all: of very many rows Ward's clusters are then taken as they are.
_MOST_PRODUCTS = 300_000_000_000
#: Share of the energies involved under which squared distances from a product are never told apart.
_CLOSE = 1e-9
#: Distances that are held at a time.
_AT_ONCE = 1 << 24


def fit_codebook(matrix: Tensor, codes: int, context: Context) -> Tensor:
    """Codebook rows, float32 [at most codes, width], of a matrix [rows, width]: k-means on one thread.

    In double precision, single of many rows.  It starts from Ward's clusters, which on trained heads leaves less error
    than the best of eight random starts at a tenth of the time; where there are too many rows for a whole tree and few
    codes, from one random start (k-means++).  Rows are weighted by token counts plus one where counts are known: a
    token never seen must still go somewhere; `UsageError` where they are for another number of rows.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points: NDArray[Any] = matrix.numpy() if len(matrix) > MOST_ROWS else matrix.double().numpy()
    weights: NDArray[np.float64] | None = None
    if context.counts is not None:
        if len(context.counts) != len(points):
            raise UsageError(f"token counts are for {len(context.counts)} tokens, the matrix has {len(points)} rows")
        weights = context.counts.double().numpy() + 1
    codes = min(codes, len(np.unique(matrix.numpy(), axis=0)))
    clusters = clusters_of(points, weights, codes)
    started = None if clusters is None else means(points, weights, clusters)
    iterations = _iterations(points.size * codes)
    if started is not None and not iterations:
        return torch.from_numpy(started).float()
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(
            n_clusters=codes,
            init="k-means++" if started is None else started.astype(points.dtype),
            n_init=1,
            max_iter=max(1, iterations),
            random_state=context.seed,
            algorithm="lloyd",
        ).fit(points, sample_weight=weights)
    return torch.from_numpy(np.asarray(fitted.cluster_centers_)).float()


def _iterations(products: int) -> int:
    """How often rows and codes are fitted to each other where once multiplies so many numbers."""
    if products <= _HUGE:
        return _MAX_ITERATIONS
    return min(_HUGE_ITERATIONS, _MOST_PRODUCTS // products)


def nearest(matrix: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codebook row [codes, columns] closest to each row, int64 [rows]; ties go to the lower index.

    Rows of the matrix [rows, columns] whose nearest is plain by a matrix product, |c|² - 2 x·c, are settled by it,
    which takes a fraction of the time: in single precision, and those in doubt again in double.  Where the second still
    comes as close to the first as rounding can put it, differences are squared and summed.
    """
    best = torch.zeros(len(matrix), dtype=torch.int64)
    if len(codebook) == 1:
        return best
    doubtful = torch.arange(len(matrix))
    for precision in (torch.float32, torch.float64):
        best[doubtful], plain = _by_product(matrix[doubtful].to(precision), codebook.to(precision))
        doubtful = doubtful[~plain]
    codes = codebook.double()
    for some in doubtful.split(max(1, _AT_ONCE // len(codes))):
        apart = torch.cdist(matrix[some].double(), codes, compute_mode="donot_use_mm_for_euclid_dist")
        best[some] = apart.argmin(1)
    return best


def _by_product(rows: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest code of each row by products, int64 [rows], and whether it is so by more than these can be wrong."""
    energy = codes.square().sum(1)
    # The sum of so many products is off by its length in units of rounding at most, and both distances may be.
    close = max(_CLOSE, 4 * rows.shape[1] * torch.finfo(rows.dtype).eps)
    best, plain = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.bool)]
    for some in rows.split(max(1, _AT_ONCE // len(codes))):
        least, indices = torch.addmm(energy, some, codes.T, alpha=-2).topk(2, dim=1, largest=False)
        best.append(indices[:, 0])
        plain.append(least[:, 1] - least[:, 0] > close * (some.square().sum(1) + energy.max()))
    return torch.cat(best), torch.cat(plain)


def to_used(codebook: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The codebook without rows that no code names, and the codes renumbered.

    Of [codes, columns] and [rows] to [used, columns] and [rows].
    """
    used, assigned = codes.unique(sorted=True, return_inverse=True)
    return codebook[used].contiguous(), assigned


def code_means(matrix: Tensor, codes: Tensor, count: int) -> Tensor:
    """The mean row of each code, float32 [count, columns], differentiable in the matrix.

    `matrix` is [rows, columns], `codes` [rows].  No row is weighted by its token's frequency: the gradient of a mean is
    the same for all its rows, so that rows which start equal stay equal whatever the weights, and training sees the
    frequencies in its text.
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


def fit_centres(matrix: Tensor, codes: int, seed: int) -> Tensor:
    """`codes` centres, float32 [codes, columns], of a float32 matrix [rows, columns] of at least as many rows.

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
    with one_faiss_thread():
        clustering.train((matrix / largest).contiguous().numpy())
    return torch.from_numpy(np.asarray(clustering.centroids, dtype=np.float32).reshape(codes, columns)) * largest
