"""The amounts of a row as people read them: the columns of tables and of markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from golfbudget.entropy import Measure
from golfbudget.inspection import Inspection
from golfbudget.report.inspect_rows import Row, View
from golfbudget.report.numbers import count, optional, percent, ratio
from golfbudget.rollup import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A column.  On a screen that is too narrow for all of them, the highest `rank` is left out first; 0 stays."""

    heading: str
    rank: int
    text: Callable[[Row], str]


def amounts(inspection: Inspection, view: View) -> list[Amount]:
    """The columns of a view, left to right."""
    size, cap = inspection.artifact.size, inspection.budget.cap
    made = [
        Amount(heading="parameters", rank=3, text=lambda row: _parameters(row.totals)),
        Amount(heading="decoded\nbytes", rank=6, text=lambda row: count(row.totals.decoded_bytes)),
        Amount(heading="stored\nbytes", rank=0, text=lambda row: count(row.totals.stored_bytes)),
        Amount(heading="bits per\nparameter", rank=0, text=lambda row: ratio(row.totals.bits_per_parameter)),
    ]
    if view.models:
        made += [
            Amount(
                heading="nominal\nbits", rank=1, text=lambda row: ratio(row.model.nominal_bits if row.model else None)
            ),
            Amount(
                heading="packed\nbits", rank=2, text=lambda row: ratio(row.model.packed_bits if row.model else None)
            ),
        ]
    if inspection.entropy is not None:
        made += [
            Amount(heading="entropy\nfloor", rank=0, text=_measured(lambda measure: measure.floor)),
            Amount(heading="slack", rank=0, text=_measured(lambda measure: measure.slack)),
            Amount(heading="alone", rank=0, text=_measured(lambda measure: measure.alone)),
        ]
    return [
        *made,
        Amount(heading="share\nof file", rank=4, text=lambda row: percent(row.totals.stored_bytes, size)),
        Amount(heading="share\nof cap", rank=7, text=lambda row: percent(row.totals.stored_bytes, cap)),
    ]


def _parameters(totals: Totals) -> str:
    return count(totals.parameters) if totals.complete or totals.parameters else "–"


def _measured(of: Callable[[Measure], int | None]) -> Callable[[Row], str]:
    return lambda row: optional(None if row.measure is None else of(row.measure))
