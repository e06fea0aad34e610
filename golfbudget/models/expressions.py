"""Arithmetic on named variables, as Python writes it; parsed, never evaluated by Python, and bounded."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Number = int | float
K = TypeVar("K")
V = TypeVar("V")

#: Characters of an expression, and the size of any number in one.
MOST_CHARACTERS = 500
LARGEST = 2**63
_MOST_EXPONENT = 64

_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "min": min,
    "max": max,
    "round": round,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
}


class ExpressionError(ValueError):
    """An expression that has no value; the message says why."""


def names_in(text: str) -> set[str]:
    """The variables an expression reads."""
    return {node.id for node in ast.walk(_parse(text)) if isinstance(node, ast.Name)} - set(_FUNCTIONS)


def evaluate(text: str, variables: Mapping[str, Number]) -> Number:
    """The value of an expression; whole numbers stay exact.

    Takes + - * / // % ** and comparisons, `and`, `or`, `not`, `a if b else c`, and min, max, round, ceil, floor, sqrt.
    Raises `ExpressionError`, for unknown names with the known ones.

    >>> evaluate("width // heads * 2", {"width": 512, "heads": 8})
    128
    """
    try:
        return _value(_parse(text).body, variables)
    except (ZeroDivisionError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise ExpressionError(f"{text!r}: {error}") from None


def _parse(text: str) -> ast.Expression:
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"the expression has {len(text)} characters, at most {MOST_CHARACTERS} are read")
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"{text!r} is no expression: {reason}") from None


def _value(node: ast.expr, variables: Mapping[str, Number]) -> Number:
    value = _known(_NODES, node, node)(node, variables)
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ExpressionError(f"a value goes beyond {LARGEST:,}")
    return value


def _known(table: Mapping[type[K], V], key: K, node: ast.expr) -> V:
    """What a table has for a kind of node or operator; `node` is what a message shows."""
    if (found := table.get(type(key))) is None:
        raise ExpressionError(f"{ast.unparse(node)!r} is not arithmetic on variables")
    return found


def _constant(node: ast.Constant, variables: Mapping[str, Number]) -> Number:
    del variables
    if not isinstance(node.value, int | float):
        raise ExpressionError(f"{node.value!r} is no number")
    return node.value


def _name(node: ast.Name, variables: Mapping[str, Number]) -> Number:
    if node.id not in variables:
        raise ExpressionError(f"{node.id!r} is no variable; known: {', '.join(variables) or 'none'}")
    return variables[node.id]


def _unary(node: ast.UnaryOp, variables: Mapping[str, Number]) -> Number:
    return _known(_UNARY, node.op, node)(_value(node.operand, variables))


def _binary(node: ast.BinOp, variables: Mapping[str, Number]) -> Number:
    left, right = _value(node.left, variables), _value(node.right, variables)
    return _known(_BINARY, node.op, node)(left, right)


def _power(base: Number, exponent: Number) -> Number:
    if abs(exponent) > _MOST_EXPONENT:
        raise ExpressionError(f"the exponent {exponent} is beyond {_MOST_EXPONENT}")
    power = base**exponent
    if isinstance(power, complex):
        raise ExpressionError("a root of a negative number has no value")
    return float(power) if isinstance(power, float) else int(power)


def _boolean(node: ast.BoolOp, variables: Mapping[str, Number]) -> Number:
    either = isinstance(node.op, ast.Or)
    value: Number = not either
    for part in node.values:
        value = _value(part, variables)
        if bool(value) is either:
            break
    return value


def _compared(node: ast.Compare, variables: Mapping[str, Number]) -> Number:
    left = _value(node.left, variables)
    for operation, part in zip(node.ops, node.comparators, strict=True):
        holds = _known(_COMPARISONS, operation, node)
        right = _value(part, variables)
        if not holds(left, right):
            return False
        left = right
    return True


def _conditional(node: ast.IfExp, variables: Mapping[str, Number]) -> Number:
    return _value(node.body if _value(node.test, variables) else node.orelse, variables)


def _call(node: ast.Call, variables: Mapping[str, Number]) -> Number:
    if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords or not node.args:
        raise ExpressionError(f"{ast.unparse(node)!r} calls none of {', '.join(_FUNCTIONS)}")
    return _FUNCTIONS[node.func.id](*(_value(part, variables) for part in node.args))


_BINARY[ast.Pow] = _power
_NODES: dict[type[ast.expr], Callable[[Any, Mapping[str, Number]], Number]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Compare: _compared,
    ast.IfExp: _conditional,
    ast.Call: _call,
}
