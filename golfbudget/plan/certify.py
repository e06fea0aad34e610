"""Certificates of a plan: what is known of its candidates without training any of them.

A tie floor speaks of logits that are the head's products alone.  That holds of the built-in models; of a user's own
program it is not known, so there a floor is printed and rules nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.certificates import (
    Certificate,
    allowance,
    best_biased_floor,
    best_tie_floor,
    biased_floor,
    ceiling,
    nats_per_token,
    structure_found,
    tie_floor,
    tied_rows,
)
from golfbudget.evidence import Evidence
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import EQUAL_ERROR, Candidate, Trials

#: Token counts [vocabulary].
Counts = NDArray[np.integer]

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
    source: PlanSource, candidate: Candidate, head: Tensor, bias: Tensor | None, counts: Counts
) -> Certificate:
    """The floor of a written head, by which of its rows came out equal; zero where none did.

    A bias per token splits what shares a code, be it the candidate's own or a vector [vocabulary] of the model.
    """
    codes = tied_rows(head.float().numpy())
    own = any(tensor.ndim == 1 and len(tensor) == len(counts) for tensor in source.reference.values())
    made = biased_floor if bias is not None or own else tie_floor
    return made(counts, codes, of=candidate.name)


def certificates(source: PlanSource, trials: Trials, counts: Counts | None) -> Iterator[Certificate]:
    """Statements about the whole plan; those about one candidate stand with its trial."""
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
