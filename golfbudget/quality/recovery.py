"""Fine-tuning of an artifact before it is written: a few steps on calibration text through its own rounding.

Every float tensor has latent float values that are trained.  The forward pass runs on what the file would decode to:
integers rounded to the scales that they have, kept tensors in their stored type, encoded matrices as their scheme
`refit`s them.  The gradient passes straight through the rounding (Bengio et al., arXiv:1308.3432).  So the loss of the
last step's weights is that of the file, and nothing is quantised afterwards.  Scales, maps, tiers and corrections stay
as they are, and so do the tables of schemes that cannot move them.

On one thread and from a seed: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import schemes
from golfbudget.errors import ModelError
from golfbudget.quality.baseline_model import BaselineModel
from golfbudget.quality.evaluate import check_tokens
from golfbudget.quality.text import Text
from golfbudget.recipe.export import Export, apply_correction, decode, dequantise
from golfbudget.schemes import Encoded
from golfbudget.schemes.threads import one_thread

#: Adam's rate at its peak, between two needs seen on the embedded example in a hundred steps on 51,200 tokens: a VQ
#: head gains more the higher it is (a head of 256 codes most at 1e-3, less at 3e-4, least at 1e-4), and the unchanged
#: model, which is trained already, learns so short a text by heart (at 3e-4 it loses 0.008 bits per byte elsewhere).
PEAK_RATE = 3e-4
#: The rate rises over this share of the steps, so that Adam's second moments are known before it is high, and then
#: falls in a straight line to zero: the last steps settle what rounds up and what rounds down.
RISE = 0.1
#: Adam's own defaults, but for a second moment that a hundred steps suffice to know.
BETAS = (0.9, 0.98)
#: Gradients longer than this are shortened to it: one odd batch shall not decide a short training.
LONGEST_GRADIENT = 1.0
#: Predicted tokens of a step: as many windows as make these, one at least.
TOKENS_A_STEP = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What candidates are trained on: windows of calibration text, drawn by the seed."""

    text: Text
    seed: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the text; the seed stands with the plan."""
        windows = self.text.windows
        return hashlib.sha256(f"{list(windows.shape)}:".encode() + windows.contiguous().numpy().tobytes()).hexdigest()

    def batches(self, steps: int) -> Iterator[Tensor]:
        """Windows of each step: the text in a random order, and again in another when it is used up."""
        generator = torch.Generator().manual_seed(self.seed)
        windows = self.text.windows
        many = max(1, TOKENS_A_STEP // (windows.shape[1] - 1))
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            while len(order) < many:
                order = torch.cat((order, torch.randperm(len(windows), generator=generator)))
            yield windows[order[:many]]
            order = order[many:]


class _Stored(ABC):
    """How one tensor is stored; `bias` is what a head adds to its logits, for schemes that have one."""

    @abstractmethod
    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What latent values decode to once they are stored, float32; the latent itself is not changed."""

    def smooth(self, latent: Tensor) -> Tensor:
        """The same without rounding, differentiable."""
        return latent

    @abstractmethod
    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        """The export with these latent values stored in it."""


@dataclass(frozen=True, slots=True)
class _Integers(_Stored):
    """Integers in the layout's slots, at the scales they have, within the range and the step that they show."""

    values: Tensor
    scales: Tensor
    correction: Tensor | None
    dtype: torch.dtype

    def _rounded(self, latent: Tensor) -> Tensor:
        if self.correction is not None:
            latent = latent - self.correction
        step = max(1, int(np.gcd.reduce(self.values.flatten().numpy().astype(np.int64))))
        scales = self.scales.float().view(-1, *([1] * (latent.ndim - 1)))
        levels = (latent / (scales * step)).round() * step
        return levels.clamp(int(self.values.min()), int(self.values.max())).to(torch.int8)

    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        matrix = dequantise(self._rounded(latent), self.scales)
        if self.correction is not None:
            matrix = matrix + self.correction
        return matrix.to(self.dtype).float(), bias

    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        values = self._rounded(latent).reshape(self.values.shape).contiguous()
        return replace(export, quantized={**export.quantized, name: values})


@dataclass(frozen=True, slots=True)
class _AsItIs(_Stored):
    """A tensor stored as it is, in `stored`; decoders give it back as `dtype`."""

    stored: torch.dtype
    dtype: torch.dtype

    def decoded(self, latent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return latent.to(self.stored).to(self.dtype).float(), bias

    def written(self, export: Export, name: str, latent: Tensor, bias: Tensor | None) -> Export:
        return replace(export, passthrough={**export.passthrough, name: latent.to(self.stored).contiguous()})


@dataclass(frozen=True, slots=True)
class _Tables(_Stored):
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


def _stored(export: Export) -> dict[str, _Stored]:
    """How every float tensor that training can move is stored."""
    found: dict[str, _Stored] = {}
    for name, values in export.quantized.items():
        tables = export.corrections.get(name)
        correction = None if tables is None else apply_correction(dict(tables))
        found[name] = _Integers(values, export.scales[name], correction, getattr(torch, export.dtypes[name]))
    for name, tensor in export.passthrough.items():
        if tensor.is_floating_point():
            dtype = export.kept_dtypes.get(name)
            found[name] = _AsItIs(tensor.dtype, tensor.dtype if dtype is None else getattr(torch, dtype))
    for name, encoded in export.schemes.items():
        scheme = schemes.get(encoded.scheme)
        if scheme.refit(encoded, scheme.decode(encoded), scheme.bias(encoded)) is not None:
            found[name] = _Tables(encoded, getattr(torch, export.dtypes[name]))
    return found


def recover(export: Export, reference: Mapping[str, Tensor], training: Training, steps: int) -> Export:
    """The export after `steps` of training; `reference` are the tensors as they were before they were stored.

    Latent values start at the reference wherever the export stores that as it has it, and at the export's own values
    elsewhere: before the first step, the model is the file's.  `ModelError` where the built-in model does not take the
    tensors, or where the loss is not finite.
    """
    state = {name: tensor.float() for name, tensor in decode(export).items()}
    module = BaselineModel.from_state(state)
    check_tokens(training.text, module.shape.vocab)
    weights = []
    for name, how in _stored(export).items():
        bias = _bias(export, name)
        latent = _start(how, reference[name].float(), state[name], bias)
        weights.append(_Weight(name, how, latent.requires_grad_(), None if bias is None else bias.requires_grad_()))
    with one_thread(), torch.enable_grad():
        _train(module, weights, training, steps)
    for weight in weights:
        bias = None if weight.bias is None else weight.bias.detach()
        export = weight.how.written(export, weight.name, weight.latent.detach(), bias)
    return export


def _bias(export: Export, name: str) -> Tensor | None:
    encoded = export.schemes.get(name)
    return None if encoded is None else schemes.get(encoded.scheme).bias(encoded)


def _start(how: _Stored, reference: Tensor, own: Tensor, bias: Tensor | None) -> Tensor:
    """The reference where it decodes to the export's own values, and these elsewhere."""
    return torch.where(how.decoded(reference, bias)[0] == own, reference, own).clone()


@dataclass(frozen=True, slots=True)
class _Weight:
    """A tensor in training."""

    name: str
    how: _Stored
    latent: Tensor
    bias: Tensor | None

    def forward(self) -> tuple[Tensor, Tensor | None]:
        """What the file would decode to, the gradient passing straight through to the latent values."""
        with torch.no_grad():
            weight, bias = self.how.decoded(self.latent, self.bias)
        smooth = self.how.smooth(self.latent)
        if self.bias is not None and bias is not None:
            bias = self.bias + (bias - self.bias).detach()
        return smooth + (weight - smooth).detach(), bias


def _train(module: nn.Module, weights: Sequence[_Weight], training: Training, steps: int) -> None:
    trained = [tensor for weight in weights for tensor in (weight.latent, weight.bias) if tensor is not None]
    adam = torch.optim.Adam(trained, lr=0.0, betas=BETAS)
    for step, windows in enumerate(training.batches(steps)):
        adam.param_groups[0]["lr"] = rate(step, steps)
        found = {weight.name: weight.forward() for weight in weights}
        logits = functional_call(module, {name: weight for name, (weight, _) in found.items()}, (windows[:, :-1],))
        for _, bias in found.values():
            logits = logits if bias is None else logits + bias
        loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        if not bool(torch.isfinite(loss)):
            raise ModelError(f"recovery: the loss is not finite at step {step + 1} of {steps}")
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, LONGEST_GRADIENT)
        adam.step()


def rate(step: int, steps: int) -> float:
    """Adam's rate at a step, counted from zero: it rises to its peak and falls to nearly zero.

    >>> [round(rate(step, 10) / PEAK_RATE, 2) for step in (0, 1, 5, 9)]
    [1.0, 0.9, 0.5, 0.1]
    """
    rise = max(1, round(RISE * steps))
    return PEAK_RATE * min((step + 1) / rise, (steps - step) / max(1, steps - rise + 1))
