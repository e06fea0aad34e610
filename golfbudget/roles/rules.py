"""Ordered pattern rules (`configs/roles/default.toml`, or a user's file): stored name to owner, owner to role.

Patterns are tried in order, and the first that matches decides.  A checkpoint has hundreds of names that differ only in
block and expert numbers: which patterns match is remembered by the name with its digits blanked out, unless a pattern
asks for particular digits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from golfbudget import configs
from golfbudget.errors import ConfigError
from golfbudget.ledger import Account, Role

#: Longer names match no rule: patterns can take time that grows with the square of the length.
_LONGEST = 256
_BLANK = str.maketrans("123456789", "0" * 9)
#: Ways to write a pattern that mean any digit, or how many times; what digits are left mean themselves.
_ANY_DIGIT = re.compile(r"0-9|\{\d*,?\d*\}")
#: Names that are remembered; far above any model's once their digits are blanked out.
_MOST_REMEMBERED = 1 << 16


#: Where torch keeps the parameters of a module, and the modules in it.
_MODULE, _INSIDE = "/_parameters/", re.compile(r"(?:^|(?<=/))_(?:modules|parameters|buffers)/")


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    match: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self.match)
        except re.error as error:
            raise ConfigError(f"the role pattern {self.match!r} is no regular expression: {error}") from None


class NameRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Stored name to owner, with the account of such bytes; `counted` says whether its elements are parameters.

    `role` is for names that say it themselves (an optimizer's state).  A `copy` of the model is the model where the
    file holds no other.
    """

    account: Account | None = None
    beside: str | None = None
    counted: bool = True
    role: Role | None = None
    copy: bool = False


class WrapperRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """What only wraps the model's names: it is left out of owners where no two of them become one."""


class AccountRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Owner to account; `counted` says whether such elements are parameters of the model."""

    account: Account
    counted: bool = True


class RoleRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Owner to role; `matrix` marks the vocabulary's input and output tables."""

    role: Role
    matrix: Literal["input", "output"] | None = None
    tied_role: Role | None = None


AnyRule = NameRule | WrapperRule | AccountRule | RoleRule
_AnyRule = TypeVar("_AnyRule", bound=AnyRule)


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """A roles file; with `extends` its rules stand before the shipped ones, otherwise in their place."""

    roles: tuple[RoleRule, ...] = ()
    names: tuple[NameRule, ...] = ()
    wrappers: tuple[WrapperRule, ...] = ()
    accounts: tuple[AccountRule, ...] = ()
    extends: Literal["default"] | None = None

    def name_rule(self, stored: str, known: Collection[str]) -> tuple[str, NameRule | None]:
        """The owner that a stored name says by itself, and the rule; without one it is the name."""
        for rule in self._matching(stored, self.names):
            match = rule.pattern.match(stored)
            if match and (rule.beside is None or rule.beside.format(**match.groupdict()) in known):
                return match["owner"], rule
        return stored, None

    def unwrapped(self, owner: str) -> str:
        """The owner without what wraps it; each wrapper is taken off once, in the order of the rules.

        A module that was pickled whole has its parameters in dicts of its own, which are no part of their names.
        """
        if _MODULE in f"/{owner}":
            owner = _INSIDE.sub("", owner).replace("/", ".") or owner
        for rule in self._matching(owner, self.wrappers):
            rest = rule.pattern.sub("", owner, count=1)
            owner = rest or owner
        return owner

    def rule_of(self, owner: str) -> RoleRule | None:
        """The first role rule that matches an owner; nested dicts are paths as dotted names are."""
        return next(iter(self._matching(owner.replace("/", "."), self.roles)), None)

    def account_rule(self, owner: str) -> AccountRule | None:
        """The first account rule that matches an owner, None for plain weights."""
        return next(iter(self._matching(owner.replace("/", "."), self.accounts)), None)

    def number(self, rule: AnyRule) -> int:
        """Where a rule stands among those of its kind, from 1 on."""
        own: Sequence[AnyRule] = next(rules for rules in self._kinds if any(rule is one for one in rules))
        return 1 + next(number for number, one in enumerate(own) if one is rule)

    @property
    def _kinds(self) -> tuple[Sequence[AnyRule], ...]:
        return (self.roles, self.names, self.wrappers, self.accounts)

    def _matching(self, name: str, rules: tuple[_AnyRule, ...]) -> Sequence[_AnyRule]:
        """The rules whose pattern matches, in order."""
        if len(name) > _LONGEST or not rules:
            return ()
        blank = self._blank.get(name)
        if blank is None:
            if len(self._blank) >= _MOST_REMEMBERED:
                self._blank.clear()
            blank = self._blank[name] = name.translate(_BLANK) if self.any_digit else name
        remembered: dict[str, Sequence[_AnyRule]] = self._remembered.setdefault(id(rules), {})
        matching = remembered.get(blank)
        if matching is None:
            matching = tuple(rule for rule in rules if rule.pattern.search(name))
            if len(remembered) < _MOST_REMEMBERED:
                remembered[blank] = matching
        return matching

    @cached_property
    def _blank(self) -> dict[str, str]:
        """Names as patterns see them."""
        return {}

    @cached_property
    def _remembered(self) -> dict[int, dict[str, Any]]:
        return {}

    @cached_property
    def any_digit(self) -> bool:
        """Whether no pattern can tell one digit from another."""
        patterns = [rule.match for rules in self._kinds for rule in rules]
        return not any("(?P=" in text or re.search("[0-9]", _ANY_DIGIT.sub("", text)) for text in patterns)


def load_roles(path: Path | None = None) -> Roles:
    """The default rules, those of a user's file, or both; `ConfigError` names file and key."""
    shipped = configs.find("roles", "default")
    own = configs.load(shipped if path is None else path, Roles)
    if own.extends is None:
        return own
    if path is None:
        raise ConfigError(f"{shipped}: extends: the shipped rules extend nothing")
    rest = configs.load(shipped, Roles)
    return Roles(
        roles=own.roles + rest.roles,
        names=own.names + rest.names,
        wrappers=own.wrappers + rest.wrappers,
        accounts=own.accounts + rest.accounts,
        extends=own.extends,
    )
