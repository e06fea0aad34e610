"""The bytes that each token of a SentencePiece model stands for, by the contest's rule; the library is optional."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golfbudget.errors import UsageError

_SPACE = "\u2581"


class Processor(Protocol):
    """What is asked of a `sentencepiece.SentencePieceProcessor`."""

    def vocab_size(self) -> int: ...

    def id_to_piece(self, id: int, /) -> str: ...  # noqa: A002  (the library's word)

    def is_control(self, id: int, /) -> bool: ...  # noqa: A002

    def is_unknown(self, id: int, /) -> bool: ...  # noqa: A002

    def is_unused(self, id: int, /) -> bool: ...  # noqa: A002

    def is_byte(self, id: int, /) -> bool: ...  # noqa: A002

    def encode(self, text: str, /) -> list[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBytes:
    """UTF-8 bytes that each token stands for, as three columns [vocabulary].

    `own` counts a piece without its leading space mark; `space` says whether it has one; `boundary` marks tokens that
    stand for no text (control, unknown, unused), after which a leading space is not counted.
    """

    own: NDArray[np.int64]
    space: NDArray[np.bool_]
    boundary: NDArray[np.bool_]

    @property
    def vocabulary(self) -> int:
        return len(self.own)

    def predicted(self, previous: NDArray[np.integer], target: NDArray[np.integer]) -> NDArray[np.int64]:
        """Bytes of each target, given the token before it; any one shape."""
        found: NDArray[np.int64] = self.own[target] + (self.space[target] & ~self.boundary[previous])
        return found

    def of_sequence(self, ids: NDArray[np.integer]) -> int:
        """Bytes of all tokens of a sequence, ids [n], that are predicted: every one but the first."""
        return int(self.predicted(ids[:-1], ids[1:]).sum())


def token_bytes(processor: Processor, vocabulary: int | None = None) -> TokenBytes:
    """The contest's rule, piece by piece, as its public training script computes it.

    A byte-fallback piece is one byte.  A piece is its UTF-8 bytes without one leading space mark, which adds one byte
    when the token before it is no boundary.  Control, unknown and unused pieces are no bytes.  A further space mark
    within a piece counts as the three bytes of that character: so the contest counts it, though it stands for one.

    `vocabulary`: rows of the model's head; ids beyond the tokenizer's own are boundaries.  `UsageError` when the
    tokenizer has more pieces than that.
    """
    pieces = processor.vocab_size()
    size = pieces if vocabulary is None else vocabulary
    if size < pieces:
        raise UsageError(
            f"the tokenizer has {pieces:,} pieces and the model a vocabulary of {size:,}; "
            "give the tokenizer that the model was trained with"
        )
    own, space, boundary = np.zeros(size, np.int64), np.zeros(size, np.bool_), np.ones(size, np.bool_)
    for token in range(pieces):
        if processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token):
            continue
        boundary[token] = False
        if processor.is_byte(token):
            own[token] = 1
            continue
        piece = processor.id_to_piece(token)
        space[token] = piece.startswith(_SPACE)
        own[token] = len(piece.removeprefix(_SPACE).encode())
    return TokenBytes(own=own, space=space, boundary=boundary)


def open_tokenizer(path: Path) -> Processor:
    """Open a SentencePiece `.model`; `UsageError` when it is none, or the library is not installed."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise UsageError(
            f"{path}: reading a tokenizer needs the package sentencepiece, which is not installed: "
            "pip install sentencepiece"
        ) from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    try:
        processor: Processor = SentencePieceProcessor(model_proto=data)
        pieces = processor.vocab_size() if data else 0
        for token in range(pieces):  # A piece that is no UTF-8 shows only when it is asked for.
            processor.id_to_piece(token)
    except (RuntimeError, OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: expected a SentencePiece .model, which this file is not ({len(data):,} bytes)"
        ) from error
    if not pieces:
        raise UsageError(f"{path}: expected a SentencePiece .model, found one without pieces")
    return processor
