"""The export: a state dict after a recipe's quantisers, before any layout serialises it, and the way back.

Quantisers compute what public export scripts do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from golfbudget import schemes
from golfbudget.errors import UsageError
from golfbudget.recipe.config import (
    ByScheme,
    Correction,
    Integer,
    Keep,
    Label,
    Recipe,
    check_patterns,
    matching,
    rule_for,
)
from golfbudget.schemes.base import Context, Encoded
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import Processes

T = TypeVar("T")

#: Weights from which on processes are worth their start, of a few seconds.
_WORTH_PROCESSES = 1 << 22
#: What a label says of a tensor that is kept, where the recipe gives it none.
KEPT = "passthrough"


def quantise_tensor(tensor: Tensor, rule: Integer) -> tuple[Tensor, Tensor]:
    """Values int8 of the tensor's own shape, any shape, and scales [rows] for a matrix, a scalar for anything else.

    Values are divided by the scale before it is rounded to its stored type, as the public scripts do.
    """
    tensor = tensor.float()
    rows = tensor if tensor.ndim == 2 else tensor.reshape(1, -1)
    clips = _clips(rows, rule)
    if tensor.ndim == 2:
        scales = (clips / rule.top).clamp_min(rule.floor)
        scales = torch.where(scales > 0, scales, torch.ones(()))
        stored = scales.to(getattr(torch, rule.scale_dtype)).contiguous()
    else:
        scales = torch.where(clips > 0, clips / rule.top, torch.ones(()))
        stored = scales[0].to(getattr(torch, rule.scalar_scale_dtype))
    if rule.clip_deviations is None:
        rows = torch.maximum(torch.minimum(rows, clips[:, None]), -clips[:, None])
    levels = rows / scales[:, None]
    if rule.step > 1:
        levels = (levels / rule.step).round() * rule.step
    values = levels.round().clamp(rule.bottom, rule.top).to(torch.int8)
    return values.reshape(tensor.shape).contiguous(), stored


def _clips(rows: Tensor, rule: Integer) -> Tensor:
    if rule.clip_deviations is not None:
        return rule.clip_deviations * (rows.std(dim=1) if rows.shape[1] > 1 else rows.abs()[:, 0])
    if rule.clip_quantile is not None:
        return torch.quantile(rows.abs(), rule.clip_quantile, dim=1)
    return rows.abs().amax(dim=1)


def dequantise(values: Tensor, scales: Tensor) -> Tensor:
    """Values of any shape times scales [rows], or a scalar, float32 of that shape."""
    return values.float() * scales.float().view(-1, *([1] * (values.ndim - 1)))


def low_rank_correction(residual: Tensor, rule: Correction) -> dict[str, Tensor]:
    """The stored tables of a correction, by suffix: left factor and its scale, right factor and its group scales.

    The factors of the residual [rows, columns] are the leading singular pairs, the root of each singular value on
    either side.
    """
    rows, columns = residual.shape
    rank = min(rule.rank, rows, columns)
    # The second moment of the shorter side is small, and its eigenvectors give the leading pairs.
    moment = residual.T @ residual if columns <= rows else residual @ residual.T
    values, vectors = torch.linalg.eigh(moment.double())
    singular = values[-rank:].flip(0).clamp_min(1e-30).sqrt()
    leading = vectors[:, -rank:].flip(1)
    if columns <= rows:
        left, right = residual.double() @ leading / singular.sqrt(), (leading * singular.sqrt()).T
    else:
        left, right = leading * singular.sqrt(), (residual.T.double() @ leading / singular.sqrt()).T
    left_values, left_scale = _asymmetric(left.float().reshape(1, -1), rule.left_bits)
    # As many groups as the rule's size needs, all of one size, so that a decoder knows it from the number of scales.
    groups = -(-columns // rule.group)
    size = -(-columns // groups)
    wide = torch.zeros(rank, groups * size)
    wide[:, :columns] = right.float()
    right_values, right_scales = _asymmetric(wide.reshape(-1, size), rule.right_bits)
    return {
        ".lqA_a": left_values.reshape(rows, rank),
        ".lqAs_a": left_scale[0],
        ".lqB_a": right_values.reshape(rank, -1)[:, :columns].contiguous(),
        ".lqBs_a": right_scales,
    }


def apply_correction(tables: dict[str, Tensor]) -> Tensor:
    """What a correction adds to its matrix, float32 [rows, columns]; summed in a fixed order, to be so everywhere."""
    left = tables[".lqA_a"].float() * tables[".lqAs_a"].float()
    right = tables[".lqB_a"].float()
    rank, columns = right.shape
    groups = tables[".lqBs_a"].numel() // rank
    scales = tables[".lqBs_a"].float().view(rank, groups).repeat_interleave(-(-columns // groups), dim=1)
    right = right * scales[:, :columns]
    added = torch.zeros(len(left), columns)
    for i in range(rank):
        added += left[:, i, None] * right[i]
    return added


def _asymmetric(rows: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Integers from -2^(bits-1) to 2^(bits-1) - 1 by absolute maximum, and an fp16 scale a row."""
    top = 2 ** (bits - 1) - 1
    scales = (rows.abs().amax(dim=1) / (top + 0.5)).clamp_min(1e-10)
    values = (rows / scales[:, None]).round().clamp(-top - 1, top)
    return values.to(torch.int8), scales.half()


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The object an artifact serialises, part by part.

    `quantized[name]` int8 of the tensor's shape with `scales[name]`, fp16 [rows] (a scalar when not a matrix);
    `dtypes` their original dtypes; `passthrough` everything kept, `kept_dtypes` what it was before; `schemes[name]` a
    matrix encoded some other way.  `corrections[name]` are low-rank tables by suffix; `labels` what a layout tells its
    decoder; `suffixes[name]` the stored names of values and scales; `order` the names as the state dict had them.
    `streams` are tables of integers as a coder stores them, by tensor, or by TENSOR/TABLE of an encoding.
    `preamble` is what stood before all tensors of a file, by the layout that read it.
    """

    quantized: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]
    dtypes: Mapping[str, str]
    passthrough: Mapping[str, Tensor]
    kept_dtypes: Mapping[str, str]
    schemes: Mapping[str, Encoded] = field(default_factory=dict)
    corrections: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    labels: Mapping[str, Label] = field(default_factory=dict)
    suffixes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    streams: Mapping[str, bytes] = field(default_factory=dict)
    preamble: Mapping[str, bytes] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every tensor's name once, as the state dict had them, later ones last."""
        return list(dict.fromkeys((*self.order, *self.quantized, *self.passthrough, *self.schemes)))

    def alike(self, name: str, other: Export) -> bool:
        """Whether a tensor's stored parts are those that another export has under its name."""
        if name in self.schemes or name in other.schemes:
            return _same_encodings(self.schemes.get(name), other.schemes.get(name)) and (
                self.dtypes.get(name) == other.dtypes.get(name)
            )
        tensors = all(_same(getattr(self, part).get(name), getattr(other, part).get(name)) for part in _TENSORS)
        told = all(getattr(self, part).get(name) == getattr(other, part).get(name) for part in _DTYPES)
        ours, theirs = self.corrections.get(name, {}), other.corrections.get(name, {})
        return tensors and told and ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key]) for key in ours)

    def without(self, name: str) -> Export:
        held = ("quantized", "scales", "dtypes", "passthrough", "kept_dtypes", "schemes", "corrections", "labels")
        left = {part: _drop(getattr(self, part), name) for part in held}
        return replace(
            self,
            **left,
            streams=self._streams_without(name),
            order=tuple(other for other in self.order if other != name),
        )

    def with_encoded(self, name: str, encoded: Encoded, dtype: str) -> Export:
        """The export with matrix `name` replaced by an encoding; int8-per-row ones use the layout's own slots.

        Replacing in place keeps the tensor's position in the file.
        """
        if encoded.native:
            values, scales = encoded.tensor("values"), encoded.tensor("scales")
            if name in self.quantized:
                kept, streams = _drop(self.corrections, name), self._streams_without(name)
                rest, dtype = replace(self, corrections=kept, streams=streams), self.dtypes[name]
            else:
                rest = self.without(name)
            quantized, scaled = {**rest.quantized, name: values}, {**rest.scales, name: scales}
            return replace(rest, quantized=quantized, scales=scaled, dtypes={**rest.dtypes, name: dtype})
        rest = self.without(name)
        return replace(rest, schemes={**rest.schemes, name: encoded}, dtypes={**rest.dtypes, name: dtype})

    def _streams_without(self, name: str) -> dict[str, bytes]:
        return {key: data for key, data in self.streams.items() if key != name and not key.startswith(f"{name}/")}


#: Parts of an export that are tensors by name, and those that are dtypes.
_TENSORS, _DTYPES = ("quantized", "scales", "passthrough"), ("dtypes", "kept_dtypes")


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or (one.dtype == other.dtype and torch.equal(one, other))


def _same_encodings(one: Encoded | None, other: Encoded | None) -> bool:
    if one is None or other is None:
        return one is other
    if (one.scheme, one.shape, len(one.tables)) != (other.scheme, other.shape, len(other.tables)):
        return False
    pairs = zip(one.tables, other.tables, strict=True)
    return all(a.name == b.name and _same(a.tensor, b.tensor) for a, b in pairs)


def _drop(values: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in values.items() if key != name}


def quantise(state: Mapping[str, Tensor], recipe: Recipe, seed: int = 0, jobs: int = 1) -> Export:
    """Apply a recipe to a state dict; `ConfigError` for rules that fit no tensor and tensors that fit no rule.

    `UsageError` for a rule by scheme where the tensor is no matrix, or the layout is not the scheme's.  `seed` is for
    schemes that draw anything; `jobs` processes encode matrices by schemes, where there is work for them.
    """
    check_patterns(recipe, state, f"recipe {recipe.name}")
    quantized, scales, passthrough = dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()
    dtypes, kept_dtypes = dict[str, str](), dict[str, str]()
    labels, suffixes = dict[str, Label](), dict[str, tuple[str, str]]()
    by_scheme = dict[str, ByScheme]()
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            passthrough[name] = tensor.contiguous()
            labels[name] = KEPT
            continue
        rule = rule_for(recipe, name, tensor.shape)
        if rule.meta is not None:
            labels[name] = rule.meta
        if isinstance(rule, Integer):
            quantized[name], scales[name] = quantise_tensor(tensor, rule)
            dtypes[name] = dtype_name(tensor)
            suffixes[name] = rule.suffixes
            labels.setdefault(name, {"type": f"int{rule.bits}"})
        elif isinstance(rule, ByScheme):
            if tensor.ndim != 2:
                raise UsageError(
                    f"recipe {recipe.name}: rule {rule.name}: {name!r} is no matrix, and schemes take those"
                )
            own = schemes.get(rule.scheme).layouts
            if own and recipe.layout not in own:
                raise UsageError(
                    f"recipe {recipe.name}: rule {rule.name}: scheme {rule.scheme} has its place in layout "
                    f"{' or '.join(own)}, not in {recipe.layout}"
                )
            by_scheme[name], dtypes[name] = rule, dtype_name(tensor)
        elif isinstance(rule, Keep):
            kept = tensor if rule.dtype == "original" else tensor.to(getattr(torch, rule.dtype))
            passthrough[name] = kept.contiguous()
            labels.setdefault(name, KEPT)
            if rule.dtype not in ("float32", "original") and tensor.dtype in (torch.float32, torch.bfloat16):
                kept_dtypes[name] = dtype_name(tensor)
    return Export(
        quantized=quantized,
        scales=scales,
        dtypes=dtypes,
        passthrough=passthrough,
        kept_dtypes=kept_dtypes,
        schemes=_encoded({name: (rule, state[name]) for name, rule in by_scheme.items()}, seed, jobs),
        corrections=_corrections(state, quantized, scales, recipe),
        labels=labels,
        suffixes=suffixes,
        order=tuple(state),
    )


#: Matrices to encode: the rule and the weights of each.
_ByScheme = Mapping[str, tuple[ByScheme, Tensor]]


def _encoded(matrices: _ByScheme, seed: int, jobs: int) -> dict[str, Encoded]:
    """Encodings in their order, the same for any number of processes."""
    names = list(matrices)
    if sum(tensor.numel() for _, tensor in matrices.values()) < _WORTH_PROCESSES:
        jobs = 1
    with Processes((matrices, seed), jobs) as processes:
        return dict(zip(names, processes.in_order(_encode, names), strict=True))


def _encode(shared: tuple[_ByScheme, int], name: str) -> Encoded:
    matrices, seed = shared
    rule, tensor = matrices[name]
    with one_thread():
        return schemes.get(rule.scheme).encode(tensor.float(), rule.options, Context(seed=seed))


def _corrections(
    state: Mapping[str, Tensor], quantized: Mapping[str, Tensor], scales: Mapping[str, Tensor], recipe: Recipe
) -> dict[str, dict[str, Tensor]]:
    """Corrections of the matrices whose residual is largest by Frobenius norm; the earlier name wins a tie."""
    corrections: dict[str, dict[str, Tensor]] = {}
    for rule in recipe.corrections:
        residuals = {
            name: state[name].float() - dequantise(quantized[name], scales[name])
            for name in matching(rule.match, quantized)
            if quantized[name].ndim == 2 and name not in corrections
        }
        norms = {name: float(residual.norm()) for name, residual in residuals.items()}
        for name in sorted(norms, key=lambda name: -norms[name])[: rule.most]:
            corrections[name] = low_rank_correction(residuals[name], rule)
    return corrections


def decode(export: Export, given: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state dict that a decoder would load: every tensor in its original dtype; those `given` are taken as such."""
    names, given = (*export.quantized, *export.passthrough, *export.schemes), given or {}
    return {name: given[name] if name in given else decode_tensor(export, name) for name in names}


def decode_tensor(export: Export, name: str) -> Tensor:
    """One tensor of that state dict, of its own shape; `KeyError` where there is none of the name."""
    if name in export.quantized:
        matrix = dequantise(export.quantized[name], export.scales[name])
        if name in export.corrections:
            matrix = matrix + apply_correction(dict(export.corrections[name]))
        return matrix.to(getattr(torch, export.dtypes[name]))
    if name in export.schemes:
        return export.schemes[name].decoded().to(getattr(torch, export.dtypes[name]))
    tensor = export.passthrough[name]
    return tensor.to(getattr(torch, export.kept_dtypes[name])) if name in export.kept_dtypes else tensor


def dtype_name(tensor: Tensor) -> str:
    """`float32` and the like of a tensor of any shape; a fresh string, because pickle stores shared ones only once."""
    return str(tensor.dtype).removeprefix("torch.")
