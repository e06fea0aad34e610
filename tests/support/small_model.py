"""A small model of the baseline's architecture, with a recipe and texts that suit it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from golfbudget.quality.baseline_model import BaselineModel, Shape
from support.transcripts import ROOT

VOCABULARY, WIDTH = 96, 32


def state(*, tied: bool = True) -> dict[str, Tensor]:
    """Weights whose head has a few frequent directions, so that no scheme meets noise alone."""
    generator = torch.Generator().manual_seed(4)
    shape = Shape(vocab=VOCABULARY, width=WIDTH, blocks=2, heads=2, kv_heads=2, hidden=64, tied=tied)
    made = {
        name: (tensor.ndim == 1) + 0.3 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in BaselineModel(shape).state_dict().items()
    }
    made["tok_emb.weight"] += torch.randn(8, WIDTH, generator=generator)[torch.arange(VOCABULARY) % 8]
    return made


def files(folder: Path, *, tied: bool = True) -> dict[str, Path]:
    """Checkpoint, recipe, evaluation text and calibration text."""
    generator = torch.Generator().manual_seed(7)
    chances = 1 / (torch.arange(VOCABULARY) + 2.0)
    found = {"path": folder / "model.safetensors", "recipe": folder / "recipe.toml"}
    save_file(state(tied=tied), found["path"])
    text = ROOT / "configs" / "recipes" / "int8-zlib-small.toml"
    found["recipe"].write_text(text.read_text(encoding="utf-8").replace("4_095", "500"), encoding="utf-8")
    for name, count in (("tokens", 600), ("calibration", 400)):
        found[name] = folder / f"{name}.safetensors"
        drawn = chances.multinomial(count, replacement=True, generator=generator).int()
        tensors = {"tokens": drawn, "token_bytes": torch.full((VOCABULARY,), 3, dtype=torch.uint8)}
        save_file(tensors, found[name], metadata={"window": "32"})
    return found
