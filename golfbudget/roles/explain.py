"""Why an owner has its role and its accounts: which rule decided, or what was detected."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.artifact import Artifact
from golfbudget.errors import UsageError
from golfbudget.ledger import Account, Role
from golfbudget.roles.assign import Assignment, stated_roles
from golfbudget.roles.rules import Roles


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


def explain(owner: str, artifact: Artifact, assignment: Assignment, roles: Roles) -> Explanation:
    """Say which rule decided; `UsageError` names the nearest owners when there is no such one."""
    entries = [entry for entry in assignment.ledger.entries if entry.owner == owner]
    if not entries:
        by_stored = [entry.owner for entry in assignment.ledger.entries if entry.tensor == owner]
        if by_stored:
            return explain(by_stored[0], artifact, assignment, roles)
        import difflib  # Costs 5 ms, and only a wrong name needs it.

        known = sorted({entry.owner for entry in assignment.ledger.entries})
        near = difflib.get_close_matches(owner, known, 4, 0.4) or known[:4]
        raise UsageError(
            f"{artifact.path}: no bytes are owned by {owner!r}; near it: {', '.join(near)} (--by owner lists all)"
        )
    stored = {entry.tensor: entry.account for entry in entries if entry.tensor is not None}
    known_names = {tensor.name for tensor in artifact.tensors}
    reasons = tuple(
        StoredReason(stored=name, account=account, reason=_stored_reason(name, known_names, assignment, roles))
        for name, account in stored.items()
    )
    reason = _role_reason(owner, stored, artifact, assignment, roles)
    return Explanation(owner=owner, role=entries[0].role, reason=reason, stored=reasons)


def _role_reason(
    owner: str, stored: dict[str, Account], artifact: Artifact, assignment: Assignment, roles: Roles
) -> str:
    stated = stated_roles(artifact)
    if stated.keys() & (stored.keys() | {owner}):
        return "the container states it"
    rule = roles.rule_of(owner)
    if rule is not None:
        number = roles.roles.index(rule) + 1
        text = f"[[roles]] rule {number}, match = '{rule.match}', role = {str(rule.role)!r}"
        if rule.matrix is not None:
            text += f", matrix = {rule.matrix!r}"
        if rule.tied_role is not None:
            state = {True: "tied", False: "not tied", None: "unknown"}[assignment.tied]
            text += f", tied_role = {str(rule.tied_role)!r}; the head is {state}: {assignment.tied_reason}"
        return text
    detected = [assignment.detected[name][1] for name in stored if name in assignment.detected]
    if detected:
        return f"no [[roles]] rule matches; {detected[0]}"
    if owner.startswith("["):
        return "it is no tensor: it serves the whole file, or nothing that is known"
    return f"none of the {len(roles.roles)} [[roles]] rules matches; write one and pass it with --roles FILE"


def _stored_reason(name: str, known: set[str], assignment: Assignment, roles: Roles) -> str:
    if name in assignment.detected:
        return assignment.detected[name][1]
    owner, rule = roles.name_rule(name, known)
    parts = []
    if rule is not None:
        parts.append(f"[[names]] rule {roles.names.index(rule) + 1}, match = '{rule.match}'")
        if rule.account is not None:
            return parts[0] + f", account = {str(rule.account)!r}"
    by_owner = roles.account_rule(owner)
    if by_owner is not None:
        parts.append(f"[[accounts]] rule {roles.accounts.index(by_owner) + 1}, match = '{by_owner.match}'")
    return "; ".join(parts) or "plain weights: no [[names]] or [[accounts]] rule matches"
