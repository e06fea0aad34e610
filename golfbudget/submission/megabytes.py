"""MiB taken for MB: sizes in text that are right only in binary units, and caps in code that are 4.9 % too large."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MEGA, MEBI = 10**6, 1 << 20
_SIZE = re.compile(r"(?<![\d.,])(\d{1,4}\.\d{1,3}) ?MB\b")
_MEANT = re.compile(r"artifact|submission|model|size|total|compress", re.IGNORECASE)
_LIMIT = re.compile(r"cap|limit|budget|max|artifact|allow|size|target", re.IGNORECASE)
_LONGEST_LINE = 1000
_LARGEST = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistaken:
    """A size that says MB and is MiB of `number` bytes."""

    text: str
    number: int


def sizes_in_text(text: str, numbers: Sequence[int]) -> Iterator[Mistaken]:
    """Sizes in lines that speak of an artifact, each once."""
    seen: set[str] = set()
    for line in text.splitlines():
        if len(line) > _LONGEST_LINE or not _MEANT.search(line):
            continue
        for match in _SIZE.finditer(line):
            if match[1] not in seen:
                seen.add(match[1])
                yield from mistaken(match[1], numbers)


def mistaken(text: str, numbers: Sequence[int]) -> Iterator[Mistaken]:
    """Whether a decimal number of megabytes is right for some count of bytes in MiB, and for none in MB.

    >>> [m.number for m in mistaken("14.66", [15374243])], [m.number for m in mistaken("15.37", [15374243])]
    ([15374243], [])
    """
    match = re.fullmatch(r"\s*~?(\d{1,4})\.(\d{1,3})\s*(?:MB)?\s*", text)
    if match is None:
        return
    value, scale = int(match[1] + match[2]), int(10 ** len(match[2]))

    def printed(number: int, unit: int) -> bool:
        return abs(2 * (number * scale - value * unit)) <= unit

    if not any(printed(number, MEGA) for number in numbers):
        for number in numbers:
            if printed(number, MEBI):
                yield Mistaken(text=f"{match[1]}.{match[2]} MB", number=number)
                return


def binary_caps(tree: ast.Module, cap: int) -> list[int]:
    """Lines of a program that compare with, or name as a limit, the cap's number of megabytes in MiB."""
    wrong = cap // MEGA * MEBI
    if cap % MEGA or not wrong:
        return []
    lines = set()
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            values = [node.left, *node.comparators]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_LIMIT.search(_name(target)) for target in targets):
                values = [node.value]
        lines |= {value.lineno for value in values if _constant(value) == wrong}
    return sorted(lines)


def _name(target: ast.expr) -> str:
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _constant(node: ast.expr, depth: int = 0) -> int | None:
    """The value of an expression of whole numbers; None for any other."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int and node.value < _LARGEST else None
    if not isinstance(node, ast.BinOp) or depth > 8:
        return None
    left, right = _constant(node.left, depth + 1), _constant(node.right, depth + 1)
    if left is None or right is None or left < 0 or right < 0:
        return None
    if isinstance(node.op, ast.Mult):
        return left * right if left * right < _LARGEST else None
    if isinstance(node.op, ast.LShift):
        return left << right if right < 64 and left << right < _LARGEST else None
    return left**right if isinstance(node.op, ast.Pow) and right < 64 and left < 1 << 16 else None
