"""`compare` for people: the result in one line, roles, the owners that moved most, and the gates."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from golfbudget.compare import ComparedSide, Comparison, Delta
from golfbudget.gates import GateResult
from golfbudget.report.compare_rows import MOST_OWNERS, gate_text, owner_rows, relative, summary
from golfbudget.report.numbers import count, signed
from golfbudget.report.tables import facts, fitting, printable, table

_HEADINGS = ("base", "new", "delta", "change")
#: The change in percent leaves a narrow screen first, then the base.
_RANKS = (1, 0, 0, 2)
#: Columns that a narrow screen keeps for names and words; longer ones are folded.
_NAME_WIDTH = 32


def compare_table(
    comparison: Comparison, results: Sequence[GateResult], *, every: bool = False, width: int | None = None
) -> list[RenderableType]:
    """Renderables; `every` shows all owners that moved, `width` is the terminal's, if it has one."""
    rows = [("base", _side(comparison.base)), ("new", _side(comparison.new))]
    rows += [("note", note) for note in comparison.notes]
    parts: list[RenderableType] = [Text(summary(comparison)), facts(rows)]
    if comparison.moved:
        roles = [((str(role),), amount) for role, amount in comparison.roles.items()]
        parts += [Text(), _table(("role",), roles, comparison.total, width)]
        owners = [
            ((printable(row.owner), row.role, row.status), row.amount)
            for row in owner_rows(comparison, None if every else MOST_OWNERS)
        ]
        parts += [Text(), _table(("owner", "role", "status"), owners, comparison.total, width)]
    if results:
        parts += [Text(), facts([_gate(result) for result in results])]
    return parts


def side_text(side: ComparedSide) -> str:
    """The path of a side; of one that was saved, also its report's."""
    return side.path if side.report is None else f"{side.path} as saved in {side.report}"


def _side(side: ComparedSide) -> str:
    code = "" if side.code_bytes is None else f" and {count(side.code_bytes)} bytes of code"
    return f"{side_text(side)}  {count(side.bytes)} bytes{code}"


def _gate(result: GateResult) -> tuple[str, str]:
    return ("passed" if result.passed else "FAILED"), f"{result.gate.expression}: {gate_text(result)}"


def _cells(amount: Delta) -> list[str]:
    return [count(amount.base_bytes), count(amount.new_bytes), signed(amount.delta_bytes), relative(amount)]


def _table(
    headings: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Delta]], total: Delta, width: int | None
) -> Table:
    lines = [(labels, _cells(amount)) for labels, amount in rows]
    lines.append((("total", *([""] * (len(headings) - 1))), _cells(total)))
    kept = [True] * len(_HEADINGS)
    if width is not None:
        first, *others = (
            max(map(len, texts)) for texts in zip(headings, *(labels for labels, _ in lines), strict=True)
        )
        widths = [max(map(len, texts)) for texts in zip(_HEADINGS, *(cells for _, cells in lines), strict=True)]
        kept = fitting(widths, _RANKS, width - min(first, _NAME_WIDTH) - sum(other + 2 for other in others))
    made = table(
        (*headings, *(heading for heading, keep in zip(_HEADINGS, kept, strict=True) if keep)), left=len(headings)
    )
    for number, (labels, cells) in enumerate(lines):
        last = number == len(lines) - 1
        if last:
            made.add_section()
        shown = [cell for cell, keep in zip(cells, kept, strict=True) if keep]
        made.add_row(*labels, *shown, style="bold" if last else "")
    return made
