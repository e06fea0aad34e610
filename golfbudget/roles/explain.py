"""Why an owner has its role and its accounts: which rule decided, or what was detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.artifact import Artifact
from golfbudget.errors import UsageError
from golfbudget.ledger import Account, Role
from golfbudget.roles.assign import Assignment
from golfbudget.roles.resolve import stated_roles
from golfbudget.roles.rules import AnyRule, Roles

#: Characters of a pattern that are shown.
_LONGEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReason:
    """One stored name of an owner: its account and what said so."""

    stored: str
    account: Account
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The role of an owner, what decided it, and the same for every stored name that serves it."""

    owner: str
    role: Role
    reason: str
    stored: tuple[StoredReason, ...]


def explain(owner: str, artifact: Artifact, assignment: Assignment) -> Explanation:
    """Say which rule decided; `UsageError` names the nearest owners when there is no such one."""
    entries = [entry for entry in assignment.ledger.entries if entry.owner == owner]
    if not entries:
        by_stored = [entry.owner for entry in assignment.ledger.entries if entry.tensor == owner]
        if by_stored:
            return explain(by_stored[0], artifact, assignment)
        import difflib  # Costs 5 ms, and only a wrong name needs it.

        known = sorted({entry.owner for entry in assignment.ledger.entries})
        near = difflib.get_close_matches(owner, known, 4, 0.4) or known[:4]
        raise UsageError(
            f"{artifact.path}: no bytes are owned by {owner!r}; near it: {', '.join(near)} (--by owner lists all)"
        )
    stored = {entry.tensor: entry.account for entry in entries if entry.tensor is not None}
    reasons = tuple(
        StoredReason(stored=name, account=account, reason=_stored_reason(name, assignment))
        for name, account in stored.items()
    )
    reason = _role_reason(owner, stored, stated_roles(artifact), assignment)
    return Explanation(owner=owner, role=entries[0].role, reason=reason, stored=reasons)


def role_reasons(artifact: Artifact, assignment: Assignment) -> dict[str, str]:
    """What decided the role of every owner, by owner: as `explain` says it."""
    stored: dict[str, dict[str, Account]] = {}
    for entry in assignment.ledger.entries:
        own = stored.setdefault(entry.owner, {})
        if entry.tensor is not None:
            own[entry.tensor] = entry.account
    stated = stated_roles(artifact)
    return {owner: _role_reason(owner, names, stated, assignment) for owner, names in stored.items()}


def _role_reason(  # noqa: PLR0911  (one way out per reason)
    owner: str, stored: dict[str, Account], stated: Mapping[str, Role], assignment: Assignment
) -> str:
    roles = assignment.roles
    names = [assignment.names[name] for name in stored if name in assignment.names]
    if any(one.stated is not None for one in names) or owner in stated:
        by_name = next((one.name_rule for one in names if one.name_rule is not None and one.name_rule.role), None)
        return "the container states it" if by_name is None else f"{_rule('names', by_name, roles)} states it"
    rejected = assignment.head.rejects(owner)
    if rejected is not None:
        return rejected
    if not assignment.head.copies.isdisjoint(stored):
        return f"it holds {assignment.head.table} again; the head is {_state(assignment)}"
    rule = names[0].rule if names else roles.rule_of(owner)
    if rule is not None:
        text = f"{_rule('roles', rule, roles)}, role = {str(rule.role)!r}"
        if rule.matrix is not None:
            text += f", matrix = {rule.matrix!r}"
        if rule.tied_role is not None:
            text += f", tied_role = {str(rule.tied_role)!r}; the head is {_state(assignment)}"
        return text
    detected = [assignment.detected[name][1] for name in stored if name in assignment.detected]
    if detected:
        return f"no [[roles]] rule matches; {detected[0]}"
    if owner.startswith("["):
        return "it is no tensor: it serves the whole file, or nothing that is known"
    return f"none of the {len(roles.roles)} [[roles]] rules matches; write one and pass it with --roles FILE"


def _state(assignment: Assignment) -> str:
    state = {True: "tied", False: "not tied", None: "unknown"}[assignment.tied]
    return f"{state}: {assignment.tied_reason}"


def _rule(kind: str, rule: AnyRule, roles: Roles) -> str:
    shown = rule.match if len(rule.match) <= _LONGEST else f"{rule.match[:_LONGEST]}…"
    return f"[[{kind}]] rule {roles.number(rule)}, match = '{shown}'"


def _stored_reason(name: str, assignment: Assignment) -> str:
    roles = assignment.roles
    if name in assignment.detected:
        return assignment.detected[name][1]
    one = assignment.names[name]
    parts = []
    if one.packed is not None:
        matrix = one.packed.matrix
        shape = "of a shape that nothing tells" if matrix.shape is None else f"{list(matrix.shape)}"
        what = "the packed values" if one.packed.data else "beside the packed values"
        return f"{what} of {one.owner} {shape} ({matrix.family})"
    if one.name_rule is not None:
        parts.append(_rule("names", one.name_rule, roles))
        if one.name_rule.account is not None:
            return parts[0] + f", account = {str(one.name_rule.account)!r}"
    if one.account_rule is not None:
        parts.append(_rule("accounts", one.account_rule, roles))
    if one.name_rule is None and name != one.owner:
        parts.insert(0, f"its name without what wraps it ([[wrappers]]) is {one.owner}")
    return "; ".join(parts) or "plain weights: no [[names]] or [[accounts]] rule matches"
