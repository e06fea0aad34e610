"""`schemes` for people: every scheme with what it stores, its options and its raw size; as a table and as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from golfbudget.report.inspect_markdown import escaped
from golfbudget.report.numbers import count
from golfbudget.report.scheme_rows import SchemeRow, parameter_text, parameters_text
from golfbudget.report.tables import printable, table

_LETTERS = (
    "V rows, d columns, b or c bits a value, idx(n) = ⌈log2 n⌉ bits, amounts in bytes before any codec. "
    "An option reads: name range = default."
)
_NEEDS = {"counts": "token counts", "moment": "the second moment of the inputs, from calibration text"}


def schemes_table(rows: Sequence[SchemeRow], shape: tuple[int, int] | None) -> list[RenderableType]:
    """Renderables: one block per scheme, or, for a shape, one line."""
    if shape is not None:
        made = table(("scheme", "options", f"raw bytes of {_shape(shape)}", "decoder bytes"), left=2)
        for row in rows:
            made.add_row(row.scheme.name, printable(_options(row)), printable(row.amount), count(row.decoder_bytes))
        return [made]
    parts: list[RenderableType] = []
    for row in rows:
        lines = [row.scheme.name, f"  {row.scheme.summary}", f"  raw bytes  {row.scheme.formula}"]
        lines += [f"  needs      {_NEEDS.get(need, need)}" for need in row.scheme.needs]
        lines += [f"  option     {parameter_text(p)}: {p.summary}" for p in row.scheme.parameters]
        parts += [Text("\n".join(map(printable, lines))), Text()]
    return [*parts, Text(_LETTERS)]


def schemes_markdown(rows: Sequence[SchemeRow], shape: tuple[int, int] | None) -> str:
    """One pipe table and, without a shape, the meaning of its letters."""
    if shape is None:
        headings = ["scheme", "what it stores", "raw bytes", "options"]
        cells = [[r.scheme.name, r.scheme.summary, r.scheme.formula, parameters_text(r.scheme)] for r in rows]
    else:
        headings = ["scheme", "options", f"raw bytes of {_shape(shape)}", "decoder bytes"]
        cells = [[r.scheme.name, _options(r), r.amount, count(r.decoder_bytes)] for r in rows]
    aligned = ["---"] * 4 if shape is None else ["---", "---", "---:", "---:"]
    lines = [_line(headings), _line(aligned), *(_line([escaped(cell) for cell in row]) for row in cells)]
    return "\n".join([*lines, *(["", escaped(_LETTERS)] if shape is None else [])]) + "\n"


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def _options(row: SchemeRow) -> str:
    return "" if row.options is None else ", ".join(f"{name}={value}" for name, value in row.options.items())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
