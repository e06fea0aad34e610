"""Costs that an earlier fit of the same source found, under the same libraries and the same code.

A fit that was stopped goes on where it was, and another cap asks only for what is new.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from golfbudget.fit.desk import Priced
from golfbudget.fit.menu import MatrixChoice
from golfbudget.plan.result_cache import ResultCache

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCosts:
    """One entry of the cache for each owner and kind of figure, written anew with every figure that is found.

    `text` names what losses are measured on; empty where nothing of them is kept, as of a user's own program.
    """

    cache: ResultCache
    text: str = ""

    def priced(self, owner: str) -> dict[MatrixChoice, Priced]:
        """Bytes and errors by choice."""
        return self._read(f"price {owner}", Priced)

    def keep_priced(self, owner: str, found: dict[MatrixChoice, Priced]) -> None:
        self._keep(f"price {owner}", found)

    def losses(self, owner: str) -> dict[MatrixChoice, float]:
        """Measured divergences by choice, bits per byte."""
        return self._read(f"loss {owner} {self.text}", float) if self.text else {}

    def keep_losses(self, owner: str, found: dict[MatrixChoice, float]) -> None:
        if self.text:
            self._keep(f"loss {owner} {self.text}", found)

    def _read(self, name: str, of: type[T]) -> dict[MatrixChoice, T]:
        known = self.cache.facts({"fit": name}) or {}
        try:
            return {_choice(key): msgspec.convert(value, type=of) for key, value in known.items()}
        except (msgspec.ValidationError, ValueError, TypeError):
            return {}  # Damaged, or of another version: it is made again.

    def _keep(self, name: str, found: dict[MatrixChoice, T]) -> None:
        self.cache.keep_facts(
            {"fit": name}, {_key(choice): msgspec.to_builtins(each) for choice, each in found.items()}
        )


def _key(choice: MatrixChoice) -> str:
    return json.dumps([choice.scheme, choice.options])


def _choice(key: str) -> MatrixChoice:
    scheme, options = json.loads(key)
    return MatrixChoice(scheme, tuple((name, value) for name, value in options))
