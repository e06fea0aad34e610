"""A model whose tokens come in groups of one direction each, and text in which a group's tokens differ in frequency.

The next group follows from the current one; within a group tokens are drawn by fixed odds.  Rows of a group differ only
along a direction in which every hidden state is the same, which does what a bias would do.  So one code for each group
costs exactly what the odds are worth, and a bias for each token gives it back.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from golfbudget.quality.baseline_model import LOGIT_CAP, BaselineModel, Shape

GROUPS, MEMBERS, WIDTH = 32, 16, 64
VOCABULARY = GROUPS * MEMBERS
WINDOW, WINDOWS, TOKEN_BYTES = 64, 256, 2
_RIGHT = 12.0


def odds() -> Tensor:
    """Within a group, proportional to 1/rank."""
    weights = 1 / torch.arange(1, MEMBERS + 1, dtype=torch.float64)
    return weights / weights.sum()


def model(seed: int = 0) -> dict[str, Tensor]:
    """An untied state dict of the baseline's family whose blocks add nothing."""
    generator = torch.Generator().manual_seed(seed)
    shape = Shape(vocab=VOCABULARY, width=WIDTH, blocks=2, heads=2, kv_heads=1, hidden=64, tied=False)
    tensors = {name: torch.zeros_like(t) for name, t in BaselineModel(shape).state_dict().items()}
    for name, tensor in tensors.items():
        if "resid_mix" in name:
            tensor[0] = 1
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64))[0]
    directions, constant = turn[:GROUPS], turn[GROUPS]
    group = torch.arange(VOCABULARY) // MEMBERS
    # Half of a state's energy is its group's direction, half the constant; states have a mean square of one.
    amount = (WIDTH / 2) ** 0.5
    tensors["tok_emb.weight"] = (amount * (directions[group] + constant)).float()
    wanted = _RIGHT + odds().log().repeat(GROUPS) - odds().log().mean()
    before_cap = LOGIT_CAP * torch.atanh(wanted / LOGIT_CAP)
    right = before_cap.mean()
    rows = right * directions[(group - 1) % GROUPS] + (before_cap - right)[:, None] * constant
    tensors["lm_head.weight"] = (rows / amount).float()
    return tensors


def write(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """(checkpoint, text) as files."""
    generator = torch.Generator().manual_seed(seed + 1)
    count = WINDOW * WINDOWS + 1
    member = torch.multinomial(odds(), count, replacement=True, generator=generator)
    tokens = (torch.arange(count) % GROUPS) * MEMBERS + member
    checkpoint, text = folder / "tied.safetensors", folder / "text.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model(seed).items()}, checkpoint)
    lengths = torch.full((VOCABULARY,), TOKEN_BYTES)
    save_file({"tokens": tokens, "token_bytes": lengths}, text, metadata={"window": str(WINDOW)})
    return checkpoint, text
