"""A plan for people: the baseline's bytes, every candidate, and the answers in words."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from golfbudget.plan.results import Evidence, Inputs, Plan, Quality, Side, Trial
from golfbudget.plan.trials import TOLERANCE
from golfbudget.report.inspect_table import cap_facts, role_table
from golfbudget.report.numbers import count, human, signed
from golfbudget.report.plan_joint import joint_parts
from golfbudget.report.plan_quality import quality_parts
from golfbudget.report.plan_verdict import answers, certificate_lines, floor_table
from golfbudget.report.tables import facts, printable, table

#: A terminal narrower than this gets the candidates without evidence and price.
_ALL_COLUMNS = 100


def plan_table(plan: Plan, width: int | None = None) -> list[RenderableType]:
    """Renderables, top to bottom: baseline ledger, candidates, answers; `width` is the terminal's, if it has one."""
    return [
        _heading(plan),
        Text(),
        role_table(plan.baseline, whole="baseline"),
        Text(),
        cap_facts(plan.baseline),
        Text(),
        _candidates(plan, narrow=width is not None and width < _ALL_COLUMNS),
        Text(),
        _legend(plan),
        Text(),
        *_spaced(joint_parts(plan)),
        *_spaced(quality_parts(plan)),
        *_spaced(_certificates(plan)),
        *answers(plan),
    ]


def _spaced(parts: list[RenderableType]) -> list[RenderableType]:
    """Parts with an empty line after them, where there are any."""
    return [*parts, Text()] if parts else []


def _certificates(plan: Plan) -> list[RenderableType]:
    if not plan.certificates:
        return []
    lines = "".join(f"\n- {printable(line)}" for line in certificate_lines(plan))
    return [*floor_table(plan), Text(f"known without training:{lines}")]


def _heading(plan: Plan) -> Text:
    inputs = plan.inputs
    size = plan.baseline.artifact.size
    rows = [
        ("source", _source(inputs)),
        ("baseline", f"recipe {inputs.recipe}: {count(size)} bytes ({human(size)}) as written and counted"),
        ("head", "tied: input table and output head are one matrix" if plan.tied else "untied"),
    ]
    run = plan.evaluation
    if run is None:
        rows.append(("quality", "no model was run (--model, --tokens): the equal-error rule decides what is free"))
    else:
        text = f"{count(run.tokens)} tokens ({count(run.text_bytes)} bytes of text)"
        figures = f"source {run.source_bits_per_byte:.4f}, baseline {run.baseline_bits_per_byte:.4f} bits per byte"
        rows.append(("quality", f"measured with {run.model} on {text}: {figures}"))
    rows += [("note", note) for note in plan.notes]
    return facts(rows)


def _source(inputs: Inputs) -> str:
    if inputs.model_file is None:
        return f"{inputs.source_path}  {count(inputs.source_bytes)} bytes"
    changes = "".join(f" {name}={value}" for name, value in inputs.settings.items())
    return f"{inputs.model_file}{changes}  synthetic weights of a model file, seed {inputs.seed}"


def _candidates(plan: Plan, *, narrow: bool) -> RenderableType:
    loss = "bits/byte vs\nbaseline" if plan.evaluation else "squared error\nover recipe's"
    headings = [
        "candidate\n(* frontier)",
        "counted\nbytes",
        "saved\nbytes",
        loss,
        "95 % interval",
        "evidence",
        "µbpb\nper kB",
    ]
    made = table(headings[:-2] if narrow else headings)
    for trial in plan.trials:
        cells = [
            trial.candidate.name + (" *" if trial.pareto else " †" if trial.loser else ""),
            count(trial.counted_bytes),
            signed(trial.saved_bytes),
            _loss(trial),
            _interval(trial.quality),
            str(trial.quality.evidence) if trial.loser is None else trial.loser.partition(":")[0],
            "–" if trial.price is None else f"{trial.price:.1f}",
        ]
        made.add_row(*(cells[:-2] if narrow else cells))
    return made


def _loss(trial: Trial) -> str:
    quality = trial.quality
    if trial.loser is not None:
        return "–" if quality.low is None else f"≥ {quality.low:+.4f}"
    if quality.evidence is Evidence.CERTIFIED:
        return "same bytes"
    if quality.delta is not None:
        return f"{quality.delta:+.4f}"
    if quality.error_ratio is not None:
        return f"{quality.error_ratio:.3f} x"
    return "–" if quality.relative_error is None else f"{quality.relative_error:.1e} of energy"


def _interval(quality: Quality) -> str:
    if quality.low is None or quality.high is None:
        return "–"
    return f"[{quality.low:+.4f}, {quality.high:+.4f}]"


def _legend(plan: Plan) -> Text:
    lines = [
        "counted: the written file plus decoder code; saved: against the baseline; *: nothing beats it in both",
    ]
    if plan.evaluation:
        lines.append(
            f"no loss: the whole interval lies at or below {TOLERANCE} bits per byte, the contest's record bar"
        )
    else:
        lines += [
            "no loss: squared error at most 1.05 x the recipe's own on every matrix (equal-error rule)",
            "modelled: only the squared error is known, not the loss",
        ]
        worst = _worst(plan)
        lines += [worst] if worst else []
    for side in (Side.HEAD, Side.TRUNK):
        names = plan.frontier(side)
        lines += [f"frontier of the {side} alone: {', '.join(names)}"] if names else []
    if any(trial.loser for trial in plan.trials):
        lines.append("†: ruled out by a certificate (its tie floor, or tying), so not evaluated")
    return Text("\n".join(lines))


def _worst(plan: Plan) -> str | None:
    """The worst row of the candidates that the equal-error rule lets pass."""
    passed: list[Trial] = [t for t in plan.trials if t.quality.evidence is Evidence.EQUAL_ERROR and t.quality.worst_row]
    if not passed:
        return None
    rows = [(t.quality.worst_row.relative_error, t) for t in passed if t.quality.worst_row]
    error, trial = max(rows, key=lambda pair: pair[0])
    row = trial.quality.worst_row
    if row is None:
        return None
    place = f"row {row.row} of {row.owner} in {trial.candidate.name}"
    return f"worst row that passed: {printable(place)}, error {error:.2g} of its energy"
