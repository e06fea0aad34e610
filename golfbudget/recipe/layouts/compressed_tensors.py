"""The layout that `transformers` loads with the package compressed-tensors: `pack-quantized`, in safetensors.

Of a matrix `P.weight` there are `P.weight_packed`, `P.weight_scale` and `P.weight_shape`; everything else is as in
layout `safetensors`.  The header's metadata has the `quantization_config` that config.json needs beside the file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import msgspec
import safetensors.torch
import torch
from torch import Tensor

from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError
from golfbudget.ledger import Account
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import APART, interned, register, scheme_label, tensors_payload
from golfbudget.recipe.layouts.flat import QUANTIZATION_CONFIG, FlatSafetensors, flatten
from golfbudget.recipe.state import read_tensors
from golfbudget.schemes.base import Encoded, Table
from golfbudget.schemes.packed_integers import KEPT, SCALES, VALUES

_SCHEME = "packed-int"
#: Of the header, which begins the file and ends at a multiple of as many bytes.
_LENGTH = struct.Struct("<Q")
_WEIGHT, _PACKED, _SCALE, _SHAPE = ".weight", ".weight_packed", ".weight_scale", ".weight_shape"


class _Weights(msgspec.Struct):
    num_bits: int
    group_size: int


class _Group(msgspec.Struct):
    targets: tuple[str, ...]
    weights: _Weights


class _Config(msgspec.Struct):
    config_groups: dict[str, _Group]


@register
class CompressedTensorsLayout(FlatSafetensors):
    """safetensors whose packed matrices `transformers` loads; what it does not know lies beside them."""

    name = "compressed-tensors"

    def container(self, export: Export) -> bytes:
        return _ordered(safetensors.torch.save(self._stored(export), metadata=self._metadata(export)))

    def payload_bytes(self, export: Export) -> int:
        return tensors_payload(self._stored(export).values())

    def _stored(self, export: Export) -> dict[str, Tensor]:
        stored = flatten(export)
        for name, encoded in export.schemes.items():
            if encoded.scheme != _SCHEME:
                stored |= {f"{APART}{name}/{table.name}": table.tensor for table in encoded.tables}
            elif encoded.tables[0].name == KEPT:
                stored[name] = encoded.tables[0].tensor
            else:
                stem = name.removesuffix(_WEIGHT)
                stored[stem + _PACKED], stored[stem + _SCALE] = encoded.tensor(VALUES), encoded.tensor(SCALES)
                stored[stem + _SHAPE] = torch.tensor(encoded.shape, dtype=torch.int64)
        return stored

    def _metadata(self, export: Export) -> dict[str, str]:
        described = {name: scheme_label(one) for name, one in export.schemes.items() if one.scheme != _SCHEME}
        more = {"schemes": json.dumps(described, separators=(",", ":"))} if described else {}
        config = json.dumps(quantization_config(export), separators=(",", ":"))
        return {"format": "pt", "quantization_config": config, **more}

    def recognises(self, artifact: Artifact) -> bool:
        return artifact.format == "safetensors" and QUANTIZATION_CONFIG in artifact.values

    def read(self, artifact: Artifact) -> Export:
        every = read_tensors(artifact)
        bits = _bits(artifact)
        packed = {key.removesuffix(_PACKED): key for key in every if key.endswith(_PACKED)}
        encoded = {}
        for stem, key in packed.items():
            if stem not in bits or stem + _SCALE not in every or stem + _SHAPE not in every:
                raise CorruptError(f"{artifact.path}: {key!r} lacks its scale, its shape or its group in the metadata")
            encoded[interned(stem + _WEIGHT)] = _read(artifact, stem, bits[stem], every)
        rest = super().read(artifact)
        taken = {stem + suffix for stem in packed for suffix in (_PACKED, _SCALE, _SHAPE)}
        kept = {name: tensor for name, tensor in rest.passthrough.items() if name not in taken}
        schemes = {**rest.schemes, **encoded}
        return Export(
            quantized=rest.quantized,
            scales=rest.scales,
            dtypes={**dict.fromkeys(rest.quantized, "float32"), **dict.fromkeys(schemes, "float32")},
            passthrough=kept,
            kept_dtypes={},
            schemes=schemes,
            suffixes=rest.suffixes,
            order=(*(name for name in rest.order if name not in taken), *encoded),
        )


def quantization_config(export: Export) -> dict[str, object]:
    """What config.json says of an export's packed matrices: which modules have how many bits, in groups of how many."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, encoded in export.schemes.items():
        if encoded.scheme == _SCHEME and encoded.tables[0].name != KEPT:
            size = encoded.shape[1] // encoded.tensor(SCALES).shape[1]
            groups.setdefault((encoded.tables[0].bits, size), []).append(name.removesuffix(_WEIGHT))
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            f"group_{number}": {
                "targets": sorted(targets),
                "weights": {
                    "num_bits": bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": size,
                },
            }
            for number, ((bits, size), targets) in enumerate(sorted(groups.items()))
        },
        "ignore": [],
    }  # fmt: skip


def _ordered(data: bytes) -> bytes:
    """The same file with its metadata sorted: the library writes several keys in an order of chance."""
    stop = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header = json.loads(data[_LENGTH.size : stop])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH.size)
    return _LENGTH.pack(len(text)) + text + data[stop:]


def _bits(artifact: Artifact) -> dict[str, int]:
    """Bits of each packed module, from the metadata."""
    try:
        config = msgspec.json.decode(str(artifact.values[QUANTIZATION_CONFIG]), type=_Config)
    except msgspec.DecodeError as error:
        raise CorruptError(
            f"{artifact.path}: the metadata key 'quantization_config' is not as written here: {error}"
        ) from None
    return {name: group.weights.num_bits for group in config.config_groups.values() for name in group.targets}


def _read(artifact: Artifact, stem: str, bits: int, every: Mapping[str, Tensor]) -> Encoded:
    words, scales, sizes = every[stem + _PACKED], every[stem + _SCALE], every[stem + _SHAPE].tolist()
    fits = len(sizes) == 2 and words.ndim == scales.ndim == 2 and 2 <= bits <= 8 and scales.shape[1] > 0
    if not fits or list(words.shape) != [sizes[0], -(-sizes[1] * bits // 32)] or sizes[1] % scales.shape[1]:
        raise CorruptError(f"{artifact.path}: the tables of {stem!r} do not fit its shape {sizes} at {bits} bits")
    rows, columns = sizes
    values = Table(name=VALUES, account=Account.WEIGHTS, tensor=words, bits=bits, shape=(rows, columns))
    scale = Table(name=SCALES, account=Account.SCALES, tensor=scales, bits=16, shape=tuple(scales.shape))
    return Encoded(scheme=_SCHEME, shape=(rows, columns), tables=(values, scale))
