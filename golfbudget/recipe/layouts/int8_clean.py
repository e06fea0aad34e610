"""The layout `int8_clean_per_row_v1` of the public baseline: a dictionary of dictionaries through torch.save.

A candidate's own tables stand under one further key, `schemes`, beside the layout's; everything else of a
candidate's file is what the recipe itself would write.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import (
    Layout,
    check_dtypes,
    interned,
    read_schemes,
    register,
    scheme_entries,
    scheme_tables,
    tensors_payload,
    torch_saved,
)
from golfbudget.recipe.state import read_tensors

FORMAT_KEY = "__quant_format__"
FORMAT: Literal["int8_clean_per_row_v1"] = "int8_clean_per_row_v1"


@register
class Int8CleanLayout(Layout):
    """Keys in the order of the public writer; `qmeta` and `passthrough_orig_dtypes` only where they hold anything."""

    name = FORMAT

    def container(self, export: Export) -> bytes:
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
            dictionary["schemes"] = scheme_entries(export)
        return torch_saved(dictionary)

    def payload_bytes(self, export: Export) -> int:
        parts = (export.quantized, export.scales, export.passthrough)
        return tensors_payload([tensor for part in parts for tensor in part.values()] + scheme_tables(export))

    def recognises(self, artifact: Artifact) -> bool:
        return artifact.values.get(FORMAT_KEY) == FORMAT

    def read(self, artifact: Artifact) -> Export:
        parts: dict[str, dict[str, Tensor]] = {"quantized": {}, "scales": {}, "passthrough": {}, "schemes": {}}
        for stored, tensor in read_tensors(artifact, aliases=True).items():
            part, _, name = stored.partition("/")
            if part not in parts:
                raise UnsupportedError(f"{artifact.path}: tensor {stored!r} has no place in layout {FORMAT}")
            parts[part][interned(name)] = tensor
        dtypes, kept = _strings(artifact, "dtypes/"), _strings(artifact, "passthrough_orig_dtypes/")
        for name in parts["quantized"]:
            if name not in parts["scales"] or name not in dtypes:
                raise CorruptError(f"{artifact.path}: quantized tensor {name!r} lacks its scale or its dtype")
        check_dtypes(artifact, {**dtypes, **kept})
        return Export(
            quantized=parts["quantized"],
            scales=parts["scales"],
            dtypes=dtypes,
            passthrough=parts["passthrough"],
            kept_dtypes=kept,
            schemes=read_schemes(artifact, parts["schemes"]),
        )


def _strings(artifact: Artifact, prefix: str) -> dict[str, str]:
    values = artifact.values
    return {interned(k.removeprefix(prefix)): str(v) for k, v in values.items() if k.startswith(prefix)}
