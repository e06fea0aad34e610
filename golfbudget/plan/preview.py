"""A preview: every file of a plan through a fast codec instead of the recipe's own, and what must be said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from golfbudget import codecs
from golfbudget.errors import UsageError
from golfbudget.recipe.config import Recipe


@dataclass(frozen=True, slots=True)
class Preview:
    """The codec that stands in for the recipe's."""

    codec: str
    level: int

    def __str__(self) -> str:
        return f"{self.codec}-{self.level}"

    @property
    def caveat(self) -> str:
        """What a verdict reached on such bytes has to say."""
        return f"bytes are those of a preview codec, {self}; the cap is not decided by it: plan again without --preview"

    def note(self, recipe: Recipe) -> str:
        """What the heading says."""
        return (
            f"preview: every file is written by {self} instead of the recipe's {recipe.codec}-{recipe.level}, so "
            "bytes, savings and what fits are not the recipe's; lossless packings are left out"
        )


def parse_preview(text: str) -> Preview:
    """`CODEC-LEVEL`, such as `zstd-3`; `UsageError` lists what there is.

    >>> parse_preview("zstd-3")
    Preview(codec='zstd', level=3)
    """
    known = codecs.registered()
    written = re.fullmatch(r"(.+?)-(-?[0-9]{1,3})", text)
    name = "" if written is None else written[1]
    if written is None or name not in known:
        raise UsageError(f"--preview {text}: write CODEC-LEVEL, as in zstd-3; known codecs: {', '.join(sorted(known))}")
    levels = known[name].levels
    level = int(written[2])
    if level not in levels:
        raise UsageError(f"--preview {text}: {name} takes levels {levels.start} to {levels.stop - 1}")
    return Preview(name, level)
