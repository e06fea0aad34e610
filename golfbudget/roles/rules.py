"""Ordered pattern rules (`configs/roles/default.toml`, or a user's file): stored name to owner, owner to role."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from golfbudget import configs
from golfbudget.errors import ConfigError
from golfbudget.ledger import Account, Role

#: Longer names match no rule: patterns can take time that grows with the square of the length.
_LONGEST = 256


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    match: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self.match)
        except re.error as error:
            raise ConfigError(f"the role pattern {self.match!r} is no regular expression: {error}") from None


class NameRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Stored name to owner, with the account of such bytes; `counted` says whether its elements are parameters."""

    account: Account | None = None
    beside: str | None = None
    counted: bool = True


class AccountRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Owner to account."""

    account: Account


class RoleRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Owner to role; `matrix` marks the vocabulary's input and output tables."""

    role: Role
    matrix: Literal["input", "output"] | None = None
    tied_role: Role | None = None


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A roles file."""

    roles: tuple[RoleRule, ...]
    names: tuple[NameRule, ...] = ()
    accounts: tuple[AccountRule, ...] = ()

    def name_rule(self, stored: str, known: Collection[str]) -> tuple[str, NameRule | None]:
        """The model's name for a stored tensor, and the rule that says so; without a rule it keeps its own name."""
        for rule in self.names if len(stored) <= _LONGEST else ():
            match = rule.pattern.match(stored)
            if match and (rule.beside is None or rule.beside.format(**match.groupdict()) in known):
                return match["owner"], rule
        return stored, None

    def rule_of(self, owner: str) -> RoleRule | None:
        """The first role rule that matches an owner."""
        return next((rule for rule in self.roles if len(owner) <= _LONGEST and rule.pattern.search(owner)), None)

    def account_rule(self, owner: str) -> AccountRule | None:
        """The first account rule that matches an owner, None for plain weights."""
        return next((rule for rule in self.accounts if len(owner) <= _LONGEST and rule.pattern.search(owner)), None)


def load_roles(path: Path | None = None) -> Roles:
    """The default rules, or those of a user's file; `ConfigError` names file and key."""
    return configs.load(configs.find("roles", "default") if path is None else path, Roles)
