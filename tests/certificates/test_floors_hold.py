"""No head of tied rows is below its floor, however it is trained; and the floor is reached where it can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import example
from golfbudget.artifact import open_artifact
from golfbudget.certificates import biased_floor_nats, tie_floor_nats
from golfbudget.quality.baseline_model import BaselineModel, logits
from golfbudget.quality.text import load_text
from golfbudget.recipe.state import checkpoint_state
from golfbudget.schemes import Context, get

#: Sums of float32 losses.
ROUNDING = 1e-4


@given(seed=st.integers(0, 10_000), vocabulary=st.integers(2, 12), codes=st.integers(1, 6), biased=st.booleans())
def test_any_tied_logits_lose_at_least_the_floor(seed: int, vocabulary: int, codes: int, *, biased: bool) -> None:
    generator = np.random.default_rng(seed)
    code, targets = generator.integers(0, codes, vocabulary), generator.integers(0, vocabulary, 30)
    scores = generator.normal(scale=3, size=(30, codes))[:, code]
    scores = scores + (generator.normal(scale=2, size=vocabulary) if biased else 0)
    nats = np.log(np.exp(scores).sum(1)) - scores[np.arange(30), targets]
    counts = np.bincount(targets, minlength=vocabulary)
    floor = (biased_floor_nats if biased else tie_floor_nats)(counts, code)
    assert nats.mean() >= floor - 1e-9


@given(seed=st.integers(0, 10_000), vocabulary=st.integers(2, 12), codes=st.integers(1, 6), biased=st.booleans())
def test_an_oracle_that_knows_the_code_meets_the_floor(seed: int, vocabulary: int, codes: int, *, biased: bool) -> None:
    generator = np.random.default_rng(seed)
    code, targets = generator.integers(0, codes, vocabulary), generator.integers(0, vocabulary, 30)
    counts = np.bincount(targets, minlength=vocabulary)
    scores = np.where(code[None, :] == code[targets][:, None], 100.0, -100.0)
    if biased:
        scores = scores + np.log(np.maximum(counts, 1e-20))
    nats = np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1)) + scores.max(1)
    nats -= scores[np.arange(30), targets]
    floor = (biased_floor_nats if biased else tie_floor_nats)(counts, code)
    assert nats.mean() == pytest.approx(floor, abs=1e-9)


@pytest.fixture(scope="module")
def states() -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states and next tokens of a little of the example's text, and its head."""
    model = BaselineModel.from_state(checkpoint_state(open_artifact(example.CHECKPOINT)))
    windows = load_text(example.EVALUATION).windows[:6]
    with torch.inference_mode():
        hidden = model.hidden_states(windows[:, :-1])
    return hidden.flatten(0, 1).clone(), windows[:, 1:].flatten(), model.head.detach().clone()


@pytest.mark.slow
@pytest.mark.parametrize("codes", [64, 256])
@pytest.mark.parametrize("biased", [False, True])
def test_training_a_codebook_on_the_very_text_does_not_cross_the_floor(
    states: tuple[Tensor, Tensor, Tensor], codes: int, *, biased: bool
) -> None:
    """Codebook, states and bias, all trained on the text that is measured: the map alone says how far it can go."""
    hidden, targets, head = states
    scheme = get("vq-logits")
    rows = scheme.decode(scheme.encode(head, {"codes": codes}, Context()))
    distinct, code = rows.unique(dim=0, return_inverse=True)
    counts = torch.bincount(targets, minlength=len(head)).numpy()
    floor = (biased_floor_nats if biased else tie_floor_nats)(counts, code.numpy())
    codebook, moved = distinct.clone().requires_grad_(), hidden.clone().requires_grad_()
    bias = torch.zeros(len(head), requires_grad=biased)
    optimizer = torch.optim.Adam([p for p in (codebook, moved, bias) if p.requires_grad], lr=0.03)
    measured = []
    for _ in range(40):
        loss = F.cross_entropy(logits(moved, codebook[code]) + bias, targets)
        measured.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(measured) >= floor - ROUNDING
    assert min(measured) < measured[0] - 0.3
