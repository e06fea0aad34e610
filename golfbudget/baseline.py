"""Load one side of a comparison: an artifact of any kind, or a report that `inspect --format json` saved of one.

A report is known by its content, whatever its name, and believed only if its figures add up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from golfbudget.artifact.locating import INDEX_SUFFIX
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.compare import ComparedSide, Owned
from golfbudget.content import DIGITS, contents
from golfbudget.errors import CorruptError, LedgerError, LimitError, UnsupportedError, UsageError
from golfbudget.formats import Format
from golfbudget.hashing import file_hashes
from golfbudget.inspection import SCHEMA, Inspection, inspect_file
from golfbudget.ledger import Ledger, Role
from golfbudget.roles import Roles
from golfbudget.rollup import roll_up

#: A report of a hundred thousand tensors takes 40 MB.
_LARGEST_REPORT = 1 << 28
_HEAD = 64
_JSON_SPACE = b" \t\r\n"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")

_Amount = Annotated[int, msgspec.Meta(ge=0)]
_Content = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{DIGITS}}}$")]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How artifacts are read; the arguments of `inspection.inspect_file`."""

    roles: Roles | None = None
    as_format: str | None = None
    layout: Format | None = None
    limit: int = DECODED_LIMIT


def load_side(path: Path, reading: Reading | None = None) -> ComparedSide:
    """A side from a report or an artifact.

    Raises `CorruptError` for JSON that is no sound report, `UnsupportedError` for another version's, and the errors
    of `inspection.inspect_file`.
    """
    report = _report(path)
    return side_of_artifact(path, reading or Reading()) if report is None else side_of_report(report, where=str(path))


def side_of_artifact(path: Path, reading: Reading) -> ComparedSide:
    """A side from an artifact."""
    inspection = inspect_file(
        path, cap=0, roles=reading.roles, as_format=reading.as_format, layout=reading.layout, limit=reading.limit
    )
    return side_of(inspection)


def side_of(inspection: Inspection) -> ComparedSide:
    """A side from an inspection; the file is read again for its hash."""
    artifact, ledger = inspection.artifact, inspection.assignment.ledger
    held, forms = contents(artifact, ledger), _forms_of(ledger)
    sha256, _ = file_hashes([file.path for file in artifact.files] or [Path(artifact.path)])
    rows = tuple(
        Owned(
            owner=owner,
            role=role,
            stored_bytes=totals.stored_bytes,
            parameters=totals.parameters,
            tensors=forms.get((owner, role), ()),
            content=held[owner, role],
        )
        for (owner, role), totals in roll_up(ledger, lambda entry: (entry.owner, entry.role)).items()
    )
    codecs = tuple(dict.fromkeys(layer.name for layer in artifact.layers if layer.kind == "codec"))
    side = ComparedSide(path=artifact.path, bytes=artifact.size, sha256=sha256, rows=rows, codecs=codecs)
    return side.with_code(inspection.budget.code)


class _Source(msgspec.Struct, frozen=True):
    path: str
    bytes: _Amount
    sha256: _Sha256


class _Layer(msgspec.Struct, frozen=True):
    kind: str
    name: str


class _Cap(msgspec.Struct, frozen=True):
    code_bytes: _Amount | None


class _RoleRow(msgspec.Struct, frozen=True):
    role: Role
    parameters: _Amount
    stored_bytes: _Amount


class _OwnerRow(msgspec.Struct, frozen=True):
    owner: str
    role: Role
    parameters: _Amount
    stored_bytes: _Amount
    content: _Content | None = None


class _EntryRow(msgspec.Struct, frozen=True):
    owner: str
    role: Role
    tensor: str | None
    dtype: str | None
    shape: tuple[_Amount, ...] | None
    parameters: _Amount
    stored_bits: _Amount
    stored_bytes: _Amount


class _Report(msgspec.Struct, frozen=True):
    """The fields of a report that a comparison needs; it may have more."""

    source: _Source
    layers: tuple[_Layer, ...]
    cap: _Cap
    parameters: _Amount
    roles: tuple[_RoleRow, ...]
    owners: tuple[_OwnerRow, ...]
    entries: tuple[_EntryRow, ...]


def side_of_report(value: object, *, where: str) -> ComparedSide:
    """A side from a report's plain values; `where` names it in messages."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        stated = f"schema {schema[:60]!r}" if isinstance(schema, str) else "no schema"
        message = (
            f"{where}: JSON with {stated}, expected a report with schema {SCHEMA!r} as "
            "`golfbudget inspect PATH --format json -o FILE` saves it"
        )
        if isinstance(schema, str) and schema.startswith(SCHEMA.rpartition("/")[0] + "/"):
            raise UnsupportedError(f"{message}; another version of golfbudget made it: save it again")
        raise CorruptError(message)
    try:
        report = msgspec.convert(value, type=_Report)
    except msgspec.ValidationError as error:
        raise CorruptError(f"{where}: not a sound report: {error}") from None
    _check_sums(report, where)
    forms = _forms((row.owner, row.role, row.tensor, row.dtype, row.shape) for row in report.entries)
    rows = tuple(
        Owned(
            owner=row.owner,
            role=row.role,
            stored_bytes=row.stored_bytes,
            parameters=row.parameters,
            tensors=forms.get((row.owner, row.role), ()),
            content=row.content,
        )
        for row in report.owners
    )
    try:
        side = ComparedSide(
            path=report.source.path,
            bytes=report.source.bytes,
            sha256=report.source.sha256,
            rows=rows,
            codecs=tuple(dict.fromkeys(layer.name for layer in report.layers if layer.kind == "codec")),
            report=where,
        )
        return side.with_code(report.cap.code_bytes)
    except LedgerError as error:
        raise CorruptError(f"{where}: not a sound report: {error}") from None


def _check_sums(report: _Report, where: str) -> None:
    """The laws of a report: entries make owners, owners make roles, roles make the file."""
    by_owner: dict[object, int] = {}
    for row in report.entries:
        by_owner[row.owner, row.role] = by_owner.get((row.owner, row.role), 0) + row.stored_bytes
    by_role: dict[object, int] = {}
    for owned in report.owners:
        by_role[owned.role] = by_role.get(owned.role, 0) + owned.stored_bytes
    size = report.source.bytes
    sums = [
        ("roles[].stored_bytes", sum(row.stored_bytes for row in report.roles), "source.bytes", size),
        ("owners[].stored_bytes", sum(row.stored_bytes for row in report.owners), "source.bytes", size),
        ("entries[].stored_bytes", sum(row.stored_bytes for row in report.entries), "source.bytes", size),
        ("entries[].stored_bits", sum(row.stored_bits for row in report.entries), "8 x source.bytes", 8 * size),
        ("roles[].parameters", sum(row.parameters for row in report.roles), "parameters", report.parameters),
        ("owners[].parameters", sum(row.parameters for row in report.owners), "parameters", report.parameters),
        ("entries[].parameters", sum(row.parameters for row in report.entries), "parameters", report.parameters),
    ]
    sums += [
        (f"entries of {row.owner[:80]!r}", by_owner.get((row.owner, row.role), 0), "its owner's row", row.stored_bytes)
        for row in report.owners
    ]
    sums += [
        (f"owners of role {row.role}", by_role.get(row.role, 0), "its row", row.stored_bytes) for row in report.roles
    ]
    for what, given, expected, amount in sums:
        if given != amount:
            raise CorruptError(f"{where}: not a sound report: {what} sum to {given}, {expected} is {amount}")


def _forms_of(ledger: Ledger) -> dict[tuple[str, Role], tuple[str, ...]]:
    return _forms((entry.owner, entry.role, entry.tensor, entry.dtype, entry.shape) for entry in ledger.entries)


def _forms(
    entries: Iterable[tuple[str, Role, str | None, str | None, tuple[int, ...] | None]],
) -> dict[tuple[str, Role], tuple[str, ...]]:
    """Dtypes and shapes of every owner's stored tensors, sorted."""
    by_owner: dict[tuple[str, Role], dict[str, str]] = {}
    for owner, role, tensor, dtype, shape in entries:
        if tensor is not None:
            form = f"{dtype}" if shape is None else f"{dtype} {list(shape)}"
            by_owner.setdefault((owner, role), {}).setdefault(tensor, form)
    return {key: tuple(sorted(forms.values())) for key, forms in by_owner.items()}


def _report(path: Path) -> object | None:
    """The values of a file that is JSON and must be a report; None for what is to be read as an artifact."""
    try:
        if path.is_fifo():  # What a shell's <(command) gives: only a report can come that way.
            return _parsed(path, _read(path))
        if not path.is_file() or path.name.endswith(INDEX_SUFFIX):
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if not _looks_like_json(head) and path.suffix.lower() != ".json":
            return None
        return _parsed(path, _read(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _looks_like_json(head: bytes) -> bool:
    """An object or array in any encoding of JSON; the length that begins a safetensors file has zeros in it."""
    if head.startswith(_WIDE_MARKS):
        return head[2:].replace(b"\0", b"").lstrip(_JSON_SPACE)[:1] == b"{"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(_JSON_SPACE)
    return b"\0" not in head and re.match(rb'\{\s*["}]|\[\s*[\[{"\d\]]', text) is not None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_LARGEST_REPORT + 1)
    if len(data) > _LARGEST_REPORT:
        raise LimitError(f"{path}: expected a JSON report of at most {_LARGEST_REPORT} bytes")
    return data


def _parsed(path: Path, data: bytes) -> object:
    try:
        value: object = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise CorruptError(
            f"{path}: expected a report as `golfbudget inspect PATH --format json -o FILE` saves it, found what is no "
            f"JSON: {error}"
        ) from None
    return value
