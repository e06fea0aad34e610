"""Evaluation text: token ids in windows, the bytes each token stands for, and how often each token occurs.

Read from a safetensors file of tokens, an `.npy` array, one of the contest's `.bin` shards, or text and its tokenizer.
A shard is 256 little-endian int32, the first three being 20240520, version 1 and the number of tokens, and then as
many little-endian uint16; the contest's training script writes and checks it so.  A file is known by its first bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golfbudget.artifact import open_artifact
from golfbudget.errors import UsageError
from golfbudget.quality.tokenizers import TokenBytes, open_tokenizer, token_bytes
from golfbudget.recipe.state import read_tensors

Ids = NDArray[np.integer]

NPY_MAGIC = b"\x93NUMPY"
SHARD_MAGIC, SHARD_VERSION = 20240520, 1
_HEADER = np.dtype("<i4")
_HEADER_BYTES = 256 * _HEADER.itemsize
_TOKEN = np.dtype("<u2")
#: The contest's sequence length in evaluation, unless a submission sets another.
CONTEST_WINDOW = 1024
_FORMS = "an .npy array of integers, a .bin shard, a safetensors file of tokens, or UTF-8 text with its tokenizer"
DEFAULT_WINDOW = 256
#: Bytes of one token, at most: far above any vocabulary's, and their sums cannot overflow.
_LONGEST_TOKEN = 1 << 20
_EXPECTED = "a safetensors file with integer tensors `tokens` [n] and `token_bytes` [vocabulary]"

#: The share of a text that chooses, where there is no text of its own for that; errors are compared by divergence,
#: which varies far less than loss, so that a tenth is enough.
_CHOOSES = 10


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

    @property
    def choosing(self) -> int:
        """How many of the first windows choose, where no other text does: what is chosen looks better there."""
        return max(1, len(self.windows) // _CHOOSES)

    def counted(self, tokens: int) -> Tensor:
        """How often each token is among the first `tokens`, int64 [vocabulary], whatever the windows."""
        every = torch.cat([self.windows[0, :1], self.windows[:, 1:].flatten()])
        return torch.bincount(every[:tokens], minlength=len(self.counts))

    def first(self, windows: int) -> Text:
        """The first windows; the counts stay the whole text's."""
        return replace(self, windows=self.windows[:windows], bytes_per_window=self.bytes_per_window[:windows])

    def mostly_in(self, other: Text) -> bool:
        """Whether most windows stand in another text, whatever the form of their files."""
        known = {window.numpy().tobytes() for window in other.windows}
        shared = sum(window.numpy().tobytes() in known for window in self.windows)
        return 2 * shared > len(self.windows)


def load_text(path: Path) -> Text:
    """Read a safetensors file of tokens; its metadata may have the length of a `window`, 256 by default.

    `UsageError` says what is wrong with it; other errors as of `open_artifact`.
    """
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
    _check_lengths(token_bytes, path)
    window = _window(artifact.values.get("__metadata__/window"), path)
    count = (len(tokens) - 1) // window
    if count < 2:
        raise UsageError(f"{path}: {len(tokens)} tokens are too few for two windows of {window}")
    windows = tokens[: count * window + 1].unfold(0, window + 1, window).contiguous()
    bytes_per_window = token_bytes[windows[:, 1:]].sum(1)
    if not bytes_per_window.any():
        raise UsageError(
            f"{path}: token_bytes gives zero bytes to every token that is predicted, so there is no text to count bits "
            "per byte of; expected the UTF-8 bytes of each token"
        )
    return Text(
        windows=windows,
        bytes_per_window=bytes_per_window,
        counts=torch.bincount(tokens, minlength=len(token_bytes)),
    )


def _check_lengths(token_bytes: Tensor, path: Path) -> None:
    """`UsageError` for the first token whose bytes are below zero, or more than any piece has."""
    outside = (token_bytes < 0) | (token_bytes > _LONGEST_TOKEN)
    if outside.any():
        token = int(outside.int().argmax())
        raise UsageError(
            f"{path}: token_bytes[{token}] is {int(token_bytes[token])}; expected the UTF-8 bytes of the token, "
            f"0 to {_LONGEST_TOKEN:,}"
        )


def _window(value: object, path: Path) -> int:
    if value is None:
        return DEFAULT_WINDOW
    if isinstance(value, str) and value.isdecimal() and int(value) > 0:
        return int(value)
    raise UsageError(f"{path}: metadata `window` must be a positive number, found {value!r}")


def load_counts(path: Path) -> Tensor:
    """Token counts, int64 [vocabulary]: a tensor `counts`, or counted from an evaluation text's tokens.

    `UsageError` where neither is there; other errors as of `open_artifact`.
    """
    tensors = read_tensors(open_artifact(path))
    counts = tensors.get("counts")
    if counts is None and {"tokens", "token_bytes"} <= tensors.keys():
        return load_text(path).counts
    if counts is None or counts.ndim != 1 or counts.is_floating_point():
        raise UsageError(
            f"{path}: expected an integer tensor `counts` [vocabulary], found {', '.join(tensors) or 'none'}"
        )
    return counts.long()


def open_text(
    path: Path,
    *,
    vocabulary: int,
    tokenizer: Path | None = None,
    window: int = CONTEST_WINDOW,
    limit: int | None = None,
) -> Text:
    """Evaluation text in windows, with its bytes by the contest's definition.

    `tokenizer` is a SentencePiece .model: every form but safetensors needs it, to know each token's bytes.  At most
    the first `limit` tokens are taken.  `UsageError` says what is wrong with the file and what was expected.
    """
    if path.suffix == ".safetensors":
        return load_text(path)
    if tokenizer is None:
        raise UsageError(
            f"{path}: bits per byte need each token's bytes; give the SentencePiece .model that the tokens were made "
            "with, or a safetensors file with `tokens` and `token_bytes`"
        )
    lengths = token_bytes(open_tokenizer(tokenizer), vocabulary)
    ids = read_tokens(path, tokenizer=tokenizer, limit=limit)
    return text_of(ids, lengths, window=window, where=str(path))


def read_tokens(path: Path, *, tokenizer: Path | None = None, limit: int | None = None) -> Ids:
    """Token ids [n] of a file of any form but safetensors, in its own integer type; at most the first `limit`.

    `UsageError` for what is no such file, and for text without a `tokenizer`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(NPY_MAGIC))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if start == NPY_MAGIC:
        return _read_npy(path)[:limit]
    if path.suffix == ".bin" or start[:4] == SHARD_MAGIC.to_bytes(4, "little"):
        return _read_shard(path, limit)
    if path.suffix == ".npy":
        raise UsageError(f"{path}: expected an .npy file, which begins with {NPY_MAGIC!r}, found {start!r}")
    return _encode(path, tokenizer)[:limit]


def _read_npy(path: Path) -> Ids:
    try:
        found = np.load(path, allow_pickle=False)
    except Exception as error:  # The library parses headers as Python, and passes on whatever that raises.
        raise UsageError(f"{path}: the .npy array cannot be read: {error}") from error
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise UsageError(f"{path}: expected integer token ids [n], found {found.dtype} {list(found.shape)}")
    ids: Ids = found.astype(found.dtype.newbyteorder("="), copy=False)
    return ids


def _read_shard(path: Path, limit: int | None) -> Ids:
    size = path.stat().st_size
    header = np.fromfile(path, dtype=_HEADER, count=256)
    if len(header) < 256:
        raise UsageError(f"{path}: a shard begins with a header of {_HEADER_BYTES:,} bytes, the file has {size:,}")
    magic, version, count = (int(value) for value in header[:3])
    if (magic, version) != (SHARD_MAGIC, SHARD_VERSION):
        raise UsageError(
            f"{path}: expected a shard of magic {SHARD_MAGIC} and version {SHARD_VERSION}, found {magic} and {version}"
        )
    expected = _HEADER_BYTES + count * _TOKEN.itemsize
    if count < 0 or size != expected:
        state = "truncated" if size < expected else "longer than its header says"
        raise UsageError(
            f"{path}: the shard is {state}: {count:,} tokens make {expected:,} bytes, the file has {size:,}"
        )
    taken = count if limit is None else min(count, limit)
    return np.fromfile(path, dtype=_TOKEN, count=taken, offset=_HEADER_BYTES).astype(np.uint16, copy=False)


def _encode(path: Path, tokenizer: Path | None) -> Ids:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected {_FORMS}; byte {error.start:,} is not UTF-8") from error
    if tokenizer is None:
        raise UsageError(f"{path}: text must be cut into tokens; give the SentencePiece .model of its tokenizer")
    return np.array(open_tokenizer(tokenizer).encode(text), dtype=np.int64)


def check_ids(ids: Ids, vocabulary: int, where: str) -> None:
    """`UsageError` for the first of token ids [n] outside 0 ≤ id < `vocabulary`."""
    outside = (ids < 0) | (ids >= vocabulary)
    if outside.any():
        at = int(outside.argmax())
        raise UsageError(
            f"{where}: token {int(ids[at])} at position {at:,} is outside the vocabulary: "
            f"expected 0 to {vocabulary - 1:,}"
        )


def count_tokens(ids: Ids, vocabulary: int, where: str) -> NDArray[np.int64]:
    """How often each token occurs in `ids` [n], int64 [vocabulary]; errors as of `check_ids`."""
    check_ids(ids, vocabulary, where)
    return np.bincount(ids.astype(np.int64, copy=False), minlength=vocabulary)


def check_counts(counts: NDArray[np.integer], vocabulary: int, where: str) -> None:
    """`UsageError` unless there is one count, zero or more, for each row of the head: integers [vocabulary]."""
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) != vocabulary:
        raise UsageError(
            f"{where}: expected integer token counts [{vocabulary}], one for each row of the head, "
            f"found {counts.dtype} {list(counts.shape)}"
        )
    if (counts < 0).any():
        raise UsageError(f"{where}: token {int((counts < 0).argmax())} has a count below zero")


def predicted_counts(text: Text, vocabulary: int) -> NDArray[np.int64]:
    """How often each token is predicted, int64 [vocabulary]: the counts that tie floors on this text are about.

    The first token of a text is never predicted, nor is what is left over after the last whole window.
    """
    return count_tokens(text.windows[:, 1:].flatten().numpy(), vocabulary, "the evaluation text")


def text_of(ids: Ids, lengths: TokenBytes, *, window: int, where: str) -> Text:
    """Token ids [n] as windows of `window` predicted tokens; what is left over at the end is dropped.

    A window's bytes follow the token before each predicted one, the first of the window included.  `UsageError` for too
    few tokens, for tokens without any bytes, and as of `check_ids`.
    """
    check_ids(ids, lengths.vocabulary, where)
    if window < 1:
        raise UsageError(f"{where}: a window has one predicted token or more, found {window}")
    count = (len(ids) - 1) // window
    if count < 2:
        raise UsageError(f"{where}: {len(ids):,} tokens are too few for two windows of {window:,}")
    used = ids[: count * window + 1].astype(np.int64, copy=False)
    bytes_ = lengths.predicted(used[:-1], used[1:]).reshape(count, window).sum(axis=1)
    if not bytes_.sum():
        raise UsageError(f"{where}: the tokens stand for no text at all: is this their tokenizer?")
    return Text(
        windows=torch.from_numpy(used).unfold(0, window + 1, window).contiguous(),
        bytes_per_window=torch.from_numpy(bytes_),
        counts=torch.from_numpy(np.bincount(used, minlength=lengths.vocabulary)),
    )
