"""Weights drawn from a stated distribution, so that a model that was never trained has an artifact."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator

import torch
from torch import Tensor

from golfbudget.estimate.bins import Family
from golfbudget.models import TensorSpec


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
