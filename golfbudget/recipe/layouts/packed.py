"""The packed layout: one entry a tensor, sub-byte values as a Python byte string, through torch.save.

Such strings lie inside `data.pkl`, where pickle protocol 2 writes them as Latin-1 text in UTF-8: bytes from 0x80 on
take two.  The container's length therefore depends on the values.  Where an export has a coder's stream for a table,
that stands in its place: a tensor of bytes, `rans`, beside the table's shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from golfbudget import codecs
from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import (
    APART,
    Layout,
    interned,
    read_schemes,
    register,
    scheme_label,
    tensors_payload,
    torch_saved,
)
from golfbudget.recipe.state import read_tensors
from golfbudget.schemes.packing import pack_bits, unpack_bits

#: What a coder takes, and how its streams' names end.
_DTYPES = {"int8": torch.int8, "uint8": torch.uint8}
_CODED = "/rans"
_NAMES = {torch.float8_e4m3fn: "fp8", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


@register
class PackedLayout(Layout):
    """`{name: {"type", …}}`: integers as `packed` bits or a `rans` stream, with `scale`; the rest as `data`.

    Encodings stand under `schemes`, as their tables; one that is coded is {"rans", "shape", "dtype"}.
    """

    name = "packed"
    fixed = False
    shares = False

    def container(self, export: Export) -> bytes:
        if export.corrections:
            name = next(iter(export.corrections))
            raise UnsupportedError(f"layout {self.name} has no place for the correction of {name!r}; use w-m")
        entries: dict[str, object] = {
            name: _entry(export, name) for name in export.names() if name not in export.schemes
        }
        if export.schemes:
            entries["schemes"] = {name: _entry(export, name) for name in export.schemes}
        return torch_saved(entries)

    def payload_bytes(self, export: Export) -> int:
        total = 0
        for name in export.names():
            values = _entry(export, name).values()
            coded = [value["rans"] for value in values if isinstance(value, dict)]
            total += tensors_payload([*(value for value in values if isinstance(value, Tensor)), *coded])
            total += sum(len(value) for value in values if isinstance(value, bytes))
        return total

    def recognises(self, artifact: Artifact) -> bool:
        packed = any(key.endswith("/packed") and isinstance(value, bytes) for key, value in artifact.values.items())
        return packed or any(
            tensor.name.endswith(_CODED)
            # Where nothing is packed: what is kept says so beside its numbers.
            or (
                tensor.name.endswith("/data")
                and isinstance(artifact.values.get(f"{tensor.name.removesuffix('/data')}/type"), str)
            )
            for tensor in artifact.tensors
        )

    def read(self, artifact: Artifact) -> Export:
        values = artifact.values
        tensors = read_tensors(artifact)
        quantized, scales, passthrough = dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()
        streams = {
            key.removeprefix(APART).removesuffix(_CODED): tensor.numpy().tobytes()
            for key, tensor in tensors.items()
            if key.endswith(_CODED)
        }
        encoded = read_schemes(artifact, _tables(artifact, tensors, streams))
        typed = [key for key in values if key.endswith("/type") and not key.startswith(APART)]
        order = [interned(key.removesuffix("/type")) for key in typed]
        for name in order:
            bits, shape = values.get(f"{name}/bits"), _shape(artifact, name)
            packed = values.get(f"{name}/packed")
            if f"{name}/data" in tensors:
                passthrough[name] = tensors[f"{name}/data"]
            elif isinstance(packed, bytes) and isinstance(bits, int) and 2 <= bits <= 8 and f"{name}/scale" in tensors:
                count = math.prod(shape)
                if len(packed) != -(-count * bits // 8):
                    raise CorruptError(
                        f"{artifact.path}: {name!r} packs {count:,} values of {bits} bits in {len(packed):,} bytes"
                    )
                flat = unpack_bits(torch.frombuffer(bytearray(packed), dtype=torch.uint8), bits, count)
                quantized[name] = (flat - 2 ** (bits - 1)).to(torch.int8).view(shape)
                scales[name] = tensors[f"{name}/scale"]
            elif name in streams and f"{name}/scale" in tensors:
                quantized[name] = _decoded(artifact, name, streams[name], shape, torch.int8)
                scales[name] = tensors[f"{name}/scale"]
            else:
                raise UnsupportedError(f"{artifact.path}: {name!r} is stored in a way that is not written here")
        return Export(
            quantized=quantized,
            scales=scales,
            dtypes={**dict.fromkeys(quantized, "float32"), **dict.fromkeys(encoded, "float32")},
            passthrough=passthrough,
            kept_dtypes={},
            schemes=encoded,
            order=(*order, *encoded),
            streams={interned(key): data for key, data in streams.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerTable:
    """Integers one a byte, those of `rows` rows, and the bytes that stand in the file where no coder takes them."""

    symbols: bytes
    rows: int
    stored: bytes


def integer_tables(export: Export) -> Iterator[tuple[str, IntegerTable]]:
    """Every table of integers by the name that its stream has among an export's."""
    for name, values in export.quantized.items():
        rows = values.shape[0] if values.ndim > 1 else 1
        yield name, IntegerTable(symbols=_bytes(values), rows=rows, stored=_packed_bits(values, _bits(export, name)))
    for name, encoded in export.schemes.items():
        for table in encoded.tables:
            if table.tensor.dtype in _DTYPES.values():
                rows, data = table.tensor.shape[0] if table.tensor.ndim > 1 else 1, _bytes(table.tensor)
                yield f"{name}/{table.name}", IntegerTable(symbols=data, rows=rows, stored=data)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def _packed_bits(values: Tensor, bits: int) -> bytes:
    return pack_bits(values.flatten().to(torch.int64) + 2 ** (bits - 1), bits).numpy().tobytes()


def _stream(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _decoded(artifact: Artifact, name: str, stream: bytes, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The integers of a stream; `CorruptError` where they are not as many as the shape says."""
    count = math.prod(shape)
    where = f"{artifact.path}: {name!r}"
    symbols = codecs.decode(codecs.get("rans"), stream, where=where, limit=count).decoded
    if len(symbols) != count:
        raise CorruptError(f"{where} codes {len(symbols):,} integers, its shape is {list(shape)}")
    return torch.frombuffer(bytearray(symbols), dtype=dtype).view(shape)


def _entry(export: Export, name: str) -> dict[str, object]:
    if name in export.quantized:
        values, scales = export.quantized[name], export.scales[name]
        bits = _bits(export, name)
        stream = export.streams.get(name)
        held = {"packed": _packed_bits(values, bits)} if stream is None else {"rans": _stream(stream)}
        return {
            "type": f"int{bits}",
            **held,
            "scale": scales,
            "shape": list(values.shape),
            "n_vals": values.numel(),
            "bits": bits,
        }
    if name in export.schemes:
        encoded = export.schemes[name]
        entry: dict[str, object] = {"type": encoded.scheme, **scheme_label(encoded)}
        for table in encoded.tables:
            stream = export.streams.get(f"{name}/{table.name}")
            if stream is not None:
                dtype = str(table.tensor.dtype).removeprefix("torch.")
                entry[table.name] = {"rans": _stream(stream), "shape": list(table.tensor.shape), "dtype": dtype}
                continue
            if table.tensor.dtype != torch.uint8:
                entry[table.name] = table.tensor
                continue
            data = _bytes(table.tensor)
            # The first stands for the matrix: where readers look for packed values, with its own name beside it.
            entry |= {table.name: data} if "packed" in entry else {"packed": data, "table": table.name}
            if table.tensor.ndim > 1:
                entry[f"{table.name}_rows"] = table.tensor.shape[0]
        return entry
    tensor = export.passthrough[name]
    return {"type": _NAMES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch.")), "data": tensor}


def _tables(artifact: Artifact, tensors: Mapping[str, Tensor], streams: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Tables of encoded matrices by NAME/TABLE, byte strings as uint8, in as many rows as they had."""
    values, tables = artifact.values, dict[str, Tensor]()
    for key, tensor in tensors.items():
        name = key.removeprefix(APART).removesuffix(_CODED)
        if key.startswith(APART) and name not in streams:
            tables[name] = tensor
        elif key.startswith(APART):
            dtype = _DTYPES.get(str(values.get(f"{APART}{name}/dtype")))
            if dtype is None:
                raise CorruptError(f"{artifact.path}: {name!r} is coded and has no dtype of {', '.join(_DTYPES)}")
            tables[name] = _decoded(artifact, name, streams[name], _shape(artifact, f"{APART}{name}"), dtype)
    for key, value in values.items():
        if key.startswith(APART) and isinstance(value, bytes):
            name, _, table = key.removeprefix(APART).partition("/")
            table = str(values.get(f"{APART}{name}/table")) if table == "packed" else table
            flat = torch.frombuffer(bytearray(value), dtype=torch.uint8)
            rows = values.get(f"{APART}{name}/{table}_rows")
            whole = isinstance(rows, int) and rows > 0 and len(value) % rows == 0
            tables[f"{name}/{table}"] = flat.view(int(str(rows)), -1) if whole else flat
    return tables


def _bits(export: Export, name: str) -> int:
    """The width the recipe gives, or the least that holds the values."""
    label = export.labels.get(name)
    given = label.get("type") if isinstance(label, dict) else None
    if isinstance(given, str) and given.startswith("int") and given[3:].isdigit():
        return int(given[3:])
    values = export.quantized[name]
    low, high = int(values.min()), int(values.max())
    return next(bits for bits in range(2, 9) if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1))


def _shape(artifact: Artifact, name: str) -> tuple[int, ...]:
    sizes: list[int] = []
    while isinstance(size := artifact.values.get(f"{name}/shape/{len(sizes)}"), int) and size >= 0:
        sizes.append(size)
    return tuple(sizes)
