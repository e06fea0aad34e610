"""Rules files: what a contest allows.  For now, its cap."""

from __future__ import annotations

from pathlib import Path

import msgspec

from golfbudget import configs

DEFAULT = "parameter-golf"


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rules file; `cap` is in bytes."""

    name: str
    cap: int


def load_rules(name: str | Path = DEFAULT) -> Rules:
    """Rules by shipped name or path."""
    return configs.load(configs.find("rules", name), Rules)
