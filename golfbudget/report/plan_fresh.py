"""What `plan --fresh` measured again: each candidate on the text on which it was chosen, and on the other."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.evidence import ends
from golfbudget.plan.results import Plan
from golfbudget.plan.trials import Quality
from golfbudget.report import document as doc
from golfbudget.report.numbers import count


def fresh(plan: Plan) -> Iterator[doc.Part]:
    """A line per finalist; nothing where there was no other text."""
    run = plan.fresh_evaluation
    if run is None:
        return
    rows = []
    for again in plan.fresh:
        trial = plan.trial(again.candidate)
        chosen = doc.DASH if trial is None else _change(trial.quality)
        rows.append(doc.line(again.candidate, chosen, _change(again.quality), doc.amount(again.quality.blocks)))
    columns = map(
        doc.number, ("bits/byte where\nit was chosen", "bits/byte\non fresh text", "text's worth\nin windows")
    )
    yield doc.grid((doc.name("measured again"), *columns), rows)
    text = f"{count(run.tokens)} tokens ({count(run.text_bytes)} bytes)"
    base = f"baseline {run.baseline_bits_per_byte:.4f} bits per byte"
    yield doc.prose(f"fresh text: {text}, {base}; changes with 95 % intervals", tight=True)


def _change(quality: Quality) -> str:
    found = quality.interval
    return doc.DASH if found is None else f"{found.delta:+.4f} {ends(found.low, found.high)}"
