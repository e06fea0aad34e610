"""What is learned from a candidate's written file: bytes, certificates, and quality by the strongest evidence there is.

Quality is taken from the matrices that come back out of the file, so what is measured is what ships.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from golfbudget.certificates import Certificate, bits_per_byte, marks_loser
from golfbudget.plan import quality
from golfbudget.plan.building import Built, decoder_bytes, matrix_of
from golfbudget.plan.certify import TYING, Loss, adds_by_tying, floor_of, least_loss, ruled_out
from golfbudget.plan.distortion import output_error
from golfbudget.plan.kept import Kept
from golfbudget.plan.measuring import Measuring
from golfbudget.plan.reading import Decoded, read_back
from golfbudget.plan.results import Candidate, Evidence, Quality, Side, Trial
from golfbudget.plan.settings import BUILTIN, Settings
from golfbudget.plan.source import Source
from golfbudget.quality.evaluate import METRIC


class Judge:
    """Judges files against one baseline; `trials` are those that are finished.

    `over` are the bytes by which the baseline is over the cap.
    """

    def __init__(self, source: Source, settings: Settings, kept: Kept, baseline: bytes, *, over: int) -> None:
        self.source, self.settings, self.kept, self.over = source, settings, kept, over
        self.baseline_bytes = len(baseline)
        self.decoded = read_back(baseline, "baseline")
        self.trials: list[Trial] = []
        self.waiting: list[tuple[Trial, Decoded, Built]] = []
        self.measuring = self._measuring(baseline)
        counts = None if settings.counts is None else settings.counts.numpy()
        self.counts = counts if self.measuring is None else self.measuring.counts

    def _measuring(self, data: bytes) -> Measuring | None:
        if self.settings.evaluator is None:
            return None
        return Measuring(
            self.settings.evaluator,
            model=self.settings.model or "",
            kept=self.kept,
            seed=self.settings.inputs.seed,
            vocabulary=self.source.rows,
            baseline=self.decoded.state,
            file=data,
            source=self.source.reference,
        )

    @property
    def loss(self) -> Loss | None:
        """What floors are held against; a user's own program may do more than multiply by the head."""
        if self.measuring is None or not (self.settings.model or "").startswith(BUILTIN):
            return None
        return Loss(
            nats=self.measuring.nats_per_token,
            bytes_per_token=self.measuring.bytes_per_token,
            price=self.settings.price,
        )

    def add(self, candidate: Candidate, built: Built) -> Trial:
        """Read a candidate's file back, and keep what was learned."""
        decoder = decoder_bytes(candidate)
        counted = len(built.data) + decoder
        decoded = read_back(built.data, candidate.name)
        saved = self.baseline_bytes - counted
        floor = self._floor(candidate, decoded)
        trial = Trial(
            candidate=candidate,
            tables=built.tables,
            decoder_bytes=decoder,
            artifact_bytes=len(built.data),
            sha256=hashlib.sha256(built.data).hexdigest(),
            saved_bytes=saved,
            fits=counted + (self.settings.code_bytes or 0) <= self.settings.cap,
            quality=self._by_error(candidate, decoded),
            floor=floor,
            loser=TYING if adds_by_tying(candidate, saved) else None,
        )
        if ruled_out(floor, self.loss, saved) and trial.loser is None:
            if self.over and trial.fits:
                # Over the cap it is rivals that fit whose loss counts; they are all known at the end.
                self.waiting.append((trial, decoded, built))
                return trial
            trial = self._lost(trial)
        elif trial.loser is None:
            trial = self._measured(trial, decoded, built)
        self.trials.append(trial)
        return trial

    def _floor(self, candidate: Candidate, decoded: Decoded) -> Certificate | None:
        """The floor of a head some of whose rows came out equal."""
        owners = {self.source.head, self.source.head_owner}
        if self.counts is None or not self.counts.sum() or not owners.intersection(candidate.owners):
            return None
        head = decoded.state.get(self.source.head_owner, decoded.state[self.source.head])
        floor = floor_of(self.source, candidate, head, self._bias(decoded), self.counts)
        return floor if floor.value else None

    def _bias(self, decoded: Decoded) -> Tensor | None:
        return decoded.bias_of(self.source.head_owner, self.source.head)

    def _lost(self, trial: Trial) -> Trial:
        """The trial of a candidate that its floor rules out: the least change that the floor leaves is known."""
        if trial.floor is None or self.loss is None:
            return trial
        least = round(bits_per_byte(trial.floor.value - self.loss.nats, self.loss.bytes_per_token), 6)
        known = replace(
            trial.quality, metric=METRIC, delta=None, low=least, high=None, evidence=Evidence.CERTIFIED
        )  # fmt: skip
        return replace(trial, quality=known, loser=trial.floor.name)

    def _by_error(self, candidate: Candidate, decoded: Decoded) -> Quality:
        if candidate.side is Side.LOSSLESS:
            same = _equal(decoded, self.decoded)
            evidence = Evidence.CERTIFIED if same else Evidence.MODELLED
            return Quality(metric=METRIC, delta=0.0 if same else None, low=None, high=None, evidence=evidence)
        state = self.decoded.state
        found = quality.by_error(self.source, candidate, state, decoded.state, biased=bool(decoded.biases))
        matrices = {owner: matrix_of(self.source, owner) for owner in candidate.owners}
        moved = output_error(matrices, decoded.state, self.settings.moments, candidate.owners)
        return replace(found, output_error=None if moved is None else float(f"{moved:.4g}"))

    def _measured(self, trial: Trial, decoded: Decoded, built: Built) -> Trial:
        """With the measured change, where there is a model to run; the same bytes need no measuring."""
        if self.measuring is None or trial.candidate.side is Side.LOSSLESS:
            return trial
        change = self.measuring.measure(trial.candidate.name, decoded.state, self._bias(decoded), built.data)
        return replace(trial, quality=quality.measured(trial.quality, change))

    def settle(self) -> None:
        """Candidates that their floor rules out only if a rival that fits loses less."""
        for trial, decoded, built in sorted(self.waiting, key=lambda waiting: waiting[0].candidate.name):
            rival = least_loss(self.trials)
            beaten = False
            if rival is not None and self.measuring is not None and trial.floor is not None:
                beaten = marks_loser(trial.floor, self.measuring.nats(rival.candidate.name))
            self.trials.append(self._lost(trial) if beaten else self._measured(trial, decoded, built))
        self.waiting.clear()

    def compare(self, one: Trial, other: Trial) -> tuple[float, float]:
        """(low, high) of the change in bits per byte from one trial to another, where both were measured."""
        if self.measuring is None:
            raise RuntimeError("losses are compared only where they were measured")
        interval = self.measuring.compare(one.candidate.name, other.candidate.name)
        return interval.low, interval.high


def _equal(one: Decoded, other: Decoded) -> bool:
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
