"""Stored names to what they mean: each is resolved once, into one value that everything after reads.

A name says an owner by the packed matrix that it is part of, or by the rules of names; what only wraps the owner's name
is left out where that makes no two matrices one.  The owner then says the account and the role.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from golfbudget.artifact import Artifact
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Account, Role
from golfbudget.roles.packed import PackedMatrix, PackedPart, find_packed
from golfbudget.roles.rules import AccountRule, NameRule, RoleRule, Roles
from golfbudget.roles.sharing import repeated_vectors, shared_elements

COUNTED = frozenset({Account.WEIGHTS, Account.BIAS, Account.CODEBOOK})
#: A table of packed values, in bytes or in a tensor, whose shape or length stands beside it.
_PACKED = re.compile(r"^(?P<entry>.+)[/.](?:packed|packed_weight|bitmask|rans)$")
_SHAPES = ("orig_shape", "original_shape", "shape")
_LENGTHS = ("n_vals", "n_trits", "n_bits", "numel")
#: Where quantisers leave a word or a number about how a tensor was quantised.
_META = ("{owner}/bits", "{owner}/type", "m/{owner}/bits", "m/{owner}", "m/{owner}/type", "meta/{owner}/bits",
         "meta/{owner}", "meta/{owner}/type", "qmeta/{owner}/bits")  # fmt: skip
_WORDS = ((r"ternary", math.log2(3)), (r"binary|bitplane", 1.0), (r"\bfp8|float8", 8.0), (r"fp16|float16|bf16", 16.0),
          (r"fp32|float32", 32.0))  # fmt: skip
_MOST_DIMENSIONS = 16
#: Whole numbers so wide that no quantiser stores one weight in each.
WIDE_NUMBERS = frozenset({"int32", "uint32", "int64", "uint64"})


class ResolvedName(Struct, frozen=True, kw_only=True):
    """What a stored name means.

    `parameters` are those of the model that its bytes hold.  `role` is what the rules give by themselves, before it is
    known which matrix is the head; `rule`, `name_rule`, `account_rule` and `packed` are what decided, and `stated` is a
    role that the container itself or the name says, which goes before any rule of roles.
    """

    owner: str
    account: Account
    counted: bool = True
    parameters: int = 0
    rule: RoleRule | None = None
    stated: Role | None = None
    name_rule: NameRule | None = None
    account_rule: AccountRule | None = None
    packed: PackedPart | None = None

    @property
    def matrix(self) -> str | None:
        """Whether it is named like the vocabulary's input or output matrix."""
        return None if self.rule is None or self.stated is not None else self.rule.matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensor:
    """A tensor of the model: `nominal_bits` and `packed_bits` are per parameter, None where they are not known.

    Nominal bits are what the quantiser says it used, packed bits what the container holds before any codec.
    """

    owner: str
    parameters: int
    nominal_bits: float | None
    packed_bits: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """All stored tensors and packed byte strings of an artifact by name, and the rules for what else is named."""

    names: Mapping[str, ResolvedName]
    models: Mapping[str, ModelTensor]
    notes: tuple[str, ...]
    resolver: _Resolver

    def called(self, name: str) -> ResolvedName:
        """What any stored name says, whether or not bytes of a tensor have it."""
        known = self.names.get(name)
        if known is not None:
            return known
        one = self.resolver.resolved(name)
        return self.resolver.finished(one, self.resolver.unwrapped(one), 0)


def resolve(artifact: Artifact, roles: Roles) -> Resolution:
    """Resolve every stored tensor, and every byte string that holds packed weights."""
    resolution = _resolve(artifact, roles, copies=False)
    trained = [name for name in resolution.names.values() if name.stated is Role.TRAINING]
    if trained and not any(name.parameters for name in resolution.names.values()):
        # Nothing but copies of the model: they are the model.
        return _resolve(artifact, roles, copies=True)
    return resolution


def _resolve(artifact: Artifact, roles: Roles, *, copies: bool) -> Resolution:
    tensors = {tensor.name: tensor for tensor in artifact.tensors}
    packed = find_packed(artifact)
    resolver = _Resolver(roles=roles, tensors=tensors, packed=packed, stated=stated_roles(artifact), copies=copies)
    found = {name: resolver.resolved(name) for name in tensors}
    owners = {resolver.unwrapped(one) for one in found.values()}
    strings = {name: value for name, value in artifact.values.items() if isinstance(value, bytes)}
    for name in strings:
        one = resolver.resolved(name)
        if _PACKED.match(name) or resolver.unwrapped(one) in owners:
            found[name] = one
    resolver.keep_apart(found.values())
    notes: dict[str, None] = {}
    unknown: dict[str, list[str]] = {}
    words: list[str] = []
    truths: list[str] = []
    names = {}
    for name, one in found.items():
        counted = _parameters(name, one, tensors.get(name), artifact.values)
        owner = resolver.unwrapped(one)
        if counted is None:
            unknown.setdefault("" if one.packed is None else one.packed.matrix.family, []).append(owner)
        if one.packed is not None and one.packed.data:
            notes.update(dict.fromkeys(one.packed.matrix.notes))
        elif counted and _may_be_packed(tensors.get(name)):
            words.append(owner)
        elif counted and name in tensors and tensors[name].dtype == "bool":
            truths.append(owner)
        names[name] = resolver.finished(one, owner, counted or 0)
    for family, own in unknown.items():
        notes[
            f"neither shapes nor config.json tell the parameters of {_which(own)} ({family}); they are not counted"
        ] = None
    if words:
        notes[f"{_which(words)} hold whole numbers and are counted one parameter each; packed ones would be more"] = (
            None
        )
    if truths:
        notes[f"{_which(truths)} hold true or false and are counted one parameter each; masks would be none"] = None
    plain = {name for name, one in names.items() if one.parameters and one.packed is None and name in tensors}
    repeated = dict.fromkeys(repeated_vectors(artifact, plain), 0)
    for name, elements in (shared_elements(artifact, plain) | repeated).items():
        names[name] = msgspec.structs.replace(names[name], parameters=elements)
    held = {name: len(strings[name]) if name in strings else tensors[name].stored_bytes for name in names}
    models = {model.owner: model for model in _models(names, held, tensors, artifact.values)}
    return Resolution(names=names, models=models, notes=tuple(notes), resolver=resolver)


def _which(owners: Sequence[str]) -> str:
    """The first of several, and how many others there are."""
    return f"{owners[0]} and {len(owners) - 1} others" if len(owners) > 1 else owners[0]


def _may_be_packed(tensor: StoredTensor | None) -> bool:
    """Whether a matrix has numbers so wide that no quantiser would store one weight in each."""
    return tensor is not None and len(tensor.shape) > 1 and tensor.dtype in WIDE_NUMBERS


@dataclass(slots=True, kw_only=True)
class _Resolver:
    """The rules, the tensors that they speak of, and owners without wrappers; those `apart` keep theirs."""

    roles: Roles
    tensors: Mapping[str, StoredTensor]
    packed: Mapping[str, PackedPart]
    stated: Mapping[str, Role]
    copies: bool
    apart: set[str] = field(default_factory=set)
    short: dict[str, str] = field(default_factory=dict)

    def resolved(self, name: str) -> ResolvedName:
        """What the name alone says; its owner still has its wrapper."""
        part = self.packed.get(name)
        if part is not None:
            owner, rule = self._by_name(part.matrix.owner)
            account, by_owner = part.account, None
            if part.data and account is Account.WEIGHTS and (by_owner := self.roles.account_rule(owner)) is not None:
                account = by_owner.account
            counted = part.data and (rule is None or rule.counted)
        else:
            owner, rule = self._by_name(name)
            by_owner = self.roles.account_rule(owner)
            said = None if rule is None else rule.account
            account = said or (Account.WEIGHTS if by_owner is None else by_owner.account)
            counted = account in COUNTED and (rule is None or rule.counted)
            counted = counted and (said is not None or by_owner is None or by_owner.counted)
        stated = self.stated.get(name) or (None if rule is None else rule.role)
        return ResolvedName(
            owner=owner, account=account, counted=counted, stated=stated, name_rule=rule, account_rule=by_owner,
            packed=part,
        )  # fmt: skip

    def _by_name(self, name: str) -> tuple[str, NameRule | None]:
        owner, rule = self.roles.name_rule(name, self.tensors)
        return (name, None) if self.copies and rule is not None and rule.copy else (owner, rule)

    def unwrapped(self, one: ResolvedName) -> str:
        """The owner without its wrapper, where that is kept apart from no other."""
        if one.name_rule is not None and one.name_rule.role is not None:
            return one.owner
        short = self.short.get(one.owner)
        if short is None:
            short = self.short[one.owner] = self.roles.unwrapped(one.owner)
        if short == one.owner or not self.apart or self._wrapper(one.owner, short) not in self.apart:
            return short
        return one.owner.replace("/", ".")

    @staticmethod
    def _wrapper(owner: str, short: str) -> str:
        """What was left out: the beginning where it was that, or else the whole name."""
        return owner.removesuffix(short)

    def keep_apart(self, found: Iterable[ResolvedName]) -> None:
        """Where two matrices would have one owner, keep the wrappers of both."""
        long_names: dict[str, set[str]] = {}
        for one in found:
            if one.counted:
                long_names.setdefault(self.unwrapped(one), set()).add(one.owner)
        for short, owners in long_names.items():
            if len(owners) > 1:
                self.apart |= {self._wrapper(owner, short) for owner in owners if owner != short}

    def finished(self, one: ResolvedName, owner: str, parameters: int) -> ResolvedName:
        """The name with the owner's rule and the parameters."""
        return msgspec.structs.replace(one, owner=owner, rule=self.roles.rule_of(owner), parameters=parameters)


def stated_roles(artifact: Artifact) -> dict[str, Role]:
    """Roles that containers themselves state, by stored name."""
    return {name: role for container in artifact.containers for name, role in container.roles.items()}


def _parameters(name: str, one: ResolvedName, tensor: StoredTensor | None, values: Mapping[str, object]) -> int | None:
    """Parameters that a name's bytes hold; None where nothing tells."""
    if not one.counted or one.stated in (Role.TRAINING, Role.TOKENIZER):
        return 0
    if one.packed is not None:
        return one.packed.matrix.parameters if one.packed.data else 0
    packed = _PACKED.match(name)
    if packed is not None:
        stated = _stated(packed["entry"], values)
        if stated is not None:
            return stated
    return 0 if tensor is None or _masks(one, tensor) else tensor.elements


def _masks(one: ResolvedName, tensor: StoredTensor) -> bool:
    """Whether a "bias" is the mask of what comes later, [1, 1, T, T], as GPT-2's attention keeps it."""
    shape = tensor.shape
    return one.account is Account.BIAS and len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3] > 1


def _stated(entry: str, values: Mapping[str, object]) -> int | None:
    """How many values a packed table holds, as the shape or the length beside it says."""
    for key in _SHAPES:
        sizes: list[int] = []
        while len(sizes) < _MOST_DIMENSIONS and isinstance(size := values.get(f"{entry}/{key}/{len(sizes)}"), int):
            sizes.append(size)
        if sizes and all(0 <= size < 1 << 40 for size in sizes):
            return math.prod(sizes)
    for key in _LENGTHS:
        length = values.get(f"{entry}/{key}")
        if isinstance(length, int) and 0 <= length < 1 << 63:
            return length
    return None


def _models(
    names: Mapping[str, ResolvedName],
    held: Mapping[str, int],
    tensors: Mapping[str, StoredTensor],
    values: Mapping[str, object],
) -> Iterator[ModelTensor]:
    own: dict[str, list[str]] = {}
    for name, one in names.items():
        own.setdefault(one.owner, []).extend([name] if one.account in COUNTED else [])
    for owner, stored in own.items():
        count = sum(names[name].parameters for name in stored)
        bits = 8 * sum(held[name] for name in stored) / count if count else None
        nominal = _nominal(owner, values)
        if nominal is None:
            widths = {_width(names[name].packed, tensors[name]) for name in stored
                      if name in tensors and names[name].parameters}  # fmt: skip
            nominal = widths.pop() if len(widths) == 1 else None
        yield ModelTensor(owner=owner, parameters=count, nominal_bits=nominal, packed_bits=bits)


def _width(packed: PackedPart | None, tensor: StoredTensor) -> float | None:
    """Bits per value: the packed matrix's own, or the stored dtype's with the share of a block's scales."""
    if packed is not None and packed.matrix.bits is not None:
        return packed.matrix.bits
    if tensor.block is not None:
        return 8 * tensor.block[1] / tensor.block[0]
    return DTYPE_BITS.get(tensor.dtype)


def _nominal(owner: str, values: Mapping[str, object]) -> float | None:
    """Bits per parameter as the artifact itself states them."""
    for key in _META:
        stated = values.get(key.format(owner=owner))
        if isinstance(stated, int) and not isinstance(stated, bool) and 0 < stated <= 64:
            return float(stated)
        if isinstance(stated, str):
            number = re.search(r"\bu?int(\d{1,2})\b|_int(\d{1,2})(?=_|\b)", stated)
            if number:
                return float(number[1] or number[2])
            for word, bits in _WORDS:
                if re.search(word, stated):
                    return bits
    return None


def matrix_shape(one: ResolvedName, tensor: StoredTensor) -> tuple[int, ...]:
    """The shape of the model's own matrix; the stored one's where it is not packed."""
    packed: PackedMatrix | None = None if one.packed is None else one.packed.matrix
    return tensor.shape if packed is None or packed.shape is None else packed.shape
