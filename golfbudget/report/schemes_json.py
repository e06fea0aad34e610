"""`schemes` as JSON, schema `golfbudget/schemes/1`: sizes are bytes before any codec."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget import __version__
from golfbudget.report.scheme_rows import SchemeRow
from golfbudget.schemes import Parameter

SCHEMA = "golfbudget/schemes/1"


def schemes_json(rows: Sequence[SchemeRow], shape: tuple[int, int] | None) -> dict[str, object]:
    """Every scheme; `raw_bytes` is null without a shape, or where `reason` says why."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "shape": None if shape is None else list(shape),
        "schemes": [_scheme(row, shape) for row in rows],
    }


def _scheme(row: SchemeRow, shape: tuple[int, int] | None) -> dict[str, object]:
    rank = None
    if shape is not None and row.options is not None:
        rank = row.scheme.rank_bound(shape, row.options)
    return {
        "name": row.scheme.name,
        "summary": row.scheme.summary,
        "formula": row.scheme.formula,
        "parameters": [_parameter(parameter) for parameter in row.scheme.parameters],
        "needs": list(row.scheme.needs),
        "decoder_bytes": row.decoder_bytes,
        "options": None if row.options is None else dict(row.options),
        "raw_bytes": row.raw_bytes,
        "upper_bound": row.scheme.sized_by_values,
        "rank_bound": rank,
        "reason": row.reason or None,
    }


def _parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "kind": {int: "integer", float: "number", str: "word"}[parameter.kind],
        "summary": parameter.summary,
        "default": parameter.default,
        "lowest": parameter.lowest,
        "highest": parameter.highest,
        "words": list(parameter.words),
    }
