"""How far a candidate's matrices are from the reference: the equal-error rule, and the outputs' error where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from golfbudget.evidence import Evidence
from golfbudget.plan.building import matrix_of
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Quality, WorstRow

#: A candidate whose squared error is at most this much of the recipe's own counts as costing nothing …
EQUAL_ERROR = 1.05
#: … and so does one whose squared error is under this share of the matrix's energy.
NEGLIGIBLE = 1e-6
ERROR_METRIC = "squared-error-ratio"


def by_error(
    source: PlanSource,
    candidate: Candidate,
    baseline: Mapping[str, Tensor],
    decoded: Mapping[str, Tensor],
    *,
    biased: bool = False,
) -> Quality:
    """The equal-error rule, matrix by matrix; `modelled` when it does not carry.

    It speaks of matrices only, so it does not carry where a bias is added to the logits (`biased`).
    """
    ratio: float | None = 0.0
    passes, relative, worst = not biased, 0.0, None
    for owner in candidate.owners:
        reference = matrix_of(source, owner).double()
        own = (decoded[owner].double() - reference).square()
        recipe = (baseline[source.head if owner == source.head_owner else owner].double() - reference).square()
        error, allowed, energy = float(own.sum()), float(recipe.sum()), float(reference.square().sum())
        passes = passes and (error <= EQUAL_ERROR * allowed or error <= NEGLIGIBLE * energy)
        relative = max(relative, error / energy if energy else error)
        if ratio is not None:
            ratio = max(ratio, error / allowed) if allowed else (ratio if error == 0 else None)
        rows = own.sum(1) / reference.square().sum(1).clamp_min(1e-30)
        row = int(rows.argmax())
        if worst is None or float(rows[row]) > worst.relative_error:
            worst = WorstRow(owner=owner, row=row, relative_error=float(f"{float(rows[row]):.4g}"))
    return Quality(
        metric=ERROR_METRIC,
        delta=None,
        low=None,
        high=None,
        evidence=Evidence.EQUAL_ERROR if passes else Evidence.MODELLED,
        error_ratio=None if ratio is None else float(f"{ratio:.6g}"),
        relative_error=float(f"{relative:.6g}"),
        worst_row=worst,
    )


def output_error(
    reference: Mapping[str, Tensor],
    decoded: Mapping[str, Tensor],
    covariances: Mapping[str, Tensor],
    names: Sequence[str],
) -> float | None:
    """E‖(Ŵ-W)x‖² over E‖Wx‖² = tr(E C Eᵀ) / tr(W C Wᵀ), C = E[xxᵀ], in the worst matrix; None where no C is known.

    Of an output head these are logits before any cap.  `reference`, `decoded` [rows, columns] and `covariances`
    [columns, columns] go by the names given.
    """
    errors = [
        _energy(decoded[name].double() - reference[name].double(), covariance) / energy
        for name in names
        if (covariance := covariances.get(name)) is not None
        and (energy := _energy(reference[name].double(), covariance)) > 0
    ]
    return max(errors, default=None)


def _energy(matrix: Tensor, covariance: Tensor) -> float:
    return float(torch.sum((matrix @ covariance.double()) * matrix))
