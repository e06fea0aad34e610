"""Synthetic weights through a recipe's own quantisers, layout, filter and codec: an artifact, really written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from golfbudget.estimate.bins import Family
from golfbudget.estimate.request import Request
from golfbudget.estimate.results import Sample
from golfbudget.estimate.synthetic import draw
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import compressed, container_bytes
from golfbudget.recipe.export import quantise

#: Steps that `write` reports.
STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Which weights are drawn; `family` and `tensors` as in `synthetic.draw`."""

    seed: int
    family: Family
    tensors: frozenset[str]

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.family}" if self.tensors else f"seed {self.seed}"


def write(request: Request, which: Draw, step: Callable[[str], None]) -> tuple[Sample, bytes]:
    """The artifact of one draw and its figures; `step` is told what is about to be done, `STEPS` times."""
    step(f"quantising, {which}")
    state = dict(draw(request.model.tensors, which.seed, which.family, which.tensors))
    export = quantise(state, request.recipe, which.seed)
    del state
    container = container_bytes(export, request.recipe)
    payload = layouts.get(request.recipe.layout).payload_bytes(export)
    step(f"{request.recipe.codec}, {which}")
    artifact = compressed(container, request.recipe)
    sample = Sample(
        seed=which.seed,
        family=which.family,
        payload_bytes=payload,
        container_bytes=len(container),
        artifact_bytes=len(artifact),
    )
    return sample, artifact
