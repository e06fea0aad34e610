"""A plan: the verdict in words, then every candidate in the plane of bytes saved and loss, then what each is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import msgspec

from golfbudget.certificates import Certificate
from golfbudget.evidence import Evidence
from golfbudget.plan.plan_json import SavedBudget, SavedPlan, SavedTrial
from golfbudget.plan.results import BudgetFile, Winner
from golfbudget.plan.trials import EQUAL_ERROR
from golfbudget.report.html.inspect import role_strips
from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.plane import Plane, PlaneLine, PlanePoint, through
from golfbudget.report.html.reading import read
from golfbudget.report.html.shell import Page, file_title
from golfbudget.report.html.tables import DASH, bar, bullets, facts, num, picture, row, section, table, td
from golfbudget.report.numbers import bytes_text, count, left_text

#: µbpb for a kilobyte in bits per byte for a byte.
_PRICE_UNIT = 1e-9


def page(report: Mapping[str, object], where: str) -> Page:
    """The page of a saved plan."""
    plan = read(report, SavedPlan, where)
    plane = _plane(plan)
    return Page(
        kind="plan",
        title=file_title(plan.source.path),
        lead=tuple(_lead(plan)),
        sections=tuple(_sections(plan, pictured=plane is not None)),
        picture=None if plane is None else {"plane": msgspec.to_builtins(plane)},
        scripts=() if plane is None else ("pick.js", "plane.js", "plan.js"),
    )


def _lead(plan: SavedPlan) -> Iterator[Child]:
    yield "Verdict: "
    yield el("b", f"{plan.verdict.winner} ({plan.verdict.evidence})")
    yield ". Does a VQ-Logits head win? "
    yield el("b", str(plan.vq.answer))
    yield f": {plan.vq.reason}"


def _sections(plan: SavedPlan, *, pictured: bool) -> Iterator[Markup]:
    settle = () if plan.verdict.settle is None else (f"what would settle it: {plan.verdict.settle}",)
    yield section("Why", bullets((*plan.verdict.reasons, *settle)), facts(_facts(plan)))
    if pictured:
        note = (
            "Right is smaller, down is better. Diamonds are VQ-Logits; hollow triangles are certified losers, at the "
            "least that they can lose. Choose a point to see its ledger and the command that packs it."
        )
        label = "Candidates by bytes saved and change in loss"
        tools = el("div", id="plane-tools")
        yield section("What bytes cost", el("p", note, class_="note"), picture("plane", label, tools))
    headings: tuple[str, ...] = (
        "candidate", "side", "counted bytes#", "saved bytes#", "change#", "low#", "high#", "price, µbpb per kB#",
        "evidence", "frontier",
    )  # fmt: skip
    caption = f"All {count(len(plan.candidates))} candidates, in the plan's order"
    yield section(
        "Every candidate",
        table(caption, headings, (_row(each, at) for at, each in enumerate(plan.candidates)), id_="rows"),
    )
    if plan.budgets:
        columns = ("bytes#", "without: change#", "with: change#", "with it", "difference#", "low#", "high#", "answer")
        caption = "The best files of equal bytes, without a restructured head and with one"
        yield section("At equal bytes", table(caption, columns, map(_budget, plan.budgets)))
    size = plan.baseline.artifact_bytes
    yield section(
        "The baseline", bar(f"The recipe's own file, {bytes_text(size)}", role_strips(plan.baseline.roles), size)
    )
    if plan.certificates:
        headings = ("certificate", "value#", "unit", "statement")
        rows = map(_certificate, plan.certificates)
        yield section("What no training changes", table("Certificates", headings, rows))
    if plan.notes:
        yield section("Notes", bullets(plan.notes))


def _facts(plan: SavedPlan) -> Iterator[tuple[str, Child]]:
    said = left_text(plan.baseline.headroom)
    yield "baseline", f"recipe {plan.recipe}: {bytes_text(plan.baseline.counted_bytes)}; {said} of {count(plan.cap)}"
    if plan.evaluation is None:
        yield "quality", "no model was run: equal error counts as no loss"
    else:
        run = plan.evaluation
        yield "quality", f"{run.model} on {count(run.tokens)} tokens: {run.baseline_bits_per_byte:.4f} bits per byte"
    yield "price", f"{plan.price.value:g} {plan.price.unit}: {plan.price.source}"
    if plan.preview is not None:
        yield "preview", f"files are written by {plan.preview}, not by the recipe's own codec"


def _row(each: SavedTrial, at: int) -> Markup:
    quality = each.quality
    side = f"{each.side}, VQ" if each.is_vq else str(each.side)
    evidence = str(quality.evidence) if each.loser is None else f"loser: {each.loser}"
    return row(
        each.name, td(side), num(each.counted_bytes), num(each.saved_bytes, sign=True),
        num(quality.delta, sign=True, digits=4), num(quality.low, sign=True, digits=4),
        num(quality.high, sign=True, digits=4), num(each.price, digits=1), td(evidence),
        td("yes" if each.pareto else ""), key=at,
    )  # fmt: skip


def _budget(budget: SavedBudget) -> Markup:
    difference = budget.difference
    return row(
        count(budget.bytes), _change(budget.without), _change(budget.with_),
        td(budget.with_.candidate or DASH if budget.with_ is not None else DASH),
        *(num(None if difference is None else getattr(difference, end), sign=True, digits=4)
          for end in ("delta", "low", "high")),
        td(el("b", str(budget.answer))),
    )  # fmt: skip


def _change(file: BudgetFile | None) -> Markup:
    return num(None if file is None else file.quality.delta, sign=True, digits=4)


def _certificate(each: Certificate) -> Markup:
    value = count(each.value) if isinstance(each.value, int) else f"{each.value:.6g}"
    return row(each.name, td(value, class_="n"), td(each.unit), td(f"{each.statement} ({each.evidence})"))


def _plane(plan: SavedPlan) -> Plane | None:
    """The plane of measured changes, or else of errors; None where there is neither."""
    measured = any(
        each.quality.evidence is Evidence.MEASURED and each.quality.delta is not None for each in plan.candidates
    )
    known = [point for each in plan.candidates if (point := _point(each, measured=measured)) is not None]
    if not known:
        return None
    by_name = {point.name: point for point in known}
    lines = [
        through(f"{side} frontier", str(side), [by_name[name] for name in names if name in by_name])
        for side, names in plan.frontiers.items()
    ]
    lines.append(
        through("frontier of all", "all", [by_name[c.name] for c in plan.candidates if c.pareto and c.name in by_name])
    )
    if measured:
        lines += _fitted(plan)
    needed = -plan.baseline.headroom
    verdict = plan.verdict
    return Plane(
        x="bytes saved",
        y="change in bits per byte" if measured else "squared error over the recipe's own",
        signed=measured,
        points=tuple(known),
        lines=tuple(line for line in lines if len(line.points) > 1),
        cap=needed if needed > 0 else None,
        price=plan.price.value * _PRICE_UNIT if measured else None,
        mark=None if measured else EQUAL_ERROR,
        mark_name="" if measured else "counts as no loss",
        first=verdict.best_head if verdict.winner is Winner.HEAD else verdict.best_trunk,
    )


def _point(each: SavedTrial, *, measured: bool) -> PlanePoint | None:
    quality = each.quality
    y = quality.delta if measured else quality.error_ratio
    loser = measured and each.loser is not None
    if loser and y is None:
        y = quality.low
    if y is None or (not measured and y <= 0):
        return None
    ends = (quality.low, quality.high) if measured and not loser else (None, None)
    command = f"golfbudget pack plan.json --candidate {shlex.quote(each.name)} -o FILE"
    return PlanePoint(
        name=each.name, kind=str(each.side), x=each.saved_bytes, y=y, low=ends[0], high=ends[1], vq=each.is_vq,
        loser=loser, command=command,
    )  # fmt: skip


def _fitted(plan: SavedPlan) -> list[PlaneLine]:
    """The best files at each number of bytes, as two more lines."""
    base, made = plan.baseline.counted_bytes, []
    named = (("fitted, head as it is", "without"), ("fitted, head restructured", "with_"))
    for name, attribute in named:
        files: list[BudgetFile] = [file for each in plan.budgets if (file := getattr(each, attribute)) is not None]
        points = ((base - file.counted_bytes, file.quality.delta) for file in files)
        known = tuple(sorted((x, y) for x, y in points if y is not None))
        made.append(PlaneLine(name=name, kind=f"fit-{attribute.rstrip('_')}", points=known))
    return made
