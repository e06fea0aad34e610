"""I(W;H|C) of a head's map: laws, brute force, and its place in a plan."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.quality.information import split_information


def logits(states: int, vocabulary: int, seed: int) -> Tensor:
    return 3 * torch.randn(states, vocabulary, generator=torch.Generator().manual_seed(seed))


def drawn(vocabulary: int, codes: int, seed: int) -> Tensor:
    return torch.randint(codes, (vocabulary,), generator=torch.Generator().manual_seed(seed))


def by_hand(scores: Tensor, codes: Tensor) -> float:
    """E KL(p(w|h) || p(c|h) q(w|c)) in double precision, the split q the mean one: as the definition says."""
    chances = scores.double().softmax(-1)
    onehot = F.one_hot(codes).double()
    mean = chances.mean(0)
    split = mean / (mean @ onehot)[codes]
    ideal = (chances @ onehot)[:, codes] * split
    return float((chances * (chances / ideal).log()).sum(1).mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(2, 9), st.integers(1, 9), st.integers(0, 999))
def test_it_is_what_the_ideal_head_of_the_map_loses(states: int, vocabulary: int, codes: int, seed: int) -> None:
    scores, mapped = logits(states, vocabulary, seed), drawn(vocabulary, codes, seed)
    (found,) = split_information([scores], [mapped])
    assert found >= 0
    assert found == pytest.approx(by_hand(scores, mapped), abs=2e-6)


def test_no_other_split_loses_less() -> None:
    """The mean split is the best fixed one: gradient descent over splits ends where the figure says."""
    scores, codes = logits(50, 6, 1), torch.tensor([0, 0, 0, 1, 1, 2])
    chances, onehot = scores.double().softmax(-1), F.one_hot(codes).double()
    free = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        split = free.exp() / (free.exp() @ onehot)[codes]
        left: Tensor = (chances * (chances / ((chances @ onehot)[:, codes] * split)).log()).sum(1).mean()
        left.backward()
        return left

    descent.step(loss)
    assert split_information([scores], [codes])[0] == pytest.approx(float(loss().detach()), abs=1e-6)


def test_tokens_that_keep_their_proportions_lose_nothing() -> None:
    codes = torch.tensor([0, 0, 1, 1, 1, 2])
    shares = torch.tensor([0.1, 0.9, 0.2, 0.3, 0.5, 1.0])
    scores = logits(20, 3, 2)[:, codes] + shares.log()
    assert split_information([scores], [codes]) == [pytest.approx(0.0, abs=1e-7)]
    scores[:10, 0] += 3
    assert split_information([scores], [codes])[0] > 1e-2


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 999))
def test_a_finer_map_never_loses_more(vocabulary: int, seed: int) -> None:
    """Data processing: I(C;H) grows as codes are divided."""
    scores, coarse = logits(8, vocabulary, seed), drawn(vocabulary, 3, seed)
    finer = coarse * 2 + drawn(vocabulary, 2, seed + 1)
    one, two = split_information([scores], [coarse, finer])
    assert two <= one + 1e-6


def test_chunks_and_other_maps_change_nothing_and_own_codes_lose_nothing() -> None:
    scores = logits(30, 16, 3)
    maps = [drawn(16, 4, 1), torch.arange(16), torch.zeros(16, dtype=torch.int64)]
    whole = split_information([scores.view(2, 15, 16)], maps)
    parts = split_information(scores.split(7), maps)
    assert whole == pytest.approx(parts, abs=1e-6)
    assert split_information([scores], maps[:1])[0] == pytest.approx(whole[0], abs=1e-7)
    assert whole[1] == 0.0
    # All tokens on one code: all that states say of tokens.
    chances = scores.double().softmax(-1)
    mean = chances.mean(0)
    assert whole[2] == pytest.approx(float((chances * (chances / mean).log()).sum(1).mean()), abs=1e-6)


def test_chances_of_nothing_add_nothing() -> None:
    scores = torch.tensor([[0.0, 0.0, -math.inf], [1.0, 0.0, -math.inf]])
    with_it, without = torch.tensor([0, 1, 1]), torch.tensor([0, 1])
    found = split_information([scores], [with_it])[0]
    assert found == pytest.approx(split_information([scores[:, :2]], [without])[0], abs=1e-7)
