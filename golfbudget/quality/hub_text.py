"""A text of the user's own through a `tokenizer.json`, with the bytes that each of its tokens stands for.

Every byte of the text is counted once, by the token whose span reaches it first: what lies between two tokens belongs
to the later one, and of several tokens within one character the first has its bytes.  So sums are the text's, whatever
the tokenizer does to spaces, case or accents before it looks words up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from golfbudget.errors import UsageError
from golfbudget.quality.text import CONTEST_WINDOW, Text, check_ids

#: Windows that a verdict needs at least, and the shortest that are cut for that many.
_MOST_WINDOWS, _SHORTEST = 64, 100


def open_hub_text(path: Path, *, tokenizer: Path, vocabulary: int, positions: int | None, limit: int | None) -> Text:
    """UTF-8 text in windows; `UsageError` where text, tokenizer and model do not fit each other.

    Windows are as long as the model's `positions` allow, up to 1,024 tokens, and as short as 100 where that makes 64.
    """
    ids, lengths = _encoded(path, tokenizer, vocabulary)
    ids, lengths = ids[:limit], lengths[:limit]
    check_ids(ids, vocabulary, f"{path} by {tokenizer}")
    window = _window(len(ids), positions)
    count = (len(ids) - 1) // window
    if count < 2:
        raise UsageError(f"{path}: {len(ids):,} tokens are too few for two windows of {window:,}; give more text")
    every = torch.from_numpy(ids.copy())
    used = every[: count * window + 1]
    predicted = torch.from_numpy(lengths[1 : count * window + 1].copy())
    return Text(
        windows=used.unfold(0, window + 1, window).contiguous(),
        bytes_per_window=predicted.view(count, window).sum(1),
        # Of all tokens, so that counts do not depend on how a model's windows are cut.
        counts=torch.bincount(every, minlength=vocabulary),
    )


def _window(tokens: int, positions: int | None) -> int:
    longest = min(CONTEST_WINDOW, positions or CONTEST_WINDOW)
    return max(min(longest, _SHORTEST), min(longest, (tokens - 1) // _MOST_WINDOWS))


def _encoded(path: Path, tokenizer: Path, vocabulary: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids of a text and the bytes of each, int64 [tokens]."""
    from tokenizers import Tokenizer

    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: expected UTF-8 text for {tokenizer}, byte {error.start:,} is none; tokens that are made already "
            "go as safetensors with `tokens` and `token_bytes`"
        ) from None
    try:
        made = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{tokenizer}: {error.strerror or error}") from error
    # The library raises a plain Exception for whatever is wrong with the file.
    except Exception as error:
        raise UsageError(
            f"{tokenizer}: expected a tokenizer.json of the tokenizers library, which does not read it: {error}"
        ) from error
    size = made.get_vocab_size(with_added_tokens=True)
    if size > vocabulary:
        raise UsageError(
            f"{tokenizer}: the tokenizer has {size:,} tokens and the model's head {vocabulary:,} rows; give the "
            "tokenizer that the model was trained with"
        )
    made.no_truncation()
    made.no_padding()
    found = made.encode(text, add_special_tokens=False)
    return np.array(found.ids, dtype=np.int64), token_lengths(text, found.offsets)


def token_lengths(text: str, offsets: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Bytes of each token of a text from the characters [start, stop) that it spans.

    >>> token_lengths("so é", [(0, 2), (2, 4), (3, 4)]).tolist()
    [2, 3, 0]
    """
    utf8 = np.concatenate(([0], np.cumsum([len(character.encode()) for character in text]))).astype(np.int64)
    stops = np.array([stop for _, stop in offsets], dtype=np.int64)
    reached: NDArray[np.int64] = np.diff(utf8[np.maximum.accumulate(stops)], prepend=0) if len(stops) else stops
    return reached
