"""Vocabularies as `--vocab` names them: a tokenizer measured on a text, or a size with a claimed figure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.plan.vocabulary.results import Figures
from golfbudget.quality.tokenizers import open_tokenizer, token_bytes

_CLAIMED = re.compile(r"(\d{1,12})(?::(\d{1,6}(?:\.\d{1,9})?))?", re.ASCII)
#: Larger vocabularies are mistakes: the largest in use have a quarter of a million tokens.
_LARGEST = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedVocabulary:
    """A vocabulary's figures, and the token counts [size] that its floors are about."""

    figures: Figures
    counts: NDArray[np.float64] | NDArray[np.int64]


def read_text(path: Path) -> str:
    """A UTF-8 text as it stands, line ends included; `UsageError` for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--tokens {path}: {error.strerror or error}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--tokens {path}: with --vocab this is the text that each tokenizer cuts up, in UTF-8; byte "
            f"{error.start:,} is not UTF-8 (tokens of one vocabulary cannot be those of another)"
        ) from error


def read_vocabularies(
    given: Sequence[str], text: str | None, *, where: str | None, counts: NDArray[np.int64] | None = None
) -> list[CountedVocabulary]:
    """Every vocabulary asked for, by size; `where` names the text in messages.

    `counts` [vocabulary] are token counts for those of as many tokens that no text was counted for.  `UsageError` says
    which `--vocab` is wrong and what was expected.
    """
    found: list[CountedVocabulary] = []
    for name in given:
        claimed = _CLAIMED.fullmatch(name.strip())
        if claimed is not None:
            found.append(_claimed(name.strip(), int(claimed[1]), claimed[2], counts))
        else:
            found.append(_measured(Path(name), text, where))
    _check_alike(found)
    if text is not None and all(one.figures.tokens is None for one in found):
        raise UsageError(f"--tokens {where}: no --vocab names a tokenizer to cut it up; give --vocab FILE.model")
    if counts is not None and all(one.figures.size != len(counts) or one.figures.tokens is not None for one in found):
        raise UsageError(
            f"--counts: holds counts of {len(counts):,} tokens; expected the size of a vocabulary given as V or V:BYTES"
        )
    return sorted(found, key=lambda one: (one.figures.size, one.figures.label))


def _claimed(label: str, size: int, figure: str | None, counts: NDArray[np.int64] | None) -> CountedVocabulary:
    _check_size(label, size)
    bytes_per_token = None if figure is None else float(figure)
    if bytes_per_token is not None and not (math.isfinite(bytes_per_token) and bytes_per_token > 0):
        raise UsageError(f"--vocab {label}: bytes per token must be above zero, found {figure}")
    counted = counts is not None and len(counts) == size
    weights = counts if counted and counts is not None else 1 / np.arange(1, size + 1, dtype=np.float64)
    figures = Figures(
        label=str(size),
        size=size,
        tokenizer_bytes=None,
        bytes_per_token=bytes_per_token,
        bytes_per_token_known=Evidence.UNKNOWN if figure is None else Evidence.CLAIMED,
        tokens=None,
        used=None,
        counts_known=Evidence.MEASURED if counted else Evidence.MODELLED,
    )
    return CountedVocabulary(figures=figures, counts=weights)


def _measured(path: Path, text: str | None, where: str | None) -> CountedVocabulary:
    if not path.exists():
        raise UsageError(
            f"--vocab {path}: no such file; give a SentencePiece .model, a size V, or V:BYTES with the bytes of text "
            "that a token stands for, as 8192:3.72"
        )
    processor = open_tokenizer(path)
    _check_size(str(path), processor.vocab_size())
    if text is None:
        raise UsageError(
            f"--vocab {path}: its bytes per token are measured on a text; give --tokens FILE.txt, or "
            f"{processor.vocab_size()}:BYTES instead of the file"
        )
    ids = np.array(processor.encode(text), dtype=np.int64)
    predicted = len(ids) - 1
    bytes_ = token_bytes(processor).of_sequence(ids) if predicted > 0 else 0
    if bytes_ <= 0:
        raise UsageError(
            f"--tokens {where}: {max(len(ids), 0):,} tokens of {path} predict no bytes; give a longer text"
        )
    # The first token is never predicted, and floors are about predicted ones.
    counts = np.bincount(ids[1:], minlength=processor.vocab_size())
    figures = Figures(
        label=path.name,
        size=processor.vocab_size(),
        tokenizer_bytes=path.stat().st_size,
        bytes_per_token=bytes_ / predicted,
        bytes_per_token_known=Evidence.MEASURED,
        tokens=predicted,
        used=int(np.count_nonzero(counts)),
        counts_known=Evidence.MEASURED,
    )
    return CountedVocabulary(figures=figures, counts=counts)


def _check_size(label: str, size: int) -> None:
    if not 2 <= size <= _LARGEST:
        raise UsageError(f"--vocab {label}: a vocabulary has 2 to {_LARGEST:,} tokens, found {size:,}")


def _check_alike(found: Sequence[CountedVocabulary]) -> None:
    """Two of one size are told apart by their figures, so both must have some, and not the same."""
    seen: dict[int, list[Figures]] = {}
    for one in (measured.figures for measured in found):
        for other in seen.setdefault(one.size, []):
            if None in (one.bytes_per_token, other.bytes_per_token) or one == other:
                raise UsageError(
                    f"--vocab: two vocabularies of {one.size:,} tokens ({other.label} and {one.label}) and nothing "
                    "that tells them apart; give each its bytes per token (V:BYTES) or its tokenizer, or leave one out"
                )
        seen[one.size].append(one)
