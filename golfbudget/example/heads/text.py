"""Tokens of the study's text: the example's kind of text and split, at a vocabulary of one's choice, made once."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from golfbudget.example.train import HELD_OUT_ONE_IN, encode, is_held_out, library_files, read, train_tokenizer
from golfbudget.quality.text import Text

LICENCE = "PSF License Version 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyText:
    """Training tokens int64 [n], held-out tokens, the UTF-8 bytes of each token, and what is known of the text."""

    tokens: Tensor
    held_out: Tensor
    token_bytes: Tensor
    facts: dict[str, int | str]

    @property
    def vocabulary(self) -> int:
        return len(self.token_bytes)

    @property
    def counts(self) -> Tensor:
        """How often each token stands in the training text, int64 [V]."""
        return self.tokens.bincount(minlength=self.vocabulary)

    def cut(self, tokens: Tensor, window: int) -> Text:
        """Tokens [n] in windows that overlap by one, as losses are measured on."""
        count = (len(tokens) - 1) // window
        windows = tokens[: count * window + 1].unfold(0, window + 1, window).contiguous()
        return Text(
            windows=windows,
            bytes_per_window=self.token_bytes[windows[:, 1:]].sum(1),
            counts=tokens.bincount(minlength=self.vocabulary),
        )


def study_text(folder: Path, vocabulary: int, most_files: int | None = None) -> StudyText:
    """The text at a vocabulary, kept in `folder`; `most_files` of the library's files, for a trial."""
    kept = folder / f"text-{vocabulary}.npz"
    if not kept.exists():
        _make(kept, folder / f"tokenizer-{vocabulary}.model", vocabulary, most_files)
    with np.load(kept) as held:
        return StudyText(
            tokens=torch.from_numpy(held["tokens"].astype(np.int64)),
            held_out=torch.from_numpy(held["held_out"].astype(np.int64)),
            token_bytes=torch.from_numpy(held["token_bytes"].astype(np.int64)),
            facts=json.loads(str(held["facts"])),
        )


def _make(kept: Path, tokenizer: Path, vocabulary: int, most_files: int | None) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    files = library_files()
    if most_files is not None:
        # Some of either side of the split, from all over the library.
        own = [path for path in files if not is_held_out(path)]
        held = [path for path in files if is_held_out(path)]
        few = max(1, most_files // 8)
        files = own[:: max(1, len(own) // most_files)][:most_files] + held[:: max(1, len(held) // few)][:few]
    training, held_out = (read([path for path in files if is_held_out(path) is side]) for side in (False, True))
    train_tokenizer(training, tokenizer, vocabulary)
    tokens, token_bytes = encode(training, tokenizer)
    held_tokens, _ = encode(held_out, tokenizer)
    facts = {
        "text": "Python standard library sources",
        "licence": LICENCE,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sentencepiece": version("sentencepiece"),
        "training_text_bytes": len(training.encode()),
        "training_text_tokens": len(tokens),
        "held_out_bytes": len(held_out.encode()),
        "held_out_tokens": len(held_tokens),
        "held_out": f"whole files, one in {HELD_OUT_ONE_IN} by SHA-256 of the path",
        "training_text_sha256": hashlib.sha256(training.encode()).hexdigest(),
        "held_out_sha256": hashlib.sha256(held_out.encode()).hexdigest(),
        "tokenizer": f"SentencePiece BPE of {vocabulary} pieces, byte fallback",
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
    }
    partial = kept.with_suffix(".part.npz")
    np.savez_compressed(
        partial, tokens=tokens, held_out=held_tokens, token_bytes=token_bytes, facts=np.array(json.dumps(facts))
    )  # fmt: skip
    partial.replace(kept)
