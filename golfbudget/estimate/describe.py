"""The config of an existing artifact: its tensors as a model file with the recipe inside (`inspect --as-config`).

Read from the file: names, shapes, dtypes, layout, codec, filter, the levels in use; the types of a GGUF file's blocks.
Fitted: each integer rule's clip, as the one under which Gaussian rows have the entropy found.  Not in any file: the
codec's level; its default is written.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from golfbudget import codecs
from golfbudget.artifact import Artifact, Leaf
from golfbudget.errors import UnsupportedError
from golfbudget.estimate.observed import Levels, deviation_of_blocks, equivalent_clip, levels, moments
from golfbudget.formats import StoredTensor
from golfbudget.formats.ggml_types import WRITTEN
from golfbudget.roles.packed import find_packed

_SUFFIXES = ((".q", ".scale"), (".gq", ".gs"))
_CORRECTION = (".lqA_a", ".lqAs_a", ".lqB_a", ".lqBs_a")
_CLEAN = "int8_clean_per_row_v1"
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


@dataclass(slots=True, kw_only=True)
class _Tensor:
    """One tensor of the model: how it is stored, in `blocks` of a ggml type perhaps, and what its values show."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored_dtype: str
    mean: float = 0.0
    deviation: float = 1.0
    levels: Levels | None = None
    scale_dtype: str = "float16"
    suffixes: tuple[str, str] = _SUFFIXES[0]
    label: object = None
    blocks: str | None = None

    @property
    def family(self) -> str:
        """The name with its block numbers left open."""
        return _NUMBER.sub("*", self.name)


@dataclass(slots=True, kw_only=True)
class _Described:
    layout: str
    tensors: list[_Tensor] = field(default_factory=list)
    corrections: dict[str, dict[str, StoredTensor]] = field(default_factory=dict)


def describe(artifact: Artifact, *, name: str, tied: bool | None) -> dict[str, Any]:
    """A model file as plain values, in the order in which people read one.

    `UnsupportedError` for an artifact whose tensors are stored in a way that no recipe writes, and for values that no
    mean and deviation describe.
    """
    described = _find(artifact)
    for tensor in described.tensors:
        if not (math.isfinite(tensor.mean) and math.isfinite(tensor.deviation)):
            raise UnsupportedError(
                f"{artifact.path}: {tensor.name!r} holds NaN, infinite or overflowing values, and a model file says "
                "weights by mean and deviation; give an artifact of finite weights"
            )
    variables, tensors = _specs(described.tensors, in_order=described.layout != "gguf")
    return {
        "name": name,
        "summary": f"read from an artifact of {artifact.size} bytes",
        **({} if tied is None else {"tied": tied}),
        "variables": variables,
        "tensors": tensors,
        "recipe": _recipe(artifact, described, name),
    }


def _find(artifact: Artifact) -> _Described:
    placed = {tensor.name: (leaf, tensor) for leaf, tensor in artifact.placed()}
    if artifact.format == "gguf" and placed:
        return _gguf(artifact, placed)
    if not placed or any(tensor.block is not None for _, tensor in placed.values()):
        raise UnsupportedError(f"{artifact.path}: holds no tensors as a recipe stores them ({artifact.format})")
    strings = [key for key, value in artifact.values.items() if isinstance(value, bytes)]
    elsewhere = any(tensor.offset is None for _, tensor in placed.values())
    if strings or elsewhere or artifact.format not in ("torch-zip", "safetensors"):
        what = f"bytes packed in {strings[0]!r}" if strings else f"container {artifact.format}"
        raise UnsupportedError(
            f"{artifact.path}: no config is written for {what}; --as-config reads what the layouts {_CLEAN}, w-m, "
            "safetensors and state-dict store"
        )
    if artifact.values.get("__quant_format__") == _CLEAN:
        return _clean(artifact, placed)
    packed = next(iter(find_packed(artifact).values()), None)
    if packed is not None:
        raise UnsupportedError(
            f"{artifact.path}: {packed.matrix.stored!r} holds packed weights ({packed.matrix.family}), and no recipe "
            "writes such; --as-config reads a file whose tensors are the model's own"
        )
    return _flat(artifact, placed)


_Placed = dict[str, tuple[Leaf, StoredTensor]]


def _clean(artifact: Artifact, placed: _Placed) -> _Described:
    described = _Described(layout=_CLEAN)
    for stored, place in placed.items():
        part, _, name = stored.partition("/")
        if part == "quantized":
            dtype = str(artifact.values.get(f"dtypes/{name}", "float32"))
            described.tensors.append(_quantized(name, dtype, place, placed.get(f"scales/{name}")))
        elif part == "passthrough":
            described.tensors.append(_kept(name, place, artifact.values.get(f"passthrough_orig_dtypes/{name}")))
        elif part != "scales":
            what = f"tensor {stored!r} is not part of layout {_CLEAN} as recipes write it"
            raise UnsupportedError(f"{artifact.path}: {what}")
    return described


def _flat(artifact: Artifact, placed: _Placed) -> _Described:
    wrapped = all(name.startswith("w/") for name in placed)
    own = {name.removeprefix("w/") if wrapped else name: place for name, place in placed.items()}
    plain = "safetensors" if artifact.format == "safetensors" else "state-dict"
    layout = "w-m" if wrapped else plain
    described = _Described(layout=layout)
    taken: set[str] = set()
    for stored, place in own.items():
        pair = next((p for p in _SUFFIXES if stored.endswith(p[0]) and stored.removesuffix(p[0]) + p[1] in own), None)
        if pair is not None and place[1].dtype == "int8":
            name = stored.removesuffix(pair[0])
            tensor = _quantized(name, "float32", place, own[name + pair[1]])
            tensor.suffixes, tensor.label = pair, artifact.values.get(f"m/{name}")
            described.tensors.append(tensor)
            parts = {suffix: own[name + suffix][1] for suffix in _CORRECTION if name + suffix in own}
            if len(parts) == len(_CORRECTION):
                described.corrections[name] = parts
            taken |= {name + pair[1], *(name + suffix for suffix in parts)}
        elif stored not in taken and not _belongs(stored, own):
            tensor = _kept(stored, place, None)
            tensor.label = artifact.values.get(f"m/{stored}") if wrapped else None
            described.tensors.append(tensor)
    return described


def _gguf(artifact: Artifact, placed: _Placed) -> _Described:
    """Tensors of a GGUF file; what its key-values say is no part of a recipe."""
    described = _Described(layout="gguf")
    for name, place in placed.items():
        leaf, stored = place
        if stored.block is None:
            described.tensors.append(_kept(name, place, None))
            continue
        if stored.dtype not in WRITTEN or len(stored.shape) != 2:
            raise UnsupportedError(
                f"{artifact.path}: {name!r} is of type {stored.dtype} and shape {list(stored.shape)}; recipes write "
                f"matrices of types {', '.join(WRITTEN)}: give such a file"
            )
        tensor = _Tensor(
            name=name, shape=stored.shape, dtype="float32", stored_dtype=stored.dtype, blocks=stored.dtype
        )  # fmt: skip
        tensor.deviation = _digits(deviation_of_blocks(leaf, stored))
        described.tensors.append(tensor)
    return described


def _belongs(stored: str, own: _Placed) -> bool:
    """Whether a stored name is a scale or correction of some integers, which may come later in the file."""
    names = {stored.removesuffix(suffix) for suffix in (*(pair[1] for pair in _SUFFIXES), *_CORRECTION)} - {stored}
    return any(name + pair[0] in own for name in names for pair in _SUFFIXES)


def _quantized(
    name: str, dtype: str, place: tuple[Leaf, StoredTensor], scales: tuple[Leaf, StoredTensor] | None
) -> _Tensor:
    leaf, tensor = place
    seen = levels(leaf, tensor)
    scale = None if scales is None else moments(*scales)
    return _Tensor(
        name=name,
        shape=tensor.shape,
        dtype=dtype,
        stored_dtype=tensor.dtype,
        deviation=_digits(seen.deviation * scale.mean) if scale is not None else 1.0,
        levels=seen,
        scale_dtype="float16" if scales is None else scales[1].dtype,
    )


def _kept(name: str, place: tuple[Leaf, StoredTensor], original: object) -> _Tensor:
    leaf, tensor = place
    dtype = str(original or tensor.dtype)
    made = _Tensor(name=name, shape=tensor.shape, dtype=dtype, stored_dtype=tensor.dtype, deviation=0.0)
    if "float" in tensor.dtype and (seen := moments(leaf, tensor)) is not None:
        made.mean, made.deviation = _digits(seen.mean), _digits(seen.deviation)
    return made


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def _specs(tensors: list[_Tensor], *, in_order: bool) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Tensors in order, those of numbered blocks that are alike as one repeated group, whose count is a variable.

    Without `in_order`, blocks may stand in any: that of a file which no codec packs does not change its size.
    """
    families: dict[str, list[_Tensor]] = {}
    for tensor in tensors:
        families.setdefault(tensor.family, []).append(tensor)
    groups: dict[tuple[str, int], list[list[_Tensor]]] = {}
    for family, members in families.items():
        numbered = [family.replace("*", str(i)) for i in range(len(members))]
        alike = len({(member.shape, member.dtype) for member in members}) == 1
        names = [member.name for member in members]
        counted = names == numbered if in_order else sorted(names) == sorted(numbered)
        if family.count("*") == 1 and len(members) > 1 and alike and counted:
            groups.setdefault((family.partition("*")[0], len(members)), []).append(members)
    variables: dict[str, int] = {}
    specs: list[dict[str, Any]] = []
    done: set[str] = set()
    for tensor in tensors:
        key = tensor.family.partition("*")[0], len(families[tensor.family])
        alike_groups = groups.get(key, [])
        if tensor.family in done:
            continue
        if not any(members is families[tensor.family] for members in alike_groups):
            specs.append(_spec(tensor))
            continue
        variable = re.sub(r"\W+", "_", key[0]).strip("_") or "blocks"
        while variable in variables or variable == "i":
            variable += "_more"
        variables[variable] = key[1]
        specs.append({"repeat": variable, "tensors": [_together(members) for members in alike_groups]})
        done |= {members[0].family for members in alike_groups}
    return variables, specs


def _together(members: list[_Tensor]) -> dict[str, Any]:
    """One tensor of a repeated group, its moments the average of the members'."""
    spec = _spec(members[0])
    spec["name"] = members[0].family.replace("*", "{i}")
    for key in spec.keys() & {"mean", "deviation"}:
        spec[key] = _digits(sum(getattr(member, key) for member in members) / len(members))
    return spec


def _spec(tensor: _Tensor) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if "float" in tensor.dtype:
        spec["deviation"] = tensor.deviation
        if tensor.mean:
            spec["mean"] = tensor.mean
    return spec


def _recipe(artifact: Artifact, described: _Described, name: str) -> dict[str, Any]:
    streams = [layer.name for layer in artifact.layers if layer.kind == "codec"]
    if len(streams) > 1:
        raise UnsupportedError(f"{artifact.path}: {len(streams)} codecs lie around the tensors, and a recipe has one")
    codec = streams[0] if streams else "none"
    recipe: dict[str, Any] = {"name": f"{name}-recipe", "layout": described.layout}
    if shuffle := _shuffle(artifact):
        recipe["filter"] = shuffle
    recipe |= {"codec": codec, "level": codecs.get(codec).default_level, "tensors": _rules(described)}
    if described.corrections:
        recipe["corrections"] = [_correction(name, parts) for name, parts in described.corrections.items()]
    return recipe


def _shuffle(artifact: Artifact) -> dict[str, Any] | None:
    filters = [layer.name for layer in artifact.layers if layer.kind == "filter"]
    if not filters:
        return None
    leaf = artifact.leaves[0]
    if filters != ["byte-shuffle"] or not leaf.streams:
        raise UnsupportedError(f"{artifact.path}: recipes do not write the filter {' > '.join(filters)}")
    decoded = leaf.streams[0].decoded
    return {"name": "byte-shuffle", "stride": decoded[4], "header_bytes": len(decoded) - len(leaf.data)}


def _rules(described: _Described) -> list[dict[str, Any]]:
    """One rule per family of integer tensors, then the float types kept, the commonest last as the rest."""
    integers = [tensor for tensor in described.tensors if tensor.levels is not None]
    kept = [tensor for tensor in described.tensors if tensor.levels is None and "float" in tensor.stored_dtype]
    mixed = {tensor.family for tensor in integers} & {tensor.family for tensor in kept}
    rules = [_integer(family, members) for family, members in _families(integers, mixed).items()]
    rules += _blocks(described.tensors)
    dtypes: dict[str, list[_Tensor]] = {}
    for tensor in kept:
        dtypes.setdefault(tensor.stored_dtype, []).append(tensor)
    ranked = sorted(dtypes, key=lambda dtype: len(dtypes[dtype]))
    for dtype in ranked:
        last = dtype == ranked[-1]
        patterns = list(_families(dtypes[dtype], mixed))
        rule: dict[str, Any] = {"name": f"kept-{dtype}".replace("_", "-"), "match": ["*"] if last else patterns}
        rule |= {"quantizer": "keep", "dtype": "original" if dtype == "float64" else dtype}
        labels = {tensor.label for tensor in dtypes[dtype] if isinstance(tensor.label, str)}
        if len(labels) == 1:
            rule["meta"] = labels.pop()
        rules.append(rule)
    taken: dict[str, int] = {}
    for rule in rules:
        taken[rule["name"]] = taken.get(rule["name"], 0) + 1
        if taken[rule["name"]] > 1:
            rule["name"] += f"-{taken[rule['name']]}"
    return rules


def _blocks(tensors: Iterable[_Tensor]) -> list[dict[str, Any]]:
    """One rule for each type of blocks; families that are stored in several types are named tensor by tensor."""
    tensors = list(tensors)
    stored: dict[str, set[str | None]] = {}
    for tensor in tensors:
        stored.setdefault(tensor.family, set()).add(tensor.blocks)
    mixed = {family for family, kinds in stored.items() if len(kinds) > 1}
    rules = []
    for kind in dict.fromkeys(tensor.blocks for tensor in tensors if tensor.blocks):
        own = [tensor for tensor in tensors if tensor.blocks == kind]
        rule = {"name": f"blocks-{kind}".replace("_", "-"), "match": list(_families(own, mixed))}
        rules.append({**rule, "quantizer": "scheme", "scheme": "ggml", "options": {"type": kind}})
    return rules


def _families(tensors: Iterable[_Tensor], mixed: set[str]) -> dict[str, list[_Tensor]]:
    """Tensors by the pattern that matches them: their family's, or their own name if a family is stored both ways."""
    families: dict[str, list[_Tensor]] = {}
    for tensor in tensors:
        parts = [glob.escape(part) for part in tensor.family.split("*")]
        pattern = glob.escape(tensor.name) if tensor.family in mixed else "*".join(parts)
        families.setdefault(pattern, []).append(tensor)
    return families


def _integer(pattern: str, members: list[_Tensor]) -> dict[str, Any]:
    seen = [member.levels for member in members if member.levels is not None]
    lowest, highest = min(level.lowest for level in seen), max(level.highest for level in seen)
    bits = next(b for b in range(2, 9) if -(2 ** (b - 1)) <= lowest and highest < 2 ** (b - 1))
    top = 2 ** (bits - 1) - 1
    elements = [math.prod(member.shape) for member in members]
    average = sum(n * level.bits_per_value for n, level in zip(elements, seen, strict=True)) / max(1, sum(elements))
    words = re.sub(r"[^A-Za-z0-9]+", "-", pattern).strip("-") or "tensor"
    name = words if words[0].isalpha() else f"t-{words}"
    rule: dict[str, Any] = {"name": name, "match": [pattern], "quantizer": "integer", "bits": bits}
    if lowest < -top:
        rule["lowest"] = lowest
    rule["clip_deviations"] = equivalent_clip(average, min(lowest, -top), top)
    matrix = len(members[0].shape) == 2
    if members[0].scale_dtype != "float16":
        rule["scale_dtype" if matrix else "scalar_scale_dtype"] = members[0].scale_dtype
    if members[0].suffixes != _SUFFIXES[0]:
        rule["suffixes"] = list(members[0].suffixes)
    if isinstance(members[0].label, str):
        rule["meta"] = members[0].label.partition("+lqer")[0]
    return rule


def _correction(name: str, parts: dict[str, StoredTensor]) -> dict[str, Any]:
    rank, columns = parts[".lqB_a"].shape
    groups = parts[".lqBs_a"].elements // rank
    return {"match": [glob.escape(name)], "rank": rank, "group": -(-columns // groups)}
