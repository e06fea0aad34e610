"""Turn an opened artifact into a ledger: whose bytes, what they are, and what they are for.

Assigning roles moves no byte: it only writes names on parts that already sum to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from golfbudget.artifact import Artifact, Part
from golfbudget.ledger import Account, Entry, Ledger, Role
from golfbudget.roles.detect import Tied, find_maps, find_tied
from golfbudget.roles.model_tensors import ModelTensor, TensorGrouping, group_tensors
from golfbudget.roles.rules import RoleRule, Roles

#: How far above a path the item that it serves is looked for; quantisers nest their parts three deep.
_MOST_ABOVE = 8
#: Accounts that shapes and values gave away, with the reason, by stored name.
_Detected = Mapping[str, tuple[Account, str]]
#: An entry's tensor, dtype, shape and parameters.
_Kind = tuple[str | None, str | None, tuple[int, ...] | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A ledger with roles, the model's tensors, and whether one matrix is input table and output head.

    `tied` is None where there is no input table.
    """

    ledger: Ledger
    tied: bool | None
    tied_reason: str
    models: Mapping[str, ModelTensor]
    detected: _Detected


def assign(artifact: Artifact, roles: Roles) -> Assignment:
    """Make the ledger of an opened artifact."""
    grouping = group_tensors(artifact, roles)
    detected = find_maps(artifact, roles, grouping.places)
    tied = find_tied(artifact, roles, grouping.places)
    maker = _Assigner(artifact, roles, grouping, detected, tied)
    ledger = Ledger(
        size=artifact.size,
        leaves=tuple(len(leaf.data) for leaf in artifact.leaves),
        entries=tuple(maker.entry(part) for part in artifact.parts),
    )
    models = dict(grouping.models)
    for stored, (account, _) in detected.items():
        if account is Account.MAPPING:
            owner = grouping.places[stored].owner
            models[owner] = replace(models[owner], parameters=0, packed_bits=None)
    return Assignment(ledger=ledger, tied=tied.tied, tied_reason=tied.reason, models=models, detected=detected)


class _Assigner:
    """Makes one entry per part; a tensor's parameters are counted with its first."""

    def __init__(
        self, artifact: Artifact, roles: Roles, grouping: TensorGrouping, detected: _Detected, tied: Tied
    ) -> None:
        self.roles, self.grouping, self.detected, self.tied = roles, grouping, detected, tied
        self.tensors = {tensor.name: tensor for tensor in artifact.tensors}
        self.values = artifact.values
        self.stated = stated_roles(artifact)
        self.counted: set[str] = set()
        self.role_of: dict[str, Role] = {}
        for stored, place in grouping.places.items():
            rule = roles.rule_of(place.owner)
            role = self.stated.get(stored) or role_by(rule, tied=tied.tied)
            if stored in detected and stored not in self.stated and role in (Role.UNASSIGNED, Role.TRUNK):
                role = Role.HEAD  # One entry per token, or the rows that such entries name: the vocabulary's.
            if self.role_of.get(place.owner, Role.UNASSIGNED) is Role.UNASSIGNED:
                self.role_of[place.owner] = role

    def entry(self, part: Part) -> Entry:
        """The ledger's line for a part."""
        name = part.name
        place = None if name is None else self.grouping.places.get(name)
        tensor = self.tensors.get(name or "") if part.tensor else None
        if place is not None and tensor is not None:
            account, _ = self.detected.get(tensor.name, (place.account, ""))
            counted = 0 if account is Account.MAPPING else self._count(tensor.name)
            kind: _Kind = (tensor.name, tensor.dtype, tensor.shape, counted)
            return self._line(part, place.owner, self.role_of[place.owner], account, kind)
        if name is not None and place is not None and isinstance(self.values.get(name), bytes):
            # A byte string inside a pickle that holds packed weights.
            first = name not in self.counted
            account = place.account if first else Account.CONTAINER
            kind = (name if first else None, "bytes" if first else None, None, self._count(name))
            return self._line(part, place.owner, self.role_of[place.owner], account, kind)
        owner = self._served(name)
        if owner is not None:
            return self._line(part, owner, self.role_of[owner])
        return self._shared(part)

    def _shared(self, part: Part) -> Entry:
        """Bytes that serve the whole file, or nothing that is known."""
        if part.code:
            return self._line(part, part.label, Role.CODE)
        if part.account is not Account.UNMAPPED:
            return self._line(part, part.label or f"[{part.name}]", Role.SHARED)
        if part.name is None:
            return self._line(part, part.label, Role.UNASSIGNED)
        owner, _ = self.roles.name_rule(part.name, self.tensors)
        role = self.stated.get(part.name) or role_by(self.roles.rule_of(owner), tied=self.tied.tied)
        return self._line(part, owner, role)

    def _count(self, name: str) -> int:
        if name in self.counted:
            return 0
        self.counted.add(name)
        return self.grouping.parameters[name]

    def _served(self, path: str | None) -> str | None:
        """The owner that a stored path, or the nearest path above it, belongs to."""
        for _ in range(_MOST_ABOVE):
            if not path:
                break
            place = self.grouping.places.get(path)
            if place is not None:
                return place.owner
            owner = path if path in self.role_of else self.roles.name_rule(path, self.tensors)[0]
            if owner in self.role_of:
                return owner
            path = path.rpartition("/")[0]
        return None

    @staticmethod
    def _line(
        part: Part, owner: str, role: Role, account: Account | None = None, kind: _Kind = (None, None, None, 0)
    ) -> Entry:
        tensor, dtype, shape, parameters = kind
        return Entry(
            owner=owner,
            role=role,
            account=account or part.account,
            stored_bits=part.stored_bits,
            leaf=part.leaf,
            span=part.span,
            tensor=tensor,
            dtype=dtype,
            shape=shape,
            parameters=parameters,
        )


def role_by(rule: RoleRule | None, *, tied: bool | None) -> Role:
    """The role that a rule gives."""
    if rule is None:
        return Role.UNASSIGNED
    return rule.tied_role if tied and rule.tied_role is not None else rule.role


def stated_roles(artifact: Artifact) -> dict[str, Role]:
    """Roles that containers themselves state, by stored name."""
    contents = (*artifact.bundle, *(leaf.contents for leaf in artifact.leaves))
    return {name: role for container in contents for name, role in container.roles.items()}
