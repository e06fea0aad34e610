"""A choice for every matrix, as one file: encodings and coders' streams are made once, and put together again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
from torch import Tensor

from golfbudget.fit.desk import Desk
from golfbudget.fit.menu import MatrixChoice
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.coding import coded
from golfbudget.recipe.config import CODED_LAYOUT, Recipe
from golfbudget.recipe.export import Export
from golfbudget.schemes import Encoded
from golfbudget.workers import Processes

#: The codec around what a coder leaves.
_CODEC, _LEVEL = "brotli", 11
#: Over so many bytes of a coder's streams, which no codec makes smaller, the level that does not try for minutes; the
#: container that is chosen in the end has its own.
_LARGE, _QUICK_LEVEL = 1 << 22, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMatrix:
    """One matrix as it goes into a file: its tables and the streams of those that a coder makes smaller."""

    encoded: Encoded | None
    streams: Mapping[str, bytes]
    decoded: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """A file of the fitting's own layout; `choices` of all owners."""

    choices: Mapping[str, MatrixChoice]
    export: Export
    decoded: Mapping[str, Tensor]
    bias: Tensor | None
    data: bytes


def fitting_recipe(recipe: Recipe) -> Recipe:
    """The recipe with a layout that has a place for every scheme's tables and for a coder's streams."""
    return msgspec.structs.replace(
        recipe, name=f"{recipe.name}+fit", layout=CODED_LAYOUT, codec=_CODEC, level=_LEVEL, coder="rans", filter=None
    )


def store(desk: Desk, task: tuple[str, MatrixChoice]) -> StoredMatrix:
    """Encode a matrix, and code its tables."""
    owner, choice = task
    encoded = desk.encoded(owner, choice)
    alone = _with(desk, _part(desk.source.export, owner), owner, choice, encoded)
    return StoredMatrix(
        encoded=encoded,
        streams=coded(alone, fitting_recipe(desk.source.recipe)).streams,
        decoded=desk.decoded(owner, choice, encoded),
    )


def _part(export: Export, owner: str) -> Export:
    """An export of one tensor."""
    parts = ("quantized", "scales", "dtypes", "passthrough", "kept_dtypes", "schemes", "labels")
    own = {part: {name: value for name, value in getattr(export, part).items() if name == owner} for part in parts}
    return Export(**own, order=(owner,))


def _with(desk: Desk, export: Export, owner: str, choice: MatrixChoice, encoded: Encoded | None) -> Export:
    """The export with one matrix stored as chosen."""
    dtype = desk.source.dtype(owner)
    if encoded is not None:
        # A label of the recipe's own width would pad what is narrower.
        labels = {name: label for name, label in export.labels.items() if name != owner}
        return replace(export.with_encoded(owner, encoded, dtype), labels=labels)
    if choice.kept is None:
        return export
    rest = export.without(owner)
    return replace(
        rest,
        passthrough={**rest.passthrough, owner: desk.kept(owner, choice.kept)},
        kept_dtypes={**rest.kept_dtypes, owner: dtype},
    )


def _interned(encoded: Encoded) -> Encoded:
    """The same with one string for each name: pickle writes a string once, and what another process sent has copies."""
    tables = tuple(replace(table, name=sys.intern(table.name)) for table in encoded.tables)
    return replace(encoded, scheme=sys.intern(encoded.scheme), tables=tables)


class Assembler:
    """Writes files; keeps what it has stored, the last few ways of every matrix."""

    _KEPT = 3

    def __init__(self, desk: Desk, processes: Processes[Desk]) -> None:
        self.desk, self.processes = desk, processes
        #: What no coder made smaller was tried, and is not tried again.
        self.recipe = msgspec.structs.replace(fitting_recipe(desk.source.recipe), coder=None)
        self._stored: dict[str, dict[MatrixChoice, StoredMatrix]] = {}

    def stored(self, choices: Mapping[str, MatrixChoice]) -> dict[str, StoredMatrix]:
        """Every matrix as chosen, in the choices' order."""
        missing = [(owner, choice) for owner, choice in choices.items() if choice not in self._stored.get(owner, {})]
        for number, found in self.processes.results(store, missing):
            owner, choice = missing[number]
            kept = self._stored.setdefault(owner, {})
            kept[choice] = replace(found, encoded=None if found.encoded is None else _interned(found.encoded))
            while len(kept) > self._KEPT:
                del kept[next(iter(kept))]
        return {owner: self._stored[owner][choice] for owner, choice in choices.items()}

    def file(self, choices: Mapping[str, MatrixChoice]) -> Assembled:
        """The whole file, written through its container and codec."""
        desk, export = self.desk, self.desk.source.export
        streams: dict[str, bytes] = {}
        decoded: dict[str, Tensor] = {}
        bias = None
        for owner, stored in self.stored(choices).items():
            export = _with(desk, export, owner, choices[owner], stored.encoded)
            streams |= stored.streams
            decoded[owner] = stored.decoded
            if owner == desk.source.head and stored.encoded is not None:
                bias = stored.encoded.bias()
        export = replace(export, streams=streams)
        large = sum(map(len, streams.values())) > _LARGE
        recipe = msgspec.structs.replace(self.recipe, level=_QUICK_LEVEL) if large else self.recipe
        data = artifact_bytes(export, recipe)
        return Assembled(choices=dict(choices), export=export, decoded=decoded, bias=bias, data=data)
