"""MiB taken for MB: sizes in text that are right only in binary units, and caps in code that are 4.9 % too large."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

MEGA, MEBI = 10**6, 1 << 20
_SIZE = re.compile(r"(?<![\d.,])(\d{1,4}\.\d{1,3}) ?MB\b")
_MEANT = re.compile(r"artifact|submission|model|size|total|compress", re.IGNORECASE)
_LIMIT = re.compile(r"cap|limit|budget|max|artifact|allow|size|target", re.IGNORECASE)
_LONGEST_LINE = 1000
_LARGEST = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistaken:
    """A size that says MB and is MiB of `number` bytes; `line` where it stands in a text."""

    text: str
    number: int
    line: int | None = None


def sizes_in_text(text: str, numbers: Sequence[int]) -> Iterator[Mistaken]:
    """Sizes in lines that speak of an artifact and are right only in MiB, each once."""
    for line, size in said_in_text(text):
        yield from (replace(wrong, line=line) for wrong in mistaken(size, numbers))


def said_in_text(text: str) -> Iterator[tuple[int, str]]:
    """Numbers of megabytes in lines that speak of an artifact, each once, with its line."""
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE or not _MEANT.search(line):
            continue
        for match in _SIZE.finditer(line):
            if match[1] not in seen:
                seen.add(match[1])
                yield number, match[1]


def mistaken(text: str, numbers: Sequence[int]) -> Iterator[Mistaken]:
    """Whether a decimal number of megabytes is right for some count of bytes in MiB, and for none in MB.

    >>> [m.number for m in mistaken("14.66", [15374243])], [m.number for m in mistaken("15.37", [15374243])]
    ([15374243], [])
    """
    spans = _spans(text)
    if spans is None or any(_inside(number, spans[MEGA]) for number in numbers):
        return
    for number in numbers:
        if _inside(number, spans[MEBI]):
            yield Mistaken(text=f"{text.strip(' ~MB')} MB", number=number)
            return


def is_of_none(text: str, numbers: Sequence[int]) -> bool:
    """Whether a decimal number of megabytes is right for none of the numbers, in MB or MiB, even cut off.

    >>> [is_of_none(text, [15374243]) for text in ("15.37", "15.38", "14.66", "15.3", "12.10", "16", "13")]
    [False, False, False, False, True, False, True]
    """
    spans = _spans(text, whole=True)
    if spans is None:
        return False
    # Twice the span of what is rounded holds what is cut off, or rounded up.
    return not any(3 * low - high <= 2 * number <= 3 * high - low for number in numbers for low, high in spans.values())


def may_be_of(text: str, numbers: Sequence[int], least: int, most: int) -> bool:
    """Whether a number of megabytes that is right for none of the numbers may be for one from `least` to `most`.

    >>> may_be_of("15.37", [15374243], 15_300_000, 15_400_000), may_be_of("15.36", [15374243], 15_300_000, 15_400_000)
    (False, True)
    """
    spans = _spans(text)
    if spans is None or any(_inside(number, spans[MEGA]) for number in numbers):
        return False
    return any(least <= high and low <= most for low, high in spans.values())


def _spans(text: str, *, whole: bool = False) -> dict[int, tuple[Fraction, Fraction]] | None:
    """The bytes that a decimal number of megabytes can stand for, by unit; None for what is no such number.

    One without decimals is told only where `whole`.
    """
    match = re.fullmatch(r"\s*~?(\d{1,4})(?:\.(\d{1,6}))?\s*(?:MB)?\s*", text)
    if match is None or not (whole or match[2]):
        return None
    decimals = match[2] or "0"
    value, half = Fraction(f"{match[1]}.{decimals}"), Fraction(1, 2 * 10 ** len(match[2] or ""))
    return {unit: ((value - half) * unit, (value + half) * unit) for unit in (MEGA, MEBI)}


def _inside(number: int, span: tuple[Fraction, Fraction]) -> bool:
    return span[0] <= number <= span[1]


def binary_caps(nodes: Sequence[ast.AST], cap: int) -> list[tuple[int, int]]:
    """Lines of a program with a limit that is right in MB and given in MiB, each with the bytes it allows.

    A limit is compared with, or has a name that says so; it may be worked out, and may be a count of MiB that a size
    divided by a MiB is compared with.
    """
    wrong = cap // MEGA * MEBI
    if cap % MEGA or not wrong:
        return []
    values = _Values(nodes)
    found: dict[int, int] = {}
    for node in nodes:
        for value, unit in _limits(node, values):
            number = values.number(value)
            # A count of MiB of which as many MB would fit.
            if number is not None and cap < number * unit <= wrong:
                found.setdefault(value.lineno, int(number * unit))
    return sorted(found.items())


def _limits(node: ast.AST, values: _Values) -> Iterator[tuple[ast.expr, int]]:
    """Expressions of limits, each with the bytes of its unit."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        unit = MEBI if any(values.in_mebi(side) for side in sides) else 1
        yield from ((side, unit) for side in sides)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_LIMIT.search(_name(target)) for target in targets):
            yield node.value, 1
    elif isinstance(node, ast.keyword) and node.arg and _LIMIT.search(node.arg):
        yield node.value, 1
    elif isinstance(node, ast.arguments):
        named = [*node.posonlyargs, *node.args][::-1]
        for argument, default in zip(named, reversed(node.defaults), strict=False):
            if _LIMIT.search(argument.arg):
                yield default, 1


def _name(target: ast.expr) -> str:
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


class _Values:
    """Numbers that expressions of a program stand for; a name counts where it is assigned once."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assigned.setdefault(_name(target), []).append(node.value)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assigned.setdefault(_name(node.target), []).append(node.value)

    def _once(self, node: ast.expr) -> ast.expr | None:
        given = self._assigned.get(_name(node), [])
        return given[0] if len(given) == 1 and _name(node) else None

    def number(  # noqa: PLR0911  (one way out per kind)
        self, node: ast.expr, depth: int = 0
    ) -> int | float | None:
        """The value of an expression of numbers, none of them negative; None for any other."""
        if depth > 8:
            return None
        match node:
            case ast.Constant(value=int() | float() as value) if type(value) is not bool:
                return value if 0 <= value < _LARGEST else None
            case ast.Constant(value=str(text)) if depth:
                return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text) else None
            case ast.BinOp():
                left, right = self.number(node.left, depth + 1), self.number(node.right, depth + 1)
                return None if left is None or right is None else _result(node.op, left, right)
            case ast.Name() | ast.Attribute():
                once = self._once(node)
                return None if once is None else self.number(once, depth + 1)
            case ast.Call(func=ast.Name(id="int" | "float" | "round"), args=[inner, *_]):
                return self.number(inner, depth + 1)
            case ast.Call(func=ast.Attribute(attr="get" | "getenv"), args=[_, default]):
                return self.number(default, depth + 1)
            case _:
                return None

    def in_mebi(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether an expression is a size divided by a MiB, at once or in two steps."""
        if depth > 4:
            return False
        if isinstance(node, ast.Name | ast.Attribute):
            value = self._once(node)
            return value is not None and self.in_mebi(value, depth + 1)
        divisor = 1.0
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv):
            divisor *= self.number(node.right) or 0
            node = node.left
        return divisor == MEBI


def _result(operator: ast.operator, left: float, right: float) -> int | float | None:
    match operator:
        case ast.Mult():
            made = left * right
        case ast.Add():
            made = left + right
        case ast.Sub():
            made = left - right
        case ast.LShift() if isinstance(left, int) and isinstance(right, int) and right < 64:
            made = left << right
        case ast.Pow() if right < 64 and left < 1 << 16:
            made = left**right
        case _:
            return None
    return made if 0 <= made < _LARGEST else None
