"""Stored tensors to the numbers that they stand for, a few rows at a time, in the layouts that are known here.

Known are floats as they are, integers with one scale per row or for all, and the tables of the trellis schemes.  For
anything else `UnsupportedError` says what it is; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from golfbudget.artifact import Artifact, Leaf
from golfbudget.codecs.rans.machine import levels
from golfbudget.efficiency.limits import Matrix
from golfbudget.errors import UnsupportedError
from golfbudget.formats import BYTE_ORDER, StoredTensor
from golfbudget.ledger import Account
from golfbudget.roles import Assignment

_INTEGERS = {"int8": "<i1", "uint8": "<u1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}
_FLOATS = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "float64": "<f8"}
_BFLOAT16_SHIFT = 16
#: Where encoded matrices stand apart, as NAME/TABLE, and where safetensors says what they are.
_APART, _DESCRIBED = "schemes/", "__metadata__/schemes"
TRELLIS = frozenset({"trellis", "trellis-gptq"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A stored tensor, the leaf that its offset counts in, and what it is to its owner.

    `scheme` is what a file says a table of an encoded matrix is of; None for a tensor in the layout's own slots.
    """

    leaf: Leaf
    tensor: StoredTensor
    account: Account
    scheme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A tensor of the model as a matrix of `rows` by `columns`; what is no matrix is one row.

    `read` gives rows [start, stop).  `quantised`: it is made of integers.
    """

    shape: tuple[int, ...]
    quantised: bool
    read: Callable[[int, int], Matrix]

    @property
    def rows(self) -> int:
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        return int(np.prod(self.shape[1:] if len(self.shape) > 1 else self.shape, dtype=np.int64))


class Numbers(Protocol):
    """The tensors of a model by their names there; `path` is what messages call it."""

    @property
    def path(self) -> str: ...

    def names(self) -> Collection[str]:
        """Of all tensors."""

    def read(self, name: str) -> Weights:
        """A tensor's numbers; `UnsupportedError` says why they are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNumbers:
    """Those of an opened file."""

    artifact: Artifact
    parts: Mapping[str, Sequence[StoredPart]]

    @classmethod
    def of(cls, artifact: Artifact, assignment: Assignment) -> StoredNumbers:
        return cls(artifact=artifact, parts=parts_by_owner(artifact, assignment))

    @property
    def path(self) -> str:
        return self.artifact.path

    def names(self) -> Collection[str]:
        return self.parts.keys()

    def read(self, name: str) -> Weights:
        return weights_of(self.artifact, self.parts.get(name, ()))


def parts_by_owner(artifact: Artifact, assignment: Assignment) -> dict[str, list[StoredPart]]:
    """The stored tensors of every owner, in file order."""
    found: dict[str, list[StoredPart]] = {}
    described = _described(artifact)
    for leaf, tensor in artifact.placed():
        one = assignment.names.get(tensor.name)
        if one is not None:
            account, _ = assignment.detected.get(tensor.name, (one.account, ""))
            scheme = _scheme(artifact, described, tensor.name)
            part = StoredPart(leaf=leaf, tensor=tensor, account=account, scheme=scheme)
            found.setdefault(one.owner, []).append(part)
    return found


def _scheme(artifact: Artifact, described: Mapping[str, object], stored: str) -> str | None:
    if not stored.startswith(_APART):
        return None
    name = stored.removeprefix(_APART).rpartition("/")[0]
    label = artifact.values.get(f"{_APART}{name}/scheme", described.get(name))
    return label if isinstance(label, str) else "without a label"


def _described(artifact: Artifact) -> Mapping[str, object]:
    text = artifact.values.get(_DESCRIBED)
    try:
        labels = msgspec.json.decode(text, type=dict[str, dict[str, object]]) if isinstance(text, str) else {}
    except msgspec.DecodeError:
        return {}
    return {name: label.get("scheme") for name, label in labels.items()}


def weights_of(artifact: Artifact, parts: Sequence[StoredPart]) -> Weights:
    """What an owner's stored tensors stand for; `UnsupportedError` says why they are not read."""
    if artifact.values.get(BYTE_ORDER) == "big":
        raise UnsupportedError("its numbers are big-endian, and little-endian ones are read")
    labels = {part.scheme for part in parts}
    if labels & TRELLIS and len(labels) == 1:
        return _trellis(*trellis_tables(parts))
    other = labels - {None}
    if other:
        raise UnsupportedError(f"scheme {' and '.join(sorted(map(str, other)))} is not decoded here")
    values = [part for part in parts if part.account is not Account.SCALES]
    scales = [part for part in parts if part.account is Account.SCALES]
    if not values:
        raise UnsupportedError("its values are no tensor, and packed byte strings are not decoded here")
    if len(values) > 1 or len(scales) > 1:
        raise UnsupportedError(f"{len(parts)} stored tensors are together in a way that is not decoded here")
    return _plain(values[0], scales[0] if scales else None)


def trellis_tables(parts: Sequence[StoredPart]) -> tuple[NDArray[np.int8], Matrix]:
    """The integers [rows, columns] of a trellis scheme's tables, and its scales, whose dimensions say the machine.

    `UnsupportedError` for tables of other names, dtypes or shapes.
    """
    by_name = {part.tensor.name.rpartition("/")[2]: part for part in parts}
    if by_name.keys() != {"values", "scales"} or by_name["values"].tensor.dtype != "int8":
        raise UnsupportedError(f"a trellis scheme with tables {', '.join(sorted(by_name))} is not decoded here")
    values, scales = _array(by_name["values"]), _floats(by_name["scales"])
    if values.ndim != 2 or scales.ndim not in (1, 2) or scales.size != len(values):
        raise UnsupportedError(
            f"a trellis scheme with values {list(values.shape)} and scales {list(scales.shape)} is not decoded here"
        )
    return values.astype(np.int8, copy=False), scales


def _trellis(values: NDArray[np.int8], scales: Matrix) -> Weights:
    steps = scales.reshape(-1, 1)

    def read(start: int, stop: int) -> Matrix:
        return levels(values[start:stop], scales.ndim) * steps[start:stop]

    return Weights(shape=values.shape, quantised=True, read=read)


def _plain(part: StoredPart, scale: StoredPart | None) -> Weights:
    """Floats, or integers times a scale."""
    tensor, values = part.tensor, _array(part)
    quantised = tensor.dtype in _INTEGERS
    if quantised and scale is None:
        raise UnsupportedError(f"{tensor.dtype} without a scale that is known")
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    scales = np.ones(1) if scale is None else _floats(scale).reshape(-1)
    if scales.size not in (1, rows):
        found = [] if scale is None else list(scale.tensor.shape)
        raise UnsupportedError(
            f"values {list(tensor.shape)} with scales {found} are neither one scale a row nor one for all"
        )
    steps = np.broadcast_to(scales, rows).reshape(-1, 1)

    def read(start: int, stop: int) -> Matrix:
        own = values[start:stop] if values.ndim > 1 else values
        return _numbers(own, tensor.dtype).reshape(stop - start, -1) * steps[start:stop]

    return Weights(shape=tensor.shape, quantised=quantised, read=read)


def _array(part: StoredPart) -> NDArray[np.generic]:
    """A stored tensor as it is, not copied; bfloat16, which numpy lacks, as its 16 bits."""
    tensor, dtype = part.tensor, (_INTEGERS | _FLOATS).get(part.tensor.dtype)
    if dtype is None or tensor.offset is None or tensor.block is not None:
        what = f"dtype {tensor.dtype}" if tensor.offset is not None else "what is compressed inside the container"
        raise UnsupportedError(f"{what} is not decoded here")
    kind = np.dtype(dtype)
    if not tensor.elements:
        return np.zeros(tensor.shape, dtype=kind)
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    flat = np.frombuffer(part.leaf.data, dtype=kind, count=last + 1, offset=tensor.offset)
    strides = [stride * kind.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, shape=tensor.shape, strides=strides, writeable=False)


def _numbers(stored: NDArray[np.generic], dtype: str) -> Matrix:
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << _BFLOAT16_SHIFT).view(np.float32).astype(np.float64)
    return stored.astype(np.float64)


def _floats(part: StoredPart) -> Matrix:
    """A whole tensor of floats."""
    if part.tensor.dtype not in _FLOATS:
        raise UnsupportedError(f"scales of dtype {part.tensor.dtype} are not decoded here")
    return _numbers(_array(part), part.tensor.dtype)
