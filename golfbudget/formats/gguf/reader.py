"""Inside GGUF: a header of typed key-values and tensor records, then aligned tensor data.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.  Versions 2 and 3, little-endian, are read.
Reading touches the header and the padding only; nothing is dequantised.
"""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.errors import LimitError, UnsupportedError
from golfbudget.formats.base import Contents, Region, StoredTensor, row_major
from golfbudget.formats.gguf.fields import UINT32, Cursor
from golfbudget.formats.gguf.types import GGML_TYPES, GgmlType
from golfbudget.formats.signatures import GGUF
from golfbudget.ledger import Account, Span

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


@dataclass(frozen=True, slots=True)
class _TensorRecord:
    """A tensor record: what it says, and where the record lies.  `relative` counts from the start of tensor data."""

    name: str
    shape: tuple[int, ...]
    kind: GgmlType
    relative: int
    span: Span

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def length(self) -> int:
        """Bytes of data; the row length is checked to be whole blocks."""
        return self.elements // self.kind.elements * self.kind.bytes


def read_gguf(data: Buffer, *, where: str) -> Contents:
    """Explain a GGUF file.  Raises `CorruptError`, `UnsupportedError` or `LimitError`."""
    cursor = Cursor(data, where)
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
        label = "[tokenizer metadata]" if key.startswith("tokenizer.") else "[metadata]"
        regions.append(Region(span=Span(start, cursor.at), account=Account.CONTAINER, label=label))
    records: dict[str, _TensorRecord] = {}
    for _ in range(tensors):
        record = _record(cursor, records, alignment)
        records[record.name] = record
        regions.append(Region(span=record.span, account=Account.CONTAINER, name=record.name, label="[tensor record]"))
    start = _align(cursor.at, alignment)
    regions += _data_regions(cursor, list(records.values()), start, alignment)
    return Contents(
        format="gguf",
        regions=tuple(regions),
        tensors=tuple(_tensor(record, start) for record in records.values()),
        values=values,
    )


def _align(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


def _fixed_part(cursor: Cursor) -> tuple[int, int]:
    """Magic, version and the two counts; returns how many tensors and key-values there are."""
    cursor.take(4, "the magic")
    version = cursor.u32("the version")
    other = int.from_bytes(version.to_bytes(4, "little"), "big")
    if other < version and other in (*_VERSIONS, 1):
        raise UnsupportedError(
            f"{cursor.where}: a big-endian GGUF file (version {other} at byte 4) is not read, only little-endian ones; "
            "--as opaque counts the file as a whole"
        )
    if version == 1:
        raise UnsupportedError(
            f"{cursor.where}: GGUF version 1 (at byte 4), with its 32-bit counts, is not read; expected version 2 or 3 "
            "(--as opaque counts the file as a whole)"
        )
    if version not in _VERSIONS:
        raise UnsupportedError(
            f"{cursor.where}: GGUF version {version} (at byte 4) is not known; expected 2 or 3 (--as opaque counts "
            "the file as a whole)"
        )
    tensors, pairs = cursor.u64("the number of tensors"), cursor.u64("the number of key-values")
    left = len(cursor.data) - cursor.at
    for at, count, least, what in (
        (8, tensors, _LEAST_RECORD, "tensors"),
        (16, pairs, _LEAST_KEY_VALUE, "key-values"),
    ):
        if count * least > left:
            raise cursor.corrupt(at, f"the header claims {count} {what}, but only {left} bytes follow it")
        if count > _MOST_RECORDS:
            raise LimitError(
                f"{cursor.where}: the header at byte {at} claims {count} {what}, more than the {_MOST_RECORDS} that "
                "are read; --as opaque counts the file as a whole"
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
    kind = GGML_TYPES.get(number)
    if kind is None:
        raise UnsupportedError(
            f"{cursor.where}: {what} (record at byte {start}) has ggml type {number}, which is not known; --as opaque "
            "counts the file as a whole"
        )
    if (sizes[0] if sizes else 1) % kind.elements:
        found = sizes[0] if sizes else 1
        raise cursor.corrupt(
            start, f"{what} has rows of {found} elements, expected a multiple of {kind.elements} for {kind.name}"
        )
    if relative % alignment:
        raise cursor.corrupt(start, f"{what} lies at offset {relative}, expected a multiple of {alignment}")
    # The file names the fastest dimension first, tensor libraries name it last.
    return _TensorRecord(name, tuple(reversed(sizes)), kind, relative, Span(start, cursor.at))


def _tensor(record: _TensorRecord, start: int) -> StoredTensor:
    kind = record.kind
    return StoredTensor(
        name=record.name,
        dtype=kind.name,
        shape=record.shape,
        strides=row_major(record.shape),
        offset=start + record.relative,
        block=None if kind.elements == 1 else (kind.elements, kind.bytes),
    )


def _data_regions(cursor: Cursor, records: list[_TensorRecord], start: int, alignment: int) -> list[Region]:
    """Regions from the end of the tensor records to the end of the file."""
    regions: list[Region] = []
    at, before, stop = cursor.at, "the header", len(cursor.data)
    for record in sorted(records, key=lambda r: (r.relative, r.length)):
        begin = start + record.relative
        end = begin + record.length
        if end > stop:
            raise cursor.corrupt(
                record.span.start,
                f"tensor {record.name!r} ends at byte {end}, the file at {stop}; it is truncated",
            )
        if begin < at:
            raise cursor.corrupt(
                record.span.start, f"bytes [{begin}, {min(at, end)}) of tensor {record.name!r} are also {before}'s"
            )
        # The gap before the first tensor is the header's, any other that of the tensor which it lets begin aligned.
        owner = record.name if regions else None
        regions += _gap(cursor.data, Span(at, begin), alignment, owner)
        regions.append(Region(span=Span(begin, end), account=Account.WEIGHTS, name=record.name, tensor=True))
        at, before = end, f"tensor {record.name!r}"
    return regions + _gap(cursor.data, Span(at, stop), alignment, None)


def _gap(data: Buffer, gap: Span, alignment: int, owner: str | None) -> list[Region]:
    """Bytes that no tensor claims: zeros up to the next aligned byte are padding, the rest is nobody's."""
    edge = min(_align(gap.start, alignment), gap.stop)
    if not _zeros(data, gap.start, edge):
        edge = gap.start
    padding, rest = Span(gap.start, edge), Span(edge, gap.stop)
    found = []
    if len(padding):
        found.append(Region(span=padding, account=Account.CONTAINER, name=owner, label="[padding]"))
    if len(rest):
        found.append(Region(span=rest, account=Account.UNMAPPED, label="[gguf gap]"))
    return found


def _zeros(data: Buffer, start: int, stop: int) -> bool:
    return not any(bytes(data[at : min(at + _PIECE, stop)]).strip(b"\0") for at in range(start, stop, _PIECE))
