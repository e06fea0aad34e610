"""State dicts with a known answer, and files made from them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

VOCABULARY, WIDTH, HIDDEN, BLOCKS = 1024, 128, 512, 2
#: Just under half a quantisation step, so that rounding noise exceeds it.
NOISE = 0.49


def noisy(matrix: Tensor, generator: torch.Generator) -> Tensor:
    """Move each value by noise just under half of its row's int8 step."""
    step = matrix.abs().amax(dim=1, keepdim=True) / 127
    return matrix + (2 * torch.rand(matrix.shape, generator=generator) - 1) * NOISE * step


def random_head(generator: torch.Generator) -> Tensor:
    return torch.randn(VOCABULARY, WIDTH, generator=generator)


def repeated_head(generator: torch.Generator, rows: int = 64) -> Tensor:
    """Each token is a noisy copy of one of a few well-separated rows."""
    base = 2 * torch.randn(rows, WIDTH, generator=generator)
    return noisy(base[torch.randint(0, rows, (VOCABULARY,), generator=generator)], generator)


def random_matrix(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=generator)


def ternary_matrix(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    """Rows of -s, 0 and +s with noise; s is over 1, so that the recipe's scale floor does not bind."""
    signs = torch.randint(-1, 2, (rows, columns), generator=generator).float()
    scales = 1.5 + torch.rand(rows, 1, generator=generator)
    return noisy(signs * scales, generator)


def state(head: Tensor, trunk: list[Tensor]) -> dict[str, Tensor]:
    """A tied model's state dict."""
    return {"tok_emb.weight": head} | {f"blocks.{i}.mlp.fc.weight": matrix for i, matrix in enumerate(trunk)}


def repeated_rows_model(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    trunk = [random_matrix(generator, HIDDEN, 2 * WIDTH) for _ in range(BLOCKS)]
    return state(repeated_head(generator), trunk)


def ternary_trunk_model(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    trunk = [ternary_matrix(generator, HIDDEN, 2 * WIDTH) for _ in range(BLOCKS)]
    return state(random_head(generator), trunk)


def save(folder: Path, tensors: dict[str, Tensor], name: str = "model.safetensors") -> Path:
    path = folder / name
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path


def low_rank_head(generator: torch.Generator, rank: int = 16) -> Tensor:
    """A product of two narrow matrices under the same noise."""
    product = torch.randn(VOCABULARY, rank, generator=generator) @ torch.randn(rank, WIDTH, generator=generator)
    return noisy(0.7 * product, generator)


def low_rank_model(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return state(low_rank_head(generator), [random_matrix(generator, HIDDEN, 2 * WIDTH) for _ in range(BLOCKS)])
