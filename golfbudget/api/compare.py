"""`golfbudget.compare`: what changed between two artifacts, and gates on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.api.base import Code, Result, Size, StrPath, code_bytes, here, reading
from golfbudget.artifact.locating import locate_all
from golfbudget.baseline import DOUBTS, load_side, side_of_totals
from golfbudget.compare import Change, ComparedSide, Comparison, Delta
from golfbudget.compare import compare as compare_sides
from golfbudget.content import DIGITS
from golfbudget.errors import GolfbudgetError, UsageError
from golfbudget.gates import GateResult, judge, parse_gate
from golfbudget.hashing import file_hash
from golfbudget.ledger import Role

if TYPE_CHECKING:
    from golfbudget.inspection import Reading
    from golfbudget.report.document import Document
    from golfbudget.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CompareResult(Result):
    """Both sides, owner by owner, and what the gates found."""

    comparison: Comparison
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate fired; the command exits with 1 when one did."""
        return all(gate.passed for gate in self.gates)

    @property
    def total(self) -> Delta:
        """All bytes of both sides; `delta_bytes` is new minus base."""
        return self.comparison.total

    @property
    def roles(self) -> dict[Role, Delta]:
        """The bytes of each role that either side has."""
        return dict(self.comparison.roles)

    @property
    def moved(self) -> tuple[Change, ...]:
        """Owners that are not the same, the largest movers first."""
        return self.comparison.moved

    def document(self, *, every: bool = False) -> Document:
        from golfbudget.report.compare import document

        return document(self.comparison, self.gates, every=every)

    def summary(self) -> str:
        from golfbudget.report.numbers import count, printable, signed

        base, new, found = self.comparison.base, self.comparison.new, self.total
        failed = [gate.gate.expression for gate in self.gates if not gate.passed]
        told = f"; failed: {', '.join(failed)}" if failed else "; passed" if self.gates else ""
        return (
            f"{printable(base.path)} to {printable(new.path)}: {count(found.base_bytes)} to {count(found.new_bytes)} "
            f"bytes ({signed(found.delta_bytes)}), {len(self.moved)} owners moved{told}"
        )


def compare(
    base: StrPath,
    new: StrPath,
    *,
    fail_on: str | Sequence[str] = (),
    base_code: Code | None = None,
    new_code: Code | None = None,
    roles: StrPath | None = None,
    as_format: str | None = None,
    layout: StrPath | None = None,
    max_decoded: Size = "1GiB",
) -> CompareResult:
    """Show what changed from `base` to `new`, by role and by owner; `fail_on` are gates such as `total>+0`.

    A side is an artifact, a checkpoint, a submission folder, or a report of `inspect` or `check` that was saved as
    JSON.  A folder without a model file, and a report of `check`, are compared by totals.  Raises a `GolfbudgetError`
    for a side that cannot be read and a gate that says nothing.

    >>> import golfbudget as gb
    >>> from golfbudget import example
    >>> changed = gb.compare(example.ARTIFACT, example.CHECKPOINT, fail_on="total>+10%")
    >>> changed.total.delta_bytes, changed.passed
    (3295820, False)
    """
    gates = [parse_gate(expression) for expression in ([fail_on] if isinstance(fail_on, str) else fail_on)]
    how = reading(roles=roles, as_format=as_format, layout=layout, max_decoded=max_decoded, files="files")
    places = (here(base, progress=True), here(new, progress=True))
    given = ((places[0], base_code, "--base-code"), (places[1], new_code, "--new-code"))
    sides = [_with_code(_side(path, how), code, option) for path, code, option in given]
    sides = _with_code_beside(sides, places)
    comparison = compare_sides(*(_with_doubts(side, path) for side, path in zip(sides, places, strict=True)))
    return CompareResult(comparison=comparison, gates=tuple(judge(gate, comparison) for gate in gates))


def _side(path: Path, how: Reading) -> ComparedSide:
    """A side; of a submission that has no model file, or several, what `check` counts it for."""
    if not path.is_dir():
        return load_side(path, how)
    try:
        locate_all(path)
    except UsageError as error:
        from golfbudget.rules import load_rules
        from golfbudget.submission.folder import FileKind, open_folder

        rules = load_rules()
        if not open_folder(path, rules.files).of(FileKind.LOG, FileKind.CLAIMS, FileKind.CODE):
            raise
        return _submission(path, rules, error)
    return load_side(path, how)


def _submission(path: Path, rules: Rules, unread: UsageError) -> ComparedSide:
    from golfbudget.submission import check_submission
    from golfbudget.submission.batch import known

    try:
        checked = check_submission(path, rules, packed=False)
    except UsageError as error:
        raise UsageError(f"{unread}; nor is it a submission: {error}") from None
    row, how = checked.chosen.largest, known(checked)
    if row is None or how is None:
        raise UsageError(f"{unread}; and as {checked.convention} it cannot be counted: {checked.chosen.reason}")
    return side_of_totals(str(path), row.total, basis=str(how), code=row.code, model=row.model, other=row.other)


def _with_code(side: ComparedSide, code: Code | None, option: str) -> ComparedSide:
    if code is None:
        return side
    if side.whole:
        raise UsageError(f"{option}: {side.path} is known by the sum of its code and model, so the code counts already")
    counted = code_bytes(code, option=option)
    path = Path(code) if isinstance(code, str | os.PathLike) else None
    return side.with_code(counted, file_hash(path)[:DIGITS] if path is not None and path.is_file() else None)


def _with_code_beside(sides: list[ComparedSide], paths: Sequence[Path]) -> list[ComparedSide]:
    """Count the code in submission folders, as shipped, where both sides then count theirs."""
    if all(side.code_bytes is not None for side in sides):
        return sides
    from golfbudget.rules import load_rules
    from golfbudget.submission.code import code_beside

    made = []
    for side, path in zip(sides, paths, strict=True):
        code = code_beside(path, load_rules()) if side.code_bytes is None and side.basis is None else None
        made.append(side if code is None else side.with_code(code[0], code[1][:DIGITS]))
    return made if all(side.code_bytes is not None or side.whole for side in made) else sides


def _with_doubts(side: ComparedSide, path: Path) -> ComparedSide:
    """The same with what `check` says of a submission whose bytes nobody knows."""
    from golfbudget.rules import load_rules
    from golfbudget.submission.code import code_beside

    rules = load_rules()
    if not path.is_dir():
        return side
    try:
        if code_beside(path, rules) is None:
            return side
        from golfbudget.submission import check_submission

        findings = check_submission(path, rules, packed=False).findings
    except GolfbudgetError:
        return side  # What it takes is counted all the same; what is wrong with the rest is for `check` to say.
    return replace(side, doubts=tuple(f"{found.code} {found.message}" for found in findings if found.code in DOUBTS))
