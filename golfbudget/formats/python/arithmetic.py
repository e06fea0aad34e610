"""What an expression of literals comes to: bytes spelled by arithmetic, joins, slices and encodings.

Nothing is executed: the operations by which programs spell bytes (`operations`) are done here, step by step and not
for ever; any other expression is `NotStaticError`.  What decompresses is not among them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from golfbudget.formats.base import LONGEST_SOURCE
from golfbudget.formats.python.names import Names, NotStaticError
from golfbudget.formats.python.operations import (
    FUNCTIONS,
    METHODS,
    Affine,
    calculated,
    compared,
    folded,
    items,
    written,
)
from golfbudget.formats.python.spellings import SPELLINGS, coding, encoding

#: Expressions inside of expressions, expressions worked out, and characters made, for one payload.
_DEEPEST = 40
_MOST_STEPS = 1 << 17
_MOST_MADE = 2 * LONGEST_SOURCE
#: What `map` calls a function with; no program has such a name.
_ITEM = " item"

_Bound = Mapping[str, object]


@dataclass(slots=True)
class LiteralArithmetic:
    """One expression worked out.  `literals` are what it is made of, `spelling` is what turned these to bytes."""

    names: Names
    literals: list[ast.expr] = field(default_factory=list)
    _spellings: list[str] = field(default_factory=list)
    _encoded: str = "bytes"
    _steps: int = 0
    _made: int = 0

    @property
    def spelling(self) -> str:
        return self._spellings[0] if self._spellings else self._encoded

    def data(self, node: ast.expr) -> bytes:
        """The bytes of an expression; `NotStaticError` where that takes running it, `ValueError` where it fails."""
        try:
            value = self._value(node, {}, 0)
        except TypeError:
            raise NotStaticError from None  # An argument or a kind of value that is not known here.
        except (ArithmeticError, LookupError, AssertionError, MemoryError) as error:
            raise ValueError(str(error) or type(error).__name__) from None
        if not isinstance(value, bytes):
            raise NotStaticError
        return value

    def _value(self, node: ast.expr, bound: _Bound, depth: int) -> object:
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            raise NotStaticError
        if isinstance(node, ast.Name) and node.id in bound:
            return bound[node.id]
        value = self._worked_out(self.names.expression(node), bound, depth + 1)
        self._made += len(value) if isinstance(value, (str, bytes, list)) else 0
        if self._made > _MOST_MADE:
            raise NotStaticError
        return value

    def _worked_out(self, node: ast.expr, bound: _Bound, depth: int) -> object:
        match node:
            case ast.Constant(value=int() | str() | bytes() as value):
                self.literals.append(node)
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return self._listed(node, elements, bound, depth)
            case ast.Subscript(value=inner, slice=ast.Slice() as cut):
                return self._sliced(self._value(inner, bound, depth), cut, depth)
            case ast.GeneratorExp(elt=each, generators=[made]) | ast.ListComp(elt=each, generators=[made]):
                if not isinstance(made.target, ast.Name) or made.ifs or made.is_async:
                    raise NotStaticError
                return self._for_each(made.target.id, each, self._value(made.iter, bound, depth), bound, depth)
            case ast.Call():
                return self._called(node, bound, depth)
            case _:
                return self._calculated(node, bound, depth)

    def _calculated(self, node: ast.expr, bound: _Bound, depth: int) -> object:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return calculated(ast.Sub(), 0, self._value(inner, bound, depth))
            case ast.BinOp(left=left, op=operator, right=right):
                return calculated(operator, self._value(left, bound, depth), self._value(right, bound, depth))
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                return compared(comparison, self._value(left, bound, depth), self._value(right, bound, depth))
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._value(body if self._value(test, bound, depth) else other, bound, depth)
            case ast.JoinedStr(values=[ast.FormattedValue(value=inner, conversion=-1, format_spec=form)]):
                texts = form.values if isinstance(form, ast.JoinedStr) else []
                spelled = "".join(str(text.value) for text in texts if isinstance(text, ast.Constant))
                return written(self._value(inner, bound, depth), spelled if len(texts) < 2 else None)
            case _:
                raise NotStaticError

    def _listed(self, node: ast.expr, elements: list[ast.expr], bound: _Bound, depth: int) -> list[object]:
        before = len(self.literals)
        values = [self._value(element, bound, depth) for element in elements]
        if values and all(isinstance(value, int) for value in values):
            self.literals[before:] = [node]  # The whole list spells the bytes.
        return values

    def _sliced(self, value: object, cut: ast.Slice, depth: int) -> object:
        limits = [self._limit(at, depth) for at in (cut.lower, cut.upper, cut.step)]
        if not isinstance(value, (str, bytes, list)):
            raise NotStaticError
        return value[slice(*limits)]

    def _limit(self, node: ast.expr | None, depth: int) -> int | None:
        value = None if node is None else self._value(node, {}, depth)
        if value is not None and not isinstance(value, int):
            raise NotStaticError
        return value

    def _for_each(self, name: str, each: ast.expr, values: object, bound: _Bound, depth: int) -> list[object]:
        """An expression for each item, worked out once for each different one."""
        every = items(values)
        self._made += 8 * len(every)
        before, known = len(self.literals), dict[object, object]()
        for item in every:
            if not isinstance(item, (int, str, bytes)):
                raise NotStaticError
            if item not in known:
                known[item] = self._value(each, {**bound, name: item}, depth)
        del self.literals[before:]
        return [known[item] for item in every]

    def _called(self, call: ast.Call, bound: _Bound, depth: int) -> object:
        name, arguments = self.names.dotted(call.func), call.args
        if name == "functools.reduce" and len(arguments) in (2, 3):
            return self._reduced(arguments, bound, depth)
        if name == "map" and len(arguments) == 2:
            return self._mapped(arguments[0], self._value(arguments[1], bound, depth), bound, depth)
        method = call.func.attr if isinstance(call.func, ast.Attribute) and name is None else ""
        owner = [self._value(call.func.value, bound, depth)] if isinstance(call.func, ast.Attribute) and method else []
        values = owner + [self._value(argument, bound, depth) for argument in arguments]
        # An encoding is the same by its name or its place; other functions' keywords are theirs.
        named = {keyword.arg or "**": self._value(keyword.value, bound, depth) for keyword in call.keywords}
        if "encoding" in named and len(values) == 1:
            values.append(named.pop("encoding"))
        spelled = SPELLINGS.get(name or "")
        if name == "codecs.decode" and len(values) == 2:
            spelled, values = coding(values[1]), values[:1]
        if spelled is not None and values and isinstance(values[0], (str, bytes)):
            self._spellings.append(spelled[0])
            return spelled[1](*values, **named)
        function = METHODS.get(method) if method else FUNCTIONS.get(name or "")
        if function is None or not values or named.keys() - {"length", "byteorder"}:
            raise NotStaticError
        self._note(method or name or "", values)
        return function(*values, **named)

    def _note(self, function: str, values: Sequence[object]) -> None:
        """Remember what turns text or numbers to bytes, by the word that reports use."""
        if function in ("encode", "bytes", "bytearray") and isinstance(values[0], str):
            self._encoded = encoding(values[1] if len(values) > 1 else "utf-8") or self._encoded
        elif function == "int":
            self._spellings.append(f"base {values[1] if len(values) > 1 else 10}")
        elif function == "to_bytes":
            self._spellings.append("number")

    def _mapped(self, function: ast.expr, values: object, bound: _Bound, depth: int) -> list[object]:
        if isinstance(function, ast.Lambda) and len(function.args.args) == 1:
            return self._for_each(function.args.args[0].arg, function.body, values, bound, depth)
        call = ast.Call(func=function, args=[ast.Name(id=_ITEM, ctx=ast.Load())], keywords=[])
        return self._for_each(_ITEM, call, values, bound, depth)

    def _reduced(self, arguments: list[ast.expr], bound: _Bound, depth: int) -> int:
        """`reduce(lambda n, c: n * base + digit(c), literal, 0)`: a number by its digits."""
        function = self.names.expression(arguments[0])
        if not isinstance(function, ast.Lambda) or len(function.args.args) != 2:
            raise NotStaticError
        total, item = (argument.arg for argument in function.args.args)
        values = list(items(self._value(arguments[1], bound, depth)))
        first = self._value(arguments[2], bound, depth) if len(arguments) > 2 else values.pop(0)
        if not isinstance(first, int):
            raise NotStaticError
        base, number = folded(first, self._for_each(item, function.body, values, {**bound, total: Affine(1, 0)}, depth))
        self._spellings.append(f"base {base}")
        return number
