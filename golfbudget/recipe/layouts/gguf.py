"""The layout of a GGUF file: its own metadata as it was, then tensors in blocks of ggml or as plain numbers.

What ggml has no type for stands in the file too, as any reader of GGUF lists it: values and scales of integers under
the tensor's name with a suffix, tables of encoded matrices under `schemes/`, and key-values `golfbudget.…` that say
what they are.  Such files open in the `gguf` package; llama.cpp does not run them.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from golfbudget.artifact import Artifact
from golfbudget.codecs import Buffer
from golfbudget.errors import CorruptError, UnsupportedError, UsageError
from golfbudget.formats import StoredTensor
from golfbudget.formats.ggml_types import GGML_TYPES
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import APART, Layout, interned, read_scheme, register, scheme_label, tensors_payload
from golfbudget.recipe.layouts.flat import flatten
from golfbudget.schemes.base import Encoded
from golfbudget.schemes.ggml import table_of

_MAGIC, _VERSION, _ALIGNMENT, _STRING, _UINT32 = b"GGUF", 3, 32, 8, 4
#: Magic, version, and the numbers of tensors and of key-values.
_FIXED = struct.Struct("<4sIQQ")
_MOST_DIMENSIONS = 4
_NUMBERS = {kind.name: number for number, kind in GGML_TYPES.items()}
#: Stored as bytes by ggml, which has no unsigned ones; a key-value says what they were.
_AS_BYTES = (torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2)
_SCHEME, _DTYPE = "golfbudget.scheme.", "golfbudget.dtype."
_SUFFIXES = (".q", ".scale")


class _Label(msgspec.Struct):
    scheme: str
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A tensor as its record and its bytes have it; `shape` is the tensor library's, slowest dimension first."""

    name: str
    kind: str
    shape: tuple[int, ...]
    tensor: Tensor

    @property
    def data(self) -> bytes:
        flat = self.tensor.contiguous().flatten()
        return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""

    def record(self, offset: int) -> bytes:
        if len(self.shape) > _MOST_DIMENSIONS:
            raise UnsupportedError(f"layout gguf: {self.name!r} has {len(self.shape)} dimensions, GGUF has at most 4")
        sizes = struct.pack(f"<I{len(self.shape)}Q", len(self.shape), *reversed(self.shape))
        return _text(self.name) + sizes + struct.pack("<IQ", _NUMBERS[self.kind], offset)


@register
class GgufLayout(Layout):
    """One GGUF file, whole.  The preamble of an export is the file's fixed part and its key-values."""

    name = "gguf"
    shares = False

    def container(self, export: Export) -> bytes:
        tensors, pairs = list(_tensors(export)), b"".join(_pairs(export))
        given = export.preamble.get(self.name, b"") or _fresh()
        magic, version, _, count = _FIXED.unpack_from(given)
        alignment = _alignment(given)
        more = len(list(_pairs(export)))
        out = bytearray(_FIXED.pack(magic, version, len(tensors), count + more) + given[_FIXED.size :] + pairs)
        offset, places = 0, []
        for tensor in tensors:
            places.append(offset)
            offset += _aligned(tensor.tensor.numel() * tensor.tensor.element_size(), alignment)
        for tensor, place in zip(tensors, places, strict=True):
            out += tensor.record(place)
        out += bytes(-len(out) % alignment)
        for tensor in tensors:
            out += tensor.data
            out += bytes(-len(out) % alignment)
        return bytes(out)

    def payload_bytes(self, export: Export) -> int:
        return tensors_payload(stored.tensor for stored in _tensors(export))

    def recognises(self, artifact: Artifact) -> bool:
        return artifact.format == "gguf" and len(artifact.leaves) == 1

    def read(self, artifact: Artifact) -> Export:
        leaf = artifact.leaves[0]
        found = {tensor.name: tensor for tensor in leaf.contents.tensors}
        values, tables = artifact.values, dict[str, dict[str, Tensor]]()
        numbers, encoded = dict[str, Tensor](), dict[str, Encoded]()
        for name, tensor in found.items():
            if tensor.block is not None:
                encoded[interned(name)] = _blocks(artifact, leaf.data, tensor)
            elif name.startswith(APART):
                owner, _, table = name.removeprefix(APART).rpartition("/")
                tables.setdefault(owner, {})[table] = _plain(artifact, leaf.data, tensor)
            else:
                numbers[interned(name)] = _plain(artifact, leaf.data, tensor)
        for key, value in values.items():
            if key.startswith(_SCHEME):
                name = interned(key.removeprefix(_SCHEME))
                label = _label(artifact, key, value)
                encoded[name] = read_scheme(artifact.path, name, label.scheme, label.shape, tables.get(name, {}))
        paired = [
            name.removesuffix(_SUFFIXES[0])
            for name in numbers
            if name.endswith(_SUFFIXES[0]) and name.removesuffix(_SUFFIXES[0]) + _SUFFIXES[1] in numbers
        ]
        quantized = {interned(name): numbers.pop(name + _SUFFIXES[0]) for name in paired}
        scales = {interned(name): numbers.pop(name + _SUFFIXES[1]) for name in paired}
        order = [interned(name.removesuffix(_SUFFIXES[0])) if name not in numbers else name for name in found]
        known = {*quantized, *numbers, *encoded}
        return Export(
            quantized=quantized,
            scales=scales,
            dtypes={**dict.fromkeys(quantized, "float32"), **dict.fromkeys(encoded, "float32")},
            passthrough=numbers,
            kept_dtypes={},
            schemes=encoded,
            order=tuple(dict.fromkeys(name for name in order if name in known)),
            preamble={self.name: _preamble(bytes(leaf.data[: _records_at(artifact)]), values)},
        )


def _tensors(export: Export) -> Iterator[_Stored]:
    """Every stored tensor, in the order of the export's names."""
    flat = flatten(export)
    for name in export.names():
        encoded = export.schemes.get(name)
        if encoded is None:
            yield from (
                _number(key, flat[key]) for key in (name, *(name + s for s in _suffixes(export, name))) if key in flat
            )
        elif encoded.scheme == "ggml":
            (table,) = encoded.tables
            kind = {"f16": "float16"}.get(table.name, table.name)
            yield _Stored(name=name, kind=kind, shape=encoded.shape, tensor=table.tensor)
        else:
            yield from (_number(f"{APART}{name}/{table.name}", table.tensor) for table in encoded.tables)


def _suffixes(export: Export, name: str) -> tuple[str, ...]:
    if name in export.corrections:
        raise UnsupportedError(f"layout gguf has no place for the correction of {name!r}; use w-m")
    if export.suffixes.get(name, _SUFFIXES) != _SUFFIXES:
        raise UnsupportedError(f"layout gguf stores {name!r} under {' and '.join(_SUFFIXES)}; leave suffixes out")
    return _SUFFIXES


def _number(name: str, tensor: Tensor) -> _Stored:
    dtype = "int8" if tensor.dtype in _AS_BYTES else str(tensor.dtype).removeprefix("torch.")
    if dtype not in _NUMBERS:
        raise UnsupportedError(f"layout gguf: ggml has no type for {name!r}, which is {dtype}")
    return _Stored(name=name, kind=dtype, shape=tuple(tensor.shape), tensor=tensor)


def _pairs(export: Export) -> Iterator[bytes]:
    """Key-values of what ggml has no word for."""
    for name, encoded in export.schemes.items():
        if encoded.scheme != "ggml":
            yield _pair(f"{_SCHEME}{name}", json.dumps(scheme_label(encoded), separators=(",", ":")))
    every = {stored.name: stored.tensor for stored in _tensors(export) if stored.kind == "int8"}
    for name, tensor in every.items():
        if tensor.dtype in _AS_BYTES:
            yield _pair(f"{_DTYPE}{name}", str(tensor.dtype).removeprefix("torch."))


def _pair(key: str, value: str) -> bytes:
    return _text(key) + struct.pack("<I", _STRING) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _fresh() -> bytes:
    """The fixed part and the one key that every GGUF file must have, of a model whose architecture is not said."""
    return _FIXED.pack(_MAGIC, _VERSION, 0, 1) + _pair("general.architecture", "golfbudget")


def _preamble(data: bytes, values: Mapping[str, object]) -> bytes:
    """A file's bytes before its tensor records, without the key-values that are written here again."""
    own = [_pair(key, str(value)) for key, value in values.items() if key.startswith((_SCHEME, _DTYPE))]
    tail = b"".join(own)
    if not data.endswith(tail):
        return data
    magic, version, tensors, count = _FIXED.unpack_from(data)
    rest = data[_FIXED.size : len(data) - len(tail)]
    return _FIXED.pack(magic, version, tensors, count - len(own)) + rest


def _records_at(artifact: Artifact) -> int:
    """Where the first tensor record begins: the end of the key-values.  `UsageError` for a file without tensors."""
    regions = artifact.leaves[0].contents.regions
    starts = [region.span.start for region in regions if region.label == "[tensor record]"]
    if not starts:
        raise UsageError(f"{artifact.path}: the GGUF file holds no tensors, so there is nothing to plan or decode")
    return min(starts)


def _alignment(preamble: bytes) -> int:
    """`general.alignment` of a file's key-values, where they say one."""
    key = _text("general.alignment") + struct.pack("<I", _UINT32)
    at = preamble.find(key)
    return _ALIGNMENT if at < 0 else int(struct.unpack_from("<I", preamble, at + len(key))[0])


def _aligned(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


def _bytes(data: Buffer, tensor: StoredTensor) -> Tensor:
    start = tensor.offset or 0
    raw = bytearray(data[start : start + tensor.stored_bytes])
    return torch.frombuffer(raw, dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)


def _plain(artifact: Artifact, data: Buffer, tensor: StoredTensor) -> Tensor:
    """A tensor of plain numbers, in the dtype that was written."""
    said = artifact.values.get(f"{_DTYPE}{tensor.name}", tensor.dtype)
    dtype = getattr(torch, str(said), None)
    width = tensor.stored_bytes // max(1, tensor.elements)
    if not isinstance(dtype, torch.dtype) or (tensor.elements and dtype.itemsize != width):
        raise CorruptError(
            f"{artifact.path}: {tensor.name!r} is said to be of dtype {said!r}, stored as {tensor.dtype}"
        )
    return _bytes(data, tensor).view(dtype).view(tensor.shape)


def _blocks(artifact: Artifact, data: Buffer, tensor: StoredTensor) -> Encoded:
    """A matrix in blocks."""
    if tensor.dtype not in _NUMBERS:
        raise UnsupportedError(
            f"{artifact.path}: {tensor.name!r} is of type {tensor.dtype}, which is not known, nor are its numbers; "
            "planning takes types that the gguf package dequantises"
        )
    if len(tensor.shape) != 2:
        raise UnsupportedError(
            f"{artifact.path}: {tensor.name!r} of type {tensor.dtype} has {len(tensor.shape)} dimensions; planning "
            "takes quantised matrices: give a file whose other tensors are float"
        )
    rows, columns = tensor.shape
    blocks = _bytes(data, tensor).view(rows, -1) if math.prod(tensor.shape) else torch.empty(rows, 0, dtype=torch.uint8)
    return Encoded(scheme="ggml", shape=(rows, columns), tables=(table_of(interned(tensor.dtype), blocks, columns),))


def _label(artifact: Artifact, key: str, value: object) -> _Label:
    try:
        return msgspec.json.decode(str(value), type=_Label)
    except msgspec.DecodeError as error:
        raise CorruptError(f"{artifact.path}: the key {key!r} is not as written here: {error}") from None
