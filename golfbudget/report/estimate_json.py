"""`estimate` as JSON, schema `golfbudget/estimate/1`.  Bytes are integers; null stands for what was not counted.

`artifact_bytes.value` is null where size depends on training: `low` and `high` are then a range.  `roles` are those of
the first seed's artifact.  A sweep has `points` instead, one estimate each.
"""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget import __version__
from golfbudget.estimate.results import SCHEMA, Bytes, Estimate
from golfbudget.estimate.sweep import Point
from golfbudget.report.inspect_json import roles_json


def estimate_json(estimate: Estimate) -> dict[str, object]:
    """The whole report as plain values."""
    return {"schema": SCHEMA, "golfbudget": __version__, **_estimate(estimate)}


def sweep_json(points: Sequence[Point]) -> dict[str, object]:
    """A sweep as plain values."""
    found = [{"settings": dict(point.settings), **_estimate(point.estimate)} for point in points]
    return {"schema": SCHEMA, "golfbudget": __version__, "points": found}


def _estimate(estimate: Estimate) -> dict[str, object]:
    request, terms, inspection = estimate.request, estimate.terms, estimate.inspection
    recipe = request.recipe
    return {
        "model": {"name": request.model.name, "tensors": len(request.model.tensors), "tied": request.model.tied},
        "recipe": {
            "name": recipe.name,
            "layout": recipe.layout,
            "filter": None if recipe.filter is None else recipe.filter.name,
            "codec": recipe.codec,
            "level": recipe.level,
        },
        "parameters": request.parameters,
        "payload_bytes": estimate.payload_bytes,
        "container_bytes": estimate.container_bytes,
        "container_exact": estimate.container_bytes is not None and estimate.container_fixed,
        "artifact_bytes": _bytes(estimate.artifact),
        "modelled": None
        if estimate.modelled is None
        else {
            **_bytes(estimate.modelled),
            "terms": None
            if terms is None
            else {
                "coder": terms.coder,
                "levels": round(terms.levels),
                "scales": round(terms.scales),
                "floats": round(terms.kept),
                "corrections": round(terms.corrections),
                "container": round(terms.container),
            },
        },
        "samples": [
            {
                "seed": sample.seed,
                "distribution": sample.family,
                "artifact_bytes": sample.artifact_bytes,
            }
            for sample in estimate.samples
        ],
        "depends_on_training": list(estimate.depends),
        "notes": list(estimate.notes),
        "cap": {
            "bytes": estimate.cap,
            "code_bytes": estimate.code_bytes,
            "used": estimate.expected + (estimate.code_bytes or 0),
            "headroom": estimate.headroom,
            "fits": None if estimate.artifact.value is None else estimate.headroom >= 0,
        },
        "chance_to_fit": {
            "value": None if estimate.chance is None else round(estimate.chance, 4),
            "seed_spread_bytes": estimate.spread,
            "evidence": "modelled",
        },
        "tied": None if inspection is None else inspection.assignment.tied,
        "roles": None if inspection is None else roles_json(inspection.assignment.ledger),
    }


def _bytes(amount: Bytes) -> dict[str, object]:
    return {"value": amount.value, "low": amount.low, "high": amount.high, "evidence": amount.evidence.value}
