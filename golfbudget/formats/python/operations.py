"""The operations by which programs spell bytes, on values at hand: each refuses what is of another kind or too long.

Refused is what only running the program could tell (`NotStaticError`); what Python itself would refuse raises what
Python raises.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from golfbudget.formats.base import LONGEST_SOURCE
from golfbudget.formats.python.names import NotStaticError
from golfbudget.formats.python.spellings import encoding

#: Characters of a number whose base is no power of two: working it out takes more than time by its length.
LONGEST_NUMBER = 1 << 18
#: Items of a list, which take far more memory than bytes.
LONGEST_LIST = 1 << 22
#: Bits of a number of a digit's arithmetic, and by how much one may be shifted.
_WIDEST, _FARTHEST = 64, 32
#: How a digit is written: no width that costs memory.
_FORMAT = re.compile(r"0?\d?\d?[bdoxX]?")
_POWERS = (2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Affine:
    """`scale * n + offset`, for the `n` that is not known yet."""

    scale: int
    offset: int


def items(value: object) -> Sequence[object]:
    """What iterating over a value gives; `NotStaticError` unless it is text, bytes or a list that is not too long."""
    if not isinstance(value, (str, bytes, list)) or len(value) > LONGEST_LIST:
        raise NotStaticError
    return value


def calculated(operator: ast.operator, left: object, right: object) -> object:
    """`left operator right` for text, bytes, small numbers and what is not known yet; else `NotStaticError`."""
    if isinstance(operator, ast.Add):
        if isinstance(left, str) and isinstance(right, str):
            return left + right
        if isinstance(left, bytes) and isinstance(right, bytes):
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            return left + right
    one, other = _affine(left), _affine(right)
    match operator:
        case ast.Add():
            made = Affine(one.scale + other.scale, one.offset + other.offset)
        case ast.Sub():
            made = Affine(one.scale - other.scale, one.offset - other.offset)
        case ast.Mult() if not (one.scale and other.scale):
            made = Affine(one.scale * other.offset + other.scale * one.offset, one.offset * other.offset)
        case ast.LShift() if not other.scale and 0 <= other.offset <= _FARTHEST:
            made = Affine(one.scale << other.offset, one.offset << other.offset)
        case ast.BitOr() if not one.offset and not other.scale and 0 <= other.offset < (one.scale & -one.scale):
            made = Affine(one.scale, other.offset)  # Into bits that the shift left free.
        case _ if not one.scale and not other.scale:
            made = Affine(0, _bits(operator, one.offset, other.offset))
        case _:
            raise NotStaticError
    return made if made.scale else _affine(made.offset).offset


def _bits(operator: ast.operator, left: int, right: int) -> int:
    match operator:
        case ast.BitOr():
            return left | right
        case ast.BitAnd():
            return left & right
        case ast.BitXor():
            return left ^ right
        case ast.Mod():
            return left % right
        case ast.FloorDiv():
            return left // right
        case ast.RShift():
            return left >> right
        case _:
            raise NotStaticError


def _affine(value: object) -> Affine:
    if isinstance(value, Affine):
        return value
    if not isinstance(value, int) or value.bit_length() > _WIDEST:
        raise NotStaticError
    return Affine(0, value)


def compared(operator: ast.cmpop, left: object, right: object) -> bool:
    """A comparison of two numbers; `NotStaticError` for other values, and other comparisons."""
    if not isinstance(left, int) or not isinstance(right, int):
        raise NotStaticError
    match operator:
        case ast.Gt():
            return left > right
        case ast.GtE():
            return left >= right
        case ast.Lt():
            return left < right
        case ast.LtE():
            return left <= right
        case ast.Eq():
            return left == right
        case ast.NotEq():
            return left != right
        case _:
            raise NotStaticError


def folded(first: int, steps: Sequence[object]) -> tuple[int, int]:
    """(base, number) of the steps `n * base + digit` from a first number on.

    `NotStaticError` for steps of several bases, or too many.
    """
    affine = [step for step in steps if isinstance(step, Affine)]
    bases = {step.scale for step in affine}
    if len(affine) != len(steps) or len(bases) != 1 or len(steps) > LONGEST_NUMBER:
        raise NotStaticError
    (base,) = bases
    if base < 2:
        raise NotStaticError
    digits, power = [first, *(step.offset for step in affine)], base
    while len(digits) > 1:  # Two by two: far fewer steps with long numbers than one by one.
        digits = [0] * (len(digits) % 2) + digits
        digits = [high * power + low for high, low in zip(digits[::2], digits[1::2], strict=True)]
        power *= power
    return base, digits[0]


def written(number: object, form: object = "") -> str:
    """`format(number, form)`; `NotStaticError` for what is no whole number, and for forms that ask for a wide text."""
    if not isinstance(number, int) or not isinstance(form, str) or not _FORMAT.fullmatch(form):
        raise NotStaticError
    return format(_affine(number).offset, form)


def _encode(value: object, name: object = "utf-8") -> bytes:
    known = encoding(name)
    if not isinstance(value, str) or known is None:
        raise NotStaticError
    return value.encode(known)


def _decode(value: object, name: object = "utf-8") -> str:
    known = encoding(name)
    if not isinstance(value, bytes) or known is None:
        raise NotStaticError
    return value.decode(known)


def _bytes(value: object, *name: object) -> bytes:
    if isinstance(value, str):
        return _encode(value, *name)
    if isinstance(value, bytes) and not name:
        return value
    numbers = [number for number in value if isinstance(number, int)] if isinstance(value, list) else []
    if not isinstance(value, list) or name or len(numbers) != len(value):
        raise NotStaticError
    return bytes(numbers)


def _number(value: object, base: object = 10) -> int:
    if not isinstance(value, (str, bytes)) or not isinstance(base, int):
        raise NotStaticError
    if len(value) > LONGEST_NUMBER and base not in _POWERS:
        raise NotStaticError
    return int(value, base)


def _from_bytes(value: object, byteorder: object = "big") -> int:
    if not isinstance(value, bytes):
        raise NotStaticError
    return int.from_bytes(value, _order(byteorder))


def _to_bytes(value: object, length: object = 1, byteorder: object = "big") -> bytes:
    if not isinstance(value, int) or not isinstance(length, int) or length > LONGEST_SOURCE:
        raise NotStaticError
    return value.to_bytes(length, _order(byteorder))


def _order(name: object) -> Literal["big", "little"]:
    if name == "big":
        return "big"
    if name == "little":
        return "little"
    raise ValueError(f"a byte order is 'big' or 'little', not {name!r}")


def _join(between: object, parts: object) -> str | bytes:
    pieces = items(parts)
    if isinstance(between, str):
        texts = [piece for piece in pieces if isinstance(piece, str)]
        if len(texts) == len(pieces) and len(between) * len(pieces) <= LONGEST_SOURCE:
            return between.join(texts)
    elif isinstance(between, bytes):
        parts_of_bytes = [piece for piece in pieces if isinstance(piece, bytes)]
        if len(parts_of_bytes) == len(pieces) and len(between) * len(pieces) <= LONGEST_SOURCE:
            return between.join(parts_of_bytes)
    raise NotStaticError


def _replace(value: object, old: object, new: object) -> str | bytes:
    return _join(new, _split(value, old))


def _zfill(value: object, width: object) -> str:
    if not isinstance(value, str) or not isinstance(width, int) or width > _WIDEST:
        raise NotStaticError
    return value.zfill(width)


def _strip(value: object) -> str | bytes:
    if not isinstance(value, (str, bytes)):
        raise NotStaticError
    return value.strip()


def _split(value: object, between: object = None) -> list[str] | list[bytes]:
    items(value)
    if isinstance(value, str) and (between is None or isinstance(between, str)):
        return value.split(between)
    if isinstance(value, bytes) and (between is None or isinstance(between, bytes)):
        return value.split(between)
    raise NotStaticError


def _ordinal(value: object) -> int:
    if not isinstance(value, (str, bytes)):
        raise NotStaticError
    return ord(value)


def _character(value: object) -> str:
    if not isinstance(value, int):
        raise NotStaticError
    return chr(value)


def _listed(value: object) -> list[object]:
    return list(items(value))


def _reversed(value: object) -> list[object]:
    return list(reversed(items(value)))


#: Functions by dotted name, and methods by theirs.
FUNCTIONS: dict[str, Callable[..., object]] = {
    "bytes": _bytes,
    "bytearray": _bytes,
    "str": _decode,
    "int": _number,
    "int.from_bytes": _from_bytes,
    "format": written,
    "ord": _ordinal,
    "chr": _character,
    "bin": lambda number: f"0b{written(number, 'b')}",
    "hex": lambda number: f"0x{written(number, 'x')}",
    "list": _listed,
    "tuple": _listed,
    "reversed": _reversed,
}
METHODS: dict[str, Callable[..., object]] = {
    "encode": _encode,
    "decode": _decode,
    "join": _join,
    "replace": _replace,
    "to_bytes": _to_bytes,
    "zfill": _zfill,
    "strip": _strip,
    "split": _split,
}
