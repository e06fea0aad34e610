"""What every report of `compare` says: one summary line, the rows of owners, and the gates in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from golfbudget.compare import Change, Comparison, Delta, Status
from golfbudget.gates import AmountKind, GateResult
from golfbudget.report.numbers import count, percent, signed

#: Owners that are shown where not all are asked for.
MOST_OWNERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """A line about owners: one, or in brackets several of which no more is said."""

    owner: str
    role: str
    status: str
    amount: Delta


def summary(comparison: Comparison) -> str:
    """The result in one line."""
    amount = comparison.total
    if not comparison.moved:
        return f"no change: {count(amount.new_bytes)} bytes, {_owners(len(comparison.changes))} the same"
    counts = comparison.counts
    listed = ", ".join(f"{count(counts[status])} {status}" for status in _SHOWN if counts[status])
    return (
        f"{count(amount.base_bytes)} to {count(amount.new_bytes)} bytes, {signed(amount.delta_bytes)} "
        f"({relative(amount)}); owners: {listed}"
    )


def relative(amount: Delta) -> str:
    """A change in percent of the base, never a false 0.

    >>> relative(Delta(base_bytes=1000, new_bytes=1015)), relative(Delta(base_bytes=100_000, new_bytes=99_999))
    ('+1.5 %', '-<0.1 %')
    >>> relative(Delta(base_bytes=0, new_bytes=5)), relative(Delta(base_bytes=7, new_bytes=7))
    ('new', '0 %')
    """
    delta = amount.delta_bytes
    if delta == 0:
        return "0 %"
    if amount.base_bytes == 0:
        return "new"
    return f"{'+' if delta > 0 else '-'}{percent(abs(delta), amount.base_bytes)}"


def owner_rows(comparison: Comparison, most: int | None) -> list[OwnerRow]:
    """Owners that moved, at most `most`, then all others in two lines: together they sum to the total."""
    moved = comparison.moved
    shown = moved if most is None else moved[:most]
    rest, same = moved[len(shown) :], [change for change in comparison.changes if change.status is Status.SAME]
    rows = [
        OwnerRow(owner=_name(change), role=_role(change), status=_status(change), amount=change.amount)
        for change in shown
    ]
    if rest:
        rows.append(OwnerRow(owner=f"[{count(len(rest))} more]", role="", status="", amount=_sum(rest)))
    if same:
        rows.append(OwnerRow(owner=f"[{count(len(same))} the same]", role="", status="", amount=_sum(same)))
    return rows


def gate_text(result: GateResult) -> str:
    """What a gate found, against its limit."""
    gate = result.gate
    subject = "total" if gate.role is None else str(gate.role)
    if gate.kind is AmountKind.NEW:
        left = Fraction(0) if result.value is None else result.value - gate.limit
        found = f"{subject} is {count(int(result.value or 0))} bytes"
        return f"{found}, {signed(int(left))} from {count(int(gate.limit))}" if left else f"{found}, exactly the limit"
    if gate.kind is AmountKind.CHANGE:
        return f"{subject} changed by {signed(int(result.value or 0))} bytes"
    if result.value is None:
        return f"{subject} is new: a change in percent of nothing"
    return f"{subject} changed by {exact_percent(result.value)}"


def exact_percent(value: Fraction) -> str:
    """A percentage with as many digits as it takes to tell it from zero.

    >>> exact_percent(Fraction(3, 2)), exact_percent(Fraction(-1, 3000)), exact_percent(Fraction(0))
    ('+1.5 %', '-0.00033 %', '0 %')
    """
    if value == 0:
        return "0 %"
    digits = 1
    while abs(value) * 10**digits < 10 and digits < 12:
        digits += 1
    return f"{float(value):+.{digits}f} %"


_SHOWN = (Status.CHANGED, Status.ADDED, Status.REMOVED, Status.RENAMED, Status.SAME)


def _owners(number: int) -> str:
    return "1 owner" if number == 1 else f"{count(number)} owners"


def _sum(changes: Sequence[Change]) -> Delta:
    return Delta(
        base_bytes=sum(change.amount.base_bytes for change in changes),
        new_bytes=sum(change.amount.new_bytes for change in changes),
    )


def _name(change: Change) -> str:
    return change.row.owner if change.was is None else f"{change.row.owner} (was {change.was})"


def _role(change: Change) -> str:
    return str(change.row.role) if change.role_was is None else f"{change.row.role} (was {change.role_was})"


def _status(change: Change) -> str:
    base, new = change.base, change.new
    if change.status is not Status.CHANGED or base is None or new is None:
        return str(change.status)
    if base.tensors != new.tensors:
        return f"{change.status} (dtype or shape)"
    return f"{change.status} (same content)" if change.same_content else str(change.status)
