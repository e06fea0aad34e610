"""What the keys of a JSON say that a number is: bytes or another unit, and of what.

A key that says no more than `total` or `value` is read with the one around it: `{"bytes": {"total": 15}}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

#: The keys that lead to a value; a number for the place in a list.
Keys = tuple[str | int, ...]
SEED = re.compile(r"(?:seed[_\-]?)?(\d{1,10})", re.IGNORECASE)
_BYTES = re.compile(r"(?:^|_)bytes(?:_|$)|(?:artifact|submission|code|model|total|file)_size(?:_b)?$", re.IGNORECASE)
#: What may be a number of bytes, and may be a name or anything else.
_BARE = re.compile(r"(?:final_)?(?:artifact|submission)", re.IGNORECASE)
_MEGABYTES = re.compile(r"(?:^|_)(?:mb|megabytes)(?:_|$)", re.IGNORECASE)
_UNIT = re.compile(r"(?:^|_)(kb|kib|mib|gb|gib)$", re.IGNORECASE)
_SIZES = {"kb": 10**3, "kib": 1 << 10, "mib": 1 << 20, "gb": 10**9, "gib": 1 << 30}
#: Where the words of a key meet: `totalBytes`, `total-bytes`, `Total Bytes`.
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
#: Words of keys that leave something open.
_INNER = frozenset({
    "total", "code", "model", "weights", "artifact", "submission", "size", "bytes", "value", "compressed", "final",
    "mean", "largest", "worst", "in", "packed",
})  # fmt: skip
#: Keys of an object that is one amount.
_AMOUNT, _UNITS = frozenset({"value", "amount", "size", "number"}), frozenset({"unit", "units"})


class About(StrEnum):
    """What a claim is about, as far as its key says."""

    TOTAL = "total"
    MODEL = "model"
    CODE = "code"
    OTHER = "other"


#: Words of a key that say what its number is about; the first that has one decides.
_ABOUT = {
    About.OTHER: {
        "limit", "cap", "budget", "headroom", "payload", "raw", "train", "read", "uncompressed", "unquantized", "saved",
    },
    About.CODE: {"code", "wrapper", "wrapped"},
    About.MODEL: {"model", "weights"},
    About.TOTAL: {"total", "artifact", "submission", "size"},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWords:
    """The words that name a value, and its unit: `unit` is the bytes of one that is neither a byte nor a megabyte.

    `bare`: they say that it is an amount of bytes only where it is a number.
    """

    words: str
    in_bytes: bool
    in_megabytes: bool
    bare: bool
    unit: int | None
    about: About


def named(keys: Keys) -> KeyWords:
    """What the keys that lead to a value say of it; neither seeds nor places in lists name anything.

    >>> [str(named(keys).about) for keys in (("bytes_total",), ("bytes", "code"), ("artifact", 0, "bytes"))]
    ['total', 'code', 'total']
    >>> [named((key,)).in_bytes for key in ("artifact_size", "compressed_size", "vocab_size", "max_size", "total")]
    [True, True, False, False, False]
    """
    names = [_SEAM.sub("_", key) for key in keys if isinstance(key, str) and not SEED.fullmatch(key)]
    own = _named(names[-1] if names else "")
    if len(names) == 1 and own.words.lower() == "bytes":
        return _named("total_bytes")
    if len(names) < 2 or own.in_megabytes or own.unit or not _words(names[-1]) <= _INNER:
        return own
    if own.in_bytes and own.about is not About.OTHER and not own.bare:
        return own
    both = _named(f"{names[-2]}_{names[-1]}")
    if own.words.lower() == "size" and not _words(names[-2]) & _ABOUT[About.TOTAL]:
        return _named("")  # The size of a model may be one of its dimensions.
    return both


def _words(name: str) -> set[str]:
    return {word for word in name.lower().split("_") if word}


def _named(name: str) -> KeyWords:
    words, unit = _words(name), _UNIT.search(name)
    said = bool(_BYTES.search(name))
    bare = not said and bool(_BARE.fullmatch(name) or ("size" in words and words <= _INNER))
    return KeyWords(
        words=name,
        in_bytes=said or bare,
        in_megabytes=bool(_MEGABYTES.search(name)),
        bare=bare,
        unit=_SIZES[unit[1].lower()] if unit else None,
        about=next((about for about, told in _ABOUT.items() if told & words), About.OTHER),
    )


def as_amount(value: dict[str, object]) -> object:
    """An object that is one amount with its unit, as a text; any other as it is.

    >>> as_amount({"value": 15.9, "unit": "MB"}), as_amount({"value": 15})
    ('15.9 MB', {'value': 15})
    """
    amounts = [given for key, given in value.items() if key.lower() in _AMOUNT]
    units = [given for key, given in value.items() if key.lower() in _UNITS]
    if len(value) == 2 and len(amounts) == len(units) == 1 and isinstance(units[0], str):
        return f"{amounts[0]} {units[0]}"
    return value


def span(value: object, unit: int) -> tuple[int, int] | None:
    """The bytes that a number of units may stand for, rounded or cut off in its last digit; None for no number.

    >>> span(15950, 1000), span("0.016", 10**9), span("much", 1000)
    ((15949000, 15951000), (15000000, 17000000), None)
    """
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or not -30 < exponent < 30 or abs(number) > 10**12:
        return None
    step = Decimal(1).scaleb(min(exponent, 0))
    return int((number - step) * unit), int((number + step) * unit)
