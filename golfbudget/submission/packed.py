"""The code packed as small as it gets.  The packer is a module of its own and is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from golfbudget.errors import GolfbudgetError

_PACKER = "golfbudget.code_packing"
_PYTHON = ".py"


class _Packed(Protocol):
    @property
    def length(self) -> int: ...


class _Packer(Protocol):
    def pack_code(self, source: bytes, *, name: str) -> _Packed: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCode:
    """Bytes of all code files, each packed by itself and kept as it is where packing gains nothing."""

    length: int
    notes: tuple[str, ...] = ()


def packed_code_bytes(files: Sequence[Path]) -> PackedCode | None:
    """Pack code for real; None where this build of golfbudget has no packer."""
    try:
        packer = cast("_Packer", importlib.import_module(_PACKER))
    except ModuleNotFoundError as error:
        if error.name != _PACKER:
            raise
        return None
    length, notes = 0, []
    for path in files:
        source = path.read_bytes()
        found = len(source)
        if path.suffix == _PYTHON:
            try:
                packed = packer.pack_code(source, name=path.name)
                found = min(found, packed.length)
                notes += [str(note) for note in getattr(packed, "notes", ())]
            except GolfbudgetError as error:
                notes.append(f"{path.name} is counted as it is: {error}")
        length += found
    return PackedCode(length=length, notes=tuple(notes))
