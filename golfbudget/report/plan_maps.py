"""What the maps of a plan's VQ heads lose: certified by ties for any trunk, and measured over the baseline's own."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.certificates import bits_per_byte
from golfbudget.plan.results import Evaluation, Plan
from golfbudget.plan.trials import Information, Trial
from golfbudget.report import document as doc
from golfbudget.report.numbers import count


def maps(plan: Plan) -> Iterator[doc.Part]:
    """A line per VQ head whose map was measured, those that lose least first."""
    found = [(trial.information, trial) for trial in plan.trials if trial.information is not None]
    if plan.evaluation is None or not found:
        return
    found.sort(key=lambda pair: (pair[0].value, pair[1].counted_bytes, pair[1].name))
    columns = (
        doc.name("map of", "candidate"),
        doc.number("counted\nbytes"),
        doc.number("tie floor,\nbits/byte"),
        doc.number("I(W;H|C),\nbits/byte"),
        doc.number("loss,\nbits/byte"),
    )
    yield doc.grid(columns, (doc.line(*_cells(plan.evaluation, *pair)) for pair in found))
    run = plan.evaluation
    yield doc.prose(
        f"tie floor: certified, the least loss of any trunk; the baseline's own is {run.baseline_bits_per_byte:.3f}",
        f"I(W;H|C): measured, never certified: what an ideal output head of that map would still lose over this trunk "
        f"(first {count(found[0][0].tokens)} tokens)",
        tight=True,
    )


def _cells(run: Evaluation, information: Information, trial: Trial) -> tuple[str | doc.Cell, ...]:
    floor, delta = trial.floor, trial.quality.delta
    return (
        trial.name,
        doc.amount(trial.counted_bytes),
        doc.DASH if floor is None else f"{bits_per_byte(floor.value, run.text_bytes / run.tokens):.3f}",
        f"{information.value:+.4f}",
        doc.DASH if delta is None else f"{delta:+.4f}",
    )
