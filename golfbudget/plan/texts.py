"""Texts and token counts of a plan, read the same way when it is made and when one of its files is written again."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.plan.measuring import first
from golfbudget.quality.text import Text, load_counts
from golfbudget.quality.tokens import check_counts, open_text, read_tokens


def read_text(path: Path, vocabulary: int, *, tokenizer: Path | None = None, limit: int | None = None) -> Text:
    """A text of any form that `--tokens` takes, every token in the vocabulary; at most its first `limit` tokens."""
    text = open_text(path, vocabulary=vocabulary, tokenizer=tokenizer, limit=limit)
    most = int(text.windows.max())
    if most >= vocabulary or len(text.counts) != vocabulary:
        held = f"token {most}" if most >= vocabulary else f"a vocabulary of {len(text.counts)}"
        raise UsageError(f"{path}: holds {held}, the head has {vocabulary} rows")
    return text if limit is None else first(text, max(2, limit // (text.windows.shape[1] - 1)))


def read_counts(path: Path, vocabulary: int) -> Tensor:
    """Token counts, int64 [vocabulary], of an .npy array or safetensors with `counts`."""
    if path.suffix == ".npy":
        found = read_tokens(path)
        check_counts(found, vocabulary, str(path))
        return torch.from_numpy(found.astype("int64"))
    counts = load_counts(path)
    check_counts(counts.numpy(), vocabulary, str(path))
    return counts


__all__ = ["read_counts", "read_text"]
