"""The builtin model against a forward pass written from scratch, and the interval against its definition."""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.models import save
from torch import Tensor

from golfbudget import example
from golfbudget.artifact import open_artifact
from golfbudget.errors import ModelError, UsageError
from golfbudget.quality.baseline_model import BaselineModel, Shape
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text, check_counts, load_counts, load_text
from golfbudget.recipe.state import checkpoint_state

SHAPE = Shape(vocab=50, width=32, blocks=5, heads=4, kv_heads=2, hidden=64)


def random_state(seed: int = 0, *, tied: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = Shape(vocab=50, width=32, blocks=5, heads=4, kv_heads=2, hidden=64, tied=tied)
    return {
        name: (tensor.ndim == 1) + 0.15 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in BaselineModel(shape).state_dict().items()
    }


def rms(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + torch.finfo(torch.float32).eps)


def rope(x: Tensor) -> Tensor:
    """Rotate [time, dim] position by position, pair by pair."""
    out = torch.empty_like(x)
    half = x.shape[1] // 2
    for t in range(x.shape[0]):
        for i in range(half):
            angle = t / 10_000 ** (2 * i / x.shape[1])
            a, b = x[t, i], x[t, i + half]
            out[t, i] = a * math.cos(angle) + b * math.sin(angle)
            out[t, i + half] = -a * math.sin(angle) + b * math.cos(angle)
    return out


def reference_logits(state: dict[str, Tensor], ids: list[int]) -> Tensor:
    """The public architecture's forward, one head and one position at a time."""
    width, dim = SHAPE.width, SHAPE.width // SHAPE.heads
    x = rms(state["tok_emb.weight"][ids])
    stack: list[Tensor] = []
    x0, half = x, SHAPE.blocks // 2
    for i in range(SHAPE.blocks):
        p = f"blocks.{i}."
        if i >= half and stack:
            x = x + state["skip_weights"][i - half] * stack.pop()
        x = state[p + "resid_mix"][0] * x + state[p + "resid_mix"][1] * x0
        n = rms(x)
        q, k, v = (n @ state[f"{p}attn.c_{c}.weight"].T for c in "qkv")
        heads = []
        for h in range(SHAPE.heads):
            kv = h // (SHAPE.heads // SHAPE.kv_heads)
            qh = rope(rms(q[:, h * dim : (h + 1) * dim])) * state[p + "attn.q_gain"][h]
            kh = rope(rms(k[:, kv * dim : (kv + 1) * dim]))
            scores = (qh @ kh.T) / math.sqrt(dim)
            mask = torch.triu(torch.ones(len(ids), len(ids), dtype=torch.bool), 1)
            heads.append(scores.masked_fill(mask, -math.inf).softmax(-1) @ v[:, kv * dim : (kv + 1) * dim])
        x = x + state[p + "attn_scale"] * (torch.cat(heads, 1).view(-1, width) @ state[p + "attn.proj.weight"].T)
        hidden = torch.relu(rms(x) @ state[p + "mlp.fc.weight"].T) ** 2
        x = x + state[p + "mlp_scale"] * (hidden @ state[p + "mlp.proj.weight"].T)
        if i < half:
            stack.append(x)
    z = rms(x) @ state.get("lm_head.weight", state["tok_emb.weight"]).T
    return 30 * torch.tanh(z / 30)


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_agrees_with_a_forward_from_scratch(tied: bool) -> None:  # noqa: FBT001  (a test case)
    state = random_state(tied=tied)
    ids = torch.randint(0, 50, (12,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.inference_mode():
        ours = BaselineModel.from_state(state)(torch.tensor([ids]))[0]
    assert torch.allclose(ours, reference_logits(state, ids), atol=1e-5)


def small_text(windows: int = 6, length: int = 10) -> Text:
    ids = torch.randint(0, 50, (windows, length + 1), generator=torch.Generator().manual_seed(3))
    return Text(windows=ids, bytes_per_window=torch.full((windows,), 20), counts=torch.bincount(ids.flatten()))


def test_losses_are_the_cross_entropy_of_the_logits() -> None:
    state, text = random_state(), small_text()
    nats = Evaluator(text).losses(state)
    for row, window in zip(nats, text.windows.tolist(), strict=True):
        scores = reference_logits(state, window[:-1])
        expected = torch.nn.functional.cross_entropy(scores, torch.tensor(window[1:]), reduction="sum")
        assert row == pytest.approx(float(expected), rel=1e-5)


def test_hidden_states_are_reused_only_when_nothing_before_the_head_changed() -> None:
    evaluator, state = Evaluator(small_text()), random_state(tied=False)
    base = evaluator.losses(state, keep=True)
    head = {**state, "lm_head.weight": state["lm_head.weight"] + 0.5}
    trunk = {**state, "skip_weights": state["skip_weights"] + 0.5}
    for changed in (head, trunk, state):
        fresh = Evaluator(small_text()).losses(changed)
        assert np.allclose(evaluator.losses(changed), fresh)
    assert not np.allclose(evaluator.losses(head), base)
    assert not np.allclose(evaluator.losses(trunk), base)


def test_the_interval_is_paired_and_contains_a_constant_change() -> None:
    evaluator = Evaluator(small_text())
    base = np.array([30.0, 50.0, 40.0, 35.0, 60.0, 20.0])
    shifted = evaluator.compare(base, base + math.log(2) * 0.2, seed=0)
    # A fifth of a bit in each window of twenty bytes; the same in every window, so the interval has no width.
    assert (shifted.delta, shifted.low, shifted.high) == (0.01, 0.01, 0.01)
    noisy = evaluator.compare(base, base + np.array([1.0, -1, 1, -1, 1, -1]), seed=0)
    assert noisy.low < 0 < noisy.high
    assert evaluator.compare(base, base, seed=0).delta == 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    text = small_text(windows=200)
    evaluator = Evaluator(text)
    hits = 0
    for trial in range(100):
        change = rng.normal(0.5, 2.0, 200)
        interval = evaluator.compare(np.zeros(200), change, seed=trial)
        hits += interval.low <= 0.5 / math.log(2) / 20 <= interval.high
    assert 88 <= hits <= 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("blocks.2.mlp.fc.weight"), r"blocks\.2\.mlp\.fc\.weight: expected \[64, 32\], found nothing"),
        (lambda s: s.update(extra=torch.zeros(2)), "extra: expected nothing, found"),
        (lambda s: s.pop("tok_emb.weight"), "needs tok_emb.weight"),
        (
            lambda s: s.update({"skip_weights": torch.zeros(1, 32)}),
            r"skip_weights: expected \[2, 32\], found \[1, 32\]",
        ),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_by_name(change: object, message: str) -> None:
    state = random_state()
    change(state)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        BaselineModel.from_state(state)


def test_the_example_has_the_text_it_must() -> None:
    text = load_text(example.EVALUATION)
    assert text.tokens >= 100_000
    state = checkpoint_state(open_artifact(example.CHECKPOINT))
    assert sum(t.numel() for t in state.values()) <= 1_400_000
    assert sum(f.stat().st_size for f in example.FOLDER.iterdir()) <= 8_000_000
    assert torch.equal(load_counts(example.EVALUATION), text.counts)


def test_the_example_has_the_counts_of_its_training_text() -> None:
    counts = np.load(example.COUNTS)
    known = json.loads((example.FOLDER / "provenance.json").read_text(encoding="utf-8"))
    check_counts(counts, 1024, "counts.npy")
    assert counts.sum() == known["training_tokens"]
    # Of the same kind of text as the evaluation's, and not that text.
    own = load_counts(example.EVALUATION).numpy()
    assert 0.9 < np.corrcoef(np.log(own + 1), np.log(counts + 1))[0, 1] < 0.99


@pytest.mark.slow
def test_the_counts_of_the_example_are_made_again() -> None:
    build = pytest.importorskip("golfbudget.example.build", reason="needs torch")
    known = json.loads((example.FOLDER / "provenance.json").read_text(encoding="utf-8"))
    if known["python"] != platform.python_version():
        pytest.skip(f"the example's text is of Python {known['python']}")
    assert np.array_equal(build.counts(), np.load(example.COUNTS))


def test_the_examples_token_bytes_are_those_of_its_tokenizer() -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(example.FOLDER / "tokenizer.model"))
    text = load_text(example.EVALUATION)
    for window, length in list(zip(text.windows, text.bytes_per_window, strict=True))[:20]:
        ids = window[1:].tolist()
        # The tokenizer's own decoding of the window, byte for byte; a window may cut a character in two.
        assert abs(len(processor.decode(ids).encode()) - int(length)) <= 6


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"tokens": torch.zeros(600, dtype=torch.int32)}, "expected a safetensors file"),
        ({"tokens": torch.zeros(600), "token_bytes": torch.ones(3, dtype=torch.uint8)}, "expected a safetensors file"),
        ({"tokens": torch.full((600,), 3), "token_bytes": torch.ones(3, dtype=torch.uint8)}, r"must lie in \[0, 3\)"),
        ({"tokens": torch.zeros(300, dtype=torch.int32), "token_bytes": torch.ones(3, dtype=torch.uint8)}, "too few"),
    ],
)
def test_text_that_is_no_text_is_refused(tmp_path: Path, tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_text(save(tmp_path, tensors))


def test_the_window_length_comes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    tensors = {"tokens": torch.zeros(101, dtype=torch.int32), "token_bytes": torch.full((2,), 3, dtype=torch.uint8)}
    save_file(tensors, path, metadata={"window": "25"})
    text = load_text(path)
    assert text.windows.shape == (4, 26)
    assert text.bytes == 300
