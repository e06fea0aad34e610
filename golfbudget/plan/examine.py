"""What is learned from a candidate's written file without running it: bytes, certificates, and its matrices' errors.

Everything is taken from what comes back out of the file, so what is judged is what ships.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from golfbudget.artifact import open_bytes
from golfbudget.certificates import Certificate, bits_per_byte
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.plan.building import decoder_bytes, matrix_of
from golfbudget.plan.certify import TYING, Counts, LossToBeat, adds_by_tying, floor_of, ruled_out
from golfbudget.plan.distortion import by_error, output_error
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.reading import Decoded, read_back
from golfbudget.plan.trials import Candidate, Quality, Side, Trial
from golfbudget.plan.writing import WrittenFile
from golfbudget.quality.evaluate import METRIC
from golfbudget.roles import assign
from golfbudget.rules import Budget

BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The recipe's own file: what it decodes to, and where it stands; `over` are its bytes over the cap.

    A preview's bytes do not say whether it is over.
    """

    data: bytes
    decoded: Decoded
    inspection: Inspection
    over: int

    @classmethod
    def of(cls, prepared: Prepared, data: bytes) -> Baseline:
        """From its bytes."""
        request, artifact = prepared.request, open_bytes(data, name=BASELINE)
        budget = Budget(cap=request.cap, stored=len(data), code=request.code_bytes)
        return cls(
            data=data,
            decoded=read_back(data, BASELINE),
            inspection=Inspection(artifact=artifact, assignment=assign(artifact, prepared.roles), budget=budget),
            over=0 if request.preview else max(0, -budget.headroom),
        )


def examined(prepared: Prepared, baseline: Baseline, file: WrittenFile, data: bytes, counts: Counts | None) -> Trial:
    """The trial of a written file of these bytes, not run; `counts` [vocabulary] are what its floor is about."""
    candidate, request = file.candidate, prepared.request
    decoder = decoder_bytes(candidate)
    counted = len(data) + decoder
    decoded = read_back(data, candidate.name)
    saved = len(baseline.data) - counted
    return Trial(
        candidate=candidate,
        tables=file.tables,
        decoder_bytes=decoder,
        artifact_bytes=len(data),
        sha256=file.sha256,
        saved_bytes=saved,
        fits=counted + (request.code_bytes or 0) <= request.cap,
        quality=_quality(prepared, baseline, candidate, decoded),
        floor=_floor(prepared, candidate, decoded, counts),
        loser=TYING if adds_by_tying(candidate, saved) else None,
    )


def _quality(prepared: Prepared, baseline: Baseline, candidate: Candidate, decoded: Decoded) -> Quality:
    if candidate.side is Side.LOSSLESS:
        same = _equal(decoded, baseline.decoded)
        evidence = Evidence.CERTIFIED if same else Evidence.MODELLED
        return Quality(metric=METRIC, delta=0.0 if same else None, low=None, high=None, evidence=evidence)
    source = prepared.source
    quality = by_error(source, candidate, baseline.decoded.state, decoded.state, biased=bool(decoded.biases))
    matrices = {owner: matrix_of(source, owner) for owner in candidate.owners}
    moved = output_error(matrices, decoded.state, prepared.encoders.covariances, candidate.owners)
    return replace(quality, output_error=None if moved is None else float(f"{moved:.4g}"))


def _equal(one: Decoded, other: Decoded) -> bool:
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _floor(prepared: Prepared, candidate: Candidate, decoded: Decoded, counts: Counts | None) -> Certificate | None:
    """The floor of a head some of whose rows came out equal."""
    source = prepared.source
    owners = (source.head_owner, source.head)
    if counts is None or not counts.sum() or not set(owners).intersection(candidate.owners):
        return None
    head = decoded.state.get(source.head_owner, decoded.state[source.head])
    floor = floor_of(source, candidate, head, decoded.bias_of(*owners), counts)
    return floor if floor.value else None


def loses(trial: Trial, loss: LossToBeat | None) -> bool:
    """Whether the trial's floor rules it out before it is run."""
    return ruled_out(trial.floor, loss, trial.saved_bytes)


def lost(trial: Trial, loss: LossToBeat | None) -> Trial:
    """The trial of a candidate that its floor rules out: the least change that the floor leaves is known."""
    if trial.floor is None or loss is None:
        return trial
    least = round(bits_per_byte(trial.floor.value - loss.nats, loss.bytes_per_token), 6)
    quality = replace(
        trial.quality, metric=METRIC, delta=None, low=least, high=None, evidence=Evidence.CERTIFIED
    )  # fmt: skip
    return replace(trial, quality=quality, loser=trial.floor.name)
