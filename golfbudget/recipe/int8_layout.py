"""The layout `int8_clean_per_row_v1`: quantise a state dict into it, write it, read it back, decode it.

A candidate's own tables stand under one further key, `schemes`, beside the layout's; everything else of a
candidate's file is what the recipe itself would write.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from golfbudget import codecs, schemes
from golfbudget.artifact import Artifact, open_bytes
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.ledger import Account
from golfbudget.recipe.config import Recipe
from golfbudget.recipe.state import read_tensors
from golfbudget.schemes.base import Encoded, Table

FORMAT_KEY, FORMAT = "__quant_format__", "int8_clean_per_row_v1"
_LEVELS = 127

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The object an artifact serialises, part by part.

    `quantized[name]` int8 of the tensor's shape with `scales[name]`, fp16 [rows] (fp32 scalar when not a
    matrix); `dtypes` their original dtypes; `passthrough` everything kept, `kept_dtypes` what it was before;
    `schemes[name]` a matrix encoded some other way.
    """

    quantized: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]
    dtypes: Mapping[str, str]
    passthrough: Mapping[str, Tensor]
    kept_dtypes: Mapping[str, str]
    schemes: Mapping[str, Encoded] = field(default_factory=dict)

    def without(self, name: str) -> Export:
        """The export with one tensor taken out, wherever it stands."""
        return replace(
            self,
            quantized=_drop(self.quantized, name),
            scales=_drop(self.scales, name),
            dtypes=_drop(self.dtypes, name),
            passthrough=_drop(self.passthrough, name),
            kept_dtypes=_drop(self.kept_dtypes, name),
            schemes=_drop(self.schemes, name),
        )

    def with_encoded(self, name: str, encoded: Encoded, dtype: str) -> Export:
        """The export with matrix `name` replaced by an encoding; int8-per-row ones use the layout's own slots.

        Replacing in place keeps the tensor's position in the file.
        """
        if encoded.native:
            values, scales = encoded.tensor("values"), encoded.tensor("scales")
            if name in self.quantized:
                return replace(self, quantized={**self.quantized, name: values}, scales={**self.scales, name: scales})
            rest = self.without(name)
            return replace(
                rest,
                quantized={**rest.quantized, name: values},
                scales={**rest.scales, name: scales},
                dtypes={**rest.dtypes, name: dtype},
            )
        rest = self.without(name)
        return replace(rest, schemes={**rest.schemes, name: encoded}, dtypes={**rest.dtypes, name: dtype})


def _drop(values: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in values.items() if key != name}


def quantise(state: Mapping[str, Tensor], recipe: Recipe) -> Export:
    """Apply a recipe to a state dict."""
    quantized: dict[str, Tensor] = {}
    scales: dict[str, Tensor] = {}
    dtypes: dict[str, str] = {}
    passthrough: dict[str, Tensor] = {}
    kept_dtypes: dict[str, str] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            passthrough[name] = tensor.contiguous()
        elif tensor.numel() > recipe.quantize.more_elements_than:
            quantized[name], scales[name] = _int8(tensor.float(), recipe)
            dtypes[name] = dtype_name(tensor)
        elif any(part in name for part in recipe.keep.control):
            passthrough[name] = tensor.to(getattr(torch, recipe.keep.control_dtype)).contiguous()
        else:
            if tensor.dtype in (torch.float32, torch.bfloat16):
                kept_dtypes[name] = dtype_name(tensor)
                tensor = tensor.to(getattr(torch, recipe.keep.dtype))  # noqa: PLW2901
            passthrough[name] = tensor.contiguous()
    return Export(quantized=quantized, scales=scales, dtypes=dtypes, passthrough=passthrough, kept_dtypes=kept_dtypes)


def dtype_name(tensor: Tensor) -> str:
    """`float32` and the like; a fresh string each time, because pickle stores shared ones only once."""
    return str(tensor.dtype).removeprefix("torch.")


def _int8(tensor: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Values and scales as the public baseline computes them: clip at a quantile, divide, round, fp16 scales."""
    quantile, floor = recipe.quantize.clip_quantile, 1.0 / recipe.quantize.scale_floor_denominator
    if tensor.ndim != 2:
        clip = torch.quantile(tensor.abs().flatten(), quantile)
        scale = clip / _LEVELS if clip > 0 else torch.tensor(1.0)
        values = (tensor.clamp(-clip, clip) / scale).round().clamp(-_LEVELS, _LEVELS)
        return values.to(torch.int8).contiguous(), scale.float()
    clips = torch.quantile(tensor.abs(), quantile, dim=1)
    clipped = torch.maximum(torch.minimum(tensor, clips[:, None]), -clips[:, None])
    scales = (clips / _LEVELS).clamp_min(floor)
    values = (clipped / scales[:, None]).round().clamp(-_LEVELS, _LEVELS)
    return values.to(torch.int8).contiguous(), scales.half().contiguous()


def container_bytes(export: Export) -> bytes:
    """Serialise with torch.save, the layout's container."""
    dictionary: dict[str, object] = {
        FORMAT_KEY: FORMAT,
        "quantized": dict(export.quantized),
        "scales": dict(export.scales),
        "dtypes": dict(export.dtypes),
        "passthrough": dict(export.passthrough),
    }
    rows = {name: {"scheme": "per_row", "axis": 0} for name, scale in export.scales.items() if scale.ndim}
    if rows:
        dictionary["qmeta"] = rows
    if export.kept_dtypes:
        dictionary["passthrough_orig_dtypes"] = dict(export.kept_dtypes)
    if export.schemes:
        dictionary["schemes"] = {
            name: {"scheme": encoded.scheme, "shape": list(encoded.shape)}
            | {table.name: table.tensor for table in encoded.tables}
            for name, encoded in export.schemes.items()
        }
    out = io.BytesIO()
    torch.save(dictionary, out)
    return out.getvalue()


def artifact_bytes(export: Export, recipe: Recipe) -> bytes:
    """The whole file: container, then the recipe's codec."""
    return codecs.get(recipe.codec).encode(container_bytes(export), recipe.level)


def is_layout(artifact: Artifact) -> bool:
    """Whether an opened artifact says it is of this layout."""
    return artifact.values.get(FORMAT_KEY) == FORMAT


def read_export(artifact: Artifact) -> Export:
    """The parts of an artifact of this layout; `CorruptError` when they do not fit together."""
    parts: dict[str, dict[str, Tensor]] = {"quantized": {}, "scales": {}, "passthrough": {}, "schemes": {}}
    for stored, tensor in read_tensors(artifact).items():
        part, _, name = stored.partition("/")
        if part not in parts:
            raise UnsupportedError(f"{artifact.path}: tensor {stored!r} has no place in layout {FORMAT}")
        # Pickle stores a string object once: equal names must be one object again for the file to come out equal.
        parts[part][sys.intern(name)] = tensor
    dtypes, kept = _strings(artifact, "dtypes/"), _strings(artifact, "passthrough_orig_dtypes/")
    for name in parts["quantized"]:
        if name not in parts["scales"] or name not in dtypes:
            raise CorruptError(f"{artifact.path}: quantized tensor {name!r} lacks its scale or its dtype")
    for name, dtype in [*dtypes.items(), *kept.items()]:
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise CorruptError(f"{artifact.path}: tensor {name!r} is said to be of dtype {dtype!r}, which torch lacks")
    return Export(
        quantized=parts["quantized"],
        scales=parts["scales"],
        dtypes=dtypes,
        passthrough=parts["passthrough"],
        kept_dtypes=kept,
        schemes=_read_schemes(artifact, parts["schemes"]),
    )


def _strings(artifact: Artifact, prefix: str) -> dict[str, str]:
    values = artifact.values
    return {sys.intern(k.removeprefix(prefix)): str(v) for k, v in values.items() if k.startswith(prefix)}


def _read_schemes(artifact: Artifact, tensors: Mapping[str, Tensor]) -> dict[str, Encoded]:
    """Encodings under `schemes`; tables are believed for their tensors only, shape and scheme come as values."""
    values = artifact.values
    found: dict[str, Encoded] = {}
    for name in dict.fromkeys(key.partition("/")[0] for key in tensors):
        scheme = str(values.get(f"schemes/{name}/scheme"))
        shape = values.get(f"schemes/{name}/shape/0"), values.get(f"schemes/{name}/shape/1")
        if scheme not in schemes.registered() or not all(isinstance(n, int) and n > 0 for n in shape):
            raise CorruptError(f"{artifact.path}: {name!r} is encoded by scheme {scheme!r} with shape {shape}")
        tables = tuple(
            Table(
                name=key.partition("/")[2],
                account=Account.WEIGHTS,
                tensor=tensor,
                bits=8 * tensor.element_size(),
                shape=tuple(tensor.shape),
            )
            for key, tensor in tensors.items()
            if key.partition("/")[0] == name
        )
        rows, columns = (int(str(n)) for n in shape)
        found[name] = Encoded(scheme=scheme, shape=(rows, columns), tables=tables)
    return found


def decode(export: Export) -> dict[str, Tensor]:
    """The state dict that a decoder would load: every tensor in its original dtype."""
    state: dict[str, Tensor] = {}
    for name, values in export.quantized.items():
        scale = export.scales[name]
        matrix = values.float() * scale.float().view(-1, *([1] * (values.ndim - 1)))
        state[name] = matrix.to(getattr(torch, export.dtypes[name]))
    for name, tensor in export.passthrough.items():
        state[name] = tensor.to(getattr(torch, export.kept_dtypes[name])) if name in export.kept_dtypes else tensor
    for name, encoded in export.schemes.items():
        state[name] = schemes.get(encoded.scheme).decode(encoded).to(getattr(torch, export.dtypes[name]))
    return state


def decode_bytes(data: bytes, name: str) -> dict[str, Tensor]:
    """The state dict in an artifact's bytes, through the reader that inspects foreign files."""
    return decode(read_export(open_bytes(data, name=name)))
