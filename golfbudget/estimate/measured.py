"""Synthetic weights through a recipe's own quantisers, layout, filter and codec: an artifact, really written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from golfbudget.estimate.bins import Family
from golfbudget.estimate.request import EstimateRequest
from golfbudget.estimate.results import Sample
from golfbudget.models import TensorSpec
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import compressed, container_bytes
from golfbudget.recipe.coding import coded
from golfbudget.recipe.export import quantise


def draw(
    tensors: Iterable[TensorSpec], seed: int, family: Family = "gaussian", named: Container[str] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Each tensor by name, independent Gaussian entries of its mean and standard deviation, in its dtype.

    The tensors in `named` are of `family` instead: `laplace` at their own deviation, `gaussian` at deviation 1, which
    no scale floor in use reaches.  A tensor depends on the seed, its name and its shape only, so that models which
    differ elsewhere share it.  Tensors that are not floats are zeros.
    """
    for spec in tensors:
        dtype = getattr(torch, spec.dtype)
        if not spec.floating:
            yield spec.name, torch.zeros(spec.shape, dtype=dtype)
            continue
        digest = hashlib.sha256(f"{seed}/{spec.name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
        own = spec.name in named
        if family == "gaussian" or not own:
            drawn = torch.randn(spec.shape, generator=generator)
        else:
            uniform = torch.rand(spec.shape, generator=generator) - 0.5
            drawn = -uniform.sign() * torch.log1p((-2 * uniform.abs()).clamp_min(-1 + 1e-7)) * 0.5**0.5
        drawn *= 1.0 if own and family == "gaussian" else spec.deviation
        drawn += spec.mean
        yield spec.name, drawn.to(dtype)


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


def write(request: EstimateRequest, which: Draw, step: Callable[[str], None]) -> tuple[Sample, bytes]:
    """The artifact of one draw and its figures; `step` is told what is about to be done, `STEPS` times."""
    step(f"quantising, {which}")
    state = dict(draw(request.model.tensors, which.seed, which.family, which.tensors))
    export = coded(quantise(state, request.recipe, which.seed), request.recipe)
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
