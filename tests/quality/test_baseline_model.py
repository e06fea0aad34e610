"""`builtin:baseline` against the public architecture written out once more, in numpy and double precision.

The reference shares no line with the package: it indexes positions and heads one at a time, from the facts of the
public training script (nine blocks of width 512 with eight query and four key heads, tied, logits capped at 30).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.artifact import open_artifact
from golfbudget.quality.baseline_model import BaselineModel, Shape
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text
from golfbudget.recipe.state import checkpoint_state

Array = NDArray[np.float64]

TRUE = {"vocab": 1024, "width": 512, "blocks": 9, "heads": 8, "kv_heads": 4, "hidden": 1024}
SHAPES = [
    pytest.param({"vocab": 40, "width": 24, "blocks": 1, "heads": 3, "kv_heads": 3, "hidden": 20}, id="one-block"),
    pytest.param({"vocab": 40, "width": 32, "blocks": 4, "heads": 4, "kv_heads": 1, "hidden": 64}, id="even"),
    pytest.param({"vocab": 40, "width": 32, "blocks": 9, "heads": 4, "kv_heads": 2, "hidden": 48}, id="nine"),
    pytest.param({"vocab": 300, "width": 64, "blocks": 11, "heads": 8, "kv_heads": 4, "hidden": 256}, id="eleven"),
    pytest.param(TRUE, id="true-widths"),
]


def public_state(sizes: dict[str, int], seed: int, *, tied: bool = True) -> dict[str, Tensor]:
    """A trained-looking state dict in the public order and dtypes: the embedding bfloat16, the rest float32."""
    generator = torch.Generator().manual_seed(seed)
    width, hidden, dim = sizes["width"], sizes["hidden"], sizes["width"] // sizes["heads"]

    def normal(*shape: int, std: float, mean: float = 0.0) -> Tensor:
        return mean + std * torch.randn(shape, generator=generator)

    half = sizes["blocks"] // 2
    state = {
        "tok_emb.weight": normal(sizes["vocab"], width, std=1.6 / width**0.5).bfloat16(),
        "skip_weights": normal(half, width, std=0.3, mean=1.0),
    }
    for i in range(sizes["blocks"]):
        block = {
            "attn_scale": normal(width, std=0.3, mean=0.7),
            "mlp_scale": normal(width, std=0.3, mean=0.7),
            "resid_mix": torch.stack((normal(width, std=0.2, mean=0.9), normal(width, std=0.2, mean=0.1))),
            "attn.q_gain": normal(sizes["heads"], std=0.3, mean=1.5),
            "attn.c_q.weight": normal(width, width, std=width**-0.5),
            "attn.c_k.weight": normal(sizes["kv_heads"] * dim, width, std=width**-0.5),
            "attn.c_v.weight": normal(sizes["kv_heads"] * dim, width, std=width**-0.5),
            "attn.proj.weight": normal(width, width, std=width**-0.5),
            "mlp.fc.weight": normal(hidden, width, std=width**-0.5),
            "mlp.proj.weight": normal(width, hidden, std=hidden**-0.5),
        }
        state |= {f"blocks.{i}.{name}": tensor for name, tensor in block.items()}
    if not tied:
        state["lm_head.weight"] = normal(sizes["vocab"], width, std=1.6 / width**0.5)
    return state


def unit(x: Array) -> Array:
    """Divide by the root of the mean square, which has float32's machine epsilon added."""
    found: Array = x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + 2.0**-23)
    return found


def turned(x: Array, position: int) -> Array:
    """Rotate the pair (i, i + half) of one head's vector by position / 10000^(i / half)."""
    half = len(x) // 2
    as_complex = x[:half] - 1j * x[half:]
    angles = position * 10_000.0 ** (-np.arange(half) / half)
    spun = as_complex * np.exp(1j * angles)
    return np.concatenate((spun.real, -spun.imag))


def attention(weights: dict[str, Array], prefix: str, x: Array, sizes: dict[str, int]) -> Array:
    heads, dim = sizes["heads"], sizes["width"] // sizes["heads"]
    group = heads // sizes["kv_heads"]
    out = np.zeros_like(x)
    for head in range(heads):
        own, shared = slice(head * dim, head * dim + dim), slice(head // group * dim, head // group * dim + dim)
        queries = unit(x @ weights[prefix + "attn.c_q.weight"][own].T)
        keys = unit(x @ weights[prefix + "attn.c_k.weight"][shared].T)
        values = x @ weights[prefix + "attn.c_v.weight"][shared].T
        gain = weights[prefix + "attn.q_gain"][head]
        for t in range(len(x)):
            query = gain * turned(queries[t], t)
            scores = np.array([query @ turned(keys[s], s) for s in range(t + 1)]) / np.sqrt(dim)
            shares = np.exp(scores - scores.max())
            out[t, own] = shares @ values[: t + 1] / shares.sum()
    projected: Array = out @ weights[prefix + "attn.proj.weight"].T
    return projected


def reference_logits(state: dict[str, Tensor], ids: list[int], sizes: dict[str, int]) -> Array:
    weights = {name: tensor.double().numpy() for name, tensor in state.items()}
    first = x = unit(weights["tok_emb.weight"][ids])
    half = sizes["blocks"] // 2
    saved: list[Array] = []
    for i in range(sizes["blocks"]):
        prefix = f"blocks.{i}."
        if i >= half and saved:
            x = x + weights["skip_weights"][i - half] * saved.pop()
        mix = weights[prefix + "resid_mix"]
        x = mix[0] * x + mix[1] * first
        x = x + weights[prefix + "attn_scale"] * attention(weights, prefix, unit(x), sizes)
        inner = np.maximum(unit(x) @ weights[prefix + "mlp.fc.weight"].T, 0.0)
        x = x + weights[prefix + "mlp_scale"] * (np.square(inner) @ weights[prefix + "mlp.proj.weight"].T)
        if i < half:
            saved.append(x)
    scores = unit(x) @ weights.get("lm_head.weight", weights["tok_emb.weight"]).T
    capped: Array = 30 * np.tanh(scores / 30)
    return capped


def some_ids(vocabulary: int, length: int) -> list[int]:
    found: list[int] = torch.randint(0, vocabulary, (length,), generator=torch.Generator().manual_seed(1)).tolist()
    return found


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_public_checkpoint_gives_the_reference_logits(
    tmp_path: Path,
    sizes: dict[str, int],
    tied: bool,  # noqa: FBT001  (a test case)
) -> None:
    path = tmp_path / "final_model.pt"
    torch.save(public_state(sizes, seed=7, tied=tied), path)
    state = checkpoint_state(open_artifact(path))
    model = BaselineModel.from_state(state)
    assert model.shape == Shape(**sizes, tied=tied)
    ids = some_ids(sizes["vocab"], 9)
    with torch.inference_mode():
        found = model(torch.tensor([ids]))[0].double().numpy()
    expected = reference_logits(public_state(sizes, seed=7, tied=tied), ids, sizes)
    assert np.abs(expected).max() > 3  # the cap bends some logits, and the comparison is of no trifles
    assert np.abs(found - expected).max() <= 1e-5


def test_the_true_shape_has_the_public_parameter_count() -> None:
    state = public_state(TRUE, seed=0)
    assert sum(tensor.numel() for tensor in state.values()) == 17_059_912
    # The order of a state dict: a module's own parameters come before those of its parts.
    assert list(BaselineModel.from_state(state).state_dict())[:2] == ["skip_weights", "tok_emb.weight"]


def test_losses_and_divergences_by_the_reference() -> None:
    sizes = {"vocab": 40, "width": 32, "blocks": 3, "heads": 4, "kv_heads": 2, "hidden": 48}
    base, new = public_state(sizes, seed=1), public_state(sizes, seed=2)
    windows = torch.tensor([some_ids(40, 20)[start : start + 7] for start in (0, 6, 12)])
    text = Text(windows=windows, bytes_per_window=torch.full((3,), 12), counts=torch.bincount(windows.flatten()))
    losses, apart = Evaluator(text).token_losses(base), Evaluator(text).divergences(base, new)
    for row, far, window in zip(losses, apart, windows.tolist(), strict=True):
        p, q = (
            np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            for z in (reference_logits(state, window[:-1], sizes) for state in (base, new))
        )
        assert row == pytest.approx(-np.log(p[np.arange(6), window[1:]]), abs=1e-5)
        assert far == pytest.approx((p * np.log(p / q)).sum(axis=1), abs=1e-4)
    assert Evaluator(text).losses(base) == pytest.approx(losses.sum(axis=1))
