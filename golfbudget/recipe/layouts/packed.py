"""The packed layout: one entry a tensor, sub-byte values as a Python byte string, through torch.save.

Such strings lie inside `data.pkl`, where pickle protocol 2 writes them as Latin-1 text in UTF-8: bytes from 0x80 on
take two.  The container's length therefore depends on the values.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor

from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import Layout, interned, read_scheme, register, tensors_payload
from golfbudget.recipe.state import read_tensors
from golfbudget.schemes.base import Encoded
from golfbudget.schemes.packing import pack_bits, unpack_bits

_NAMES = {torch.float8_e4m3fn: "fp8", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


@register
class Packed(Layout):
    """`{name: {"type", …}}`: integers as `packed` bits with `scale`, encodings as their tables, the rest as `data`."""

    name = "packed"
    fixed = False

    def container(self, export: Export) -> bytes:
        if export.corrections:
            name = next(iter(export.corrections))
            raise UnsupportedError(f"layout {self.name} has no place for the correction of {name!r}; use w-m")
        entries = {name: _entry(export, name) for name in export.names()}
        out = io.BytesIO()
        torch.save(entries, out)
        return out.getvalue()

    def payload_bytes(self, export: Export) -> int:
        total = 0
        for name in export.names():
            values = _entry(export, name).values()
            total += tensors_payload(value for value in values if isinstance(value, Tensor))
            total += sum(len(value) for value in values if isinstance(value, bytes))
        return total

    def recognises(self, artifact: Artifact) -> bool:
        return any(key.endswith("/packed") and isinstance(value, bytes) for key, value in artifact.values.items())

    def read(self, artifact: Artifact) -> Export:
        values = artifact.values
        tensors = read_tensors(artifact)
        quantized: dict[str, Tensor] = {}
        scales: dict[str, Tensor] = {}
        passthrough: dict[str, Tensor] = {}
        encoded: dict[str, Encoded] = {}
        order = [interned(key.removesuffix("/type")) for key in values if key.endswith("/type")]
        for name in order:
            bits, shape = values.get(f"{name}/bits"), _shape(artifact, name)
            packed, scheme = values.get(f"{name}/packed"), values.get(f"{name}/scheme")
            if f"{name}/data" in tensors:
                passthrough[name] = tensors[f"{name}/data"]
            elif isinstance(scheme, str):
                own = f"{name}/"
                tables: dict[str, Tensor] = {
                    key.removeprefix(own): tensor for key, tensor in tensors.items() if key.startswith(own)
                }
                for key, value in values.items():
                    if key.startswith(own) and isinstance(value, bytes):
                        tables[key.removeprefix(own)] = torch.frombuffer(bytearray(value), dtype=torch.uint8)
                encoded[name] = read_scheme(artifact.path, name, scheme, shape, tables)
            elif isinstance(packed, bytes) and isinstance(bits, int) and 2 <= bits <= 8 and f"{name}/scale" in tensors:
                count = 1
                for size in shape:
                    count *= size
                if len(packed) != -(-count * bits // 8):
                    raise CorruptError(
                        f"{artifact.path}: {name!r} packs {count:,} values of {bits} bits in {len(packed):,} bytes"
                    )
                flat = unpack_bits(torch.frombuffer(bytearray(packed), dtype=torch.uint8), bits, count)
                quantized[name] = (flat - 2 ** (bits - 1)).to(torch.int8).view(shape)
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
            order=tuple(order),
        )


def _entry(export: Export, name: str) -> dict[str, object]:
    if name in export.quantized:
        values, scales = export.quantized[name], export.scales[name]
        bits = _bits(export, name)
        packed = pack_bits(values.flatten().to(torch.int64) + 2 ** (bits - 1), bits)
        return {
            "type": f"int{bits}",
            "packed": packed.numpy().tobytes(),
            "scale": scales,
            "shape": list(values.shape),
            "n_vals": values.numel(),
            "bits": bits,
        }
    if name in export.schemes:
        encoded = export.schemes[name]
        entry: dict[str, object] = {"type": encoded.scheme, "scheme": encoded.scheme, "shape": list(encoded.shape)}
        for table in encoded.tables:
            packed_table = table.tensor.dtype == torch.uint8
            entry[table.name] = table.tensor.numpy().tobytes() if packed_table else table.tensor
        return entry
    tensor = export.passthrough[name]
    return {"type": _NAMES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch.")), "data": tensor}


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
    while isinstance(size := artifact.values.get(f"{name}/shape/{len(sizes)}"), int):
        sizes.append(size)
    return tuple(sizes)
