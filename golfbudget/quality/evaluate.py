"""Bits per byte of a model on evaluation text, and the change between two models with an interval.

Losses are kept per window, so that two models are compared on the same text: the interval is a paired bootstrap
over windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.errors import ModelError
from golfbudget.quality.baseline_model import EMBEDDING, HEAD, BaselineModel, logits
from golfbudget.quality.text import Text

METRIC = "bits-per-byte"
RESAMPLES = 2000
CONFIDENCE = 0.95
#: Fixed, because the order of a parallel sum shows in the last digits.
THREADS = 2
_WINDOWS_AT_ONCE = 16

Losses = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A change in bits per byte and its 95 % interval; positive is worse."""

    delta: float
    low: float
    high: float


class Evaluator:
    """Scores state dicts of one architecture on one text; hidden states are reused while only the head changes."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self._trunk: Mapping[str, Tensor] | None = None
        self._hidden: Tensor | None = None

    def losses(self, state: Mapping[str, Tensor]) -> Losses:
        """Nats lost in each window, float64 [n]."""
        model = BaselineModel.from_state(state)
        vocabulary = model.shape.vocab
        if int(self.text.windows.max()) >= vocabulary:
            raise ModelError(
                f"the text holds token {int(self.text.windows.max())}, the model's vocabulary has {vocabulary}"
            )
        with torch.inference_mode(), _threads(THREADS):
            hidden = self._hidden_states(model, state)
            parts = [
                F.cross_entropy(
                    logits(h, model.head).flatten(0, 1).float(), w[:, 1:].flatten(), reduction="none"
                ).view(len(w), -1)
                for h, w in zip(hidden.split(_WINDOWS_AT_ONCE), self.text.windows.split(_WINDOWS_AT_ONCE), strict=True)
            ]
        nats: Losses = torch.cat(parts).double().sum(1).numpy()
        if not np.isfinite(nats).all():
            raise ModelError("the model's loss is not finite on the evaluation text")
        return nats

    def _hidden_states(self, model: BaselineModel, state: Mapping[str, Tensor]) -> Tensor:
        """States [n, length, width], kept from the last call when everything before the head is the same."""
        trunk = {name: tensor for name, tensor in state.items() if name != HEAD}
        if self._hidden is None or self._trunk is None or not _same(trunk, self._trunk):
            parts = [model.hidden_states(w[:, :-1]) for w in self.text.windows.split(_WINDOWS_AT_ONCE)]
            self._trunk, self._hidden = trunk, torch.cat(parts)
        return self._hidden

    def bits_per_byte(self, losses: Losses) -> float:
        """Total bits over total bytes."""
        return float(losses.sum()) / math.log(2) / self.text.bytes

    def compare(self, base: Losses, new: Losses, seed: int) -> Interval:
        """The change from `base` to `new`, with a percentile interval over resampled windows."""
        difference = (new - base) / math.log(2)
        weights = self.text.bytes_per_window.numpy()
        chosen = np.random.default_rng(seed).integers(0, len(difference), size=(RESAMPLES, len(difference)))
        samples = difference[chosen].sum(1) / weights[chosen].sum(1)
        low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        delta = float(difference.sum()) / self.text.bytes
        return Interval(delta=round(delta, 6), low=round(float(low), 6), high=round(float(high), 6))


def untie(state: Mapping[str, Tensor], head: Tensor) -> dict[str, Tensor]:
    """The state with an output matrix of its own."""
    return {**state, HEAD: head}


def _same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name] is b[name] or torch.equal(a[name], b[name]) for name in a)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["EMBEDDING", "HEAD", "METRIC", "Evaluator", "Interval", "Losses", "untie"]
