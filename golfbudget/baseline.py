"""Load one side of a comparison: an artifact of any kind, or a report that `inspect` or `check` saved as JSON.

A report is known by its content, whatever its name, and believed only if its figures add up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from golfbudget.artifact.indexes import INDEX_SUFFIX
from golfbudget.compare import CODE, MODEL, OTHER_FILES, WHOLE, ComparedSide, Owned
from golfbudget.errors import CorruptError, LedgerError, LimitError, UnsupportedError, UsageError, readable
from golfbudget.inspection import Reading, inspect_file
from golfbudget.inspection.report import EntryReport, InspectReport
from golfbudget.ledger import Role

#: A report of a hundred thousand tensors takes 40 MB.
_LARGEST_REPORT = 1 << 28
_HEAD = 64
_JSON_SPACE = b" \t\r\n"
#: What `check` saves; its totals are a side.
_CHECK = "golfbudget/check/"
_CHECK_SCHEMA = f"{_CHECK}1"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


#: Findings of `check` that say that nobody knows what a submission takes.
DOUBTS = frozenset({"GB207", "GB208", "GB210", "GB211", "GB213", "GB402", "GB403", "GB404", "GB508", "GB509"})


def load_side(path: Path, reading: Reading | None = None) -> ComparedSide:
    """A side from a report or an artifact.

    Raises `CorruptError` for JSON that is no sound report, `UnsupportedError` for another version's, and the errors
    of `inspection.inspect_file`.
    """
    report = _report(path)
    if report is not None:
        return side_of_report(report, where=str(path))
    # By the report that would be saved of it.
    return _side(InspectReport.of(inspect_file(path, cap=0, reading=reading)))


def side_of_report(value: object, *, where: str) -> ComparedSide:
    """A side from a report's plain values; `where` names it in messages.

    Raises `CorruptError` for what is no sound report, `UnsupportedError` for another version's.
    """
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(schema, str) and schema.startswith(_CHECK):
        if schema != _CHECK_SCHEMA:
            raise UnsupportedError(
                f"{where}: schema {schema[:60]!r}, this version reads {_CHECK_SCHEMA!r}; check again"
            )
        return _side_of_check(value, where=where)
    try:
        return _side(InspectReport.read(value, where=where), saved=where)
    except LedgerError as error:
        raise CorruptError(f"{where}: not a sound report: {error}") from None


def side_of_totals(
    path: str,
    total: int,
    *,
    basis: str,
    code: int | None,
    model: int | None,
    other: int | None = None,
    report: str | None = None,
) -> ComparedSide:
    """A side of which totals alone are known; code and model are None where only their sum is.

    Raises `LedgerError` where the parts do not sum to the total.
    """
    if code is None or model is None:
        whole = Owned(owner=WHOLE, role=Role.UNASSIGNED, stored_bytes=total)
        return ComparedSide(path=path, bytes=total, sha256="", rows=(whole,), report=report, basis=basis)
    rows = [Owned(owner=MODEL, role=Role.UNASSIGNED, stored_bytes=model)]
    if other:
        rows.append(Owned(owner=OTHER_FILES, role=Role.UNASSIGNED, stored_bytes=other))
    rows.append(Owned(owner=CODE, role=Role.CODE, stored_bytes=code))
    return ComparedSide(
        path=path, bytes=total - code, sha256="", rows=tuple(rows), code_bytes=code, report=report, basis=basis
    )


def _side_of_check(report: dict[str, object], *, where: str) -> ComparedSide:
    """The chosen convention of the one submission that a report of `check` holds."""
    found, convention = report.get("submissions"), report.get("convention")
    if not isinstance(found, list) or len(found) != 1:
        held = f"{len(found)} submissions" if isinstance(found, list) else "no list of submissions"
        raise UsageError(f"{where}: a report of `check` with {held}, expected one; check and save that folder alone")
    one = found[0]
    try:
        tally = one["conventions"][convention]
        total, basis = tally["total_bytes"], one.get("known") or ("claimed" if tally["claimed"] else "counted")
        parts = {name: tally[f"{name}_bytes"] for name in ("code", "model", "other")}
        path, reason = str(one["path"]), tally["missing"]
    except (KeyError, TypeError, AttributeError):
        raise CorruptError(
            f"{where}: not a sound report of `check`: fields are missing; check and save again"
        ) from None
    if total is None:
        raise UsageError(f"{where}: {path} has no total as {convention}: {reason}")
    amounts = (total, *parts.values())
    if not isinstance(basis, str) or not all(n is None or (type(n) is int and n >= 0) for n in amounts):
        raise CorruptError(f"{where}: not a sound report of `check`: amounts are no numbers of bytes")
    try:
        side = side_of_totals(path, total, basis=basis, report=where, **parts)
    except LedgerError as error:
        raise CorruptError(f"{where}: not a sound report of `check`: {error}") from None
    return replace(side, doubts=tuple(_doubts(one.get("findings"))))


def _doubts(findings: object) -> Iterator[str]:
    """What a saved report of `check` says of bytes that nobody knows."""
    for one in findings if isinstance(findings, list) else ():
        if isinstance(one, dict) and one.get("code") in DOUBTS:
            yield f"{one['code']} {one.get('message')}"


def _side(report: InspectReport, *, saved: str | None = None) -> ComparedSide:
    forms = _forms(report.entries)
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
    side = ComparedSide(
        path=report.source.path,
        bytes=report.source.bytes,
        sha256=report.source.sha256 or "",
        rows=rows,
        codecs=tuple(dict.fromkeys(layer.name for layer in report.layers if layer.kind == "codec")),
        report=saved,
    )
    return side.with_code(report.cap.code_bytes)


def _forms(entries: Iterable[EntryReport]) -> dict[tuple[str, Role], tuple[str, ...]]:
    """Dtypes and shapes of every owner's stored tensors, sorted."""
    found: dict[tuple[str, Role], dict[str, str]] = {}
    for entry in entries:
        if entry.tensor is not None:
            form = f"{entry.dtype}" if entry.shape is None else f"{entry.dtype} {list(entry.shape)}"
            found.setdefault((entry.owner, entry.role), {}).setdefault(entry.tensor, form)
    return {key: tuple(sorted(forms.values())) for key, forms in found.items()}


def _report(path: Path) -> object | None:
    """The values of a file that is JSON and must be a report; None for what is to be read as an artifact."""
    with readable(path):
        if path.is_fifo():  # What a shell's <(command) gives: only a report can come that way.
            return _parsed(path, _read(path))
        if not path.is_file() or path.name.endswith(INDEX_SUFFIX):
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if not _looks_like_json(head) and path.suffix.lower() != ".json":
            return None
        return _parsed(path, _read(path))


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
