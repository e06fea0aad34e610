"""What is learned from a candidate's written file without running it: bytes, certificates, and its matrices' errors.

Everything is taken from what comes back out of the file, so what is judged is what ships.  A tie floor speaks of logits
that are the head's products alone.  That holds of the built-in models; of a user's own program it is not known, so
there a floor is printed and rules nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget import schemes
from golfbudget.artifact import open_bytes
from golfbudget.certificates import (
    Certificate,
    allowance,
    best_biased_floor,
    best_tie_floor,
    biased_floor,
    bits_per_byte,
    ceiling,
    marks_loser,
    nats_per_token,
    structure_found,
    tie_floor,
    tied_rows,
)
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.plan.building import WrittenFile, decoder_bytes
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.result_cache import content_of
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import EQUAL_ERROR, NEGLIGIBLE, Candidate, Quality, Side, Trial, Trials, WorstRow
from golfbudget.quality.evaluate import METRIC
from golfbudget.recipe.decoded import Decoded, ReadFile, read_back, read_file

#: Token counts [vocabulary], and for each token a number that those of equal rows share.
Counts = NDArray[np.integer]
Codes = NDArray[np.int64]

TYING = "tying"
#: Codebooks of V over each of these have their best floor printed.
_SHARES = (2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossToBeat:
    """What a floor is held against: the baseline's nats per token, bytes per token of the text, the price of bytes."""

    nats: float
    bytes_per_token: float
    price: float

    def at(self, saved_bytes: int) -> float:
        """The baseline's loss and what the saved bytes are worth, nats per token."""
        worth = allowance(max(0, saved_bytes), self.price)
        return self.nats + nats_per_token(worth, self.bytes_per_token)


def floor_of(
    source: PlanSource, candidate: Candidate, codes: Codes, bias: Tensor | None, counts: Counts
) -> Certificate:
    """The floor of a written head, by which of its rows came out equal (`codes`); zero where none did.

    A bias per token splits what shares a code, be it the candidate's own or a vector of the model; all [vocabulary].
    """
    own = any(tensor.ndim == 1 and len(tensor) == len(counts) for tensor in source.reference.values())
    made = biased_floor if bias is not None or own else tie_floor
    return made(counts, codes, of=candidate.name)


def certificates(source: PlanSource, trials: Trials, counts: Counts | None) -> Iterator[Certificate]:
    """Statements about the whole plan, from counts [vocabulary]; those about one candidate stand with its trial."""
    yield from _tying(trials)
    rows, columns = source.reference[source.head].shape
    # A vocabulary that no count is about has no floor.
    if counts is not None and counts.sum() > 0 and trials.vq:
        sizes = [codes for share in _SHARES if (codes := rows // share) >= 1]
        yield from (best_tie_floor(counts, codes) for codes in dict.fromkeys(sizes))
        yield from (best_biased_floor(counts, codes) for codes in dict.fromkeys(sizes))
    if trials.head:
        yield ceiling(rows * columns, of=source.head)
        yield from _structure(rows * columns, trials)


def _tying(trials: Trials) -> Iterator[Certificate]:
    dense = trials.vq.where(lambda trial: trial.candidate.input_side == "dense")
    if dense:
        yield Certificate(
            name=TYING,
            statement=(
                "the model is tied, so a VQ head that keeps the input table dense adds its own tables to the file, "
                "whatever training does; the least that any of these adds"
            ),
            value=min(-trial.saved_bytes for trial in dense),
            unit="bytes",
            source="the files written here",
            evidence=Evidence.CERTIFIED,
        )


def _structure(weights: int, trials: Trials) -> Iterator[Certificate]:
    """Where a vector-quantised file is smaller than the ceiling allows against a scalar one of no less error."""
    heads = [
        (trial, trial.quality.relative_error)
        for trial in trials.head
        if trial.candidate.input_side in (None, "shared") and trial.quality.relative_error is not None
    ]
    for trial, error in heads:
        rivals = [
            (relative, scalar.counted_bytes, scalar)
            for scalar, relative in heads
            if scalar.candidate.scheme in ("scalar", "clipped") and relative >= error / EQUAL_ERROR
        ]
        if not trial.candidate.is_vq or not rivals:
            continue
        least = min(rivals, key=lambda rival: rival[:2])[2]
        if structure_found(weights, scalar_bytes=least.counted_bytes, vector_bytes=trial.counted_bytes):
            yield Certificate(
                name=f"structure-found:{trial.name}",
                statement=(
                    f"{trial.name} is smaller than {least.name}, which has no less error (by the equal-error rule), "
                    "by more than the ceiling of unstructured matrices: there is structure in this head, such as "
                    "repeated rows"
                ),
                value=least.counted_bytes - trial.counted_bytes,
                unit="bytes",
                source="the files written here, against the ceiling",
                evidence=Evidence.MODELLED,
            )
            return


BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The recipe's own file: what stands in it, and where it stands; `over` are its bytes over the cap.

    A preview's bytes do not say whether it is over.
    """

    data: bytes
    read: ReadFile
    inspection: Inspection
    over: int

    @property
    def decoded(self) -> Decoded:
        return self.read.decoded

    @classmethod
    def of(cls, prepared: Prepared, data: bytes) -> Baseline:
        request, artifact = prepared.request, open_bytes(data, name=BASELINE)
        inspection = Inspection.of(artifact, prepared.roles, cap=request.cap, code=request.code_bytes)
        return cls(
            data=data,
            read=read_file(data, BASELINE, prepared.source.as_read),
            inspection=inspection,
            over=0 if request.preview else max(0, -inspection.budget.headroom),
        )


def examined(prepared: Prepared, baseline: Baseline, file: WrittenFile, data: bytes, counts: Counts | None) -> Trial:
    """The trial of a written file of these bytes, not run; `counts` [vocabulary] are what its floor is about."""
    candidate, request = file.candidate, prepared.request
    decoder = decoder_bytes(candidate)
    counted = len(data) + decoder
    decoded = read_back(data, candidate.name, baseline.read)
    saved = len(baseline.data) - counted
    codes = _codes(prepared.source, candidate, decoded)
    return Trial(
        candidate=candidate,
        tables=file.tables,
        decoder_bytes=decoder,
        artifact_bytes=len(data),
        sha256=file.sha256,
        saved_bytes=saved,
        fits=counted + (request.code_bytes or 0) <= request.cap,
        quality=_quality(prepared, baseline, candidate, decoded),
        floor=_floor(prepared, candidate, codes, decoded, counts),
        # A tied head that keeps the input table dense adds its tables to the file, whatever training does.
        loser=TYING if candidate.input_side == "dense" and saved <= 0 else None,
        codes=codes if candidate.is_vq else None,
        rank_bound=_rank_bound(prepared.source, candidate),
        content="" if prepared.evaluator is None else content_of(decoded),
    )


def _rank_bound(source: PlanSource, candidate: Candidate) -> int | None:
    """The highest rank that a head candidate's decoded head can have; None of another side."""
    if candidate.side is not Side.HEAD:
        return None
    rows, columns = source.reference[source.head].shape
    scheme = schemes.get(candidate.scheme)
    return scheme.rank_bound((rows, columns), scheme.options(candidate.options))


def _quality(prepared: Prepared, baseline: Baseline, candidate: Candidate, decoded: Decoded) -> Quality:
    if candidate.side is Side.LOSSLESS:
        same = _equal(decoded, baseline.decoded)
        evidence = Evidence.CERTIFIED if same else Evidence.MODELLED
        return Quality(metric=METRIC, delta=0.0 if same else None, low=None, high=None, evidence=evidence)
    source = prepared.source
    quality = by_error(source, candidate, baseline.decoded.state, decoded.state, biased=bool(decoded.biases))
    matrices = {owner: source.matrix(owner) for owner in candidate.owners}
    moved = output_error(matrices, decoded.state, prepared.encoders.covariances, candidate.owners)
    return replace(quality, output_error=None if moved is None else float(f"{moved:.4g}"))


def _equal(one: Decoded, other: Decoded) -> bool:
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _codes(source: PlanSource, candidate: Candidate, decoded: Decoded) -> Codes | None:
    """Which rows of the head came out equal, where the candidate changes it."""
    if not {source.head_owner, source.head}.intersection(candidate.owners):
        return None
    head = decoded.state.get(source.head_owner, decoded.state[source.head])
    return tied_rows(head.float().numpy())


def _floor(
    prepared: Prepared, candidate: Candidate, codes: Codes | None, decoded: Decoded, counts: Counts | None
) -> Certificate | None:
    if counts is None or not counts.sum() or codes is None:
        return None
    source = prepared.source
    floor = floor_of(source, candidate, codes, source.head_bias(decoded), counts)
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
#: Numbers that are taken to double precision at a time.
_NUMBERS_AT_ONCE = 1 << 20


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
        reference = source.matrix(owner)
        recipe = baseline[source.original(owner)]
        own, energies = _row_errors(decoded[owner], reference), _row_errors(reference)
        error, allowed, energy = float(own.sum()), float(_row_errors(recipe, reference).sum()), float(energies.sum())
        passes = passes and (error <= EQUAL_ERROR * allowed or error <= NEGLIGIBLE * energy)
        relative = max(relative, error / energy if energy else error)
        if ratio is not None:
            ratio = max(ratio, error / allowed) if allowed else (ratio if error == 0 else None)
        rows = own / energies.clamp_min(1e-30)
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


def _row_errors(matrix: Tensor, reference: Tensor | None = None) -> Tensor:
    """Squared error of each row, or its energy without a reference, float64 [rows]; few rows at a time are double."""
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, matrix.shape[1]))
    found = [torch.empty(0, dtype=torch.float64)]
    for start in range(0, len(matrix), at_once):
        some = matrix[start : start + at_once].double()
        apart = some if reference is None else some - reference[start : start + at_once].double()
        found.append(apart.square().sum(1))
    return torch.cat(found)


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
