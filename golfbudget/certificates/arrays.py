"""Token counts and token-to-code maps as arrays, checked once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golfbudget.errors import UsageError

Counts = NDArray[np.float64]
Codes = NDArray[np.int64]


def token_counts(counts: ArrayLike) -> Counts:
    """Counts as float64 [vocabulary]; weights that are no whole numbers are allowed.

    `UsageError` unless there is one number per token, none negative, all finite and their sum positive.
    """
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise UsageError(f"token counts must be numbers [vocabulary], found {array.dtype} {list(array.shape)}")
    numbers: Counts = array.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers < 0).any() or numbers.sum() <= 0:
        raise UsageError("token counts must be finite, none negative, and not all zero")
    return numbers


def code_ids(codes: ArrayLike, vocabulary: int) -> Codes:
    """A token-to-code map as int64 [vocabulary]; any whole numbers may serve as ids.

    `UsageError` when it is not one id for each token.
    """
    array = np.asarray(codes)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) != vocabulary:
        raise UsageError(
            f"a token-to-code map must be integers [{vocabulary}], one for each counted token, "
            f"found {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.int64)


def tied_rows(matrix: ArrayLike) -> Codes:
    """The token-to-code map of an output matrix [vocabulary, width] as it is decoded: equal rows are one code.

    What ties is what is written, not what was meant: two codes with equal rows tie, rows kept explicit do not.
    `UsageError` unless it is a matrix of numbers.
    """
    array = np.asarray(matrix)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise UsageError(f"expected a matrix [vocabulary, width], found {array.dtype} {list(array.shape)}")
    # Zero has two signs; adding zero leaves one.
    rows = np.ascontiguousarray(array + array.dtype.type(0))
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, codes = np.unique(keys, return_inverse=True)
    return codes.astype(np.int64)
