"""Packed weights: which stored tensors together are one matrix of the model, and how many parameters it has.

Quantisers store a matrix as integers that hold several values each, with scales, zero points, permutations and
descriptions beside them.  A family is known by the endings of its names; shapes must agree, or it is not that family.
How many values an integer holds is read from the shapes; where they leave it open, the configuration says it
(`quantization_config`, at any nesting); where neither does, it is unknown and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct

from golfbudget.artifact import Artifact
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Account
from golfbudget.roles.config_json import ConfigJson
from golfbudget.roles.described import scales_beside
from golfbudget.roles.families import FAMILIES, PackedFamily
from golfbudget.roles.scaled_numbers import scaled
from golfbudget.roles.unpacking import Pack, whole_numbers


class PackedMatrix(Struct, frozen=True, kw_only=True):
    """A matrix of the model behind packed tensors.

    `shape` is the model's own and `bits` what each value takes, None where neither shapes nor configuration tell.
    """

    family: str
    stored: str
    owner: str
    shape: tuple[int, ...] | None
    bits: float | None
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int | None:
        return None if self.shape is None else math.prod(self.shape)


class PackedPart(Struct, frozen=True, kw_only=True):
    """What one stored tensor is to its matrix."""

    matrix: PackedMatrix
    account: Account
    data: bool = False


_UNREAD = (
    "shapes that stand in tensors beside packed ones were not downloaded; config.json and the packed shapes stand in"
)
#: The bias of a quantised module of torch.ao stands in a tuple behind its weight.
_AO_BIAS = "._packed_params._packed_params/1"


def find_packed(artifact: Artifact) -> dict[str, PackedPart]:
    """Stored name to its part in a packed matrix, for every tensor that has one."""
    stored = {tensor.name: (leaf, tensor) for leaf, tensor in artifact.placed()}
    tensors = {name: tensor for name, (_, tensor) in stored.items()}
    config = ConfigJson.of(artifact.config)

    unread: set[str] = set()
    at = _Dotted(tensors)

    def numbers(name: str) -> tuple[int, ...] | None:
        tensor = at.get(name)
        if tensor is None:
            return None
        leaf, _ = stored[tensor.name]
        if not leaf.at_hand:
            unread.add(tensor.name)
        return whole_numbers(leaf, tensor)

    found: dict[str, PackedPart] = {}
    for family, stem in _stems(tensors):
        data = at.get(stem + family.data)
        if data is None or data.name in found:
            continue
        parts = {ending: part for ending in family.parts if (part := at.get(stem + ending)) is not None}
        pack = Pack(
            stem=stem,
            data=data,
            parts=parts,
            numbers=numbers,
            config=config,
            values=artifact.values,
            plain=tensors,
        )
        unread.clear()
        unpacked = family.unpack(pack)
        if unpacked is None:
            continue
        matrix = PackedMatrix(
            family=unpacked.family or family.name,
            stored=data.name,
            owner=stem + family.owner,
            shape=unpacked.shape,
            bits=unpacked.bits,
            notes=(*unpacked.notes, _UNREAD) if unread else unpacked.notes,
        )
        found[data.name] = PackedPart(matrix=matrix, account=Account.WEIGHTS, data=True)
        for ending, tensor in parts.items():
            found.setdefault(tensor.name, PackedPart(matrix=matrix, account=family.parts[ending]))
    found |= _described(tensors, found, config, artifact.values)
    found |= {name: _ao_bias(tensor) for name, tensor in tensors.items() if name.endswith(_AO_BIAS)}
    return found | _inside(artifact, tensors, found)


#: How names of this package's own schemes begin: rules say what each table is, and none is the matrix itself.
_SCHEMES = "schemes/"


class _Dotted:
    """Tensors by their dotted names, whether dots or the slashes of nested dicts stand in them."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self.exact = tensors
        self.dotted = {name.replace("/", "."): tensor for name, tensor in tensors.items() if "/" in name}

    def get(self, name: str) -> StoredTensor | None:
        """The tensor of that name, or of the same path."""
        return self.exact.get(name) or self.dotted.get(name.replace("/", "."))


def _described(
    tensors: Mapping[str, StoredTensor],
    found: Mapping[str, PackedPart],
    config: ConfigJson,
    values: Mapping[str, object],
) -> dict[str, PackedPart]:
    """Matrices of narrow numbers with scales that no family names; and such scales of matrices that are known."""
    groups: dict[str, list[str]] = {}
    for scale, matrix in scales_beside(tensors, lambda name: name in found and found[name].data):
        if scale not in found:
            groups.setdefault(matrix, []).append(scale)
    made: dict[str, PackedPart] = {}
    for name, scales in groups.items():
        known = found.get(name)
        if (known is not None and not known.data) or name.startswith(_SCHEMES):
            continue
        stem = name.removesuffix(".weight")
        parts = {scale.removeprefix(stem): tensors[scale] for scale in scales}
        pack = Pack(
            stem=stem, data=tensors[name], parts=parts, numbers=lambda _: None, config=config, values=values,
            plain=tensors,
        )  # fmt: skip
        unpacked = None if known is not None else scaled(pack)
        if unpacked is not None:
            made_of = PackedMatrix(
                family=unpacked.family or "scaled", stored=name, owner=name, shape=unpacked.shape, bits=unpacked.bits,
                notes=unpacked.notes,
            )  # fmt: skip
            known = made[name] = PackedPart(matrix=made_of, account=Account.WEIGHTS, data=True)
        if known is not None:
            made |= {scale: PackedPart(matrix=known.matrix, account=Account.SCALES) for scale in scales}
    return made


def _ao_bias(tensor: StoredTensor) -> PackedPart:
    owner = tensor.name.removesuffix(_AO_BIAS) + ".bias"
    matrix = PackedMatrix(family="torch.ao", stored=tensor.name, owner=owner, shape=tensor.shape, bits=None)
    return PackedPart(matrix=matrix, account=Account.BIAS, data=True)


def _stems(tensors: Mapping[str, StoredTensor]) -> Iterator[tuple[PackedFamily, str]]:
    """Families and the stems that have one of the names that a family needs; in the order of the families."""
    endings = sorted({need for family in FAMILIES for need in family.needs}, key=len, reverse=True)
    tails: dict[str, list[str]] = {}
    for ending in endings:
        tails.setdefault(ending.replace("/", ".")[-2:], []).append(ending)
    stems: dict[str, list[str]] = {ending: [] for ending in endings}
    for name in tensors:
        dotted = name.replace("/", ".")
        for ending in tails.get(dotted[-2:], ()):
            if dotted.endswith(ending.replace("/", ".")):
                stems[ending].append(name[: -len(ending)])
    for family in FAMILIES:
        seen = dict.fromkeys(stem for need in family.needs for stem in stems[need])
        yield from ((family, stem) for stem in seen)


#: Attributes of tensor subclasses that hold the values; everything else describes them.
_VALUES = frozenset(
    {
        "int_data",
        "qdata",
        "packed_weight",
        "float8_data",
        "data",
        "elem",
        "values",
        "_data",
        "_values",
        "quantized_data",
        "codes",
        "_local_tensor",
        "local_tensor",
    }
)
_INDICES = frozenset(
    {
        "indices",
        "crow_indices",
        "col_indices",
        "ccol_indices",
        "row_indices",
        "_indices",
        "offsets",
        "sizes",
        "strides",
        "meta",
        "bitmask",
        "metadata",
    }
)


def _inside(
    artifact: Artifact, tensors: Mapping[str, StoredTensor], found_before: Mapping[str, PackedPart]
) -> dict[str, PackedPart]:
    """Tensors inside tensors that are objects: `x/qdata` and `x/scale` make `x`; scales of a quantised tensor too."""
    groups: dict[str, list[str]] = {}
    for name in tensors:
        outer = _outer(name, artifact.outer_shapes, tensors)
        if outer is not None:
            groups.setdefault(outer, []).append(name)
    found: dict[str, PackedPart] = {}
    for outer, names in groups.items():
        data = outer if outer in tensors else _data_of(names, tensors)
        shape = artifact.outer_shapes.get(outer, tensors[data].shape)
        elements = math.prod(shape)
        bits = 8 * tensors[data].stored_bytes / elements if elements else None
        sparse = any(name.rpartition("/")[2] in _INDICES for name in names)
        known = found_before.get(outer)
        matrix = PackedMatrix(
            family="tensor subclass", stored=data, owner=outer, shape=shape, bits=None if sparse else bits
        )
        if known is not None and known.data:
            matrix = known.matrix
        for name in dict.fromkeys((data, *names)):
            attribute = name.rpartition("/")[2]
            if name == data:
                found[name] = PackedPart(matrix=matrix, account=Account.WEIGHTS, data=True)
            else:
                account = (
                    Account.MAPPING
                    if attribute in _INDICES
                    else Account.SCALES
                    if _describes(attribute)
                    else Account.WEIGHTS
                )
                found[name] = PackedPart(matrix=matrix, account=account)
    return found


def _describes(attribute: str) -> bool:
    return attribute not in _VALUES


def _outer(name: str, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, StoredTensor]) -> str | None:
    """The nearest path above a name that is itself a tensor."""
    above = name.rpartition("/")[0]
    while above:
        if above in shapes or above in tensors:
            return above
        above = above.rpartition("/")[0]
    return None


def _data_of(names: list[str], tensors: Mapping[str, StoredTensor]) -> str:
    """The inner tensor that holds the values: by its attribute's name, or else the largest."""
    named = [name for name in names if name.rpartition("/")[2] in _VALUES]
    return max(named or names, key=lambda name: tensors[name].stored_bytes)
