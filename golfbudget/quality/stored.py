"""How each tensor of an export is stored: what latent float values decode to once they are, and writing them into it.

Scales, tiers and corrections stay as the export has them; so do the tables of schemes that cannot move them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from golfbudget import schemes
from golfbudget.recipe.export import Export, apply_correction, dequantise
from golfbudget.schemes import Encoded


class HowStored(ABC):
    """How one tensor is stored; `bias` is what a head adds to its logits, for schemes that have one."""

    @abstractmethod
    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What latent values, of any shape, decode to once they are stored, float32 of that shape; the latent stays.

        And what the bias [rows] comes to, where there is one: [rows], too.
        """

    def smooth(self, latent: Tensor) -> Tensor:
        """The same without rounding, differentiable, of latent values of any shape: in that shape."""
        return latent

    @abstractmethod
    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        """The export with these latent values stored in it, of the tensor's shape; `bias` is [rows]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integers(HowStored):
    """Integers in the layout's slots, at the scales they have: multiples of `step` from `low` to `high`, as shown."""

    shape: torch.Size
    scales: Tensor
    correction: Tensor | None
    dtype: torch.dtype
    low: int
    high: int
    step: int

    def _rounded(self, latent: Tensor) -> Tensor:
        if self.correction is not None:
            latent = latent - self.correction
        scales = self.scales.float().view(-1, *([1] * (latent.ndim - 1)))
        levels = (latent / (scales * self.step)).round() * self.step
        return levels.clamp(self.low, self.high).to(torch.int8)

    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        matrix = dequantise(self._rounded(latent), self.scales)
        if self.correction is not None:
            matrix = matrix + self.correction
        return matrix.to(self.dtype).float(), bias

    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        values = self._rounded(latent).reshape(self.shape).contiguous()
        return replace(export, quantized={**export.quantized, name: values})


@dataclass(frozen=True, slots=True, kw_only=True)
class AsItIs(HowStored):
    """A tensor stored as it is, in `stored`; decoders give it back as `dtype`."""

    stored: torch.dtype
    dtype: torch.dtype

    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return latent.to(self.stored).to(self.dtype).float(), bias

    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        return replace(export, passthrough={**export.passthrough, name: latent.to(self.stored).contiguous()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables(HowStored):
    """A scheme's tables, moved by its `refit`."""

    encoded: Encoded
    dtype: torch.dtype

    def _refit(self, latent: Tensor, bias: Tensor | None) -> Encoded:
        found = schemes.get(self.encoded.scheme).refit(self.encoded, latent, bias)
        return self.encoded if found is None else found

    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        scheme, moved = schemes.get(self.encoded.scheme), self._refit(latent, bias)
        return scheme.decode(moved).to(self.dtype).float(), scheme.bias(moved)

    def smooth(self, latent: Tensor) -> Tensor:
        return schemes.get(self.encoded.scheme).smooth(self.encoded, latent)

    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        return replace(export, schemes={**export.schemes, name: self._refit(latent, bias)})


#: A codebook, its map and at most a bias: what a token's row is, its code says alone.
_PARTS = frozenset({"codebook", "codebook_scales", "map", "bias", "bias_scales"})


def has_map(encoded: Encoded) -> bool:
    """Whether tokens can be given other codes."""
    names = {table.name for table in encoded.tables}
    return {"codebook", "map"} <= names <= _PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A tensor in training: `latent`, and what its head adds to the logits, float values without rounding."""

    name: str
    how: HowStored
    latent: Tensor
    bias: Tensor | None

    @property
    def trained(self) -> list[Tensor]:
        """What an optimiser moves: the latent values, of the tensor's shape, and the bias [rows] where there is one."""
        return [self.latent] if self.bias is None else [self.latent, self.bias]

    def decoded(self) -> tuple[Tensor, Tensor | None]:
        """What the file would decode to: values of the tensor's shape, and a bias [rows]."""
        with torch.no_grad():
            return self.how.decoded(self.latent, self.bias)

    def forward(self) -> tuple[Tensor, Tensor | None]:
        """The same, its gradient passing straight through to the latent values (arXiv:1308.3432).

        Shapes as of `Weight.decoded`.
        """
        weight, bias = self.decoded()
        smooth = self.how.smooth(self.latent)
        if self.bias is not None and bias is not None:
            bias = self.bias + (bias - self.bias).detach()
        return smooth + (weight - smooth).detach(), bias

    @property
    def has_map(self) -> bool:
        """Whether its rows are named by codes that can be chosen anew."""
        return isinstance(self.how, Tables) and has_map(self.how.encoded)

    def copied(self) -> Weight:
        """The same with values of its own."""
        bias = None if self.bias is None else self.bias.detach().clone()
        return replace(self, latent=self.latent.detach().clone(), bias=bias)

    def in_training(self) -> Weight:
        """A copy that gradients reach."""
        copy = self.copied()
        for tensor in copy.trained:
            tensor.requires_grad_()
        return copy

    def taking(self, other: Weight) -> Weight:
        """Stored as another is, with its values in these tensors, which an optimiser knows."""
        with torch.no_grad():
            for tensor, value in zip(self.trained, other.trained, strict=True):
                tensor.copy_(value)
        return replace(self, how=other.how)

    def written(self, export: Export) -> Export:
        """The export with this tensor stored in it."""
        return self.how.written(export, self.name, self.latent.detach(), self.bias)


def weights_of(export: Export, reference: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[Weight]:
    """Every float tensor that training can move; `own` is what the export decodes to, float32.

    Latent values start at the reference wherever the export stores that as it has it, and at the export's own values
    elsewhere: before the first step, the model is the file's.
    """
    found = []
    for name, how in _stored(export).items():
        encoded = export.schemes.get(name)
        bias = None if encoded is None else schemes.get(encoded.scheme).bias(encoded)
        source = reference[name].float()
        latent = torch.where(how.decoded(source, bias)[0] == own[name], source, own[name])
        found.append(Weight(name=name, how=how, latent=latent, bias=bias))
    return found


def _stored(export: Export) -> dict[str, HowStored]:
    found: dict[str, HowStored] = {}
    for name, values in export.quantized.items():
        tables = export.corrections.get(name)
        found[name] = Integers(
            shape=values.shape,
            scales=export.scales[name],
            correction=None if tables is None else apply_correction(dict(tables)),
            dtype=getattr(torch, export.dtypes[name]),
            low=int(values.min()),
            high=int(values.max()),
            step=max(1, int(np.gcd.reduce(values.flatten().numpy().astype(np.int64)))),
        )
    for name, tensor in export.passthrough.items():
        if tensor.is_floating_point():
            dtype = export.kept_dtypes.get(name)
            kept = tensor.dtype if dtype is None else getattr(torch, dtype)
            found[name] = AsItIs(stored=tensor.dtype, dtype=kept)
    for name, encoded in export.schemes.items():
        scheme = schemes.get(encoded.scheme)
        if scheme.refit(encoded, scheme.decode(encoded), scheme.bias(encoded)) is not None:
            found[name] = Tables(encoded=encoded, dtype=getattr(torch, export.dtypes[name]))
    return found
