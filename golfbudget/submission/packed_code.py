"""The packed length of a submission's code: what its files take, each packed by itself."""

from __future__ import annotations

import hashlib
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


#: Packed files of this process by name and content: folders of one author share programs.
_known: dict[tuple[str, bytes], PackedCode] = {}


def packed_code_bytes(files: Sequence[Path]) -> PackedCode:
    """Pack every file of code; one that cannot be packed counts as it is, and a note says so."""
    packed = [_packed(path) for path in files]
    return PackedCode(
        length=sum(one.length for one in packed),
        tools=tuple(dict(tool for one in packed for tool in one.tools).items()),
        notes=tuple(note for one in packed for note in one.notes),
    )


def _packed(path: Path) -> PackedCode:
    if path.suffix.lower() != _PYTHON:
        return PackedCode(length=path.stat().st_size)
    source = path.read_bytes()
    known = path.name, hashlib.sha256(source).digest()
    if known not in _known:
        _known[known] = _pack(source, path.name)
    return _known[known]


def _pack(source: bytes, name: str) -> PackedCode:
    try:
        packed = pack_code(source, name=name, printable=True)  # Base 85, as the convention has it.
    except GolfbudgetError as error:
        return PackedCode(length=len(source), notes=(f"{name} counts as it is in `packed`: {error}",))
    notes = [f"{name} is packed without minifying: {packed.refusal}"] if packed.refusal is not None else []
    if packed.length < len(source):
        notes += [f"{name}, packed: {note}" for note in packed.notes]
    return PackedCode(length=min(len(source), packed.length), tools=packed.tools, notes=tuple(notes))
