"""What a layout is: an export to the bytes of a container, and back through the reader that opens foreign files."""

from __future__ import annotations

import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from golfbudget import schemes
from golfbudget.artifact import Artifact
from golfbudget.errors import CorruptError
from golfbudget.ledger import Account
from golfbudget.recipe.config import Label, LayoutName
from golfbudget.recipe.export import Export
from golfbudget.registry import Registry
from golfbudget.schemes.base import Encoded, Table

#: Where the tables of encoded matrices stand, in every layout.
APART = "schemes/"


class Layout(ABC):
    """A registered layout.

    `fixed`: the container's length follows from names, shapes and dtypes alone.  `shares`: every tensor is written by
    torch.save, which writes one that stands in several places once.
    """

    name: ClassVar[LayoutName]
    fixed: ClassVar[bool] = True
    shares: ClassVar[bool] = True

    @abstractmethod
    def container(self, export: Export) -> bytes:
        """The container's bytes, before filter and codec.

        Raises `UsageError` or `UnsupportedError` for what has no place in it.
        """

    @abstractmethod
    def payload_bytes(self, export: Export) -> int:
        """Bytes of all tensors, and of packed byte strings, in the object that is serialised."""

    @abstractmethod
    def recognises(self, artifact: Artifact) -> bool:
        """Whether an opened artifact is of this layout, by what it holds."""

    @abstractmethod
    def read(self, artifact: Artifact) -> Export:
        """The parts of an artifact of this layout; `CorruptError` when they do not fit together.

        `UnsupportedError` for what has no place in it.
        """


_LAYOUTS: Registry[Layout] = Registry("layout")
register, registered, get = _LAYOUTS.register, _LAYOUTS.registered, _LAYOUTS.get


def recognise(artifact: Artifact) -> Layout | None:
    """The layout an artifact is of, None when it is none that is known."""
    return next((layout for layout in registered().values() if layout.recognises(artifact)), None)


def torch_saved(contents: object) -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    torch.save(contents, out)
    return out.getvalue()


def tensors_payload(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors of any shape, before any codec."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def scheme_label(encoded: Encoded) -> dict[str, object]:
    """What a decoder must be told of an encoded matrix besides its tables."""
    return {"scheme": encoded.scheme, "shape": list(encoded.shape)}


def scheme_entries(export: Export) -> dict[str, dict[str, object]]:
    """What stands under the key `schemes`: for each matrix its label and its tables."""
    return {
        name: scheme_label(encoded) | {table.name: table.tensor for table in encoded.tables}
        for name, encoded in export.schemes.items()
    }


def scheme_tables(export: Export) -> list[Tensor]:
    """All tables of encoded matrices, each of its shape as stored."""
    return [table.tensor for encoded in export.schemes.values() for table in encoded.tables]


def read_schemes(artifact: Artifact, tables: Mapping[str, Tensor]) -> dict[str, Encoded]:
    """The encodings under `schemes`; `tables` are by NAME/TABLE."""
    values = artifact.values
    encodings: dict[str, Encoded] = {}
    for name in dict.fromkeys(key.partition("/")[0] for key in tables):
        own = {key.partition("/")[2]: tensor for key, tensor in tables.items() if key.partition("/")[0] == name}
        shape = values.get(f"schemes/{name}/shape/0"), values.get(f"schemes/{name}/shape/1")
        encodings[interned(name)] = read_scheme(artifact.path, name, values.get(f"schemes/{name}/scheme"), shape, own)
    return encodings


def read_scheme(path: str, name: str, scheme: object, shape: object, tables: Mapping[str, Tensor]) -> Encoded:
    """The encoding that a label describes; tables are believed for their tensors only.

    `CorruptError` for an unknown scheme, and for a `shape` that is no matrix's.
    """
    known = isinstance(scheme, str) and scheme in {**schemes.registered(), **schemes.bound()}
    sizes = [n for n in shape if isinstance(n, int) and n > 0] if isinstance(shape, tuple) else []
    if not known or len(sizes) != 2:
        raise CorruptError(f"{path}: {name!r} is encoded by scheme {scheme!r} with shape {shape}")
    rows, columns = sizes
    return Encoded(
        scheme=str(scheme),
        shape=(rows, columns),
        tables=tuple(_table(table, tensor) for table, tensor in tables.items()),
    )


def _table(name: str, tensor: Tensor) -> Table:
    bits = 8 * tensor.element_size()
    return Table(name=name, account=Account.WEIGHTS, tensor=tensor, bits=bits, shape=tuple(tensor.shape))


def check_dtypes(artifact: Artifact, dtypes: Mapping[str, str]) -> None:
    """`CorruptError` for a dtype that torch does not have."""
    for name, dtype in dtypes.items():
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise CorruptError(f"{artifact.path}: tensor {name!r} is said to be of dtype {dtype!r}, which torch lacks")


def interned(name: str) -> str:
    """The same string object for equal names: pickle stores an object once, and files must come out equal."""
    return sys.intern(name)


def read_label(artifact: Artifact, prefix: str) -> Label | None:
    """The label at a key of the container: a word, or a table of words and numbers."""
    label = artifact.values.get(prefix)
    if isinstance(label, str):
        return label
    table = {
        key.removeprefix(f"{prefix}/"): value
        for key, value in artifact.values.items()
        if key.startswith(f"{prefix}/") and isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    return table or None
