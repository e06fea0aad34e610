"""No VQ head that is really measured, trained or not, scores below the floor its map gives it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import example, schemes
from golfbudget.artifact import open_artifact
from golfbudget.certificates import best_partition, best_tie_floor, biased_floor, marks_loser, tie_floor, tied_rows
from golfbudget.quality.baseline_model import HEAD, BaselineModel
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text, load_text, predicted_counts
from golfbudget.recipe.state import checkpoint_state
from golfbudget.schemes import Context

WINDOWS = 12


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return checkpoint_state(open_artifact(example.CHECKPOINT))


@pytest.fixture(scope="module")
def text() -> Text:
    whole = load_text(example.EVALUATION)
    return Text(windows=whole.windows[:WINDOWS], bytes_per_window=whole.bytes_per_window[:WINDOWS], counts=whole.counts)


@pytest.fixture(scope="module")
def counts(text: Text, state: dict[str, Tensor]) -> NDArray[np.int64]:
    return predicted_counts(text, len(state["tok_emb.weight"]))


def vq_head(state: dict[str, Tensor], codes: int) -> Tensor:
    scheme = schemes.get("vq-logits")
    return scheme.decode(scheme.encode(state["tok_emb.weight"].float(), {"codes": codes}, Context(seed=0)))


def best_head(state: dict[str, Tensor], counts: NDArray[np.int64], codes: int) -> Tensor:
    """The mean row of each code of the map with the lowest floor of all."""
    matrix, ids = state["tok_emb.weight"].double(), torch.from_numpy(best_partition(counts, codes).codes)
    sums = torch.zeros(codes, matrix.shape[1], dtype=torch.float64).index_add_(0, ids, matrix)
    rows = sums / torch.bincount(ids, minlength=codes)[:, None]
    return rows[ids].float()


def trained(hidden: Tensor, targets: Tensor, head: Tensor, *, with_bias: bool) -> Iterator[float]:
    """Mean loss after each step of fitting a codebook (and a bias) to the very text it is measured on."""
    codes = torch.from_numpy(tied_rows(head.numpy()))
    first = torch.stack([head[codes == code][0] for code in range(int(codes.max()) + 1)])
    codebook = first.clone().requires_grad_()
    bias = torch.zeros(len(head), requires_grad=with_bias)
    optimizer = torch.optim.Adam([codebook, bias] if with_bias else [codebook], lr=0.2)
    for _ in range(12):
        loss = F.cross_entropy(hidden @ codebook[codes].T + bias, targets)
        yield float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_untrained_heads_stay_above_their_floors(
    state: dict[str, Tensor], text: Text, counts: NDArray[np.int64]
) -> None:
    evaluator = Evaluator(text)
    base = float(evaluator.token_losses(state, keep=True).mean())
    refuted = []
    for codes, head in ((512, best_head(state, counts, 512)), (128, vq_head(state, 128)), (8, vq_head(state, 8))):
        loss = float(evaluator.token_losses({**state, HEAD: head}).mean())
        floor, best = tie_floor(counts, tied_rows(head.numpy()), of=f"vq{codes}"), best_tie_floor(counts, codes)
        assert loss >= floor.value - 1e-6 >= best.value - 2e-6
        refuted.append(marks_loser(floor, base))
    # The floors are no idle bound: two of these heads are out before any of them is run.
    assert refuted == [False, True, True]


def test_heads_trained_on_the_very_text_stay_above_their_floors(state: dict[str, Tensor], text: Text) -> None:
    head = vq_head(state, 8)
    codes = tied_rows(head.numpy())
    with torch.no_grad():
        hidden = BaselineModel.from_state(state).hidden_states(text.windows[:4, :-1]).flatten(0, 1)
    targets = text.windows[:4, 1:].flatten()
    own = np.bincount(targets.numpy(), minlength=len(head))
    plain, biased = tie_floor(own, codes, of="vq8").value, biased_floor(own, codes, of="vq8").value
    losses = list(trained(hidden, targets, head, with_bias=False))
    assert losses[-1] < losses[0]
    assert min(losses) >= plain
    with_bias = list(trained(hidden, targets, head, with_bias=True))
    assert min(with_bias) >= biased
    # The bias repairs part of what the ties cost, and takes the loss below what is possible without it.
    assert min(with_bias) < plain
