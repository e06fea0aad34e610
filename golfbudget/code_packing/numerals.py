"""Bytes as text of seven bits per character that Python reads back as it stands: digits of a number in base 126.

A source file can hold every ASCII character but the null and, as line ends are made alike, the carriage return.
That leaves 126 digits, so that a byte takes 1.1466 characters; base 85 takes 1.25.  The digits are worth 1 to 126
(bijective numeration): there is no zero, so none stands in front and nothing is taken off.
"""

from __future__ import annotations

import math

BASE = 126
#: The digit's character is its value, or one more from here on: this character is left out.
_LEFT_OUT = ord("\r")
#: Digits worked out at once by small numbers; a step of the whole number costs as much as the number is long.
_AT_ONCE = 64
_QUOTES = ('"""', "'''")


def numeral(data: bytes) -> bytes:
    r"""The number that `data` is, big-endian, in digits as ASCII characters; empty for zero.

    >>> numeral(bytes([12])), numeral(bytes([13])), numeral(bytes([127]))
    (b'\x0c', b'\x0e', b'\x01\x01')
    """
    number = int.from_bytes(data, "big")
    # The smallest number of so many digits has ones alone.
    length = max(0, int(number.bit_length() / math.log2(BASE)) - 1)
    while _ones(length + 1) <= number:
        length += 1
    rest = number - _ones(length)
    digits = bytearray()
    while len(digits) < length:
        rest, chunk = divmod(rest, BASE**_AT_ONCE)
        for _ in range(min(_AT_ONCE, length - len(digits))):
            chunk, digit = divmod(chunk, BASE)
            digits.append(digit + 1 + (digit + 1 >= _LEFT_OUT))
    return bytes(reversed(digits))


def _ones(length: int) -> int:
    power: int = BASE**length
    return (power - 1) // (BASE - 1)


def quoted(data: bytes) -> str | None:
    """A raw bytes literal of such characters; None where neither kind of three quotes can hold them."""
    text = data.decode("ascii")
    body = text.rstrip("\\")
    # No raw literal ends in a backslash: another literal beside it does.
    rest = f'b"{2 * text[len(body) :]}"' if len(body) < len(text) else ""
    for quotes in _QUOTES:
        if quotes not in body and not body.endswith(quotes[0]):
            return f"rb{quotes}{body}{quotes}{rest}"
    return None
