"""What is learned from a candidate's written file without running it: bytes, certificates, and its matrices' errors.

Everything is taken from what comes back out of the file, so what is judged is what ships.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golfbudget.artifact import open_bytes
from golfbudget.certificates import Certificate, bits_per_byte, marks_loser
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.plan.building import Decoded, WrittenFile, decoder_bytes, matrix_of, read_back
from golfbudget.plan.certify import TYING, Counts, LossToBeat, floor_of
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import EQUAL_ERROR, NEGLIGIBLE, Candidate, Quality, Side, Trial, WorstRow
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
        # A tied head that keeps the input table dense adds its tables to the file, whatever training does.
        loser=TYING if candidate.input_side == "dense" and saved <= 0 else None,
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
    source = prepared.source
    owners = (source.head_owner, source.head)
    if counts is None or not counts.sum() or not set(owners).intersection(candidate.owners):
        return None
    head = decoded.state.get(source.head_owner, decoded.state[source.head])
    floor = floor_of(source, candidate, head, decoded.bias_of(*owners), counts)
    return floor if floor.value else None


def loses(trial: Trial, loss: LossToBeat | None) -> bool:
    """Whether the trial's floor, over the baseline's loss and the worth of the bytes saved, rules it out unrun."""
    return trial.floor is not None and loss is not None and marks_loser(trial.floor, loss.at(trial.saved_bytes))


def lost(trial: Trial, loss: LossToBeat | None) -> Trial:
    """The trial of a candidate that its floor rules out: the least change that the floor leaves is known."""
    if trial.floor is None or loss is None:
        return trial
    least = round(bits_per_byte(trial.floor.value - loss.nats, loss.bytes_per_token), 6)
    quality = replace(
        trial.quality, metric=METRIC, delta=None, low=least, high=None, evidence=Evidence.CERTIFIED
    )  # fmt: skip
    return replace(trial, quality=quality, loser=trial.floor.name)


ERROR_METRIC = "squared-error-ratio"


def by_error(
    source: PlanSource,
    candidate: Candidate,
    baseline: Mapping[str, Tensor],
    decoded: Mapping[str, Tensor],
    *,
    biased: bool = False,
) -> Quality:
    """The equal-error rule, matrix by matrix; `modelled` when it does not carry.

    It speaks of matrices only, so it does not carry where a bias is added to the logits (`biased`).
    """
    ratio: float | None = 0.0
    passes, relative, worst = not biased, 0.0, None
    for owner in candidate.owners:
        reference = matrix_of(source, owner).double()
        own = (decoded[owner].double() - reference).square()
        recipe = (baseline[source.head if owner == source.head_owner else owner].double() - reference).square()
        error, allowed, energy = float(own.sum()), float(recipe.sum()), float(reference.square().sum())
        passes = passes and (error <= EQUAL_ERROR * allowed or error <= NEGLIGIBLE * energy)
        relative = max(relative, error / energy if energy else error)
        if ratio is not None:
            ratio = max(ratio, error / allowed) if allowed else (ratio if error == 0 else None)
        rows = own.sum(1) / reference.square().sum(1).clamp_min(1e-30)
        row = int(rows.argmax())
        if worst is None or float(rows[row]) > worst.relative_error:
            worst = WorstRow(owner=owner, row=row, relative_error=float(f"{float(rows[row]):.4g}"))
    return Quality(
        metric=ERROR_METRIC,
        delta=None,
        low=None,
        high=None,
        evidence=Evidence.EQUAL_ERROR if passes else Evidence.MODELLED,
        error_ratio=None if ratio is None else float(f"{ratio:.6g}"),
        relative_error=float(f"{relative:.6g}"),
        worst_row=worst,
    )


def output_error(
    reference: Mapping[str, Tensor],
    decoded: Mapping[str, Tensor],
    covariances: Mapping[str, Tensor],
    names: Sequence[str],
) -> float | None:
    """E‖(Ŵ-W)x‖² over E‖Wx‖² = tr(E C Eᵀ) / tr(W C Wᵀ), C = E[xxᵀ], in the worst matrix; None where no C is known.

    Of an output head these are logits before any cap.  `reference`, `decoded` [rows, columns] and `covariances`
    [columns, columns] go by the names given.
    """
    errors = [
        _energy(decoded[name].double() - reference[name].double(), covariance) / energy
        for name in names
        if (covariance := covariances.get(name)) is not None
        and (energy := _energy(reference[name].double(), covariance)) > 0
    ]
    return max(errors, default=None)


def _energy(matrix: Tensor, covariance: Tensor) -> float:
    return float(torch.sum((matrix @ covariance.double()) * matrix))
