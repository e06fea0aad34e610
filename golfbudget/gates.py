"""Gates of a comparison: `ROLE|total OP AMOUNT`.  A gate fires when its expression is true.

An AMOUNT with a sign or a percent sign is the change from base to new, a bare one is the new side itself.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from golfbudget.compare import Comparison
from golfbudget.errors import UsageError
from golfbudget.ledger import Role
from golfbudget.rules import parse_size

TOTAL = "total"
_Compared = Callable[[Fraction, Fraction], bool]
_OPERATORS: Mapping[str, _Compared] = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_GATE = re.compile(r"\s*(?P<subject>[A-Za-z]+)\s*(?P<operator>>=|<=|>|<)\s*(?P<amount>[-+]?\s*[\d.].*?)\s*", re.ASCII)
#: What a shell leaves of an expression that was not quoted, or whose variable was empty.
_EATEN = re.compile(r"\s*(?P<subject>[A-Za-z]*)\s*(?:[<>]=?\s*)?[-+]?\s*[%A-Za-z]{0,3}\s*", re.ASCII)
_PERCENT = re.compile(r"(?P<sign>[-+]?)\s*(?P<number>\d{1,18}(?:\.\d{1,18})?)\s*%", re.ASCII)


class AmountKind(StrEnum):
    """What a gate's amount limits."""

    NEW = "new"
    CHANGE = "change"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An expression, understood.  `role` None is the total; `limit` is in bytes or, for `PERCENT`, in percent."""

    expression: str
    role: Role | None
    operator: str
    kind: AmountKind
    limit: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """A gate and what it found, in the unit of its limit; `value` is None for a change in percent of nothing."""

    gate: Gate
    value: Fraction | None
    passed: bool


def parse_gate(expression: str) -> Gate:
    """A gate from its text; `UsageError` otherwise, and it says to quote what a shell has eaten.

    >>> parse_gate("total>+10kB").limit, parse_gate("head > 1.5%").kind, parse_gate("total<=16MB").limit
    (Fraction(10000, 1), <AmountKind.PERCENT: 'percent'>, Fraction(16000000, 1))
    """
    shown = "".join(c if c.isprintable() else "?" for c in expression[:80])
    match = _GATE.fullmatch(expression)
    if match is None:
        if _EATEN.fullmatch(expression):
            raise UsageError(
                f"--fail-on {shown!r} has no amount to compare with: the shell takes > and < for itself, so quote it, "
                "as in --fail-on 'total>+0' (and see that no variable in it is empty)"
            )
        raise UsageError(
            f"--fail-on {shown!r}: expected ROLE or total, one of > >= < <=, and an amount, as in 'total>16MB', "
            "'head>+10kB' or 'trunk>+1%', in quotes"
        )
    kind, limit = _amount(match["amount"], shown)
    role = _role(match["subject"], shown)
    return Gate(expression=expression.strip(), role=role, operator=match["operator"], kind=kind, limit=limit)


def judge(gate: Gate, comparison: Comparison) -> GateResult:
    """Whether a comparison passes.  `UsageError` where what the gate limits was measured on one side only."""
    missing = comparison.code_missing
    if comparison.by_totals and (gate.role not in (None, Role.CODE) or (gate.role and comparison.base.whole)):
        raise UsageError(
            f"--fail-on {gate.expression!r} needs owners on both sides, and one is known by totals alone; gates on "
            f"{'total work' if comparison.base.whole else 'total and code work'}"
        )
    if missing is not None and gate.role in (None, Role.CODE):
        raise UsageError(
            f"--fail-on {gate.expression!r} needs the code of both sides, and {missing.upper()} counts none: give "
            f"--{missing}-code FILE or SIZE (0 where there is no code)"
        )
    amount = comparison.total if gate.role is None else comparison.in_role(gate.role)
    value: Fraction | None
    if gate.kind is AmountKind.NEW:
        value = Fraction(amount.new_bytes)
    elif gate.kind is AmountKind.CHANGE:
        value = Fraction(amount.delta_bytes)
    elif amount.base_bytes:
        value = Fraction(100 * amount.delta_bytes, amount.base_bytes)
    else:
        value = None if amount.delta_bytes else Fraction(0)
    # Growth from nothing is more than any percentage.
    fired = gate.operator in (">", ">=") if value is None else _OPERATORS[gate.operator](value, gate.limit)
    return GateResult(gate=gate, value=value, passed=not fired)


def _role(subject: str, shown: str) -> Role | None:
    name = subject.lower()
    if name == TOTAL:
        return None
    try:
        return Role(name)
    except ValueError:
        known = f"known: total, {', '.join(Role)}"
        raise UsageError(f"--fail-on {shown!r}: no role is called {subject!r}; {known}") from None


def _amount(text: str, shown: str) -> tuple[AmountKind, Fraction]:
    percent = _PERCENT.fullmatch(text)
    if percent is not None:
        return AmountKind.PERCENT, Fraction(f"{percent['sign']}{percent['number']}")
    try:
        size = Fraction(parse_size(text.lstrip("+-")))
    except UsageError as error:
        raise UsageError(f"--fail-on {shown!r}: {error}; or a percentage such as +1.5%") from None
    if text[0] in "+-":
        return AmountKind.CHANGE, -size if text[0] == "-" else size
    return AmountKind.NEW, size
