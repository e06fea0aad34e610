"""Make a plan: from a request to the verdict, one step after another."""

from __future__ import annotations

from dataclasses import replace

import torch

from golfbudget import schemes
from golfbudget.evidence import Evidence
from golfbudget.plan.advice import PlanTerms, advised
from golfbudget.plan.budgets import fitted_budgets
from golfbudget.plan.candidates import DEFAULT, REPACK, candidates, explained, worth_recovering
from golfbudget.plan.difference import by_difference
from golfbudget.plan.examine import certificates
from golfbudget.plan.fresh import measured_again
from golfbudget.plan.hub import too_large_note
from golfbudget.plan.joint import JointResult, make_joint
from golfbudget.plan.left import with_left
from golfbudget.plan.maps import with_map
from golfbudget.plan.prepare import Prepared, prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan, Verdict, VqAnswer
from golfbudget.plan.sharing import sharing_notes
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, Side, Trial, Trials
from golfbudget.plan.trying import Workshop, workshop
from golfbudget.plan.verdict import decide
from golfbudget.progress import Progress, unwatched
from golfbudget.recipe.config import Integer, rule_for
from golfbudget.schemes.threads import one_thread

_NO_BUDGETS = "--budgets: no files were compared, for no restructured head was tried that may win; see --schemes"


def make_plan(request: PlanRequest, progress: Progress = unwatched) -> Plan:
    """Open what a request names, try every candidate, and decide."""
    with one_thread():
        return plan_of(prepare(request), progress)


def plan_of(prepared: Prepared, progress: Progress = unwatched) -> Plan:
    """The plan of what is opened: candidates are tried, the best perhaps trained and tried again, all are judged."""
    request, source = prepared.request, prepared.source
    progress("baseline", 2)
    measured = prepared.evaluator is not None
    known = (*prepared.encoders.needs_met, source.recipe.layout)
    chosen = candidates(source, request.schemes or _default_schemes(source.recipe.layout), known, measured=measured)
    with one_thread(), workshop(prepared, len(chosen.candidates), progress) as shop:
        trials = shop.tried(chosen.candidates)
        over = shop.baseline.over
        if request.recover:
            trials = shop.tried(worth_recovering(trials, request.recover, must_save=over), trials)
        progress("verdict", len(trials) + 2)
        trials = trials.in_order()
        joint = _joint(shop, trials)
        if joint.trial is not None:
            trials = trials.with_more(joint.trial).in_order()
        spread = prepared.seeds_move(len(shop.baseline.data))
        verdict, vq = decide(trials, must_save=over, untried=_untried(source, trials), spread=spread)
        survival = _survival(shop, trials, verdict, vq)
        budgets = fitted_budgets(shop, trials)
        on_frontier = trials.head.frontier() | trials.trunk.frontier()
        named = (verdict.best_head, verdict.best_trunk, vq.best, vq.control)
        trials = with_left(shop, trials, {*named, *on_frontier, *_closest(trials)})
        again = measured_again(shop, trials, verdict, vq, None if joint.trial is None else joint.trial.name)
        counts = shop.counts
    if prepared.inputs.model_file and verdict.evidence is not None:
        # What is true of weights that were drawn is a model's word on weights that are trained.
        verdict = replace(verdict, evidence=Evidence.MODELLED)
    price, price_source = prepared.price
    tokens = 0 if shop.yardstick is None else shop.yardstick.evaluation.tokens
    verdict = replace(verdict, reasons=(*verdict.reasons, *survival))
    advice = advised(verdict, vq, trials, _terms(shop))
    verdict, vq = by_difference(advice, vq, trials, budgets, price=price, tokens=tokens)
    vq = with_map(vq, trials)
    verdict = replace(verdict, reasons=(*verdict.reasons, *explained(trials), *again.reasons, *source.caveats))
    return Plan(
        inputs=prepared.inputs,
        cap=request.cap,
        code_bytes=request.code_bytes,
        tied=source.tied,
        baseline=shop.baseline.inspection,
        certificates=tuple(certificates(source, trials, counts)),
        trials=trials,
        evaluation=None if shop.yardstick is None else shop.yardstick.evaluation,
        vq=vq,
        verdict=verdict,
        price=price,
        price_source=price_source,
        joint=joint.joint,
        budgets=budgets,
        fresh_evaluation=again.evaluation,
        fresh=again.found,
        on_frontier=on_frontier,
        notes=(
            *source.notes, *chosen.notes, *sharing_notes(source, trials, shop.baseline.inspection.artifact.size),
            *filter(None, [_counts_note(prepared), _floor_note(source), joint.reason, too_large_note(request, source)]),
            *(["no files were fitted to the same bytes (--no-fits)"] if measured and not request.fits else []),
            *([_NO_BUDGETS] if request.budgets and not budgets and not too_large_note(request, source) else []),
        ),
    )  # fmt: skip


def _default_schemes(layout: str) -> tuple[str, ...] | None:
    """The default choice for a layout that has schemes of its own, as files do that other programs load."""
    own = [name for name, scheme in schemes.bound().items() if layout in scheme.layouts]
    return (DEFAULT, *own) if own else None


def _joint(shop: Workshop, trials: Trials) -> JointResult:
    """The least loss of head and trunk together: under the cap, or else within the bytes of the best at no loss."""
    request, size = shop.prepared.request, len(shop.baseline.data)
    target = request.cap - (request.code_bytes or 0)
    if not shop.baseline.over:
        best = (trials.head.most_saved(), trials.trunk.most_saved())
        target = min([size, *(trial.counted_bytes for trial in best if trial is not None)])

    def tried(candidate: Candidate) -> Trial:
        return shop.tried([candidate], trials)[-1]

    # What was trained was trained with everything else as it is: it is no part to put together.
    return make_joint(trials.untrained, size, target, tried)


def _closest(trials: Trials) -> set[str]:
    """Of every scheme on either side the candidate to show: where no model is run, few are on a frontier."""
    groups: dict[tuple[Side, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.candidate.side, trial.candidate.scheme), []).append(trial)
    best = (Trials(tuple(group)).closest() for group in groups.values())
    return {trial.name for trial in best if trial is not None}


def _untried(source: PlanSource, trials: Trials) -> list[str]:
    control = any(trial.candidate.scheme == "scalar" for trial in trials.head)
    left_out = {"scalar control": not control, "trunk candidate": not trials.trunk and bool(source.trunk)}
    return [name for name, missing in left_out.items() if missing]


def _survival(shop: Workshop, trials: Trials, verdict: Verdict, vq: VqAnswer) -> list[str]:
    """Whether the verdict holds with the best candidates' files written by the codec that packs the baseline best."""
    tried, winner = trials.on(Side.LOSSLESS).where(lambda trial: trial.candidate.scheme == REPACK), verdict.winner.value
    best = tried.most_saved()
    if not tried:
        return ["lossless: no other packing was tried, so the verdict may not survive one"]
    if best is None:
        return ["lossless: no other codec packs the baseline's container smaller"]
    line = f"lossless first: {best.name} saves {best.saved_bytes:,} bytes at no cost"
    free = trials.called({verdict.best_head, verdict.best_trunk, vq.best}).costless
    if not free or shop.baseline.inspection.budget.headroom < 0:
        return [line]
    codec = str(best.candidate.options["codec"]), int(best.candidate.options["level"])
    packed = [
        replace(trial, artifact_bytes=length, saved_bytes=best.artifact_bytes - length - trial.decoder_bytes)
        for trial, length in zip(free, shop.recoded(free, codec), strict=True)
    ]
    again, _ = decide(Trials(tuple(packed), trials.compare), must_save=0)
    if again.winner is verdict.winner:
        margin = again.margin_bytes or 0
        return [line, f"the verdict survives that packing: {winner} still wins, by {margin:,} bytes"]
    return [line, f"the verdict does not survive that packing: under it the answer is {again.winner.value}"]


def _terms(shop: Workshop) -> PlanTerms:
    prepared = shop.prepared
    return PlanTerms(
        headroom=shop.baseline.inspection.budget.headroom,
        spread=prepared.spread,
        rows=prepared.source.rows,
        tokens=None if shop.yardstick is None else shop.yardstick.evaluation.tokens,
        path=prepared.inputs.source_path if prepared.inputs.model_file is None else "CHECKPOINT",
    )


def _floor_note(source: PlanSource) -> str | None:
    """How many rows the recipe's scale floor coarsens: lower nominal bits may cost nothing there."""
    at_floor = rows = 0
    for name, scales in source.export.scales.items():
        if scales.ndim != 1:
            continue
        rule = rule_for(source.recipe, name, source.export.quantized[name].shape)
        rows += len(scales)
        if isinstance(rule, Integer) and rule.floor:
            at_floor += int((scales <= torch.tensor(rule.floor).to(scales.dtype)).sum())
    if not at_floor:
        return None
    return (
        f"{at_floor:,} of {rows:,} quantised rows sit at the recipe's scale floor: they use fewer levels than int8 "
        "has, so low-bit candidates, whose scales are fitted, may add bytes and lower the error"
    )


def _counts_note(prepared: Prepared) -> str | None:
    if prepared.evaluator is None:
        return None
    if prepared.encoders.counts is None:
        return (
            f"the evaluation text has {prepared.evaluator.text.tokens:,} tokens for a vocabulary of "
            f"{prepared.source.rows:,}, and its counts would say which tokens it has: nothing is fitted to them; "
            "--counts takes those of a longer text"
        )
    counted = prepared.inputs.counted_tokens
    if counted is None:
        return None
    return (
        f"token counts are those of the first {counted:,} tokens of the evaluation text, lest what is fitted to them "
        "(codebooks, a bias, tiers, own rows) be fitted to what measures it; --counts and --calibration take those of "
        "a longer text, which fit better"
    )
