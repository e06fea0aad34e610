"""safetensors: eight bytes of header length, a JSON header, then tensors.

Specification: https://huggingface.co/docs/safetensors (format section).  It forbids holes between tensors and bytes
after them; other writers leave such bytes all the same, and they are counted as unmapped.  Bytes claimed twice or
not there are errors.  Reading touches the header only; the tensor data of a large checkpoint is never loaded.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError
from golfbudget.formats.base import (
    SAFETENSORS_HEADER_LIMIT,
    SAFETENSORS_LENGTH,
    Contents,
    Region,
    StoredTensor,
    row_major,
    spelled,
    unmapped,
)
from golfbudget.formats.beginnings import Beginning
from golfbudget.ledger import Account, Span

#: More than any tensor library allows; keeps a hostile shape from costing time.
_MOST_DIMENSIONS = 64
#: Far above real files (a few thousand); keeps a header of tiny records from filling memory.
_MOST_RECORDS = 100_000
#: Bits of the widest element there is.
_WIDEST = 128

_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32",
    "F32": "float32", "I64": "int64", "U64": "uint64", "F64": "float64", "C64": "complex64",
    "F4": "float4_e2m1fn", "F6_E2M3": "float6_e2m3", "F6_E3M2": "float6_e3m2",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _HeaderRecord:
    """One `"name": {…}` of the header and where it lies, in bytes of the file."""

    name: str
    value: object
    span: Span


def read_safetensors(data: Buffer | Beginning, *, where: str) -> Contents:
    """Explain a safetensors file by its header, which must be at hand.  Raises `CorruptError` or `LimitError`."""
    if len(data) < SAFETENSORS_LENGTH:
        raise CorruptError(
            f"{where}: {len(data)} bytes are too few for a safetensors file, which starts with an 8-byte length"
        )
    header = int.from_bytes(data[:SAFETENSORS_LENGTH], "little")
    if header > SAFETENSORS_HEADER_LIMIT or header > len(data) - SAFETENSORS_LENGTH:
        bound = min(SAFETENSORS_HEADER_LIMIT, len(data) - SAFETENSORS_LENGTH)
        raise CorruptError(
            f"{where}: the header length at byte 0 says {header} bytes, expected at most {bound}; the file is "
            "truncated or not safetensors"
        )
    start = SAFETENSORS_LENGTH + header
    records = _records(bytes(data[SAFETENSORS_LENGTH:start]), where)
    tensors = [_tensor(r, start, where) for r in records if r.name != "__metadata__"]
    gaps = _gaps(tensors, start, len(data), where)
    regions, stored = (*_regions(records, tensors, start), *gaps), tuple(tensor for tensor, _ in tensors)
    return Contents(
        format="safetensors",
        regions=regions,
        tensors=stored,
        values=_metadata(records, where),
        notes=_unknown_notes(tensors),
    )


def _records(header: bytes, where: str) -> list[_HeaderRecord]:
    """Split the header's top-level object into records with their exact byte spans."""
    try:
        text = header.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptError(f"{where}: the header at byte {SAFETENSORS_LENGTH + error.start} is not UTF-8") from None
    decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates)
    records: list[_HeaderRecord] = []
    at = byte = seen = 0
    names: set[str] = set()

    def byte_of(position: int) -> int:
        nonlocal byte, seen
        byte += position - seen if text.isascii() else len(text[seen:position].encode())
        seen = position
        return SAFETENSORS_LENGTH + byte

    try:
        at = _expect(text, _skip(text, 0), "{")
        while text[(at := _skip(text, at))] != "}":
            if records:
                at = _skip(text, _expect(text, at, ","))
            start = at
            name, at = decoder.raw_decode(text, at)
            if not isinstance(name, str):
                raise ValueError("a name is not a string")  # noqa: TRY004  (bad data, not a bad argument)
            at = _skip(text, _expect(text, _skip(text, at), ":"))
            value, at = decoder.raw_decode(text, at)
            if name in names:
                raise ValueError(f"the name {name!r} stands twice")
            name.encode()  # Half a surrogate pair, which JSON can spell and nothing can print, fails here.
            names.add(name)
            records.append(_HeaderRecord(name, value, Span(byte_of(start), byte_of(at))))
            if len(records) > _MOST_RECORDS:
                raise LimitError(
                    f"{where}: the safetensors header holds more than {_MOST_RECORDS} records; {AS_OPAQUE}"
                )
        if text[at + 1 :].strip(" \t\r\n"):
            raise ValueError("there is text after the closing brace")
    except (ValueError, IndexError, RecursionError) as error:
        reason = "it ends early" if isinstance(error, IndexError) else str(error)
        raise CorruptError(
            f"{where}: the safetensors header (from byte {SAFETENSORS_LENGTH}) is not the JSON object it must be, near "
            f"character {at}: {reason}"
        ) from None
    return records


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice in one record")
    return record


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _expect(text: str, at: int, char: str) -> int:
    if text[at] != char:
        raise ValueError(f"expected {char!r}, found {text[at]!r}")
    return at + 1


def _tensor(record: _HeaderRecord, start: int, where: str) -> tuple[StoredTensor, Span]:
    """Check one record; returns the tensor and the file bytes it claims."""
    name, value = record.name, record.value
    place = f"{where}: tensor {name!r} (record at byte {record.span.start})"
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        raise CorruptError(f"{place}: expected an object with dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str):
        raise CorruptError(f"{place}: dtype must be a name, found {reprlib.repr(dtype)}; known: {', '.join(_DTYPES)}")
    if not _naturals(shape) or len(shape) > _MOST_DIMENSIONS:
        raise CorruptError(
            f"{place}: shape must be a list of at most {_MOST_DIMENSIONS} whole numbers, found {reprlib.repr(shape)}"
        )
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        shown = reprlib.repr(offsets)
        raise CorruptError(f"{place}: data_offsets must be [begin, end] with begin <= end, found {shown}")
    if dtype not in _DTYPES:
        return _unknown(name, dtype, tuple(shape), Span(start + offsets[0], start + offsets[1]), place)
    tensor = StoredTensor.in_rows(name, _DTYPES[dtype], tuple(shape), start + offsets[0])
    bits, held = tensor.elements * DTYPE_BITS[tensor.dtype], 8 * (offsets[1] - offsets[0])
    if bits != held:
        raise CorruptError(f"{place}: {dtype} of shape {shape} takes {bits} bits, data_offsets {offsets} hold {held}")
    return tensor, Span(start + offsets[0], start + offsets[1])


def _unknown(name: str, dtype: str, shape: tuple[int, ...], span: Span, place: str) -> tuple[StoredTensor, Span]:
    """A tensor of a dtype that is newer than this reader, as wide as its bytes say."""
    elements, bits = math.prod(shape), 8 * len(span)
    width = bits // elements if elements else 0
    if bits != elements * width or width > _WIDEST or (bits and not width):
        raise CorruptError(
            f"{place}: unknown dtype {reprlib.repr(dtype)}, and {elements} elements in {len(span)} bytes give it no "
            f"width; known: {', '.join(_DTYPES)}"
        )
    block = (8 // math.gcd(width, 8), width // math.gcd(width, 8)) if width else (1, 1)
    spelling = spelled(dtype) if dtype not in DTYPE_BITS else f"[{dtype}]"
    strides = row_major(shape)
    return StoredTensor(name=name, dtype=spelling, shape=shape, strides=strides, offset=span.start, block=block), span


def _unknown_notes(tensors: list[tuple[StoredTensor, Span]]) -> tuple[str, ...]:
    counts = Counter(tensor.dtype for tensor, _ in tensors if tensor.block is not None)
    return tuple(
        f"{count} tensors have dtype {dtype[:80]!r}, which is not known; their width is what their bytes say"
        for dtype, count in counts.items()
    )


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _gaps(tensors: list[tuple[StoredTensor, Span]], start: int, stop: int, where: str) -> list[Region]:
    """The bytes that no tensor claims, as regions; `CorruptError` for bytes claimed twice or past the end."""
    cursor, before = start, "the header"
    gaps: list[Region] = []
    for tensor, span in sorted(tensors, key=lambda pair: pair[1]):
        if span.stop > stop:
            raise CorruptError(
                f"{where}: tensor {tensor.name!r} ends at byte {span.stop}, the file at {stop}; it is truncated"
            )
        if span.start < cursor:
            raise CorruptError(
                f"{where}: bytes [{span.start}, {cursor}) before tensor {tensor.name!r} are claimed twice, also by "
                f"{before}; the format forbids it ({AS_OPAQUE})"
            )
        gaps += unmapped(cursor, span.start, "[gap]")
        cursor, before = span.stop, repr(tensor.name)
    return gaps + unmapped(cursor, stop, "[after the last tensor]")


def _regions(records: list[_HeaderRecord], tensors: list[tuple[StoredTensor, Span]], start: int) -> list[Region]:
    shared = Account.CONTAINER
    regions = [Region(span=Span(0, SAFETENSORS_LENGTH), account=shared, label="[header length]")]
    cursor = SAFETENSORS_LENGTH
    for record in records:
        if record.span.start > cursor:
            regions.append(Region(span=Span(cursor, record.span.start), account=shared, label="[header]"))
        own = None if record.name == "__metadata__" else record.name
        regions.append(Region(span=record.span, account=shared, name=own, label="[metadata]"))
        cursor = record.span.stop
    if start > cursor:
        regions.append(Region(span=Span(cursor, start), account=shared, label="[header]"))
    regions += [Region(span=s, account=Account.WEIGHTS, name=t.name, tensor=True) for t, s in tensors]
    return regions


def _metadata(records: list[_HeaderRecord], where: str) -> dict[str, object]:
    for record in records:
        if record.name == "__metadata__":
            if not isinstance(record.value, dict) or not all(isinstance(v, str) for v in record.value.values()):
                raise CorruptError(f"{where}: __metadata__ must map strings to strings")
            return {f"__metadata__/{key}": value for key, value in record.value.items()}
    return {}
