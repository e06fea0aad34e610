"""`compare` as JSON, schema `golfbudget/compare/1`.  Its owners are the union of both sides'."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from golfbudget import __version__
from golfbudget.compare import Change, ComparedSide, Comparison, Delta, Owned
from golfbudget.gates import AmountKind, GateResult

SCHEMA = "golfbudget/compare/1"


def compare_json(comparison: Comparison, results: Sequence[GateResult]) -> dict[str, object]:
    """The whole comparison as plain values; deltas are new minus base, and owners and roles each sum to the total."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "base": _side(comparison.base),
        "new": _side(comparison.new),
        "total": _delta(comparison.total),
        "counts": {str(status): number for status, number in comparison.counts.items()},
        "notes": list(comparison.notes),
        "roles": [{"role": str(role), **_delta(amount)} for role, amount in comparison.roles.items()],
        "owners": [_owner(change) for change in comparison.changes],
        "gates": [_gate(result) for result in results],
        "passed": all(result.passed for result in results),
    }


def _side(side: ComparedSide) -> dict[str, object]:
    return {
        "path": side.path,
        "report": side.report,
        "bytes": side.bytes,
        "sha256": side.sha256,
        "codecs": list(side.codecs),
        "code_bytes": side.code_bytes,
        "total_bytes": side.total,
        "parameters": side.parameters,
    }


def _delta(amount: Delta) -> dict[str, object]:
    return {"base_bytes": amount.base_bytes, "new_bytes": amount.new_bytes, "delta_bytes": amount.delta_bytes}


def _owner(change: Change) -> dict[str, object]:
    row: dict[str, object] = {
        "owner": change.row.owner,
        "role": str(change.row.role),
        "status": str(change.status),
        **_delta(change.amount),
    }
    if change.was is not None:
        row["from"] = change.was
    if change.role_was is not None:
        row["from_role"] = str(change.role_was)
    same = change.same_content
    row["content"] = None if same is None else "same" if same else "changed"
    row["base"], row["new"] = _held(change.base), _held(change.new)
    return row


def _held(row: Owned | None) -> dict[str, object] | None:
    return None if row is None else {"parameters": row.parameters, "tensors": list(row.tensors), "content": row.content}


def _gate(result: GateResult) -> dict[str, object]:
    gate = result.gate
    percent = gate.kind is AmountKind.PERCENT
    return {
        "expression": gate.expression,
        "passed": result.passed,
        "value": None if result.value is None else _number(result.value, percent=percent),
        "limit": _number(gate.limit, percent=percent),
        "unit": "percent" if percent else "bytes",
        "of": "new" if gate.kind is AmountKind.NEW else "change",
    }


def _number(value: Fraction, *, percent: bool) -> float:
    """Whole bytes, or percent rounded to six decimals."""
    return round(float(value), 6) if percent else int(value)
