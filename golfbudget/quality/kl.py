"""How far one model's predictions are from another's: Kullback-Leibler divergence, token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.errors import ModelError


def divergence(base: Tensor, new: Tensor) -> Tensor:
    """KL(base || new) in nats, float64 [...], of logits [..., vocabulary].

    The mean surprise of `new` over that of `base` on tokens drawn from `base`; zero where they agree, infinite where
    `new` gives no probability to what `base` may draw.  Logits of minus infinity are allowed, on either side.
    `ModelError` when the shapes differ.
    """
    if base.shape != new.shape:
        raise ModelError(f"logits of two models must have one shape, found {list(base.shape)} and {list(new.shape)}")
    before, after = base.double().log_softmax(-1), new.double().log_softmax(-1)
    terms = before.exp() * (before - after)
    # A share too small for its exponential times an infinite surprise is infinite, not undefined …
    terms = torch.where(after == -torch.inf, torch.inf, terms)
    # … but a token that `base` never draws adds nothing, whatever `new` says of it.
    return torch.where(before == -torch.inf, 0.0, terms).sum(-1).clamp_min(0.0)
