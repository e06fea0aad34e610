"""What is left in the tensors that a candidate encodes: its coder's, its quantiser's and its container's bytes.

Of the candidates that matter only, because every file is opened again and priced for it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from golfbudget.artifact import open_bytes
from golfbudget.efficiency.limits import Matrix
from golfbudget.efficiency.matrices import Weights
from golfbudget.efficiency.measuring import efficiency
from golfbudget.efficiency.results import Efficiency
from golfbudget.entropy import measure
from golfbudget.plan.prepare import Prepared
from golfbudget.plan.sharing import SHARED
from golfbudget.plan.trials import Candidate, Trials
from golfbudget.plan.trying import Workshop
from golfbudget.recipe.artifacts import read_export
from golfbudget.recipe.decoded import decoded
from golfbudget.roles import assign


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchNumbers:
    """Matrices in memory, by name."""

    path: str
    tensors: Mapping[str, Tensor]

    def names(self) -> Collection[str]:
        return self.tensors.keys()

    def read(self, name: str) -> Weights:
        tensor = self.tensors[name]

        def rows(start: int, stop: int) -> Matrix:
            return tensor[start:stop].double().numpy().reshape(stop - start, -1).astype(np.float64, copy=False)

        return Weights(shape=tuple(tensor.shape), quantised=True, read=rows)


def with_left(shop: Workshop, trials: Trials, names: Collection[str | None]) -> Trials:
    """The trials, those of these names with what is left in their tensors."""
    found = {
        trial.name: replace(trial, efficiency=left_of(shop.prepared, trial.candidate, shop.bench.data(trial.sha256)))
        for trial in trials.called(names)
    }
    return trials.replaced(found)


def left_of(prepared: Prepared, candidate: Candidate, data: bytes) -> Efficiency | None:
    """Against the source's matrices, from a candidate's file; None where it encodes nothing."""
    source = prepared.source
    if candidate.scheme == SHARED:
        return None
    artifact = open_bytes(data, name=candidate.name)
    state = decoded(read_export(artifact), candidate.name, limit=sys.maxsize).state
    own = {owner: state[owner] for owner in candidate.owners}
    if not own:
        return None
    reference = {owner: source.matrix(owner) for owner in own}
    assignment = assign(artifact, prepared.roles)
    return efficiency(
        artifact,
        assignment,
        measure(artifact, assignment.ledger, alone=False),
        TorchNumbers(path=prepared.inputs.source_path, tensors=reference),
        decoded=TorchNumbers(path=candidate.name, tensors=own),
    )
