"""Measured losses of written files: bits per byte, loss by token frequency, and divergence from the baseline.

A loss depends on the matrices and the text only, so it is kept by what the file decodes to, and files that decode to
the same are run once.  A user's own program may do anything: its losses are not kept for another plan, and it is run in
one process only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from golfbudget.evidence import Evidence
from golfbudget.plan.result_cache import FileLosses, ResultCache
from golfbudget.plan.results import Evaluation
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import BandLoss, Divergence, Information, Trial
from golfbudget.quality.bands import FrequencyBands, frequency_bands, loss_by_band
from golfbudget.quality.evaluate import METRIC, Evaluator
from golfbudget.quality.information import split_information
from golfbudget.quality.intervals import Interval, ratio_interval
from golfbudget.quality.text import predicted_counts
from golfbudget.recipe.decoded import ReadFile, read_back
from golfbudget.schemes.threads import one_thread

#: Divergence is taken on the text's first windows, this many tokens of them: it varies far less than loss does.  Fewer
#: where vocabularies are large, for it takes both models' every logit in double precision.
_DIVERGENCE_TOKENS, _DIVERGENCE_LOGITS = 16_384, 1 << 27
_DIGITS = 6
#: A perplexity over e to this is no number to print.
_MOST_NATS = 700.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurable:
    """A file by the SHA-256 of its bytes, None for the source itself; `content` names what comes out of it."""

    sha256: str | None
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurer:
    """Runs files of one architecture on a text, against one baseline; `key` names all three among kept losses."""

    evaluator: Evaluator
    cache: ResultCache
    source: PlanSource
    baseline: ReadFile
    key: str

    def known(self, content: str) -> FileLosses | None:
        """The losses of files with that content that were measured before."""
        losses = self.cache.losses(self.key, content)
        return losses if losses is not None and losses.nats.shape == self.evaluator.text.windows[:, 1:].shape else None

    def losses(self, file: bytes | None, content: str) -> FileLosses:
        """The losses of a file with that content, None for the source itself."""
        base, divergence, agreement = self.baseline.decoded.state, np.zeros(0), np.zeros(0)
        if file is None:
            nats = self.evaluator.token_losses(self.source.reference)
        else:
            decoded = read_back(file, "written", self.baseline)
            bias = self.source.head_bias(decoded)
            windows = divergence_windows(self.evaluator)
            nats, *departed = self.evaluator.measured(base, decoded.state, bias=bias, windows=windows)
            divergence, agreement = (values.mean(1) for values in departed)
        losses = FileLosses(nats=nats, divergence=divergence, agreement=agreement)
        self.cache.keep_losses(self.key, content, losses)
        return losses

    def informations(self, maps: Sequence[NDArray[np.int64]]) -> list[float]:
        """I(W;H|C) of maps, codes [vocabulary], over the baseline's states, in nats a token; one run for all."""
        known = {one.tobytes(): self.cache.information(self.key, one) for one in maps}
        due = [one for one, nats in known.items() if nats is None]
        if due:
            windows = divergence_windows(self.evaluator)
            with torch.inference_mode(), one_thread():
                chunks = self.evaluator.logit_chunks(self.baseline.decoded.state, keep=True, windows=windows)
                tensors = [torch.from_numpy(np.frombuffer(one, dtype=np.int64).copy()) for one in due]
                found = split_information(chunks, tensors)
            for one, nats in zip(due, found, strict=True):
                known[one] = nats
                self.cache.keep_information(self.key, np.frombuffer(one, dtype=np.int64), nats)
        return [known[one.tobytes()] or 0.0 for one in maps]


def divergence_windows(evaluator: Evaluator) -> int:
    """How many windows of the text divergence is taken on."""
    tokens = min(_DIVERGENCE_TOKENS, _DIVERGENCE_LOGITS // len(evaluator.text.counts))
    return min(len(evaluator.text.windows), max(2, tokens // evaluator.text.window))


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """The baseline's losses, `nats` float64 [windows, length], and how others are held against them.

    `counts` [vocabulary] says how often the text has each token predicted.
    """

    evaluator: Evaluator
    evaluation: Evaluation
    nats: NDArray[np.float64]
    counts: NDArray[np.int64]
    bands: FrequencyBands
    seed: int

    @classmethod
    def of(cls, measurer: Measurer, model: str, *, baseline: FileLosses, source: FileLosses, seed: int) -> Yardstick:
        """From the losses of the baseline, and of the source that it was made from."""
        evaluator, text = measurer.evaluator, measurer.evaluator.text
        counts = predicted_counts(text, measurer.source.rows)
        evaluation = Evaluation(
            model=model,
            tokens=text.tokens,
            windows=len(text.windows),
            text_bytes=text.bytes,
            baseline_bits_per_byte=round(evaluator.bits_per_byte(baseline.nats), _DIGITS),
            source_bits_per_byte=round(evaluator.bits_per_byte(source.nats), _DIGITS),
            baseline_perplexity=float(f"{math.exp(min(baseline.nats.mean(), _MOST_NATS)):.6g}"),
        )
        bands = frequency_bands(counts)
        return cls(
            evaluator=evaluator, evaluation=evaluation, nats=baseline.nats, counts=counts, bands=bands, seed=seed
        )  # fmt: skip

    @property
    def nats_per_token(self) -> float:
        return float(self.nats.mean())

    @property
    def bytes_per_token(self) -> float:
        return self.evaluation.text_bytes / self.evaluation.tokens

    def measured(self, trial: Trial, losses: FileLosses) -> Trial:
        """The trial with its measured change; figures of its error stay beside it."""
        window_nats = losses.nats.sum(1)
        interval = self.evaluator.compare(self.nats.sum(1), window_nats, self.seed)
        quality = replace(
            trial.quality,
            metric=METRIC,
            delta=interval.delta,
            low=interval.low,
            high=interval.high,
            blocks=interval.blocks,
            evidence=Evidence.MEASURED,
            divergence=self._divergence(losses.divergence),
            agreement=round(float(losses.agreement.mean()), _DIGITS) if len(losses.agreement) else None,
            bands=self._bands(losses.nats),
        )
        return replace(trial, quality=quality, window_nats=window_nats)

    def informed(self, trial: Trial, nats: float) -> Trial:
        """The trial with what its map loses over the baseline's trunk, found as `nats` a token."""
        found = Information(
            value=round(nats / math.log(2) / self.bytes_per_token, _DIGITS),
            unit=METRIC,
            evidence=Evidence.MEASURED,
            tokens=divergence_windows(self.evaluator) * self.nats.shape[1],
        )
        return replace(trial, information=found)

    def compare(self, one: Trial, other: Trial) -> Interval:
        """The change in bits per byte from one measured trial to another.

        `RuntimeError` where one was not measured.
        """
        if one.window_nats is None or other.window_nats is None:
            raise RuntimeError("losses are compared only where they were measured")
        return self.evaluator.compare(one.window_nats, other.window_nats, self.seed)

    def nats_of(self, trial: Trial) -> float:
        """Mean nats lost per token; `RuntimeError` where the trial was not measured."""
        if trial.window_nats is None:
            raise RuntimeError(f"{trial.name} was not measured")
        return float(trial.window_nats.sum()) / self.evaluation.tokens

    def _divergence(self, means: NDArray[np.float64]) -> Divergence:
        found = ratio_interval(means, np.ones(len(means)), seed=self.seed).rounded(_DIGITS)
        tokens = len(means) * self.nats.shape[1]
        return Divergence(value=found.delta, low=found.low, high=found.high, tokens=tokens)

    def _bands(self, nats: NDArray[np.float64]) -> tuple[BandLoss, ...]:
        """The bands that occur, rounded for people and for files that are compared byte by byte."""
        targets = self.evaluator.text.windows[:, 1:].numpy()
        changes = loss_by_band(self.bands, targets, self.nats, nats, seed=self.seed)
        return tuple(
            BandLoss(
                label=change.label,
                tokens=change.tokens,
                occurrences=change.occurrences,
                **{name: round(getattr(change, name), _DIGITS) for name in ("base", "delta", "low", "high")},
            )
            for change in changes
            if change.occurrences
        )
