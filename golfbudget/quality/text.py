"""Evaluation text: token ids in windows, the bytes each token stands for, and how often each token occurs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from golfbudget.artifact import open_artifact
from golfbudget.errors import UsageError
from golfbudget.recipe.state import read_tensors

DEFAULT_WINDOW = 256
_EXPECTED = "a safetensors file with integer tensors `tokens` [n] and `token_bytes` [vocabulary]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """`windows` int64 [n, length + 1], each overlapping the next by one token; `bytes_per_window` int64 [n].

    A window's bytes are those of its predicted tokens: all but the first.
    """

    windows: Tensor
    bytes_per_window: Tensor
    counts: Tensor

    @property
    def tokens(self) -> int:
        """Predicted tokens."""
        return len(self.windows) * self.window

    @property
    def window(self) -> int:
        """Predicted tokens of each window."""
        return self.windows.shape[1] - 1

    @property
    def bytes(self) -> int:
        return int(self.bytes_per_window.sum())

    def first(self, windows: int) -> Text:
        """The first windows; the counts stay the whole text's."""
        return replace(self, windows=self.windows[:windows], bytes_per_window=self.bytes_per_window[:windows])

    def mostly_in(self, other: Text) -> bool:
        """Whether most windows stand in another text, whatever the form of their files."""
        known = {window.numpy().tobytes() for window in other.windows}
        shared = sum(window.numpy().tobytes() in known for window in self.windows)
        return 2 * shared > len(self.windows)


def load_text(path: Path) -> Text:
    """Read evaluation tokens; the window length stands in the file's metadata (`window`), 256 by default."""
    artifact = open_artifact(path)
    tensors = read_tensors(artifact)
    missing = {"tokens", "token_bytes"} - tensors.keys()
    if missing or any(
        tensors[name].ndim != 1 or tensors[name].is_floating_point() for name in ("tokens", "token_bytes")
    ):
        raise UsageError(f"{path}: expected {_EXPECTED}, found {', '.join(tensors) or 'no tensors'}")
    tokens, token_bytes = tensors["tokens"].long(), tensors["token_bytes"].long()
    if not len(tokens) or int(tokens.min()) < 0 or int(tokens.max()) >= len(token_bytes):
        raise UsageError(f"{path}: token ids must lie in [0, {len(token_bytes)}), the vocabulary of token_bytes")
    window = _window(artifact.values.get("__metadata__/window"), path)
    count = (len(tokens) - 1) // window
    if count < 2:
        raise UsageError(f"{path}: {len(tokens)} tokens are too few for two windows of {window}")
    windows = tokens[: count * window + 1].unfold(0, window + 1, window).contiguous()
    return Text(
        windows=windows,
        bytes_per_window=token_bytes[windows[:, 1:]].sum(1),
        counts=torch.bincount(tokens, minlength=len(token_bytes)),
    )


def _window(value: object, path: Path) -> int:
    if value is None:
        return DEFAULT_WINDOW
    if isinstance(value, str) and value.isdecimal() and int(value) > 0:
        return int(value)
    raise UsageError(f"{path}: metadata `window` must be a positive number, found {value!r}")


def load_counts(path: Path) -> Tensor:
    """Token counts, int64 [vocabulary]: a tensor `counts`, or counted from an evaluation text's tokens."""
    tensors = read_tensors(open_artifact(path))
    counts = tensors.get("counts")
    if counts is None and {"tokens", "token_bytes"} <= tensors.keys():
        return load_text(path).counts
    if counts is None or counts.ndim != 1 or counts.is_floating_point():
        raise UsageError(
            f"{path}: expected an integer tensor `counts` [vocabulary], found {', '.join(tensors) or 'none'}"
        )
    return counts.long()
