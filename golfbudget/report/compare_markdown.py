"""`compare` for a pull request: markdown for its comment, and the commands that annotate a GitHub run.

The markdown begins with a mark by which a workflow finds its own comment again, to edit it in place.
"""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.compare import ComparedSide, Comparison, Delta
from golfbudget.gates import GateResult
from golfbudget.report.compare_rows import MOST_OWNERS, OwnerRow, gate_text, owner_rows, relative, summary
from golfbudget.report.compare_table import side_text
from golfbudget.report.inspect_markdown import escaped
from golfbudget.report.numbers import count, signed
from golfbudget.report.tables import printable

MARK = "<!-- golfbudget compare -->"
#: GitHub takes comments of 65,536 characters.
_LONGEST = 60_000
_AMOUNTS = ("base", "new", "delta", "change")


def compare_markdown(comparison: Comparison, results: Sequence[GateResult], *, every: bool = False) -> str:
    """The comment as one text; with `every` all owners that moved, as far as a comment holds them."""
    most = len(comparison.moved) if every else MOST_OWNERS
    made = _text(comparison, results, most)
    while len(made) > _LONGEST and most:
        most = most * _LONGEST // (len(made) + _LONGEST // 20)
        made = _text(comparison, results, most)
    return made


def github_commands(comparison: Comparison, results: Sequence[GateResult]) -> str:
    """An error for every gate that failed, with the owners that grew most, and a notice with the result."""
    lines = [_command("notice", "golfbudget compare", summary(comparison))]
    lines += [_command("warning", "golfbudget compare", note) for note in comparison.notes]
    for result in results:
        if not result.passed:
            text = f"{result.gate.expression} failed: {gate_text(result)}{_movers(comparison, result)}"
            lines.append(_command("error", "golfbudget gate", text))
    return "\n".join(lines) + "\n"


def _movers(comparison: Comparison, result: GateResult) -> str:
    """Who grew most in what a gate limits."""
    role = result.gate.role
    grown = [
        change
        for change in comparison.moved
        if change.amount.delta_bytes > 0 and (role is None or change.row.role is role)
    ][:3]
    if not grown:
        return ""
    listed = (f"{change.row.owner} {signed(change.amount.delta_bytes)}" for change in grown)
    return f"; grew most: {', '.join(listed)}"


def _command(name: str, title: str, text: str) -> str:
    r"""A workflow command: data and properties are escaped, so that no name can begin a command of its own.

    >>> _command("error", "a: b, c", "100 %\n::error::x")
    '::error title=a%3A b%2C c::100 %25\\n::error::x'
    """
    return f"::{name} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(text)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _text(comparison: Comparison, results: Sequence[GateResult], most: int) -> str:
    failed = sum(not result.passed for result in results)
    verdict = f" **{count(failed)} of {count(len(results))} gates failed.**" if failed else ""
    lines = [MARK, f"**golfbudget**: {escaped(summary(comparison))}.{verdict}", ""]
    lines += [f"- base: {_side(comparison.base)}", f"- new: {_side(comparison.new)}"]
    lines += [f"- note: {escaped(note)}" for note in comparison.notes]
    if comparison.moved:
        roles = [((str(role),), amount) for role, amount in comparison.roles.items()]
        lines += ["", *_table(("role",), roles, comparison.total)]
        owners = [(_labels(row), row.amount) for row in owner_rows(comparison, most)]
        lines += [
            "",
            "<details>",
            f"<summary>Owners: {count(len(comparison.moved))} of {count(len(comparison.changes))} differ</summary>",
            "",
            *_table(("owner", "role", "status"), owners, comparison.total),
            "",
            "</details>",
        ]
    if results:
        lines += ["", "Gates:", ""]
        lines += [
            f"- {'passed' if result.passed else '**failed**'} {_code(result.gate.expression)}: "
            f"{escaped(gate_text(result))}"
            for result in results
        ]
    return "\n".join(lines) + "\n"


def _side(side: ComparedSide) -> str:
    code = "" if side.code_bytes is None else f" and {count(side.code_bytes)} bytes of code"
    return f"{escaped(side_text(side))}, {count(side.bytes)} bytes{code}, sha256 `{side.sha256[:12]}`"


def _code(expression: str) -> str:
    """A gate's text: its grammar knows no backtick."""
    return f"`{printable(expression)}`"


def _labels(row: OwnerRow) -> tuple[str, ...]:
    return escaped(row.owner), row.role, row.status


def _table(headings: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Delta]], total: Delta) -> list[str]:
    lines = [_line((*headings, *_AMOUNTS)), _line([*(["---"] * len(headings)), *(["---:"] * len(_AMOUNTS))])]
    lines += [_line((*labels, *_cells(amount))) for labels, amount in rows]
    last = ["total", *([""] * (len(headings) - 1)), *_cells(total)]
    return [*lines, _line([f"**{cell}**" if cell else "" for cell in last])]


def _cells(amount: Delta) -> list[str]:
    return [count(amount.base_bytes), count(amount.new_bytes), signed(amount.delta_bytes), escaped(relative(amount))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
