"""What `compare` says: the result in one line, roles, the owners that moved most, and the gates.

On a page it is made for the comment on a pull request: a mark by which a workflow finds its own comment again, the
result first, owners folded.  As JSON, schema `golfbudget/compare/1`, its owners are the union of both sides'.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from golfbudget.compare import Change, ComparedSide, Comparison, Delta, Owned, Status
from golfbudget.gates import AmountKind, GateResult
from golfbudget.report import ReportFormat
from golfbudget.report import document as doc
from golfbudget.report.github import LONGEST, command
from golfbudget.report.numbers import count, percent, signed
from golfbudget.report.render import rendered
from golfbudget.version import __version__

SCHEMA = "golfbudget/compare/1"
MARK = "golfbudget compare"
#: Owners that are shown where not all are asked for.
_MOST_OWNERS = 10
#: Columns that a narrow screen keeps for names and words.
_NAME_WIDTH = 32
_SHOWN = (Status.CHANGED, Status.ADDED, Status.REMOVED, Status.RENAMED, Status.SAME)
_AMOUNTS = (
    doc.number("base", "base_bytes", rank=1),
    doc.number("new", "new_bytes"),
    doc.number("delta", "delta_bytes"),
    doc.number("change", rank=2),
)


def document(comparison: Comparison, results: Sequence[GateResult], *, every: bool = False) -> doc.Document:
    """The whole comparison; `every` shows all owners that moved."""
    return _document(comparison, results, len(comparison.moved) if every else _MOST_OWNERS)


def comment(comparison: Comparison, results: Sequence[GateResult], *, every: bool = False) -> doc.Document:
    """The same for a comment on GitHub, which takes only so much: with `every`, as many owners as it holds."""
    most = len(comparison.moved) if every else _MOST_OWNERS
    made = _document(comparison, results, most)
    while most and (length := len(rendered(made, ReportFormat.MARKDOWN))) > LONGEST:
        most = most * LONGEST // (length + LONGEST // 20)
        made = _document(comparison, results, most)
    return made


def _document(comparison: Comparison, results: Sequence[GateResult], most: int) -> doc.Document:
    parts: list[doc.Part] = [
        doc.prose(summary(comparison), only=doc.Medium.SCREEN),
        doc.prose(_headline(comparison, results), only=doc.Medium.PAGE),
        *_sides(comparison),
    ]
    if comparison.by_totals:
        parts.append(_parts(comparison))
    elif comparison.moved:
        parts += [_roles(comparison), _owners(comparison, most)]
    if results:
        rows = tuple(("passed" if r.passed else "FAILED", f"{r.gate.expression}: {gate_text(r)}") for r in results)
        parts += [
            doc.Facts(rows=rows, only=doc.Medium.SCREEN),
            doc.prose("Gates:", *map(_gate_line, results), only=doc.Medium.PAGE),
        ]
    return doc.Document(
        parts=tuple(parts), data=lambda: _data(comparison, results), csv=lambda: _changes(comparison), mark=MARK
    )


def _headline(comparison: Comparison, results: Sequence[GateResult]) -> doc.Line:
    failed = sum(not result.passed for result in results)
    text: tuple[str | doc.Styled, ...] = (doc.strong("golfbudget"), f": {summary(comparison)}.")
    if failed:
        text = (*text, " ", doc.strong(f"{count(failed)} of {count(len(results))} gates failed."))
    return doc.Line(text=text)


def _sides(comparison: Comparison) -> list[doc.Facts]:
    sides, notes = (("base", comparison.base), ("new", comparison.new)), [("note", note) for note in comparison.notes]
    screen = ((label, f"{_path(side)}  {_bytes(side)}") for label, side in sides)
    page = ((label, _told(side)) for label, side in sides)
    return [
        doc.Facts(rows=(*screen, *notes), only=doc.Medium.SCREEN, tight=True),
        doc.Facts(rows=(*page, *notes), only=doc.Medium.PAGE),
    ]


def _told(side: ComparedSide) -> doc.Inline:
    told = f"{_path(side)}, {_bytes(side)}"
    return (f"{told}, sha256 ", doc.code(side.sha256[:12])) if side.sha256 else told


def _path(side: ComparedSide) -> str:
    """The path of a side; of one that was saved, also its report's."""
    return side.path if side.report is None else f"{side.path} as saved in {side.report}"


def _bytes(side: ComparedSide) -> str:
    code = "" if side.code_bytes is None else f" and {count(side.code_bytes)} bytes of code"
    what = "" if side.basis is None else f", {side.basis}"
    return f"{count(side.bytes)} bytes{' of code and model' if side.whole else ''}{code}{what}"


def _roles(comparison: Comparison) -> doc.Grid:
    rows = [_row(found, str(role)) for role, found in comparison.roles.items()]
    total = doc.sum_line("total", *_cells(comparison.total))
    return doc.grid((doc.name("role", "role"), *_AMOUNTS), (*rows, total), name_width=_NAME_WIDTH)


def _parts(comparison: Comparison) -> doc.Grid:
    """Code, model and what else counts, of sides that have no owners."""
    rows = [_row(one.amount, one.row.owner.strip("[]")) for one in comparison.changes]
    total = doc.sum_line("total", *_cells(comparison.total))
    return doc.grid((doc.name("part"), *_AMOUNTS), (*rows, total), name_width=_NAME_WIDTH)


def _owners(comparison: Comparison, most: int) -> doc.Details:
    """Owners that moved, at most `most`, then all others in two lines: together they sum to the total."""
    moved, same = comparison.moved, [one for one in comparison.changes if one.status is Status.SAME]
    rows = [_row(one.amount, _name(one), _role(one), _status(one)) for one in moved[:most]]
    for others, what in ((moved[most:], "more"), (same, "the same")):
        if others:
            rows.append(_row(_sum(others), f"[{count(len(others))} {what}]", "", ""))
    columns = (*(doc.name(word, word) for word in ("owner", "role", "status")), *_AMOUNTS)
    total = doc.sum_line("total", "", "", *_cells(comparison.total))
    owners = doc.grid(columns, (*rows, total), name_width=_NAME_WIDTH)
    summary = f"Owners: {count(len(moved))} of {count(len(comparison.changes))} differ"
    return doc.Details(summary=summary, parts=(owners,))


def _changes(comparison: Comparison) -> doc.Grid:
    """Every owner of either side, for programs."""
    columns = (*(doc.name(None, key) for key in ("owner", "from", "role", "status")), *_AMOUNTS)
    changes = comparison.changes
    rows = (_row(one.amount, one.row.owner, one.was or "", str(one.row.role), str(one.status)) for one in changes)
    return doc.grid(columns, rows)


def _row(found: Delta, *labels: str) -> doc.GridRow:
    return doc.line(*labels, *_cells(found))


def _cells(found: Delta) -> tuple[str | doc.Cell, ...]:
    return doc.amount(found.base_bytes), doc.amount(found.new_bytes), doc.change(found.delta_bytes), relative(found)


def _gate_line(result: GateResult) -> doc.Line:
    passed = "passed" if result.passed else doc.strong("failed")
    return doc.bullet((passed, " ", doc.code(result.gate.expression), f": {gate_text(result)}"))


def summary(comparison: Comparison) -> str:
    """The result in one line."""
    amount = comparison.total
    if comparison.by_totals:
        known = dict.fromkeys(str(side.basis) for side in (comparison.base, comparison.new))
        change = f"{signed(amount.delta_bytes)} ({relative(amount)})"
        return f"{count(amount.base_bytes)} to {count(amount.new_bytes)} bytes, {change}, as {' and '.join(known)}"
    if not comparison.moved:
        owners = len(comparison.changes)
        several = "1 owner" if owners == 1 else f"{count(owners)} owners"
        return f"no change: {count(amount.new_bytes)} bytes, {several} the same"
    counts = comparison.counts
    listed = ", ".join(f"{count(counts[status])} {status}" for status in _SHOWN if counts[status])
    return (
        f"{count(amount.base_bytes)} to {count(amount.new_bytes)} bytes, {signed(amount.delta_bytes)} "
        f"({relative(amount)}); owners: {listed}"
    )


def relative(amount: Delta) -> str:
    """A change in percent of the base, never a false 0.

    >>> relative(Delta(base_bytes=1000, new_bytes=1015)), relative(Delta(base_bytes=100_000, new_bytes=99_999))
    ('+1.5 %', '-<0.1 %')
    >>> relative(Delta(base_bytes=0, new_bytes=5)), relative(Delta(base_bytes=7, new_bytes=7))
    ('new', '0 %')
    """
    delta = amount.delta_bytes
    if delta == 0:
        return "0 %"
    if amount.base_bytes == 0:
        return "new"
    return f"{'+' if delta > 0 else '-'}{percent(abs(delta), amount.base_bytes)}"


def gate_text(result: GateResult) -> str:
    """What a gate found, against its limit."""
    gate = result.gate
    subject = "total" if gate.role is None else str(gate.role)
    if gate.kind is AmountKind.NEW:
        left = Fraction(0) if result.value is None else result.value - gate.limit
        found = f"{subject} is {count(int(result.value or 0))} bytes"
        return f"{found}, {signed(int(left))} from {count(int(gate.limit))}" if left else f"{found}, exactly the limit"
    if gate.kind is AmountKind.CHANGE:
        return f"{subject} changed by {signed(int(result.value or 0))} bytes"
    if result.value is None:
        return f"{subject} is new: a change in percent of nothing"
    return f"{subject} changed by {exact_percent(result.value)}"


def exact_percent(value: Fraction) -> str:
    """A percentage with as many digits as it takes to tell it from zero.

    >>> exact_percent(Fraction(3, 2)), exact_percent(Fraction(-1, 3000)), exact_percent(Fraction(0))
    ('+1.5 %', '-0.00033 %', '0 %')
    """
    if value == 0:
        return "0 %"
    digits = 1
    while abs(value) * 10**digits < 10 and digits < 12:
        digits += 1
    return f"{float(value):+.{digits}f} %"


def _sum(changes: Sequence[Change]) -> Delta:
    return Delta(
        base_bytes=sum(change.amount.base_bytes for change in changes),
        new_bytes=sum(change.amount.new_bytes for change in changes),
    )


def _name(change: Change) -> str:
    return change.row.owner if change.was is None else f"{change.row.owner} (was {change.was})"


def _role(change: Change) -> str:
    return str(change.row.role) if change.role_was is None else f"{change.row.role} (was {change.role_was})"


def _status(change: Change) -> str:
    base, new = change.base, change.new
    if change.status is not Status.CHANGED or base is None or new is None:
        return str(change.status)
    if base.tensors != new.tensors:
        return f"{change.status} (dtype or shape)"
    return f"{change.status} (same content)" if change.same_content else str(change.status)


def _data(comparison: Comparison, results: Sequence[GateResult]) -> dict[str, object]:
    """Plain values; deltas are new minus base, and owners and roles each sum to the total."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "base": _side_data(comparison.base),
        "new": _side_data(comparison.new),
        "total": _delta(comparison.total),
        "counts": {str(status): number for status, number in comparison.counts.items()},
        "notes": list(comparison.notes),
        "roles": [{"role": str(role), **_delta(amount)} for role, amount in comparison.roles.items()],
        "owners": list(map(_owner_data, comparison.changes)),
        "gates": [_gate_data(result) for result in results],
        "passed": all(result.passed for result in results),
    }


def _side_data(side: ComparedSide) -> dict[str, object]:
    source = {"path": side.path, "report": side.report, "bytes": side.bytes, "sha256": side.sha256 or None}
    parameters = side.parameters if side.basis is None else None
    amounts = {"code_bytes": side.code_bytes, "total_bytes": side.total, "parameters": parameters}
    return {**source, "codecs": list(side.codecs), **amounts, "known": side.basis}


def _delta(amount: Delta) -> dict[str, object]:
    return {"base_bytes": amount.base_bytes, "new_bytes": amount.new_bytes, "delta_bytes": amount.delta_bytes}


def _owner_data(found: Change) -> dict[str, object]:
    row: dict[str, object] = {"owner": found.row.owner, "role": str(found.row.role), "status": str(found.status)}
    row |= _delta(found.amount)
    if found.was is not None:
        row["from"] = found.was
    if found.role_was is not None:
        row["from_role"] = str(found.role_was)
    same = found.same_content
    row["content"] = None if same is None else "same" if same else "changed"
    row["base"], row["new"] = _held(found.base), _held(found.new)
    return row


def _held(row: Owned | None) -> dict[str, object] | None:
    return None if row is None else {"parameters": row.parameters, "tensors": list(row.tensors), "content": row.content}


def _gate_data(result: GateResult) -> dict[str, object]:
    gate = result.gate
    percent = gate.kind is AmountKind.PERCENT

    def number(value: Fraction) -> float:
        return round(float(value), 6) if percent else int(value)

    return {
        "expression": gate.expression,
        "passed": result.passed,
        "value": None if result.value is None else number(result.value),
        "limit": number(gate.limit),
        "unit": "percent" if percent else "bytes",
        "of": "new" if gate.kind is AmountKind.NEW else "change",
    }


def github_commands(comparison: Comparison, results: Sequence[GateResult]) -> str:
    """An error for every gate that failed, with the owners that grew most, and a notice with the result."""
    lines = [command("notice", "golfbudget compare", summary(comparison))]
    lines += [command("warning", "golfbudget compare", note) for note in comparison.notes]
    for result in results:
        if not result.passed:
            text = f"{result.gate.expression} failed: {gate_text(result)}{_movers(comparison, result)}"
            lines.append(command("error", "golfbudget gate", text))
    return "\n".join(lines) + "\n"


def _movers(comparison: Comparison, result: GateResult) -> str:
    """Who grew most in what a gate limits."""
    role = result.gate.role
    own = (change for change in comparison.moved if role is None or change.row.role is role)
    grown = [f"{one.row.owner} {signed(one.amount.delta_bytes)}" for one in own if one.amount.delta_bytes > 0]
    return f"; grew most: {', '.join(grown[:3])}" if grown else ""
