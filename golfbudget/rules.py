"""The cap and what counts against it; rules files, shipped (`configs/rules/parameter-golf.toml`) or a user's."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from golfbudget import configs
from golfbudget.errors import UsageError

_UNITS = {
    "": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
    "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3,
}  # fmt: skip
#: What a fitted file's loader takes, before it is known.
LOADER_BYTES = 1_500
#: Digits, or thousands set apart by commas or as Python does it.
_WHOLE = r"\d{1,3}(?:,\d{3}){1,9}|\d{1,30}(?:_\d{1,30}){0,9}"


class Budget(Struct, frozen=True, kw_only=True):
    """Bytes used of a cap.  `code` is None when no code was given: then it is not counted, and reports say so."""

    cap: int
    stored: int
    code: int | None

    @property
    def used(self) -> int:
        return self.stored + (self.code or 0)

    @property
    def headroom(self) -> int:
        """Bytes left under the cap; negative when over it."""
        return self.cap - self.used

    @property
    def fits(self) -> bool:
        return self.headroom >= 0


def parse_size(text: str) -> int:
    """A number of bytes: `16000000`, `16MB` (decimal) or `16MiB` (binary).  `UsageError` otherwise.

    A comma sets thousands apart and nothing else: `1,5MB`, as half the world writes 1.5, is not 15 MB.

    >>> parse_size("16MB"), parse_size("16 MiB"), parse_size("1.5kB"), parse_size("16,000,000")
    (16000000, 16777216, 1500, 16000000)
    """
    number = re.fullmatch(rf"({_WHOLE})(?:\.(\d{{1,30}}))?\s*([A-Za-z]{{0,3}})", text.strip(), re.ASCII)
    unit = _UNITS.get(number[3].upper()) if number else None
    if number is None or unit is None:
        raise UsageError(f"{text[:80]!r} is no size; write 16000000, 16MB (decimal) or 16MiB (binary)")
    whole = int(re.sub(r"[_,]", "", number[1])) * unit
    if number[2] is None:
        return whole
    fraction, remainder = divmod(int(number[2]) * unit, int(10 ** len(number[2])))
    if remainder:
        raise UsageError(f"{text!r} is no whole number of bytes")
    return whole + fraction


def code_size(text: str, *, option: str = "--code") -> int:
    """Bytes of code from a file that exists, or from a size; `option` is what a message names.

    `UsageError` where the text is neither.
    """
    try:
        path = Path(text)
        if path.is_file():
            return path.stat().st_size
    except (OSError, ValueError):
        pass  # Not a name that a file can have: then it must be a size.
    try:
        return parse_size(text)
    except UsageError:
        raise UsageError(f"{option} {text[:80]}: neither a file that exists nor a size such as 48000 or 48kB") from None


DEFAULT = "parameter-golf"

Patterns = tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=200)], ...]


class Convention(StrEnum):
    """Ways to count that coexist, and are never mixed."""

    LOGGED = "logged"
    SHIPPED = "shipped"
    PACKED = "packed"
    FOLDER = "folder"


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the files of a submission are, by patterns of names; where several fit, the file says which goes first."""

    entry: Patterns
    code: Patterns
    data: Patterns
    model: Patterns
    checkpoint: Patterns
    tokenizer: Patterns
    claims: Patterns
    log: Patterns
    side: Patterns


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of those files count."""

    code: Literal["reached", "entry", "all"]
    models: Literal["largest", "sum"]
    tokenizer: bool


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rules file; `cap` is in bytes, and so is `seed_spread`, one standard deviation of artifacts between seeds."""

    name: str
    cap: Annotated[int, msgspec.Meta(ge=0)]
    convention: Convention
    seed_spread: Annotated[int, msgspec.Meta(ge=0)]
    count: Count
    files: Files


def load_rules(name: str | Path = DEFAULT) -> Rules:
    """Rules by shipped name or path.  What a file leaves out, all but name and cap, is as in the contest's own."""
    path, default = configs.find("rules", name), configs.find("rules", DEFAULT)
    return configs.load(path, Rules, base=None if path == default else default, required=("name", "cap"))
