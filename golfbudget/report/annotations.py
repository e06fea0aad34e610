"""Commands that annotate a run of GitHub Actions with the result of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.compare import Comparison
from golfbudget.gates import GateResult
from golfbudget.report.compare import gate_text, summary
from golfbudget.report.escaping import printable
from golfbudget.report.numbers import signed


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
