"""What `plan` says first: the candidates that matter, the verdict, the VQ answer, and what to do next; and `demo`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from golfbudget import example
from golfbudget.inspection import Inspection
from golfbudget.inspection.report import InspectReport
from golfbudget.ledger import Role
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.trials import Side, Trial
from golfbudget.report import document as doc
from golfbudget.report.inspect import cap_text
from golfbudget.report.inspect import document as inspect_document
from golfbudget.report.numbers import bytes_text, count, percent
from golfbudget.report.plan_details import (
    baseline_text,
    brief_candidates,
    candidates,
    detailed,
    situation,
    verdict_line,
    vq_line,
)
from golfbudget.rollup import roll_up

#: Candidates that are shown where not all are asked for: with them an answer fits on a screen of 40 lines.
_MOST = 11


def document(
    plan: Plan, *, details: bool = False, saved: str | None = None, asked: PlanRequest | None = None
) -> doc.Document:
    """The answer or, with `details`, all there is to say.

    `saved` is the file that the plan was saved in; of `asked` the next command has its options.
    """
    parts = detailed(plan) if details else answer(plan, saved=saved, asked=asked)
    return doc.Document(parts=parts, data=lambda: plan_json(plan), csv=lambda: candidates(plan, plan.trials))


def answer(plan: Plan, *, saved: str | None = None, asked: PlanRequest | None = None) -> tuple[doc.Part, ...]:
    """Baseline, candidates that matter, verdict, VQ answer and the next step."""
    shown = shortlist(plan, _MOST)
    return (
        doc.Facts(rows=tuple(_heading(plan)), order=-1),
        brief_candidates(plan, shown),
        doc.prose(verdict_line(plan), *map(doc.bullet, (*situation(plan), *plan.verdict.reasons))),
        doc.prose(vq_line(plan), *map(doc.bullet, _vq(plan)), tight=True),
        doc.prose(*_next(plan, saved, asked), f"more: {_left_out(plan, shown)} (--details)", tight=True),
    )


def shortlist(plan: Plan, most: int) -> tuple[Trial, ...]:
    """The trials that matter, at most `most`, in the plan's order.

    First come those that the answers name, then the best of every side and family of schemes, then the frontiers.
    """
    verdict, vq, joint = plan.verdict, plan.vq, plan.joint
    named = (verdict.best_head, verdict.best_trunk, vq.best, vq.control, None if joint is None else joint.candidate)
    families: dict[tuple[Side, str], Trial] = {}
    for trial in sorted(plan.trials, key=_order):
        candidate = trial.candidate
        families.setdefault((candidate.side, "vq-logits" if candidate.is_vq else candidate.scheme), trial)
    frontiers = (trial.name for trial in plan.trials if trial.pareto)
    sides = (name for side in Side for name in plan.frontier(side))
    best = (trial.name for trial in families.values())
    worse = _worse_scales(plan) - set(named)
    ranked = dict.fromkeys((*named, *best, *frontiers, *sides))
    names = [name for name in ranked if name is not None and name not in worse][:most]
    return tuple(trial for trial in plan.trials if trial.name in names)


def _worse_scales(plan: Plan) -> set[str]:
    """Of scalars that differ in how their scales are set alone, all but the best by loss, or else by error."""
    groups: dict[object, list[Trial]] = {}
    for trial in plan.trials:
        candidate = trial.candidate
        if candidate.scheme == "scalar":
            rest = sorted((name, value) for name, value in candidate.options.items() if name != "scale")
            key = (candidate.side, candidate.owners, candidate.input_side, candidate.steps, *rest)
            groups.setdefault(key, []).append(trial)
    return {trial.name for group in groups.values() for trial in sorted(group, key=_by_loss)[1:]}


def _by_loss(trial: Trial) -> tuple[bool, float, int, str]:
    quality = trial.quality
    known = quality.delta if quality.delta is not None else quality.relative_error
    return trial.loser is not None, float("inf") if known is None else known, -trial.saved_bytes, trial.name


def _order(trial: Trial) -> tuple[bool, bool, bool, float, str]:
    """What saves most at no loss first, then what loses least, as far as that is known."""
    quality, free = trial.quality, trial.costless
    losses = (loss for loss in (quality.delta, quality.error_ratio, quality.relative_error) if loss is not None)
    rank = -trial.saved_bytes if free else next(losses, float("inf"))
    return trial.loser is not None, not free, trial.saved_bytes <= 0, rank, trial.name


def _heading(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "baseline", baseline_text(plan)
    yield "headroom", cap_text(plan.baseline)
    run = plan.evaluation
    if run is None:
        yield "quality", "no model was run (--model, --tokens): equal error counts as no loss"
    else:
        yield "quality", f"{run.model} on {count(run.tokens)} tokens: {run.baseline_bits_per_byte:.4f} bits per byte"


def _vq(plan: Plan) -> Iterator[str]:
    """The reason's first clause, and what would change the answer."""
    yield plan.vq.reason.partition("; ")[0]
    even = plan.verdict.break_even
    if even is not None and not plan.budgets:
        under = f"if it cost under {even.loss:.4f} bits per byte" if even.loss > 0 else "if it lowered the loss"
        name = "it" if plan.vq.reason.startswith(even.candidate) else even.candidate
        yield f"at {even.price:.1f} µbpb per kB {name} would win {under}"


def _next(plan: Plan, saved: str | None, asked: PlanRequest | None) -> Iterator[doc.Line]:
    verdict = plan.verdict
    if verdict.settle is not None:
        yield doc.Line(text=f"what would settle it: {verdict.settle}")
    lossless = plan.trials.on(Side.LOSSLESS).saving().largest_saving()
    chosen = verdict.best or (None if lossless is None else lossless.name)
    if plan.inputs.preview is not None:
        yield doc.Line(text="next: plan again without --preview, whose bytes are not the recipe's own")
        return
    if plan.inputs.model_file is not None:
        yield doc.Line(text="next: train the model, then plan its checkpoint; these weights are synthetic")
        return
    if plan.budgets:
        over = plan.baseline.budget.headroom < 0
        own = _cap(plan) if over else f" --cap {plan.budgets[0].bytes}"
        yield doc.Line(text=("next: ", doc.code(f"{_fit(plan, asked)}{own} -o FILE")))
        if _spendable(plan):
            yield doc.Line(text=("or spend what is left: ", doc.code(f"{_fit(plan, asked)}{_cap(plan)} -o FILE")))
    if chosen is not None:
        command = f"golfbudget pack {shlex.quote(saved or 'plan.json')} --candidate {shlex.quote(chosen)} -o FILE"
        yield doc.Line(text=("or one candidate: " if plan.budgets else "next: ", doc.code(command)))
        if saved is None:
            yield doc.Line(text="plan.json is this plan: the same command with --format json -o plan.json")
    elif not plan.budgets:
        yield doc.Line(text=("next: ", doc.code(f"{_fit(plan, asked)}{_cap(plan)} -o FILE")))


def _cap(plan: Plan) -> str:
    """The cap that was asked for, and the code that counts."""
    code = "" if plan.code_bytes is None else f" --code {plan.code_bytes}"
    return f" --cap {plan.cap}{code}"


def _spendable(plan: Plan) -> bool:
    """Whether the source's numbers, stored more finely than the baseline does, could fill what is left of the cap."""
    return 0 < plan.baseline.budget.headroom < plan.inputs.source_bytes - plan.baseline.artifact.size


def _fit(plan: Plan, asked: PlanRequest | None) -> str:
    """The command for the best file, but for its cap; without what was asked, TEXT stands for the text."""
    inputs, run = plan.inputs, plan.evaluation
    words = ["golfbudget fit", shlex.quote(inputs.source_path)]
    if inputs.recipe_argument is not None:
        words += ["--recipe", shlex.quote(inputs.recipe_argument)]
    if run is not None:
        words += ["--model", shlex.quote(run.model)]
        if asked is not None:
            words += _texts(asked)
        elif run.model != example.MODEL:
            words += ["--tokens", "TEXT"]
    if inputs.roles is not None:
        words += ["--roles", shlex.quote(inputs.roles.path)]
    return " ".join(words)


def _texts(asked: PlanRequest) -> Iterator[str]:
    """Options that say what a model is run on, as they were given."""
    files = {"tokens": asked.tokens, "tokenizer": asked.tokenizer, "calibration": asked.calibration}
    for option, path in files.items():
        if path is not None:
            yield f"--{option} {shlex.quote(str(path))}"
    if asked.token_limit is not None:
        yield f"--token-limit {asked.token_limit}"
    if asked.trust_remote_code:
        yield "--trust-remote-code"


def _left_out(plan: Plan, shown: tuple[Trial, ...]) -> str:
    """What --details adds, counted."""
    amounts = {
        "candidate": len(plan.trials) - len(shown),
        "note": len(plan.notes),
        "certificate": len(plan.certificates),
    }
    listed = [f"{number} {what}{'' if number == 1 else 's'}" for what, number in amounts.items() if number]
    return ", ".join([*listed, "roles, prices"])


DEMO_SCHEMA = "golfbudget/demo/1"


def demo_document(
    inspection: Inspection, plan: Plan, *, details: bool = False, saved: str | None = None
) -> doc.Document:
    """Both reports, with `details` in full; `saved` is the file that the plan was saved in."""
    first: tuple[doc.Part, ...] = inspect_document(inspection).parts if details else (_roles(inspection),)
    second = detailed(plan) if details else answer(plan, saved=saved)
    return doc.Document(
        parts=(
            doc.Section(title="inspect: the example's int8 artifact", parts=first),
            doc.Section(title="plan: the example's checkpoint", parts=second),
        ),
        data=lambda: {"schema": DEMO_SCHEMA, "inspect": InspectReport.of(inspection).plain(), "plan": plan_json(plan)},
    )


def _roles(inspection: Inspection) -> doc.Facts:
    """The file, and each role that a model has."""
    size = inspection.artifact.size
    rows = [("file", f"{Path(inspection.artifact.path).name}: {bytes_text(size)}")]
    found = roll_up(inspection.assignment.ledger, lambda entry: entry.role)
    for role in (Role.HEAD, Role.EMBEDDING, Role.TRUNK):
        if role in found:
            tied = " (tied)" if role is Role.HEAD and inspection.assignment.tied else ""
            stored = found[role].stored_bytes
            rows.append((str(role), f"{count(stored)} bytes, {percent(stored, size)} of the file{tied}"))
    return doc.Facts(rows=tuple(rows))
