"""Which matrices of a source candidates may replace, and what is refused before any is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Role
from golfbudget.recipe.export import Export, dtype_name
from golfbudget.roles import Roles

#: Rows and columns of the least trunk matrix.  Narrower ones are control tensors (gains, mixing weights, gates of a few
#: rows): every value of theirs counts, and a scale a row takes about what rounding saves.
LEAST_SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkMatrices:
    """The trunk matrices that candidates replace: those that the recipe changes first, then those that it `kept`."""

    names: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]


def trunk_of(reference: Mapping[str, Tensor], export: Export, roles: Roles, where: str) -> TrunkMatrices:
    """Which matrices these are; `UsageError` where one that the recipe changes holds no finite numbers.

    A kept one that does, such as a mask, stays as it is.
    """
    matrices = [name for name, tensor in reference.items() if tensor.ndim == 2]
    ruled = [name for name in matrices if (rule := roles.rule_of(name)) is not None and rule.role is Role.TRUNK]
    own = set(ruled)
    changed = tuple(name for name in (*export.quantized, *export.schemes) if name in own)
    check_matrices(reference, changed, where)
    kept = tuple(
        name
        for name in ruled
        if name in export.passthrough
        and min(reference[name].shape) >= LEAST_SIDE
        and reference[name].is_floating_point()
        and bool(torch.isfinite(reference[name]).all())
    )
    notes = []
    if kept:
        stored = sum(export.passthrough[name].nbytes for name in kept)
        types = " and ".join(sorted({dtype_name(export.passthrough[name]) for name in kept}))
        number = f"{len(kept)} trunk matrices" if len(kept) > 1 else kept[0]
        notes.append(f"the recipe keeps {number} in {types} ({stored:,} bytes); candidates of the trunk quantise them")
    elif not changed:
        notes.append(f"no trunk matrix has {LEAST_SIDE} rows and columns or more: there are no trunk candidates")
    return TrunkMatrices(names=(*changed, *kept), kept=kept, notes=tuple(notes))


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


def check_head(reference: Mapping[str, Tensor], head: str, roles: Roles, where: str) -> list[str]:
    """Notes on a head that has a table beside it; `UsageError` where it has a column for every token and not a row.

    Candidates replace rows, and every scale is a row's.
    """
    own = reference[head]
    tables = [name for name, rule in ((n, roles.rule_of(n)) for n in reference) if rule and rule.matrix == "input"]
    for name in tables:
        table = reference[name]
        if name == head or table.ndim != 2:
            continue
        if table.shape != own.shape and table.shape == own.shape[::-1]:
            raise UsageError(
                f"{where}: {head} {list(own.shape)} has a column for every row of {name} {list(table.shape)}, expected "
                "a row for every token; save it transposed"
            )
        if table.dtype == own.dtype and torch.equal(table, own):
            return [f"{head} repeats {name}: where they are one matrix, leave it out, and candidates change both"]
    return []
