"""Turn an opened artifact into a ledger: whose bytes, what they are, and what they are for.

Ordered pattern rules decide (`configs/roles/default.toml`), then the tied head is found.  Assigning roles moves
no byte: it only writes names on regions that already tile the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from golfbudget import configs
from golfbudget.artifact import Artifact
from golfbudget.errors import ConfigError
from golfbudget.formats import Region, StoredTensor
from golfbudget.ledger import Account, Entry, Ledger, Role

_COUNTED = frozenset({Account.WEIGHTS, Account.BIAS, Account.CODEBOOK})


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    match: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self.match)
        except re.error as error:
            raise ConfigError(f"the role pattern {self.match!r} is no regular expression: {error}") from None


class NameRule(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Stored name to owner, with the account of such bytes."""

    account: Account | None = None
    beside: str | None = None


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

    def owner_of(self, stored: str, known: Iterable[str]) -> tuple[str, Account | None]:
        """The model's name for a stored tensor, and its account where the stored name says one."""
        for rule in self.names:
            found = rule.pattern.match(stored)
            if found and (rule.beside is None or rule.beside.format(**found.groupdict()) in known):
                return found["owner"], rule.account
        return stored, None

    def rule_of(self, owner: str) -> RoleRule | None:
        """The first role rule that matches an owner."""
        return next((rule for rule in self.roles if rule.pattern.search(owner)), None)

    def account_of(self, owner: str) -> Account | None:
        """The account an owner's name implies, None for plain weights."""
        return next((rule.account for rule in self.accounts if rule.pattern.search(owner)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A ledger with roles, and whether one matrix serves as input table and output head (None: no input table)."""

    ledger: Ledger
    tied: bool | None


def load_roles(path: Path | None = None) -> Roles:
    """The default rules, or those of a user's file; `ConfigError` names file and key."""
    return configs.load(configs.find("roles", "default") if path is None else path, Roles)


def assign(artifact: Artifact, roles: Roles) -> Assignment:
    """Make the ledger of an opened artifact."""
    tensors = {tensor.name: tensor for tensor in artifact.contents.tensors}
    owners = {name: roles.owner_of(name, tensors) for name in tensors}
    known = {owner for owner, _ in owners.values()}
    tied = _tied(artifact.contents.tensors, roles, owners)
    role_of = {owner: _role(roles.rule_of(owner), tied=tied) for owner in known}

    entries: list[Entry] = []
    counted: set[str] = set()
    for region, bits in zip(artifact.contents.regions, artifact.stored_bits, strict=True):
        tensor = tensors.get(region.name or "") if region.tensor else None
        if tensor is not None:
            owner, account = owners[tensor.name]
            account = account or roles.account_of(owner) or Account.WEIGHTS
            fresh = tensor.name not in counted and account in _COUNTED
            counted.add(tensor.name)
            entries.append(
                Entry(
                    owner=owner,
                    role=role_of[owner],
                    account=account,
                    stored_bits=bits,
                    leaf=0,
                    span=region.span,
                    tensor=tensor.name,
                    dtype=tensor.dtype,
                    shape=tensor.shape,
                    parameters=tensor.elements if fresh else 0,
                )
            )
            continue
        served = _served(region.name, roles, role_of, tensors)
        entries.append(_overhead(region, bits, served, role_of, artifact.contents.values))
    entries += [
        Entry(
            owner=frame.label,
            role=Role.SHARED if frame.account is Account.CODEC else Role.UNASSIGNED,
            account=frame.account,
            stored_bits=frame.stored_bits,
        )
        for frame in artifact.framing
    ]
    ledger = Ledger(size=artifact.size, leaves=(artifact.length,), entries=tuple(entries))
    return Assignment(ledger=ledger, tied=tied)


def _overhead(
    region: Region, bits: int, owner: str | None, role_of: Mapping[str, Role], values: Mapping[str, object]
) -> Entry:
    """An entry for bytes that are no tensor's data: charged to the tensor they serve where there is one."""
    if owner is None:
        role = Role.UNASSIGNED if region.account is Account.UNMAPPED else Role.SHARED
        label = region.label or f"[{region.name}]"
        return Entry(owner=label, role=role, account=region.account, stored_bits=bits, leaf=0, span=region.span)
    packed = isinstance(values.get(region.name or ""), bytes)
    return Entry(
        owner=owner,
        role=role_of[owner],
        account=Account.WEIGHTS if packed else region.account,
        stored_bits=bits,
        leaf=0,
        span=region.span,
        tensor=region.name if packed else None,
        dtype="bytes" if packed else None,
    )


def _served(
    path: str | None, roles: Roles, known: Mapping[str, Role], stored: Mapping[str, StoredTensor]
) -> str | None:
    """The owner that a stored path, or the nearest path above it, belongs to."""
    while path:
        owner = path if path in known else roles.owner_of(path, stored)[0]
        if owner in known:
            return owner
        path = path.rpartition("/")[0]
    return None


def _tied(
    tensors: tuple[StoredTensor, ...], roles: Roles, owners: Mapping[str, tuple[str, Account | None]]
) -> bool | None:
    """Tied: there is an input table, and no output matrix of its own bytes."""
    inputs = outputs = 0
    for tensor in tensors:
        owner, account = owners[tensor.name]
        if account is Account.SCALES:
            continue
        rule = roles.rule_of(owner)
        inputs += rule is not None and rule.matrix == "input"
        outputs += rule is not None and rule.matrix == "output"
    return None if not inputs else not outputs


def _role(rule: RoleRule | None, *, tied: bool | None) -> Role:
    if rule is None:
        return Role.UNASSIGNED
    return rule.tied_role if tied and rule.tied_role is not None else rule.role
