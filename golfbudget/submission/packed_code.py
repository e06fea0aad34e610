"""The packed length of a submission's code: what its files take, each packed by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golfbudget.code_packing import pack_code
from golfbudget.errors import GolfbudgetError

_PYTHON = ".py"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCode:
    """Bytes of all code files, each packed by itself and kept as it is where packing gains nothing.

    `tools` are the packers and their versions: the length depends on them.
    """

    length: int
    tools: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def packed_code_bytes(files: Sequence[Path]) -> PackedCode:
    """Pack every file of code; one that cannot be packed counts as it is, and a note says so."""
    length = 0
    tools: dict[str, str] = {}
    notes: list[str] = []
    for path in files:
        source = path.read_bytes()
        shortest = len(source)
        if path.suffix == _PYTHON:
            try:
                packed = pack_code(source, name=path.name)
            except GolfbudgetError as error:
                notes.append(f"{path.name} counts as it is in `packed`: {error}")
            else:
                shortest = min(shortest, packed.length)
                tools |= dict(packed.tools)
                if packed.refusal is not None:
                    notes.append(f"{path.name} is packed without minifying: {packed.refusal}")
                if packed.length < len(source):
                    notes += [f"{path.name}, packed: {note}" for note in packed.notes]
        length += shortest
    return PackedCode(length=length, tools=tuple(tools.items()), notes=tuple(notes))
