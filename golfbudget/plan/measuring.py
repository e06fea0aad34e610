"""Measured losses of written files: bits per byte, loss by token frequency, and divergence from the baseline.

A loss depends on the matrices and the text only, so it is kept by the file's bytes; a user's own program may do
anything, so its losses are not kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.plan.kept import Kept, Measured, digest
from golfbudget.plan.results import BandLoss, Divergence, Evaluation
from golfbudget.quality.bands import BandChange, frequency_bands, loss_by_band
from golfbudget.quality.bootstrap import ratio_interval
from golfbudget.quality.evaluate import Evaluator, Interval, Losses
from golfbudget.quality.text import Text
from golfbudget.quality.tokens import predicted_counts

#: Divergence is taken on the text's first windows, this many tokens of them: it varies far less than loss does.
_DIVERGENCE_TOKENS = 16_384
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a file's quality is against the baseline's."""

    interval: Interval
    divergence: Divergence
    bands: tuple[BandLoss, ...]


class Measuring:
    """Measures files of one architecture against one baseline; names stand for what was measured."""

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        model: str,
        kept: Kept,
        seed: int,
        vocabulary: int,
        baseline: Mapping[str, Tensor],
        file: bytes,
        source: Mapping[str, Tensor],
    ) -> None:
        text = evaluator.text
        self.evaluator, self.seed, self._baseline = evaluator, seed, baseline
        self._kept = kept if model.startswith("builtin:") else Kept(folder=None)
        self._first = min(len(text.windows), max(2, _DIVERGENCE_TOKENS // (text.windows.shape[1] - 1)))
        self._name = f"{digest({'windows': text.windows})}:{model}:{hashlib.sha256(file).hexdigest()}"
        self.counts = predicted_counts(text, vocabulary)
        self._bands = frequency_bands(self.counts)
        self._targets: NDArray[np.int64] = text.windows[:, 1:].numpy()
        self._sums: dict[str, Losses] = {}
        before = self._measure(source, None, digest(source).encode(), keep=False)
        own = self._measure(baseline, None, file, keep=True)
        self._tokens = own.nats
        self._sums[""] = own.nats.sum(1)
        self.nats_per_token = float(own.nats.mean())
        self.bytes_per_token = text.bytes / text.tokens
        self.evaluation = Evaluation(
            model=model,
            tokens=text.tokens,
            text_bytes=text.bytes,
            baseline_bits_per_byte=round(evaluator.bits_per_byte(own.nats), _DIGITS),
            source_bits_per_byte=round(evaluator.bits_per_byte(before.nats), _DIGITS),
        )

    def measure(self, name: str, state: Mapping[str, Tensor], bias: Tensor | None, file: bytes) -> Change:
        """Measure what a file decodes to, under a name for later comparison."""
        found = self._measure(state, bias, file, keep=False)
        self._sums[name] = found.nats.sum(1)
        bands = loss_by_band(self._bands, self._targets, self._tokens, found.nats, seed=self.seed)
        return Change(
            interval=self.compare("", name),
            divergence=self._divergence(found.divergence),
            bands=tuple(made for band in bands if (made := _band(band)) is not None),
        )

    def compare(self, base: str, new: str) -> Interval:
        """The change from one measured file to another in bits per byte; no name is the baseline's."""
        return self.evaluator.compare(self._sums[base], self._sums[new], self.seed)

    def nats(self, name: str) -> float:
        """A measured file's loss, nats per token."""
        return float(self._sums[name].sum()) / self.evaluator.text.tokens

    def _measure(self, state: Mapping[str, Tensor], bias: Tensor | None, file: bytes, *, keep: bool) -> Measured:
        known = self._kept.losses(self._name, file)
        if known is not None and known.nats.shape == self._targets.shape:
            return known
        nats = self.evaluator.token_losses(state, bias=bias, keep=keep)
        divergence = self.evaluator.divergences(self._baseline, state, bias=bias, windows=self._first).mean(1)
        found = Measured(nats=nats, divergence=divergence)
        self._kept.keep_losses(self._name, file, found)
        return found

    def _divergence(self, means: NDArray[np.float64]) -> Divergence:
        low, high = ratio_interval(means, np.ones(len(means)), seed=self.seed)
        value, low, high = (round(x, _DIGITS) for x in (float(means.mean()), low, high))
        return Divergence(value=value, low=low, high=high, tokens=self._first * self._targets.shape[1])


def first(text: Text, windows: int) -> Text:
    """The first windows of a text; its counts stay the whole text's."""
    return Text(windows=text.windows[:windows], bytes_per_window=text.bytes_per_window[:windows], counts=text.counts)


def _band(change: BandChange) -> BandLoss | None:
    """A band that occurs, rounded for people and for files that are compared byte by byte."""
    if change.base is None or change.delta is None or change.low is None or change.high is None:
        return None
    return BandLoss(
        label=change.label,
        tokens=change.tokens,
        occurrences=change.occurrences,
        base=round(change.base, _DIGITS),
        delta=round(change.delta, _DIGITS),
        low=round(change.low, _DIGITS),
        high=round(change.high, _DIGITS),
    )
