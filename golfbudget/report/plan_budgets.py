"""The best files at each number of bytes, as a table: the head left whole, restructured, and as VQ-Logits."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.evidence import ends
from golfbudget.plan.results import BudgetFile, BudgetPoint, Difference, Plan
from golfbudget.report import document as doc


def budgets(plan: Plan) -> Iterator[doc.Part]:
    """A line per number of bytes and kind of head; nothing where no files were fitted."""
    if not plan.budgets:
        return
    columns = (
        doc.number("best file of\nat most", "bytes"),
        doc.name("its head", "head", least=24),
        doc.number("counted\nbytes", "counted_bytes", rank=3),
        doc.number("bits/byte vs\nbaseline", "delta"),
        doc.number("95 % interval", rank=2),
        doc.number("against the\nhead whole", "difference"),
        doc.number("95 % interval", rank=1),
    )
    rows = [
        line
        for budget in plan.budgets
        for file, difference in _files(budget)
        if (line := _line(budget, file, difference)) is not None
    ]
    yield doc.grid(columns, rows, name_width=32)


def _files(budget: BudgetPoint) -> Iterator[tuple[BudgetFile | None, Difference | None]]:
    yield budget.without, None
    yield budget.with_head, budget.difference
    if budget.vq != budget.with_head:
        yield budget.vq, budget.vq_difference


def _line(budget: BudgetPoint, file: BudgetFile | None, difference: Difference | None) -> doc.GridRow | None:
    if file is None:
        return None
    quality = file.quality
    return doc.line(
        doc.amount(budget.bytes),
        file.candidate or file.head,
        doc.amount(file.counted_bytes),
        doc.DASH if quality.delta is None else doc.Cell(text=f"{quality.delta:+.4f}", value=quality.delta),
        ends(quality.low, quality.high),
        doc.DASH if difference is None else doc.Cell(text=f"{difference.delta:+.4f}", value=difference.delta),
        doc.DASH if difference is None else ends(difference.low, difference.high),
    )
