"""Inside GGUF: a header of typed key-values and tensor records, then aligned tensor data.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.  Versions 2 and 3, little-endian, are read.
Reading touches the header and the padding only; nothing is dequantised.  Every count is held against the bytes that are
left before anything is done with it.  Of a file whose beginning alone is at hand the header must be whole.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

from msgspec import structs

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, LimitError, UnsupportedError
from golfbudget.formats.base import GGUF, Contents, Region, StoredTensor, unmapped
from golfbudget.formats.beginnings import Beginning, at_hand
from golfbudget.formats.ggml_types import GGML_TYPES, UNKNOWN_TYPE, GgmlType
from golfbudget.ledger import Account, Role, Span

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
    """A place in the file, moving forward; every refusal names the byte.

    `held` is what is at hand of the file's bytes: all of `data`, or the beginning of it.
    """

    data: Buffer | Beginning
    held: Buffer
    where: str
    at: int = 0
    steps: int = 0
    text: int = 0

    def corrupt(self, at: int, message: str) -> CorruptError:
        return CorruptError(f"{self.where}: at byte {at}: {message}")

    def take(self, count: int, what: str) -> int:
        """Move over `count` bytes; returns where they begin; `CorruptError` where fewer are left."""
        left = len(self.data) - self.at
        if count > left:
            raise self.corrupt(self.at, f"{what} takes {count} bytes, but only {left} are left in the file")
        self.at += count
        self.must_hold(self.at)
        return self.at - count

    def must_hold(self, stop: int) -> None:
        """`NotAtHandError` where the file's bytes up to `stop` are there and not at hand."""
        if stop > len(self.held) and isinstance(self.data, Beginning):
            raise self.data.unread(stop)

    def u32(self, what: str) -> int:
        return int(_U32.unpack_from(self.held, self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack_from(self.held, self.take(8, what))[0])

    def name(self, what: str) -> str:
        """A string that must be text: a key, or a tensor's name; `CorruptError` where it is none, or too long."""
        start = self.at
        length = self.u64(f"the length of {what}")
        if length > _LONGEST_NAME:
            raise self.corrupt(start, f"{what} has {length} bytes, expected at most {_LONGEST_NAME}")
        begin = self.take(length, what)
        try:
            return bytes(self.held[begin : self.at]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.corrupt(start, f"{what} is not UTF-8: {error.reason}") from None

    def value(self, kind: int, what: str) -> object:
        """A metadata value; an int in place of an array or string that is too long to be kept: its length.

        `CorruptError` for a type that there is not, and for what is no value of its type.
        """
        start = self.at
        if kind in _SCALARS:
            scalar = _SCALARS[kind]
            return scalar.unpack_from(self.held, self.take(scalar.size, what))[0]
        if kind == BOOL:
            flag = self.held[self.take(1, what)]
            if flag > 1:
                raise self.corrupt(start, f"{what} is a bool of value {flag}, expected 0 or 1")
            return bool(flag)
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
        return bytes(self.held[begin : self.at]).decode("utf-8", "backslashreplace")

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
                f"{self.where}: at byte {start}: the metadata holds more than {_MOST_STEPS} strings and arrays"
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
        data, at, stop, read = self.held, self.at, len(self.held), _U64.unpack_from
        for number in range(count):
            after = at + 8 if at + 8 > stop else at + 8 + read(data, at)[0]
            if after > stop:
                end = len(self.data)
                if after <= end:
                    self.must_hold(after)
                raise self.corrupt(at, f"string {number} of {what} runs past the end of the file at byte {end}")
            at = after
        self.at = at


_VERSIONS = (2, 3)
_ALIGNMENT = 32
_ALIGNMENT_KEY = "general.alignment"
#: More than any tensor library allows (ggml itself: 4); keeps a hostile shape from costing time.
_MOST_DIMENSIONS = 64
#: Far above real files (a few thousand); keeps a header of tiny records from filling memory.
_MOST_RECORDS = 100_000
#: Least bytes of a key-value (empty key, type, one byte) and of a tensor record (no dimensions).
_LEAST_KEY_VALUE = 13
_LEAST_RECORD = 24
_PIECE = 1 << 20
_PADDING = "[padding]"


#: Key-values of these names are the tokenizer's, which serves no tensor: one stored name for all of them.
_TOKENIZER_KEYS, _TOKENIZER = "tokenizer.", "[tokenizer metadata]"
#: Elements that a byte of an unknown type may hold; the densest known holds seven.
_DENSEST = 64
#: A tensor whose offset counts from the start of tensor data, and where its record lies.
_TensorRecord = tuple[StoredTensor, Span]


def read_gguf(data: Buffer | Beginning, *, where: str) -> Contents:
    """Explain a GGUF file.  Raises `CorruptError`, `UnsupportedError` or `LimitError`.

    Of a file whose beginning is at hand alone, padding between tensors is known by its place; a note says how much.
    `NotAtHandError` where the header is not whole.
    """
    cursor = Cursor(data, at_hand(data), where)
    if bytes(data[:4]) != GGUF:
        raise cursor.corrupt(0, f"expected a GGUF file, which starts with {GGUF!r}, found {bytes(data[:4])!r}")
    tensors, pairs = _fixed_part(cursor)
    regions = [Region(span=Span(0, cursor.at), account=Account.CONTAINER, label="[header]")]
    values: dict[str, object] = {}
    alignment = _ALIGNMENT
    for _ in range(pairs):
        start = cursor.at
        key, kind, value = _key_value(cursor, values)
        values[key] = value
        if key == _ALIGNMENT_KEY:
            alignment = _checked_alignment(cursor, start, kind, value)
        name = _TOKENIZER if key.startswith(_TOKENIZER_KEYS) else None
        span = Span(start, cursor.at)
        regions.append(Region(span=span, account=Account.CONTAINER, name=name, label=name or "[metadata]"))
    records: dict[str, _TensorRecord] = {}
    for _ in range(tensors):
        tensor, span = _record(cursor, records, alignment)
        records[tensor.name] = (tensor, span)
        regions.append(Region(span=span, account=Account.CONTAINER, name=tensor.name, label="[tensor record]"))
    start = _align(cursor.at, alignment)
    unknown = _measured(cursor, records, start)
    regions += _data_regions(cursor, list(records.values()), start, alignment, frozenset(unknown))
    placed = tuple(structs.replace(record[0], offset=start + _begin(record)) for record in records.values())
    return Contents(
        format="gguf",
        regions=tuple(regions),
        tensors=placed,
        values=values,
        roles={_TOKENIZER: Role.TOKENIZER},
        notes=(*_note(unknown), *_unseen(cursor, regions)),
    )


def _measured(cursor: Cursor, records: dict[str, _TensorRecord], start: int) -> dict[str, str]:
    """Give tensors of unknown types the bytes up to the next tensor or the end; returns their types by name.

    An element count that no bytes so few could hold is refused, as an offset past the end is.
    """
    unknown = {name: tensor.dtype for name, (tensor, _) in records.items() if tensor.dtype.startswith(UNKNOWN_TYPE)}
    offsets = sorted({_begin(record) for record in records.values()}) if unknown else []
    for name in unknown:
        tensor, place = records[name]
        begin = _begin(records[name])
        after = bisect_right(offsets, begin)
        extent = (offsets[after] if after < len(offsets) else len(cursor.data) - start) - begin
        extent = max(extent, 0) if tensor.elements else 0
        if tensor.elements > _DENSEST * extent:
            raise cursor.corrupt(
                place.start,
                f"tensor {name!r} of shape {list(tensor.shape)} has {extent} bytes before the next or the end",
            )
        records[name] = structs.replace(tensor, block=(max(tensor.elements, 1), extent)), place
    return unknown


def _note(unknown: dict[str, str]) -> tuple[str, ...]:
    """A line on tensors whose type is not known."""
    if not unknown:
        return ()
    kinds = ", ".join(sorted({kind.removeprefix(UNKNOWN_TYPE) for kind in unknown.values()}, key=int))
    first = next(iter(unknown))
    others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
    return (
        f"ggml type {kinds} is not known: {first[:80]}{others} may be shorter than the bytes up to the next tensor",
    )


def _unseen(cursor: Cursor, regions: list[Region]) -> tuple[str, ...]:
    """A line on padding whose bytes are not at hand, so that nobody knows whether they are zeros."""
    unseen = sum(
        len(region.span) for region in regions if region.label == _PADDING and region.span.stop > len(cursor.held)
    )
    told = f"{unseen:,} bytes between tensors are padding by their place; whether they are zeros was not read"
    return (told,) if unseen else ()


def _align(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


def _fixed_part(cursor: Cursor) -> tuple[int, int]:
    """Magic, version and the two counts; returns how many tensors and key-values there are."""
    cursor.take(4, "the magic")
    version = cursor.u32("the version")
    other = int.from_bytes(version.to_bytes(4, "little"), "big")
    refusal = ""
    if other < version and other in (*_VERSIONS, 1):
        refusal = f"a big-endian GGUF file (version {other} at byte 4) is not read, only little-endian ones"
    elif version == 1:
        refusal = "GGUF version 1 (at byte 4), with its 32-bit counts, is not read; expected version 2 or 3"
    elif version not in _VERSIONS:
        refusal = f"GGUF version {version} (at byte 4) is not known; expected 2 or 3"
    if refusal:
        raise UnsupportedError(f"{cursor.where}: {refusal}")
    tensors, pairs = cursor.u64("the number of tensors"), cursor.u64("the number of key-values")
    left = len(cursor.data) - cursor.at
    records, key_values = (8, tensors, _LEAST_RECORD, "tensors"), (16, pairs, _LEAST_KEY_VALUE, "key-values")
    for at, count, least, what in (records, key_values):
        if count * least > left:
            raise cursor.corrupt(at, f"the header claims {count} {what}, but only {left} bytes follow it")
        if count > _MOST_RECORDS:
            raise LimitError(
                f"{cursor.where}: the header at byte {at} claims {count} {what}, more than the {_MOST_RECORDS} that "
                f"are read"
            )
    return tensors, pairs


def _key_value(cursor: Cursor, seen: dict[str, object]) -> tuple[str, int, object]:
    start = cursor.at
    key = cursor.name("a key")
    if key in seen:
        raise cursor.corrupt(start, f"the key {key!r} stands twice")
    kind = cursor.u32(f"the type of {key!r}")
    return key, kind, cursor.value(kind, f"the value of {key!r}")


def _checked_alignment(cursor: Cursor, start: int, kind: int, value: object) -> int:
    if kind != UINT32 or not isinstance(value, int) or value.bit_count() != 1:
        raise cursor.corrupt(start, f"{_ALIGNMENT_KEY} must be a power of two of type {UINT32}, found {value!r}")
    return value


def _record(cursor: Cursor, seen: dict[str, _TensorRecord], alignment: int) -> _TensorRecord:
    start = cursor.at
    name = cursor.name("a tensor's name")
    what = f"tensor {name!r}"
    if name in seen:
        raise cursor.corrupt(start, f"{what} stands twice")
    dimensions = cursor.u32(f"the number of dimensions of {what}")
    if dimensions > _MOST_DIMENSIONS:
        raise cursor.corrupt(start, f"{what} claims {dimensions} dimensions, expected at most {_MOST_DIMENSIONS}")
    sizes = [cursor.u64(f"the shape of {what}") for _ in range(dimensions)]
    if any(size >= 1 << 63 for size in sizes):
        raise cursor.corrupt(start, f"{what} claims the impossible shape {sizes}")
    number, relative = cursor.u32(f"the type of {what}"), cursor.u64(f"the offset of {what}")
    # Of an unknown type neither blocks nor bytes are known; `_measured` finds what is there.
    kind = GGML_TYPES.get(number) or GgmlType(f"{UNKNOWN_TYPE}{number}", 1, 0)
    row, whole = sizes[0] if sizes else 1, f"a multiple of {kind.elements} for {kind.name}"
    if row % kind.elements:
        raise cursor.corrupt(start, f"{what} has rows of {row} elements, expected {whole}")
    if relative % alignment:
        raise cursor.corrupt(start, f"{what} lies at offset {relative}, expected a multiple of {alignment}")
    # The file names the fastest dimension first, tensor libraries name it last.
    tensor = StoredTensor.in_rows(name, kind.name, tuple(reversed(sizes)), relative)
    block = None if kind.elements == 1 and kind.bytes else (kind.elements, kind.bytes)
    return structs.replace(tensor, block=block), Span(start, cursor.at)


def _begin(record: _TensorRecord) -> int:
    return record[0].offset or 0


def _data_regions(
    cursor: Cursor, records: list[_TensorRecord], start: int, alignment: int, unknown: frozenset[str]
) -> list[Region]:
    """Regions from the end of the tensor records to the end of the file; those of `unknown` types are unmapped."""
    regions: list[Region] = []
    at, before, stop = cursor.at, "the header", len(cursor.data)
    for record in sorted(records, key=lambda r: (r[0].offset, r[0].stored_bytes)):
        (tensor, place), begin = record, start + _begin(record)
        end = begin + tensor.stored_bytes
        name = tensor.name
        if end > stop:
            raise cursor.corrupt(
                place.start, f"tensor {name!r} ends at byte {end}, the file at {stop}; it is truncated"
            )
        if begin < at:
            raise cursor.corrupt(place.start, f"bytes [{begin}, {min(at, end)}) of tensor {name!r} are also {before}'s")
        # The gap before the first tensor is the header's, any other that of the tensor which it lets begin aligned.
        regions += _gap(cursor.data, Span(at, begin), alignment, name if regions else None)
        account = Account.UNMAPPED if name in unknown else Account.WEIGHTS
        regions.append(Region(span=Span(begin, end), account=account, name=name, tensor=True))
        at, before = end, f"tensor {name!r}"
    return regions + _gap(cursor.data, Span(at, stop), alignment, None)


def _gap(data: Buffer | Beginning, gap: Span, alignment: int, owner: str | None) -> list[Region]:
    """Bytes that no tensor claims: zeros up to the next aligned byte are padding, the rest is nobody's."""
    edge = min(_align(gap.start, alignment), gap.stop)
    if edge <= len(at_hand(data)) and not _zeros(at_hand(data), gap.start, edge):
        edge = gap.start
    padding, rest = Span(gap.start, edge), unmapped(edge, gap.stop, "[gguf gap]")
    if not len(padding):
        return rest
    return [Region(span=padding, account=Account.CONTAINER, name=owner, label=_PADDING), *rest]


def _zeros(data: Buffer, start: int, stop: int) -> bool:
    return not any(bytes(data[at : min(at + _PIECE, stop)]).strip(b"\0") for at in range(start, stop, _PIECE))
