"""Marks for some values of a parametrised test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_for(slow: Iterable[str], values: Iterable[str]) -> list[Any]:
    """`values` as pytest takes them, those of `slow` marked so; `ValueError` for one that is none of them."""
    values, slow = list(values), set(slow)
    if unknown := slow - set(values):
        raise ValueError(f"no such values: {sorted(unknown)}")
    return [pytest.param(value, marks=pytest.mark.slow) if value in slow else value for value in values]
