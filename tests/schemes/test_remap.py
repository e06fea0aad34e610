"""New codes for tokens of a VQ head in training: against the loss itself, one token at a time, and what must hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import schemes
from golfbudget.quality.baseline_model import HEAD, BaselineModel, Shape
from golfbudget.quality.remap import Moves, better_codes, codes_of, remapped
from golfbudget.quality.stored import Tables, Weight, weights_of
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import decode, quantise
from golfbudget.schemes import Context

ROWS, CODES = 24, 6


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """An untied model whose logits are far from even."""
    torch.manual_seed(7)
    model = BaselineModel(Shape(vocab=ROWS, width=16, blocks=1, heads=2, kv_heads=1, hidden=32, tied=False))
    torch.nn.init.normal_(model.lm_head.weight, std=1.0)
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def head(state: dict[str, Tensor], scheme: str) -> tuple[Weight, dict[str, Tensor], Tensor | None]:
    """The head by a scheme, what the export decodes to, and the head's bias."""
    context = Context(counts=torch.arange(ROWS) + 1)
    encoded = schemes.get(scheme).encode(state[HEAD], {"codes": CODES}, context)
    export = quantise(state, load_recipe("int8-zlib-small")).with_encoded(HEAD, encoded, "float32")
    found = {name: tensor.float() for name, tensor in decode(export).items()}
    weight = next(weight for weight in weights_of(export, state, found) if weight.name == HEAD)
    return weight, found, weight.bias


def divergence(
    state: dict[str, Tensor], matrix: Tensor, bias: Tensor | None, source: BaselineModel, windows: Tensor
) -> float:
    """Nats lost on what the source expects, all windows together."""
    model = BaselineModel.from_state({**state, HEAD: matrix})
    with torch.no_grad():
        scores = model(windows[:, :-1])
        scores = scores if bias is None else scores + bias
        wanted = source(windows[:, :-1]).softmax(-1)
        return float(F.cross_entropy(scores.flatten(0, 1), wanted.flatten(0, 1), reduction="sum"))


@pytest.mark.parametrize("scheme", ["vq-logits", "vq-logits-int", "vq-logits-bias"])
def test_a_move_alone_gains_what_is_said_or_more(state: dict[str, Tensor], scheme: str) -> None:
    """An oracle: each move made alone, and the loss computed anew."""
    weight, decoded, bias = head(state, scheme)
    source = BaselineModel.from_state(state)
    windows = torch.randint(0, ROWS, (16, 33), generator=torch.Generator().manual_seed(8))
    moves = better_codes(weight, decoded, bias, source, windows)
    before = divergence(decoded, decoded[HEAD], bias, source, windows)
    gaining = [token for token in range(ROWS) if moves.new[token] != moves.old[token]]
    assert len(gaining) >= 3
    for token in gaining:
        codes = moves.old.clone()
        codes[token] = moves.new[token]
        alone = Moves(old=moves.old, new=codes, gain=moves.gain, bias=moves.bias)
        if int((moves.old == moves.old[token]).sum()) == 1:
            continue
        moved, moved_bias = remapped(weight, alone, 1).decoded()
        gained = before - divergence(decoded, moved, moved_bias, source, windows)
        assert gained >= float(moves.gain[token]) - 0.01
        assert gained > 0


@pytest.mark.parametrize("scheme", ["vq-logits", "vq-logits-int", "vq-logits-bias"])
def test_every_code_keeps_a_token_and_the_codebook_its_rows(state: dict[str, Tensor], scheme: str) -> None:
    weight, _, _ = head(state, scheme)
    assert isinstance(weight.how, Tables)
    old = codes_of(weight.how.encoded)
    bias = None if weight.bias is None else torch.arange(float(ROWS))
    everyone = Moves(old=old, new=torch.zeros(ROWS, dtype=torch.int64), gain=torch.arange(float(ROWS)), bias=bias)
    moved = remapped(weight, everyone, everyone.count)
    assert isinstance(moved.how, Tables)
    codes = codes_of(moved.how.encoded)
    assert codes.unique().tolist() == list(range(CODES))
    assert int((codes == 0).sum()) == ROWS - (CODES - 1)
    rows, moved_rows = weight.decoded()[0], moved.decoded()[0]
    for token in range(ROWS):
        kept = next(other for other in range(ROWS) if old[other] == codes[token])
        assert torch.equal(moved_rows[token], rows[kept])
    if moved.bias is not None and weight.bias is not None:
        assert torch.equal(moved.bias, torch.where(codes == old, weight.bias, torch.arange(float(ROWS))))


def test_the_moves_that_gain_most_are_first() -> None:
    old, gain = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1.0, 3.0, 0.0, 2.0, 0.5, 0.0])
    moves = Moves(old=old, new=torch.tensor([1, 1, 0, 0, 0, 1]), gain=gain, bias=None)
    assert moves.count == 4
    assert moves.first(0).tolist() == old.tolist()
    assert moves.first(2).tolist() == [0, 1, 0, 0, 1, 1]
    assert moves.first(4).tolist() == [1, 1, 0, 0, 0, 1]
