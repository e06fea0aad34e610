"""The joint choice for people: what each group takes, the sum of it, and the one file that was written."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from golfbudget.plan.results import Plan
from golfbudget.plan.verdict import describe
from golfbudget.report.numbers import count, signed
from golfbudget.report.tables import printable, table


def joint_parts(plan: Plan) -> list[RenderableType]:
    """A table of groups and a line on the rebuilt file; nothing where there is no joint choice."""
    joint = plan.joint
    trial = None if joint is None else plan.trial(joint.candidate)
    if joint is None or trial is None:
        return []
    made = table([f"least loss within\n{count(joint.target)} bytes", "takes", "saved\nbytes", "bits/byte"])
    for group, name in joint.chosen.items():
        taken = plan.trial(name)
        if taken is None:
            made.add_row(group, "as it is", "0", "0")
        else:
            made.add_row(group, printable(taken.candidate.name), signed(taken.saved_bytes), f"{taken.loss:+.4f}")
    saved = plan.baseline.artifact.size - joint.expected_bytes
    made.add_section()
    made.add_row("sum", "", signed(saved), f"{joint.expected_loss:+.4f}")
    made.add_row("one file", "", signed(trial.saved_bytes), f"{trial.loss:+.4f}" if trial.known else "not known")
    text = (
        f"written as one file: {count(joint.rebuilt_bytes)} bytes, {signed(joint.difference)} against the sum "
        f"(compressed bytes do not add up); {describe(trial)}"
    )
    return [made, Text(printable(text))]
