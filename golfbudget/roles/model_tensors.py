"""Which stored tensors together make one model tensor, and how many bits its parameters were meant to take.

A matrix may be stored as integers and scales, as packed bytes with its shape beside them, with low-rank factors
on top.  Its parameters are counted once, from the table that holds one value per parameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from golfbudget.artifact import Artifact
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Account
from golfbudget.roles.rules import NameRule, Roles

_COUNTED = frozenset({Account.WEIGHTS, Account.BIAS, Account.CODEBOOK})
#: A table of packed values, in bytes or in a tensor, whose shape or length stands beside it.
_PACKED = re.compile(r"^(?P<entry>.+)[/.](?:packed|packed_weight|bitmask)$")
_SHAPES = ("orig_shape", "original_shape", "shape")
_LENGTHS = ("n_vals", "n_trits", "n_bits", "numel")
#: Where quantisers leave a word or a number about how a tensor was quantised.
_META = ("{owner}/bits", "{owner}/type", "m/{owner}/bits", "m/{owner}", "m/{owner}/type", "meta/{owner}/bits",
         "meta/{owner}", "meta/{owner}/type", "qmeta/{owner}/bits")  # fmt: skip
_WORDS = ((r"ternary", math.log2(3)), (r"binary|bitplane", 1.0), (r"\bfp8|float8", 8.0), (r"fp16|float16|bf16", 16.0),
          (r"fp32|float32", 32.0))  # fmt: skip
_MOST_DIMENSIONS = 16


class TensorPlace(Struct, frozen=True, kw_only=True):
    """What a stored name says: the owner it belongs to, its account, and whether its elements are parameters."""

    owner: str
    account: Account
    counted: bool
    rule: NameRule | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensor:
    """A tensor of the model: `nominal_bits` and `packed_bits` are per parameter, None where they are not known.

    Nominal bits are what the quantiser says it used, packed bits what the container holds before any codec.
    """

    owner: str
    parameters: int
    nominal_bits: float | None
    packed_bits: float | None


class TensorGrouping(Struct, frozen=True, kw_only=True):
    """The places of all stored tensors and packed byte strings, and the parameters that each counts for."""

    places: Mapping[str, TensorPlace]
    parameters: Mapping[str, int]
    models: Mapping[str, ModelTensor]


def group_tensors(artifact: Artifact, roles: Roles) -> TensorGrouping:
    """Group what is stored by the model tensor that it makes."""
    tensors = {tensor.name: tensor for tensor in artifact.tensors}
    values = artifact.values
    places = {name: _place(name, roles, tensors) for name in tensors}
    owners = {place.owner for place in places.values()}
    strings = {name: value for name, value in values.items() if isinstance(value, bytes)}
    for name in strings:
        place = _place(name, roles, tensors)
        if _PACKED.match(name) or place.owner in owners:
            places[name] = place
    parameters = {name: _parameters(name, place, tensors.get(name), values) for name, place in places.items()}
    packed = {name: len(strings[name]) if name in strings else tensors[name].stored_bytes for name in places}
    own: dict[str, list[str]] = {}
    for name, place in places.items():
        own.setdefault(place.owner, []).extend([name] if place.account in _COUNTED else [])
    models = {}
    for owner, names in own.items():
        count, nominal = sum(parameters[name] for name in names), _nominal(owner, values)
        if nominal is None:
            widths = {_width(tensors[name]) for name in names if name in tensors and parameters[name]}
            nominal = widths.pop() if len(widths) == 1 else None
        bits = 8 * sum(packed[name] for name in names) / count if count else None
        models[owner] = ModelTensor(owner=owner, parameters=count, nominal_bits=nominal, packed_bits=bits)
    return TensorGrouping(places=places, parameters=parameters, models=models)


def _place(name: str, roles: Roles, tensors: Mapping[str, StoredTensor]) -> TensorPlace:
    owner, rule = roles.name_rule(name, tensors)
    by_name = None if rule is None else rule.account
    if by_name is None:
        by_owner = roles.account_rule(owner)
        by_name = Account.WEIGHTS if by_owner is None else by_owner.account
    counted = by_name in _COUNTED and (rule is None or rule.counted)
    return TensorPlace(owner=owner, account=by_name, counted=counted, rule=rule)


def _parameters(name: str, place: TensorPlace, tensor: StoredTensor | None, values: Mapping[str, object]) -> int:
    if not place.counted:
        return 0
    packed = _PACKED.match(name)
    if packed is not None:
        stated = _stated(packed["entry"], values)
        if stated is not None:
            return stated
    return 0 if tensor is None else tensor.elements


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


def _width(tensor: StoredTensor) -> float | None:
    """Bits per element of a stored dtype, the share of a block's scales included."""
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
