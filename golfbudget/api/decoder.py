"""`golfbudget.decoder`: the Python that reads one artifact back, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.api.base import Result, StrPath
from golfbudget.decoding.framework import Framework
from golfbudget.errors import UsageError, explained

if TYPE_CHECKING:
    from golfbudget.decoding.run import ProvedDecoder
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DecoderResult(Result):
    """A program that was run on the file and gave its state dict."""

    decoder: ProvedDecoder

    @property
    def source(self) -> str:
        """The program: a function `load` from the file's bytes to tensors by name, and two lines for a shell."""
        return self.decoder.source

    @property
    def packed_bytes(self) -> int:
        """What `pack-code` makes of the program."""
        return self.decoder.packed.length

    @property
    def tensors(self) -> int:
        """Tensors that come out of it."""
        return self.decoder.tensors

    def document(self, *, written: Path | None = None) -> Document:
        from golfbudget.report.decoder import document

        return document(self.decoder, written=written)

    def summary(self) -> str:
        from golfbudget.report.decoder import answer

        return answer(self.decoder)


def decoder(path: StrPath, *, framework: str = Framework.NUMPY) -> DecoderResult:
    """Write the smallest Python that reads an artifact back into its state dict; `framework` is numpy or torch.

    The program was run on the file in an interpreter of its own, and what it gave compared to the last bit.  Saving it
    is up to you: `Path("decode.py").write_text(result.source)`.  Raises a `GolfbudgetError` for a file of no layout
    that is known; needs `golfbudget[plan]`.
    """
    known = [str(name) for name in Framework]
    if framework not in known:
        raise UsageError(f"--with: no decoder is written for {framework!r}; known: {', '.join(known)}")
    with explained():
        from golfbudget.decoding.run import decoder as made

        return DecoderResult(decoder=made(Path(path), Framework(framework)))
