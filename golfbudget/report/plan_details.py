"""All that a plan says, in full: the baseline's bytes, every candidate, where it hurts, certificates, the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from golfbudget.certificates import Certificate
from golfbudget.evidence import Evidence, ends
from golfbudget.plan.results import Inputs, Plan, Situation, Verdict, Winner
from golfbudget.plan.trials import TOLERANCE, BandLoss, Side, Trial
from golfbudget.plan.verdict import describe
from golfbudget.quality.intervals import ENOUGH_BLOCKS
from golfbudget.report import document as doc
from golfbudget.report.efficiency import candidates_grid, candidates_legend
from golfbudget.report.hub import hub_lines
from golfbudget.report.inspect import cap_facts
from golfbudget.report.numbers import count, human, signed
from golfbudget.report.plan_budgets import budgets
from golfbudget.report.plan_fresh import fresh
from golfbudget.report.plan_maps import maps
from golfbudget.report.views import grid

_SITUATION = {
    Situation.OVER: "over the cap: what fits at the lower loss wins",
    Situation.AT: "at the cap, within what two seeds differ by: what saves most at no loss wins, at equal total bytes",
    Situation.UNDER: "under the cap, with bytes to spend: what saves most at no loss wins",
}
_WHOLE = ("bytes",)
#: Names of best floors, without a bias and with.
_FLOORS = ("best-tie-floor", "best-tie-floor-bias")


def detailed(plan: Plan) -> tuple[doc.Part, ...]:
    """Everything, top to bottom."""
    facts, roles = doc.Facts(rows=tuple(_heading(plan)), order=-1), grid(plan.baseline, "role", last="baseline")
    tried = (
        candidates(plan, plan.trials),
        doc.prose(*_legend(plan)),
        *_left(plan),
        *_joint(plan),
        *budgets(plan),
        *_quality(plan),
        *fresh(plan),
    )
    return (
        facts,
        roles,
        cap_facts(plan.baseline, order=-1),
        *tried,
        *maps(plan),
        *_certificates(plan),
        *_answers(plan),
    )


def baseline_text(plan: Plan) -> str:
    """Recipe and bytes of what candidates are held against."""
    size = plan.baseline.artifact.size
    return f"recipe {plan.inputs.recipe}: {count(size)} bytes ({human(size)}) as written and counted"


def candidates(plan: Plan, trials: Iterable[Trial]) -> doc.Grid:
    """A line per trial, marked where nothing beats it or a certificate rules it out."""
    columns = (
        doc.name("candidate\n(* frontier)", "candidate"),
        doc.name(None, "side"),
        doc.name(None, "scheme"),
        doc.number("counted\nbytes", "counted_bytes"),
        doc.number("saved\nbytes", "saved_bytes"),
        doc.number("rank\nbound", "rank_bound"),
        doc.number("bits/byte vs\nbaseline" if plan.evaluation else "squared error\nover recipe's", "delta"),
        doc.number("95 % interval"),
        doc.number(None, "low"),
        doc.number(None, "high"),
        doc.number(None, "blocks"),
        doc.number(None, "error_ratio"),
        doc.number("evidence", "evidence", rank=2),
        doc.number("µbpb\nper kB", "price", rank=1),
    )
    return doc.grid(columns, (doc.line(*_cells(trial)) for trial in trials))


def brief_candidates(plan: Plan, trials: Iterable[Trial]) -> doc.Grid:
    """The same with the columns that an answer needs."""
    whole, kept = candidates(plan, trials), (0, 3, 4, 6, 12)
    rows = (doc.line(*(row.cells[number] for number in kept)) for row in whole.rows)
    return doc.grid((whole.columns[number] for number in kept), rows, name_width=36)


def _cells(trial: Trial) -> tuple[str | doc.Cell, ...]:
    candidate, quality = trial.candidate, trial.quality
    mark = " *" if trial.pareto else " †" if trial.loser else ""
    return (
        doc.Cell(text=f"{candidate.name}{mark}", value=candidate.name),
        str(candidate.side),
        candidate.scheme,
        doc.amount(trial.counted_bytes),
        doc.change(trial.saved_bytes),
        doc.amount(trial.rank_bound),
        doc.Cell(text=_loss(trial), value=quality.delta),
        ends(quality.low, quality.high),
        doc.Cell(text="", value=quality.low),
        doc.Cell(text="", value=quality.high),
        doc.Cell(text="", value=quality.blocks),
        doc.Cell(text="", value=quality.error_ratio),
        str(quality.evidence) if trial.loser is None else trial.loser.partition(":")[0],
        doc.Cell(text=doc.DASH if trial.price is None else f"{trial.price:.1f}", value=trial.price),
    )


def _heading(plan: Plan) -> list[tuple[str, str]]:
    inputs = plan.inputs
    rows = [
        ("source", _source(inputs)),
        ("baseline", baseline_text(plan)),
        ("head", "tied: input table and output head are one matrix" if plan.tied else "untied"),
    ]
    run = plan.evaluation
    if run is None:
        rows.append(("quality", "no model was run (--model, --tokens): the equal-error rule decides what is free"))
    else:
        text = f"{count(run.tokens)} tokens ({count(run.text_bytes)} bytes of text)"
        figures = f"source {run.source_bits_per_byte:.4f}, baseline {run.baseline_bits_per_byte:.4f} bits per byte"
        rows.append(("quality", f"measured with {run.model} on {text}: {figures}"))
    return rows + [("note", note) for note in plan.notes]


def _source(inputs: Inputs) -> str:
    if inputs.model_file is None:
        return f"{inputs.source_path}  {count(inputs.source_bytes)} bytes"
    changes = "".join(f" {name}={value}" for name, value in inputs.settings.items())
    return f"{inputs.model_file}{changes}  synthetic weights of a model file, seed {inputs.seed}"


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


def _legend(plan: Plan) -> list[str]:
    lines = ["counted: the written file plus decoder code; saved: against the baseline; *: nothing beats it in both"]
    if plan.evaluation:
        lines.append(
            f"no loss: the whole interval lies at or below {TOLERANCE} bits per byte, the contest's record bar"
        )
        lines += _worth(plan)
    else:
        lines += [
            "no loss: squared error at most 1.05 x the recipe's own on every matrix (equal-error rule)",
            "modelled: only the squared error is known, not the loss",
        ]
        worst = _worst(plan)
        lines += [worst] if worst else []
    if any(trial.rank_bound is not None for trial in plan.trials):
        lines.append("rank bound: a head of rank r passes gradients along r directions only (arXiv:2603.10145)")
    for side in (Side.HEAD, Side.TRUNK):
        names = plan.frontier(side)
        lines += [f"frontier of the {side} alone: {', '.join(names)}"] if names else []
    if any(trial.loser for trial in plan.trials):
        lines.append("†: ruled out by a certificate (its tie floor, or tying), so not evaluated")
    return lines


def _worth(plan: Plan) -> list[str]:
    """What the text's windows are worth, which differs by candidate."""
    worth = [trial.quality.blocks for trial in plan.trials if trial.quality.blocks is not None]
    if plan.evaluation is None or plan.evaluation.windows is None or not worth:
        return []
    independent = f"{count(min(worth))} to {count(max(worth))} independent ones, by candidate"
    windows = f"neighbouring windows are alike: {count(plan.evaluation.windows)} are worth {independent}"
    return [f"intervals: {windows}; fewer than {ENOUGH_BLOCKS} decide nothing"]


def _worst(plan: Plan) -> str | None:
    """The worst row of the candidates that the equal-error rule lets pass."""
    passed = [
        (trial.quality.worst_row, trial.name)
        for trial in plan.trials
        if trial.quality.evidence is Evidence.EQUAL_ERROR and trial.quality.worst_row is not None
    ]
    if not passed:
        return None
    row, candidate = max(passed, key=lambda pair: pair[0].relative_error)
    place = f"row {row.row} of {row.owner} in {candidate}"
    return f"worst row that passed: {place}, error {row.relative_error:.2g} of its energy"


def _left(plan: Plan) -> Iterator[doc.Part]:
    """Where the candidates that matter leave bytes; nothing in a plan that has not looked."""
    found = {trial.name: trial.efficiency for trial in plan.trials if trial.efficiency is not None}
    if found:
        yield candidates_grid(found)
        yield doc.prose(*candidates_legend(found), tight=True)


def _joint(plan: Plan) -> Iterator[doc.Part]:
    """What each group takes, the sum of it, and the one file that was written; nothing without a joint choice."""
    joint = plan.joint
    trial = None if joint is None else plan.trial(joint.candidate)
    if joint is None or trial is None:
        return
    rows = []
    every = {group: plan.trial(chosen) for group, chosen in joint.chosen.items()}
    for group, taken in every.items():
        if taken is None:
            rows.append(doc.line(group, "as it is", "0", "0"))
        else:
            rows.append(doc.line(group, taken.name, doc.change(taken.saved_bytes), _known_loss(taken)))
    saved = plan.baseline.artifact.size - joint.expected_bytes
    measured = all(taken is None or taken.quality.evidence is Evidence.MEASURED for taken in every.values())
    expected = f"{joint.expected_loss:+.4f}" if measured else doc.DASH
    rows.append(doc.sum_line("sum", "", doc.change(saved), expected, bold=False))
    rows.append(doc.line("one file", "", doc.change(trial.saved_bytes), _known_loss(trial)))
    first = doc.name(f"least loss within\n{count(joint.target)} bytes")
    yield doc.grid((first, *map(doc.number, ("takes", "saved\nbytes", "bits/byte"))), rows)
    yield doc.prose(
        f"written as one file: {count(joint.rebuilt_bytes)} bytes, {signed(joint.difference)} against the sum "
        f"(compressed bytes do not add up); {describe(trial)}",
        tight=True,
    )


def _known_loss(trial: Trial) -> str:
    """The loss where it was measured; else the word for how it is known, or supposed, to be none."""
    evidence = trial.quality.evidence
    if not trial.known:
        return "not known"
    return f"{trial.loss:+.4f}" if evidence is Evidence.MEASURED else str(evidence)


def _quality(plan: Plan) -> Iterator[doc.Part]:
    """Where the candidates that the answers name hurt; nothing where nothing was measured."""
    shown = [trial for trial in _named(plan) if trial.quality.bands]
    if not shown:
        return
    labels = dict.fromkeys(band.label for trial in shown for band in trial.quality.bands)
    rows = []
    for trial in shown:
        bands = {band.label: band for band in trial.quality.bands}
        kl = trial.quality.divergence
        cells = (_band(bands.get(label)) for label in labels)
        rows.append(doc.line(trial.name, doc.DASH if kl is None else f"{kl.value:.4f}", *cells))
    columns = (doc.number("KL"), *(doc.number(label.replace(" ", "\n", 1)) for label in labels))
    yield doc.grid((doc.name("change in nats\nby token frequency"), *columns), rows)
    yield doc.prose(*_band_legend(shown), *hub_lines(plan, shown), tight=True)


def _named(plan: Plan) -> list[Trial]:
    """Trials that the verdict or the VQ answer names, each once."""
    verdict = plan.verdict
    names = (verdict.best_head, verdict.best_trunk, plan.vq.best, plan.joint.candidate if plan.joint else None)
    found = [trial for name in dict.fromkeys(names) if (trial := plan.trial(name)) is not None]
    return [trial for trial in found if trial.loser is None]


def _band(band: BandLoss | None) -> str:
    """A change, marked where its interval excludes zero."""
    if band is None:
        return "–"
    certain = band.low > 0 or band.high < 0
    return f"{band.delta:+.4f}{'!' if certain else ''}"


def _band_legend(shown: Sequence[Trial]) -> list[str]:
    bands = shown[0].quality.bands
    kl = shown[0].quality.divergence
    parts = [f"{band.label}: {count(band.tokens)} tokens, {count(band.occurrences)} times" for band in bands]
    lines = [
        "bands are cut where the running share of the text's tokens passes a mark; !: the 95 % interval excludes zero",
        "; ".join(parts),
    ]
    if kl is not None:
        tokens = f"on the first {count(kl.tokens)} tokens"
        lines.append(f"KL: of the baseline's predictions from the candidate's, nats a token, {tokens}")
    return lines


def _certificates(plan: Plan) -> Iterator[doc.Part]:
    """The least loss that any map onto so many codes leaves, where counts are known, and what else is certain."""
    if not plan.certificates:
        return
    floors = {c.name: c.value for c in plan.certificates if c.name.startswith(_FLOORS)}
    codes = dict.fromkeys(int(one.rpartition(":")[2]) for one in floors)
    if codes:
        rows = []
        for code in codes:
            values = (floors.get(f"{one}:{code}") for one in _FLOORS)
            rows.append(doc.line(count(code), *(doc.DASH if value is None else f"{value:.3f}" for value in values)))
        floor = map(doc.number, ("floor of any map,\nnats a token", "with a bias a token,\na bound"))
        yield doc.grid((doc.name("tied codes"), *floor), rows)
        certified = "certified: no trunk and no training takes a head of tied rows below its floor on these tokens"
        yield doc.prose(certified, tight=True)
    others = (c for c in plan.certificates if not c.name.startswith(_FLOORS))
    yield doc.prose("known without training:", *(doc.bullet(_certificate(one)) for one in others))


def _certificate(certificate: Certificate) -> str:
    value = count(int(certificate.value)) if certificate.unit in _WHOLE else f"{certificate.value:.3f}"
    return f"{certificate.statement}: {value} {certificate.unit} ({certificate.evidence}: {certificate.source})"


def _answers(plan: Plan) -> Iterator[doc.Prose]:
    verdict = plan.verdict
    yield doc.prose(verdict_line(plan), *map(doc.bullet, (*situation(plan), *verdict.reasons, *_follows(plan))))
    yield doc.prose(vq_line(plan), *map(doc.bullet, (plan.vq.reason, *break_even(verdict))), tight=True)
    if verdict.settle is not None:
        yield doc.prose(f"what would settle it: {verdict.settle}", tight=True)


_WHAT_TO_DO = {
    Winner.HEAD: "restructure the head",
    Winner.TRUNK: "keep the head whole, compress numbers",
    Winner.UNDECIDED: "too close to call",
    Winner.NONE: "nothing fits",
}


def verdict_line(plan: Plan) -> doc.Line:
    """Who wins, by how much, and how it is known."""
    verdict = plan.verdict
    margin = "" if verdict.margin_bytes is None else f" by {count(verdict.margin_bytes)} bytes"
    evidence = "" if verdict.evidence is None else f" ({verdict.evidence})"
    told = f": {_WHAT_TO_DO[verdict.winner]}" if plan.budgets else ""
    return doc.bold(f"verdict: {verdict.winner}{margin}{evidence}{told}")


def vq_line(plan: Plan) -> doc.Line:
    """The answer to the question in the project's name."""
    margin = "" if plan.vq.margin_bytes is None else f" (margin {signed(plan.vq.margin_bytes)} bytes)"
    return doc.bold(f"does a VQ-Logits head win? {plan.vq.answer}{margin}")


def situation(plan: Plan) -> Iterator[str]:
    """The rule that decides, by where the baseline stands; files that were fitted need none, their loss decides."""
    if plan.verdict.situation is not None and not plan.budgets:
        yield _SITUATION[plan.verdict.situation]


def _follows(plan: Plan) -> Iterator[str]:
    verdict = plan.verdict
    if verdict.margin is not None:
        margin = verdict.margin
        yield (
            f"at the bytes of {margin.candidate} the other side loses {margin.delta:+.4f} bits per byte more "
            f"{ends(margin.low, margin.high)} ({_between(margin.below, margin.rival)}, both measured)"
        )
    if verdict.prices:
        prices = (
            f"{side} {own.price:.1f} ({_between(own.below, own.candidate)})" for side, own in verdict.prices.items()
        )
        at = count(next(iter(verdict.prices.values())).at)
        yield f"prices in µbpb per kB where {at} bytes are saved, measured: {'; '.join(prices)}"
    else:
        yield f"price supposed: {plan.price:g} µbpb per kB ({plan.price_source})"


def _between(below: str | None, above: str) -> str:
    return f"between {below or 'the baseline'} and {above}"


def break_even(verdict: Verdict) -> Iterator[str]:
    """What would make the best VQ candidate win."""
    even = verdict.break_even
    if even is None:
        return
    at = f"at {even.price:.1f} µbpb per kB ({even.source})"
    if even.loss <= 0:
        yield f"break-even: {even.candidate} would have to lower the loss by over {-even.loss:.4f} bits per byte, {at}"
        return
    line = f"break-even: {even.candidate} would win {at} if it cost under {even.loss:.4f} bits per byte"
    if even.vocabulary is not None:
        line += (
            f", or at its loss if the vocabulary were over {count(even.vocabulary)} "
            "(modelled: bytes in proportion to the vocabulary, the same loss)"
        )
    yield line
