"""Flat layouts: every stored tensor under its own name with a suffix, in one of three containers.

`w-m` is `{"w": tensors, "m": labels}` through torch.save, `state-dict` the tensors alone, `safetensors` the tensors
with the labels of encoded matrices as JSON in the header's metadata.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping

import msgspec
import safetensors.torch
from torch import Tensor

from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError, UsageError
from golfbudget.recipe.config import Label
from golfbudget.recipe.export import KEPT, Export
from golfbudget.recipe.layouts.base import (
    APART,
    Layout,
    interned,
    read_label,
    read_scheme,
    read_schemes,
    register,
    scheme_entries,
    scheme_label,
    scheme_tables,
    tensors_payload,
    torch_saved,
)
from golfbudget.recipe.state import read_tensors
from golfbudget.schemes.base import Encoded

#: Suffixes of values and scales that public writers use, the usual ones first.
_SUFFIXES = ((".q", ".scale"), (".gq", ".gs"))
_DEFAULT = _SUFFIXES[0]
_CORRECTION = (".lqA_a", ".lqAs_a", ".lqB_a", ".lqBs_a")
_CORRECTED = "+lqer_asym"
_SCHEMES = "__metadata__/schemes"
#: Where the layout of compressed-tensors says what its packed matrices are.
QUANTIZATION_CONFIG = "__metadata__/quantization_config"


class _SchemeLabel(msgspec.Struct):
    scheme: str
    shape: tuple[int, int]


def flatten(export: Export) -> dict[str, Tensor]:
    """Every stored tensor by its stored name, in the order of the state dict; encoded matrices stand apart."""
    stored: dict[str, Tensor] = {}
    for name in export.names():
        if name in export.quantized:
            values, scales = export.suffixes.get(name, _DEFAULT)
            stored[name + values], stored[name + scales] = export.quantized[name], export.scales[name]
            stored |= {name + suffix: tensor for suffix, tensor in export.corrections.get(name, {}).items()}
        elif name in export.passthrough:
            stored[name] = export.passthrough[name]
    return stored


class _Flat(Layout):
    """What the three share."""

    prefix = ""
    labels = ""

    def payload_bytes(self, export: Export) -> int:
        return tensors_payload([*flatten(export).values(), *scheme_tables(export)])

    def recognises(self, artifact: Artifact) -> bool:
        """Only where some tensor is stored as values and scales: a plain checkpoint is no artifact."""
        names = {tensor.name for tensor in artifact.tensors}
        inside = all(name.startswith((self.prefix, APART)) for name in names)
        # These have their own layouts, whatever their tensors are called.
        inside = inside and artifact.format != "gguf" and QUANTIZATION_CONFIG not in artifact.values
        return inside and any(
            name.endswith(values) and name.removesuffix(values) + scales in names
            for name in names
            for values, scales in _SUFFIXES
        )

    def read(self, artifact: Artifact) -> Export:
        every = read_tensors(artifact, aliases=True)
        encoded = self._schemes(artifact, {k.removeprefix(APART): t for k, t in every.items() if k.startswith(APART)})
        stored = {k.removeprefix(self.prefix): tensor for k, tensor in every.items() if not k.startswith(APART)}
        quantized, scales, corrections = dict[str, Tensor](), dict[str, Tensor](), dict[str, dict[str, Tensor]]()
        suffixes, taken = dict[str, tuple[str, str]](), set[str]()
        for key, tensor in stored.items():
            for pair in _SUFFIXES:
                name = interned(key.removesuffix(pair[0]))
                if key.endswith(pair[0]) and name + pair[1] in stored:
                    quantized[name], scales[name], suffixes[name] = tensor, stored[name + pair[1]], pair
                    taken |= {key, name + pair[1]}
        for name in quantized:
            parts = {suffix: stored[name + suffix] for suffix in _CORRECTION if name + suffix in stored}
            if len(parts) == len(_CORRECTION):
                corrections[name] = parts
                taken |= {name + suffix for suffix in parts}
        passthrough = {interned(key): tensor for key, tensor in stored.items() if key not in taken}
        order = [*_order(stored, [*quantized, *passthrough]), *encoded]
        labels = {name: label for name in order if (label := self._label(artifact, name)) is not None}
        return Export(
            quantized=quantized,
            scales=scales,
            dtypes={**dict.fromkeys(quantized, "float32"), **dict.fromkeys(encoded, "float32")},
            passthrough=passthrough,
            kept_dtypes={},
            schemes=encoded,
            corrections=corrections,
            labels={n: x for n, x in labels.items() if n not in encoded},
            suffixes=suffixes,
            order=tuple(order),
        )

    def _label(self, artifact: Artifact, name: str) -> Label | None:
        label = read_label(artifact, f"{self.labels}{name}") if self.labels else None
        return label.removesuffix(_CORRECTED) if isinstance(label, str) else label

    def _schemes(self, artifact: Artifact, tables: Mapping[str, Tensor]) -> dict[str, Encoded]:
        return read_schemes(artifact, tables)


def _order(stored: Mapping[str, Tensor], names: list[str]) -> list[str]:
    """Names by where their first stored tensor stands."""
    places = {key: number for number, key in enumerate(stored)}
    keys = sorted(places)

    def first(name: str) -> int:
        if name in places:
            return places[name]
        return min(places[key] for key in keys if key.startswith(f"{name}."))

    return sorted(names, key=first)


def _interned(label: Label) -> Label:
    """The same label of the same string objects, whether it comes from a recipe or from a file."""
    if isinstance(label, str):
        return interned(label)
    return {interned(k): interned(v) if isinstance(v, str) else v for k, v in label.items()}


@register
class WeightsAndMetaLayout(_Flat):
    """`{"w": …, "m": …}`: a label for every tensor."""

    name = "w-m"
    prefix = "w/"
    labels = "m/"

    def recognises(self, artifact: Artifact) -> bool:
        """Where every matrix is encoded there are no values and scales, but tables apart from the weights."""
        own = [tensor.name.startswith(self.prefix) for tensor in artifact.tensors]
        apart = [tensor.name.startswith(APART) for tensor in artifact.tensors]
        encoded = any(own) and any(apart) and all(map(operator.or_, own, apart))
        return encoded or super().recognises(artifact)

    def container(self, export: Export) -> bytes:
        labels: dict[str, object] = {}
        for name in export.names():
            if name in export.schemes:
                continue
            label = export.labels.get(name, KEPT if name in export.passthrough else {"type": "int8"})
            if name in export.corrections:
                label = label + _CORRECTED if isinstance(label, str) else {**label, "correction": _CORRECTED[1:]}
            labels[name] = _interned(label)
        apart = {"schemes": scheme_entries(export)} if export.schemes else {}
        return torch_saved({"w": flatten(export), "m": labels, **apart})


class FlatSafetensors(_Flat):
    """safetensors; a header's metadata holds words only, so encoded matrices are described in JSON."""

    shares = False

    def container(self, export: Export) -> bytes:
        described = {name: scheme_label(encoded) for name, encoded in export.schemes.items()}
        metadata = {"schemes": json.dumps(described, separators=(",", ":"))} if described else None
        tables = {
            f"{APART}{name}/{table.name}": table.tensor
            for name, encoded in export.schemes.items()
            for table in encoded.tables
        }
        return safetensors.torch.save(flatten(export) | tables, metadata=metadata)

    def recognises(self, artifact: Artifact) -> bool:
        own = super().recognises(artifact) or (
            _SCHEMES in artifact.values and QUANTIZATION_CONFIG not in artifact.values
        )
        return artifact.format == "safetensors" and own

    def _schemes(self, artifact: Artifact, tables: Mapping[str, Tensor]) -> dict[str, Encoded]:
        described = str(artifact.values.get(_SCHEMES, "{}"))
        try:
            labels = msgspec.json.decode(described, type=dict[str, _SchemeLabel])
        except msgspec.DecodeError as error:
            raise CorruptError(f"{artifact.path}: the metadata key 'schemes' is not as written here: {error}") from None
        encodings = {}
        for name, label in labels.items():
            own = {k.removeprefix(f"{name}/"): t for k, t in tables.items() if k.startswith(f"{name}/")}
            encodings[interned(name)] = read_scheme(artifact.path, name, label.scheme, label.shape, own)
        return encodings


@register
class SafetensorsLayout(FlatSafetensors):
    """Our own files of that kind."""

    name = "safetensors"


@register
class StateDictLayout(_Flat):
    """A state dict through torch.save; it has no place for labels, and so none for encoded matrices."""

    name = "state-dict"

    def container(self, export: Export) -> bytes:
        if export.schemes:
            raise UsageError(
                f"layout {self.name} has no place for the label of {next(iter(export.schemes))!r}; use w-m"
            )
        return torch_saved(flatten(export))
