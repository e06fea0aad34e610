"""Turn an opened artifact into a ledger: whose bytes, what they are, and what they are for.

Assigning roles moves no byte: it only writes names on parts that already sum to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from golfbudget.artifact import Artifact, Part
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Account, Entry, Ledger, Role
from golfbudget.roles.head import Head, find_head
from golfbudget.roles.maps import find_maps
from golfbudget.roles.resolve import ModelTensor, Resolution, ResolvedName, resolve
from golfbudget.roles.rules import RoleRule, Roles

#: How far above a path the item that it serves is looked for; quantisers nest their parts three deep.
_MOST_ABOVE = 8
#: Accounts that shapes and values gave away, with the reason, by stored name.
_Detected = Mapping[str, tuple[Account, str]]
#: An entry's tensor, dtype, shape and parameters.
_Kind = tuple[str | None, str | None, tuple[int, ...] | None, int]
_NO_KIND: _Kind = (None, None, None, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A ledger with roles, the model's tensors, and what is known of the head.

    `roles` are the rules that it was made by, `names` is what each stored tensor means, `detected` what shapes and
    values gave away; `notes` say what is odd.
    """

    roles: Roles
    ledger: Ledger
    head: Head
    names: Mapping[str, ResolvedName]
    models: Mapping[str, ModelTensor]
    detected: _Detected
    notes: tuple[str, ...] = ()

    @property
    def tied(self) -> bool | None:
        """Whether one matrix is input table and output head; None where that is not known."""
        return self.head.tied

    @property
    def tied_reason(self) -> str:
        return self.head.reason


def assign(artifact: Artifact, roles: Roles) -> Assignment:
    """Make the ledger of an opened artifact."""
    resolution = resolve(artifact, roles)
    detected = find_maps(artifact, resolution.names)
    head = find_head(artifact, resolution)
    maker = _Assigner(artifact=artifact, resolution=resolution, detected=detected, head=head)
    ledger = Ledger(
        size=artifact.size,
        leaves=tuple(leaf.size for leaf in artifact.leaves),
        entries=tuple(maker.entry(part) for part in artifact.parts),
    )
    models = dict(resolution.models)
    uncounted = [stored for stored, (account, _) in detected.items() if account is Account.MAPPING]
    for stored in (*uncounted, *head.copies):
        owner = resolution.names[stored].owner
        models[owner] = replace(models[owner], parameters=0, packed_bits=None)
    return Assignment(
        roles=roles, ledger=ledger, head=head, names=resolution.names, models=models, detected=detected,
        notes=resolution.notes,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Assigner:
    """Makes one entry per part; a tensor's parameters are counted with its first."""

    artifact: Artifact
    resolution: Resolution
    detected: _Detected
    head: Head
    tensors: Mapping[str, StoredTensor] = field(init=False)
    role_of: dict[str, Role] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tensors = {tensor.name: tensor for tensor in self.artifact.tensors}
        for stored, one in self.resolution.names.items():
            role = self._role(stored, one)
            if self.role_of.get(one.owner, Role.UNASSIGNED) is Role.UNASSIGNED:
                self.role_of[one.owner] = role

    def _role(self, stored: str, one: ResolvedName) -> Role:
        if one.stated is not None:
            return one.stated
        role = role_by(one.rule, one.owner, self.head)
        if stored in self.head.copies and self.head.tied:
            return Role.HEAD
        if stored in self.detected and role in (Role.UNASSIGNED, Role.TRUNK):
            return Role.HEAD  # One entry per token, or the rows that such entries name: the vocabulary's.
        return role

    def entry(self, part: Part) -> Entry:
        """The ledger's line for a part."""
        name = part.name
        one = None if name is None else self.resolution.names.get(name)
        if name is not None and one is not None:
            tensor = self.tensors.get(name) if part.tensor else None
            if tensor is not None:
                account, _ = self.detected.get(name, (one.account, ""))
                counted = 0 if account is Account.MAPPING or name in self.head.copies else self._count(name, one)
                account = part.account if part.account is Account.UNMAPPED else account
                kind: _Kind = (name, tensor.dtype, tensor.shape, counted)
                return _line(part, one.owner, self.role_of[one.owner], account, kind)
            if isinstance(self.artifact.values.get(name), bytes):
                # A byte string inside a pickle that holds packed weights.
                first = name not in self.counted
                account = one.account if first else Account.CONTAINER
                kind = (name if first else None, "bytes" if first else None, None, self._count(name, one))
                return _line(part, one.owner, self.role_of[one.owner], account, kind)
            return _line(part, one.owner, self.role_of[one.owner])
        owner = self._served(name)
        if owner is not None:
            return _line(part, owner, self.role_of[owner])
        return self._shared(part)

    def _shared(self, part: Part) -> Entry:
        """Bytes that serve the whole file, or nothing that is known."""
        if part.code:
            return _line(part, part.label, Role.CODE)
        one = None if part.name is None else self.resolution.called(part.name)
        if part.account is not Account.UNMAPPED:
            role = Role.SHARED if one is None or one.stated is None else one.stated
            return _line(part, part.label or f"[{part.name}]", role)
        if one is None:
            return _line(part, part.label, Role.UNASSIGNED)
        return _line(part, one.owner, one.stated or role_by(one.rule, one.owner, self.head))

    def _count(self, name: str, one: ResolvedName) -> int:
        if name in self.counted:
            return 0
        self.counted.add(name)
        return one.parameters

    def _served(self, path: str | None) -> str | None:
        """The owner that a stored path, or the nearest path above it, belongs to."""
        for _ in range(_MOST_ABOVE):
            if not path:
                break
            one = self.resolution.names.get(path)
            if one is not None:
                return one.owner
            owner = path if path in self.role_of else self.resolution.called(path).owner
            if owner in self.role_of:
                return owner
            path = path.rpartition("/")[0]
        return None


def _line(part: Part, owner: str, role: Role, account: Account | None = None, kind: _Kind = _NO_KIND) -> Entry:
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


def role_by(rule: RoleRule | None, owner: str, head: Head) -> Role:
    """The role that a rule gives, once it is known which matrix is the head."""
    if rule is None and head.tied and owner == head.table:
        return Role.HEAD  # No rule knows its name, and an output matrix repeats it.
    if rule is None or head.rejects(owner) is not None:
        return Role.UNASSIGNED
    if head.tied and rule.tied_role is not None and (owner == head.table or owner in head.siblings):
        return rule.tied_role
    return rule.role
