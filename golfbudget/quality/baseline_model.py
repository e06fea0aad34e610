"""The public baseline's architecture, sized by the tensors it is given.

Tied or untied output, grouped-query attention, squared-ReLU MLP, and a U-shaped stack whose second half
receives the first half's outputs.  The module holds no configuration beyond shapes: `Shape.of` reads it off
a state dict, so one class serves training the embedded example and scoring any checkpoint of the family.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import ModelError

ROPE_BASE = 10_000.0
LOGIT_CAP = 30.0
INITIAL_Q_GAIN = 1.5

HEAD = "lm_head.weight"
EMBEDDING = "tok_emb.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes that fix the architecture; every one is readable from tensor shapes."""

    vocab: int
    width: int
    blocks: int
    heads: int
    kv_heads: int
    hidden: int
    tied: bool = True

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> Shape:
        """Read the sizes off a state dict's shapes; `ModelError` names the first tensor that is missing."""

        def need(name: str, ndim: int) -> tuple[int, ...]:
            found = shapes.get(name)
            if found is None or len(found) != ndim:
                have = "absent" if found is None else f"of shape {list(found)}"
                raise ModelError(
                    f"builtin:baseline needs {name} with {ndim} dimension(s), found it {have}; "
                    "plan without --model to compare bytes under the equal-error rule"
                )
            return found

        vocab, width = need(EMBEDDING, 2)
        heads = need("blocks.0.attn.q_gain", 1)[0]
        kv_rows = need("blocks.0.attn.c_k.weight", 2)[0]
        hidden = need("blocks.0.mlp.fc.weight", 2)[0]
        if heads < 1 or width % heads or (width // heads) % 2 or kv_rows % (width // heads):
            raise ModelError(
                f"width {width}, {heads} heads and {kv_rows} key rows do not make even, whole attention heads"
            )
        numbers = {int(m[1]) for name in shapes if (m := re.match(r"blocks\.(\d+)\.", name))}
        if numbers != set(range(len(numbers))):
            raise ModelError(f"blocks are numbered {sorted(numbers)}, expected 0 to {len(numbers) - 1}")
        return cls(
            vocab=vocab,
            width=width,
            blocks=len(numbers),
            heads=heads,
            kv_heads=kv_rows // (width // heads),
            hidden=hidden,
            tied=HEAD not in shapes,
        )


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


class Attention(nn.Module):
    """Causal grouped-query attention with per-head query gain; no biases."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads = shape.heads, shape.kv_heads
        kv_width = shape.kv_heads * (shape.width // shape.heads)
        self.q_gain = nn.Parameter(torch.full((shape.heads,), INITIAL_Q_GAIN))
        self.c_q = nn.Linear(shape.width, shape.width, bias=False)
        self.c_k = nn.Linear(shape.width, kv_width, bias=False)
        self.c_v = nn.Linear(shape.width, kv_width, bias=False)
        self.proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """States [batch, time, width] to states of that shape.

        `rotation` is the cosines and sines of positions, both [time, head width / 2].
        """
        batch, time, width = x.shape

        def heads(y: Tensor, count: int) -> Tensor:
            return y.view(batch, time, count, width // self.heads).transpose(1, 2)

        q = _rotate(_norm(heads(self.c_q(x), self.heads)), rotation) * self.q_gain[:, None, None]
        k = _rotate(_norm(heads(self.c_k(x), self.kv_heads)), rotation)
        v = heads(self.c_v(x), self.kv_heads)
        repeat = self.heads // self.kv_heads
        if repeat > 1:
            k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(batch, time, width))
        return out


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions in half-split pairs: (x1 cos + x2 sin, x2 cos - x1 sin)."""
    cos, sin = rotation
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


class Mlp(nn.Module):
    """Two linears around a squared ReLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc = nn.Linear(shape.width, shape.hidden, bias=False)
        self.proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """States [..., width] to states of that shape."""
        hidden = F.relu(self.fc(x))
        out: Tensor = self.proj(hidden * hidden)
        return out


class TransformerBlock(nn.Module):
    """Mixes the residual stream with the first embedding, then attention and MLP, each scaled per channel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attn_scale = nn.Parameter(torch.ones(shape.width))
        self.mlp_scale = nn.Parameter(torch.ones(shape.width))
        self.resid_mix = nn.Parameter(torch.stack((torch.ones(shape.width), torch.zeros(shape.width))))
        self.attn = Attention(shape)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor, x0: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """States `x` to the next, beside `x0` after the first embedding: all [batch, time, width].

        `rotation` is as for `Attention.forward`.
        """
        x = self.resid_mix[0] * x + self.resid_mix[1] * x0
        x = x + self.attn_scale * self.attn(_norm(x), rotation)
        out: Tensor = x + self.mlp_scale * self.mlp(_norm(x))
        return out


class BaselineModel(nn.Module):
    """The whole network; `hidden_states` stops before the output head so that heads can be tried cheaply."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.tok_emb = nn.Embedding(shape.vocab, shape.width)
        self.skip_weights = nn.Parameter(torch.ones(shape.blocks // 2, shape.width))
        self.blocks = nn.ModuleList(TransformerBlock(shape) for _ in range(shape.blocks))
        if not shape.tied:
            self.lm_head = nn.Linear(shape.width, shape.vocab, bias=False)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> BaselineModel:
        """Build from float tensors by name; `ModelError` lists names that are missing, extra or misshapen."""
        shape = Shape.of({name: tuple(t.shape) for name, t in state.items()})
        with torch.device("meta"):
            model = cls(shape)
        expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
        wrong = [
            f"{name}: expected {list(expected.get(name, ())) or 'nothing'}, found "
            f"{list(state[name].shape) if name in state else 'nothing'}"
            for name in sorted(expected.keys() | state.keys())
            if name not in expected or name not in state or expected[name] != tuple(state[name].shape)
        ]
        if wrong:
            raise ModelError("builtin:baseline does not take this state dict: " + "; ".join(wrong[:8]))
        model.load_state_dict({name: t.float() for name, t in state.items()}, assign=True)
        return model.eval()

    @property
    def head(self) -> Tensor:
        """The output matrix, [vocab, width]: the embedding itself when tied."""
        weight: Tensor = self.tok_emb.weight if self.shape.tied else self.lm_head.weight
        return weight

    def hidden_states(self, ids: Tensor) -> Tensor:
        """[batch, time] token ids to normalised states [batch, time, width], ready for the head."""
        return self.states_of(self.tok_emb(ids))

    def states_of(self, embedded: Tensor) -> Tensor:
        """The same of tokens' rows of the input table [batch, time, width], in that shape."""
        x = _norm(embedded)
        rotation = _rotation(embedded.size(1), self.shape.width // self.shape.heads, x.device)
        stack: list[Tensor] = []
        x0, half = x, self.shape.blocks // 2
        for i, block in enumerate(self.blocks):
            if i >= half and stack:
                x = x + self.skip_weights[i - half] * stack.pop()
            x = block(x, x0, rotation)
            if i < half:
                stack.append(x)
        return _norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        return logits(self.hidden_states(ids), self.head)


def logits(hidden: Tensor, head: Tensor) -> Tensor:
    """Soft-capped logits [..., vocab] of states [..., width] by a head [vocab, width]."""
    return LOGIT_CAP * torch.tanh(F.linear(hidden, head / LOGIT_CAP))


def _rotation(time: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angles = torch.outer(torch.arange(time, device=device).float(), torch.exp(-math.log(ROPE_BASE) * steps))
    return angles.cos(), angles.sin()
