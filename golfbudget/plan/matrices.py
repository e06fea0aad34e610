"""Which matrices of a source candidates may replace, and what is refused before any is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from golfbudget.errors import UsageError

#: Rows and columns of the least trunk matrix.  Narrower ones are control tensors (gains, mixing weights, gates of a few
#: rows): every value of theirs counts, and a scale a row takes about what rounding saves.
LEAST_SIDE = 32


def check_matrices(reference: Mapping[str, Tensor], names: Iterable[str], where: str) -> None:
    """`UsageError` for the first of these matrices without rows, columns, or with a value that is no finite number."""
    for name in names:
        matrix = reference[name]
        if 0 in matrix.shape:
            raise UsageError(
                f"{where}: {name!r} has shape {list(matrix.shape)}; expected a matrix with at least one row and column"
            )
        if not matrix.is_floating_point():
            raise UsageError(
                f"{where}: {name!r} is of dtype {str(matrix.dtype).removeprefix('torch.')}; expected a matrix of "
                "floating-point weights: give the checkpoint that training wrote"
            )
        wrong = ~torch.isfinite(matrix.float())
        if wrong.any():
            row, column = (int(place) for place in wrong.nonzero()[0])
            raise UsageError(
                f"{where}: {name!r} holds {matrix[row, column].item()} at row {row}, column {column}; expected finite "
                "numbers: plan from a checkpoint before training diverged"
            )
