"""The fields that a GGUF header is made of: numbers, strings and arrays, each read from where it must lie.

Every count is held against the bytes that are left before anything is done with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, LimitError

#: Scalars of metadata by type number; 7 (bool), 8 (string) and 9 (array) are handled apart.
_SCALARS = {
    number: struct.Struct("<" + code)
    for number, code in {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}.items()
}
UINT32, BOOL, STRING, ARRAY = 4, 7, 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
#: Arrays in arrays; the reference implementation reads none.
_DEEPEST = 8
#: Steps that cannot be skipped over by arithmetic: strings of arrays, and arrays of arrays.  A vocabulary with its
#: merges has about a million.
_MOST_STEPS = 1 << 22
#: Longer arrays and strings are represented by their length, so that metadata takes little memory.
_LONGEST_ARRAY = 64
_LONGEST_STRING = 1 << 16
_MOST_TEXT = 1 << 24
#: The specification's limit on keys.
_LONGEST_NAME = (1 << 16) - 1


@dataclass(slots=True)
class Cursor:
    """A place in the file, moving forward; every refusal names the byte."""

    data: Buffer
    where: str
    at: int = 0
    steps: int = 0
    text: int = 0

    def corrupt(self, at: int, message: str) -> CorruptError:
        return CorruptError(f"{self.where}: at byte {at}: {message} (--as opaque counts the file as a whole)")

    def take(self, count: int, what: str) -> int:
        """Move over `count` bytes; returns where they begin."""
        left = len(self.data) - self.at
        if count > left:
            raise self.corrupt(self.at, f"{what} takes {count} bytes, but only {left} are left in the file")
        self.at += count
        return self.at - count

    def u32(self, what: str) -> int:
        return int(_U32.unpack_from(self.data, self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack_from(self.data, self.take(8, what))[0])

    def name(self, what: str) -> str:
        """A string that must be text: a key, or a tensor's name."""
        start = self.at
        length = self.u64(f"the length of {what}")
        if length > _LONGEST_NAME:
            raise self.corrupt(start, f"{what} has {length} bytes, expected at most {_LONGEST_NAME}")
        begin = self.take(length, what)
        try:
            return bytes(self.data[begin : self.at]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.corrupt(start, f"{what} is not UTF-8: {error.reason}") from None

    def value(self, kind: int, what: str) -> object:
        """A metadata value; an int in place of an array or string that is too long to be kept: its length."""
        start = self.at
        if kind in _SCALARS:
            scalar = _SCALARS[kind]
            return scalar.unpack_from(self.data, self.take(scalar.size, what))[0]
        if kind == BOOL:
            found = self.data[self.take(1, what)]
            if found > 1:
                raise self.corrupt(start, f"{what} is a bool of value {found}, expected 0 or 1")
            return bool(found)
        if kind == STRING:
            return self._string(what)
        if kind == ARRAY:
            return self._array(what, depth=1)
        raise self.corrupt(start, f"{what} has type {kind}, expected 0 to 12")

    def _string(self, what: str) -> object:
        length = self.u64(f"the length of {what}")
        begin = self.take(length, what)
        if length > _LONGEST_STRING or self.text + length > _MOST_TEXT:
            return length
        self.text += length
        # Text that is not UTF-8 is legal in practice: the pieces of byte-level tokenizers are stored so.
        return bytes(self.data[begin : self.at]).decode("utf-8", "backslashreplace")

    def _array(self, what: str, depth: int) -> object:
        start = self.at
        if depth > _DEEPEST:
            raise self.corrupt(start, f"{what} nests arrays more than {_DEEPEST} deep")
        kind = self.u32(f"the element type of {what}")
        count = self.u64(f"the length of {what}")
        if kind in _SCALARS or kind == BOOL:
            width = 1 if kind == BOOL else _SCALARS[kind].size
            begin = self.take(width * count, what)
            if count > _LONGEST_ARRAY:
                return count
            self.at = begin
            return tuple(self.value(kind, what) for _ in range(count))
        if kind not in (STRING, ARRAY):
            raise self.corrupt(start, f"{what} is an array of type {kind}, expected 0 to 12")
        least = 8 if kind == STRING else 12
        left = len(self.data) - self.at
        if count * least > left:
            raise self.corrupt(start, f"{what} has {count} elements, but only {left} bytes are left in the file")
        self.steps += count
        if self.steps > _MOST_STEPS:
            raise LimitError(
                f"{self.where}: at byte {start}: the metadata holds more than {_MOST_STEPS} strings and arrays; "
                "--as opaque counts the file as a whole"
            )
        if kind == STRING and count > _LONGEST_ARRAY:
            self._skip_strings(count, what)
            return count
        if kind == STRING:
            return tuple(self._string(what) for _ in range(count))
        for _ in range(count):
            self._array(what, depth + 1)
        return count

    def _skip_strings(self, count: int, what: str) -> None:
        """Move over that many strings; apart from `_string` because vocabularies make this loop long."""
        data, at, stop, read = self.data, self.at, len(self.data), _U64.unpack_from
        for number in range(count):
            if at + 8 > stop or at + 8 + read(data, at)[0] > stop:
                raise self.corrupt(at, f"string {number} of {what} runs past the end of the file at byte {stop}")
            at += 8 + read(data, at)[0]
        self.at = at
