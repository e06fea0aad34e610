"""Entropy table descriptions of Zstandard, RFC 8878 section 4: FSE distributions and Huffman code lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from itertools import accumulate

from golfbudget.errors import CorruptError

_SMALLEST_ACCURACY = 5
_WEIGHT_ACCURACY = 6
#: The RFC says 11; the reference decoder takes one more.
_LONGEST_CODE = 12
_DIRECT_WEIGHTS = 127
_MASKS = tuple((1 << width) - 1 for width in range(10))

#: One state of a decoding table: extra bits of its symbol, the symbol's base value, and the bits to read for the
#: next state, their mask and the state they are added to.
State = tuple[int, int, int, int, int]


class Field(IntEnum):
    """The three numbers of a sequence, in the order in which their tables are described."""

    LITERAL_LENGTH = 0
    OFFSET = 1
    MATCH_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Codes of one field: base values, extra bits, the longest table allowed and the predefined distribution."""

    bases: tuple[int, ...]
    extra_bits: tuple[int, ...]
    largest_accuracy: int
    predefined: tuple[int, ...]
    predefined_accuracy: int


def _bases(first: int, extra_bits: Sequence[int]) -> tuple[int, ...]:
    """Base values of codes that follow one another without a gap."""
    return tuple(accumulate((1 << bits for bits in extra_bits[:-1]), initial=first))


_LITERAL_BITS = (*[0] * 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_MATCH_BITS = (*[0] * 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_OFFSET_BITS = tuple(range(32))

_LITERAL_COUNTS = (4, 3, *[2] * 11, *[1] * 3, *[2] * 9, 3, 2, *[1] * 5, *[-1] * 4)
_OFFSET_COUNTS = (*[1] * 6, *[2] * 3, *[1] * 15, *[-1] * 5)
_MATCH_COUNTS = (1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7)
ALPHABETS = {
    Field.LITERAL_LENGTH: Alphabet(_bases(0, _LITERAL_BITS), _LITERAL_BITS, 9, _LITERAL_COUNTS, 6),
    Field.OFFSET: Alphabet(tuple(1 << bits for bits in _OFFSET_BITS), _OFFSET_BITS, 8, _OFFSET_COUNTS, 5),
    Field.MATCH_LENGTH: Alphabet(_bases(3, _MATCH_BITS), _MATCH_BITS, 9, _MATCH_COUNTS, 6),
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """A normalised distribution: `counts` by symbol sum to 2**accuracy, where -1 (less than one) counts as 1."""

    counts: tuple[int, ...]
    accuracy: int


def take(body: bytes, at: int, count: int) -> bytes:
    """Exactly `count` bytes of a block's body; `CorruptError` past its end."""
    if count < 0 or at + count > len(body):
        raise CorruptError(f"ends {at + count - len(body)} bytes too soon")
    return body[at : at + count]


def read_distribution(body: bytes, at: int, *, symbols: int, largest_accuracy: int) -> tuple[Distribution, int]:
    """The FSE table description at `at` of a body, and where it ends (section 4.1.1).

    `CorruptError` for more states or symbols than the table may have, and for a body that is too short.
    """
    # Each of at most 256 counts takes at most 10 bits, and fewer than 256 zero runs take 2 bits for three symbols.
    bits = int.from_bytes(body[at : at + 512], "little")
    accuracy = (bits & 15) + _SMALLEST_ACCURACY
    if accuracy > largest_accuracy:
        raise CorruptError(f"describes a table of 2**{accuracy} states, expected at most 2**{largest_accuracy}")
    used = 4
    counts: list[int] = []
    left = 1 << accuracy
    while left > 0:
        width = (left + 1).bit_length()
        value = bits >> used & (1 << width) - 1
        short = value & (1 << width - 1) - 1
        spare = (1 << width) - 2 - left
        if short < spare:
            value, width = short, width - 1
        elif value != short:
            value -= spare
        used += width
        counts.append(value - 1)
        left -= abs(value - 1)
        more = value == 1
        while more:
            zeros = bits >> used & 3
            used += 2
            counts += [0] * zeros
            more = zeros == 3 and len(counts) <= symbols
        if len(counts) > symbols:
            raise CorruptError(f"describes a table of more than {symbols} symbols")
    take(body, at, (used + 7) // 8)
    return Distribution(tuple(counts), accuracy), at + (used + 7) // 8


def spread(distribution: Distribution) -> tuple[list[int], list[int], list[int]]:
    """Of every state its symbol, the bits to read for the next state, and what they are added to (section 4.1.1)."""
    import numpy as np

    size = 1 << distribution.accuracy
    counts = np.array(distribution.counts)
    rare = np.flatnonzero(counts < 0)
    common = size - len(rare)
    walk = np.arange(size) * ((size >> 1) + (size >> 3) + 3) % size
    symbols = np.empty(size, np.int64)
    symbols[common:] = rare[::-1]
    symbols[walk[walk < common]] = np.repeat(np.arange(len(counts)), np.maximum(counts, 0))
    # The states of a symbol of count c are numbered from c on, in their order.
    present = np.abs(counts)
    numbers = np.empty(size, np.int64)
    numbers[np.argsort(symbols, kind="stable")] = np.arange(size) + np.repeat(2 * present - np.cumsum(present), present)
    widths = distribution.accuracy + 1 - np.frexp(numbers)[1]
    return symbols.tolist(), widths.tolist(), ((numbers << widths) - size).tolist()


def decoding_table(field: Field, distribution: Distribution) -> list[State]:
    """The states of a field's table."""
    alphabet = ALPHABETS[field]
    symbols, widths, bases = spread(distribution)
    extra = map(alphabet.extra_bits.__getitem__, symbols)
    first = map(alphabet.bases.__getitem__, symbols)
    return list(zip(extra, first, widths, map(_MASKS.__getitem__, widths), bases, strict=True))


@cache
def predefined_table(field: Field) -> list[State]:
    """The table that a block uses without describing it (section 3.1.1.3.2.2)."""
    alphabet = ALPHABETS[field]
    return decoding_table(field, Distribution(alphabet.predefined, alphabet.predefined_accuracy))


def rle_table(field: Field, symbol: int) -> list[State]:
    """The table of one state, which reads no bits and never changes; `CorruptError` for no code of the field."""
    alphabet = ALPHABETS[field]
    if symbol >= len(alphabet.bases):
        raise CorruptError(f"repeats code {symbol}, expected at most {len(alphabet.bases) - 1}")
    return [(alphabet.extra_bits[symbol], alphabet.bases[symbol], 0, 0, 0)]


def backward(stream: bytes) -> tuple[int, int]:
    """A bitstream that is read from its end, as a number and how many bits lie before the end mark in it.

    `CorruptError` where there is no end mark.
    """
    if not stream or not stream[-1]:
        raise CorruptError("holds a bitstream without an end mark")
    value = int.from_bytes(stream, "little")
    return value, value.bit_length() - 1


def read_code_lengths(body: bytes, at: int) -> tuple[bytes, int]:
    """The Huffman tree description at `at` of a body (section 4.2.1), and where it ends.

    The code length of each of the 256 byte values in bits, 0 for those without a code.  `CorruptError` for a tree that
    is not complete.
    """
    header = take(body, at, 1)[0]
    at += 1
    if header > _DIRECT_WEIGHTS:
        count = header - _DIRECT_WEIGHTS
        stop = at + (count + 1) // 2
        pairs = take(body, at, stop - at)
        weights = [nibble for byte in pairs for nibble in (byte >> 4, byte & 15)][:count]
    else:
        stop = at + header
        weights = _compressed_weights(take(body, at, header))
    total = sum(1 << weight - 1 for weight in weights if weight)
    longest = total.bit_length()
    last = (1 << longest) - total
    if not total or longest > _LONGEST_CODE or last & last - 1:
        raise CorruptError("describes a Huffman tree that is not complete")
    weights.append(last.bit_length())
    lengths = bytes(longest + 1 - weight if weight else 0 for weight in weights)
    return lengths.ljust(256, b"\0"), stop


def _compressed_weights(body: bytes) -> list[int]:
    """Weights of a Huffman tree that two interleaved FSE states decode (section 4.2.1.2)."""
    distribution, at = read_distribution(body, 0, symbols=_LONGEST_CODE + 1, largest_accuracy=_WEIGHT_ACCURACY)
    symbols, widths, bases = spread(distribution)
    value, left = backward(body[at:])
    left -= 2 * distribution.accuracy
    if left < 0:
        raise CorruptError("describes Huffman weights without their first states")
    this = value >> left + distribution.accuracy & len(symbols) - 1
    other = value >> left & len(symbols) - 1
    weights: list[int] = []
    while len(weights) < 255:
        weights.append(symbols[this])
        left -= widths[this]
        if left < 0:
            weights.append(symbols[other])
            break
        this, other = other, bases[this] + (value >> left & (1 << widths[this]) - 1)
    if len(weights) > 255 or left >= 0:
        raise CorruptError("describes more than 255 Huffman weights")
    return weights
