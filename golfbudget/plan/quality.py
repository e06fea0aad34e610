"""A candidate's quality: measured where a model can be run, or else the equal-error rule, or else not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from golfbudget.plan.building import matrix_of
from golfbudget.plan.measuring import Change
from golfbudget.plan.results import Candidate, Evidence, Quality, WorstRow
from golfbudget.plan.source import Source
from golfbudget.quality.evaluate import METRIC

#: A candidate whose squared error is at most this much of the recipe's own counts as costing nothing …
EQUAL_ERROR = 1.05
#: … and so does one whose squared error is under this share of the matrix's energy.
NEGLIGIBLE = 1e-6
ERROR_METRIC = "squared-error-ratio"


def by_error(
    source: Source,
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


def measured(by_rule: Quality, change: Change) -> Quality:
    """A measured change; the error figures stay beside it."""
    interval = change.interval
    return replace(
        by_rule,
        metric=METRIC,
        delta=interval.delta,
        low=interval.low,
        high=interval.high,
        evidence=Evidence.MEASURED,
        divergence=change.divergence,
        bands=change.bands,
    )
