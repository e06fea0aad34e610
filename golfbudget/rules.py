"""Rules files: what a contest allows and what it counts (`configs/rules/parameter-golf.toml`, or a user's file)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from golfbudget import configs

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
