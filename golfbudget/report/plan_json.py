"""A plan as JSON, schema `golfbudget/plan/1`; `pack` reads it back to write any candidate's file again."""

from __future__ import annotations

import msgspec

from golfbudget import __version__
from golfbudget.certificates import Certificate
from golfbudget.inspection.report import role_reports
from golfbudget.plan.results import Candidate, Inputs, Plan, Quality, Side, Trial, Verdict

SCHEMA = "golfbudget/plan/1"


def plan_json(plan: Plan) -> dict[str, object]:
    """The whole plan as plain values."""
    inputs = plan.inputs
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": inputs.source_path, "bytes": inputs.source_bytes, "sha256": inputs.source_sha256},
        "recipe": inputs.recipe,
        "preview": inputs.preview,
        "seed": inputs.seed,
        "cap": plan.cap,
        "code_bytes": plan.code_bytes,
        "inputs": {
            "recipe": inputs.recipe_argument,
            "counts": _file(inputs.counts_path, inputs.counts_sha256),
            "roles": _file(inputs.roles_path, inputs.roles_sha256),
            "calibration": _file(inputs.calibration_path, inputs.calibration_sha256),
            "tokenizer": _file(inputs.tokenizer_path, inputs.tokenizer_sha256),
            "token_limit": inputs.token_limit,
            "counts_of_tokens": inputs.counts_of_tokens,
            "model_file": _model_file(inputs),
        },
        "tied": plan.tied,
        "evaluation": _evaluation(plan),
        "baseline": {
            "artifact_bytes": plan.baseline.artifact.size,
            "counted_bytes": plan.baseline.artifact.size,
            "headroom": plan.baseline.budget.headroom,
            "fits": plan.baseline.budget.fits,
            "roles": msgspec.to_builtins(role_reports(plan.baseline.assignment.ledger)),
        },
        "price": {"value": plan.price, "unit": "µbpb/kB", "source": plan.price_source},
        "certificates": [certificate_json(certificate) for certificate in plan.certificates],
        "candidates": [_trial(trial) for trial in plan.trials],
        "frontiers": {str(side): list(plan.frontier(side)) for side in (Side.HEAD, Side.TRUNK)},
        "joint": _joint(plan),
        "lossless": {
            "saved_bytes": plan.lossless_saved,
            "steps": [
                {"name": t.candidate.name, "artifact_bytes": t.artifact_bytes, "saved_bytes": t.saved_bytes}
                for t in plan.trials
                if t.candidate.side is Side.LOSSLESS
            ],
        },
        "vq": {
            "answer": str(plan.vq.answer),
            "best": plan.vq.best,
            "control": plan.vq.control,
            "margin_bytes": plan.vq.margin_bytes,
            "reason": plan.vq.reason,
        },
        "verdict": {
            "winner": str(plan.verdict.winner),
            "evidence": None if plan.verdict.evidence is None else str(plan.verdict.evidence),
            "margin_bytes": plan.verdict.margin_bytes,
            "reasons": list(plan.verdict.reasons),
            "best_head": plan.verdict.best_head,
            "best_trunk": plan.verdict.best_trunk,
            **_advice(plan.verdict),
        },
        "notes": list(plan.notes),
    }


def certificate_json(certificate: Certificate) -> dict[str, object]:
    """A certificate; its value whole where it is bytes, or else to nine digits."""
    value = int(certificate.value) if certificate.unit == "bytes" else float(f"{certificate.value:.9g}")
    return {
        "name": certificate.name,
        "statement": certificate.statement,
        "value": value,
        "unit": certificate.unit,
        "source": certificate.source,
        "evidence": str(certificate.evidence),
    }


def _joint(plan: Plan) -> dict[str, object] | None:
    joint = plan.joint
    if joint is None:
        return None
    return {
        "target": joint.target,
        "chosen": dict(joint.chosen),
        "expected_bytes": joint.expected_bytes,
        "expected_loss": joint.expected_loss,
        "candidate": joint.candidate,
        "rebuilt_bytes": joint.rebuilt_bytes,
        "difference": joint.difference,
    }


def _advice(verdict: Verdict) -> dict[str, object]:
    margin, even = verdict.margin, verdict.break_even
    return {
        "situation": None if verdict.situation is None else str(verdict.situation),
        "margin": None if margin is None else msgspec.to_builtins(margin),
        "prices": {str(side): msgspec.to_builtins(exchange) for side, exchange in verdict.prices.items()},
        "break_even": None if even is None else msgspec.to_builtins(even),
        "settle": verdict.settle,
    }


def _model_file(inputs: Inputs) -> dict[str, object] | None:
    if inputs.model_file is None:
        return None
    return {"path": inputs.model_file, "sha256": inputs.source_sha256, "settings": dict(inputs.settings)}


def _file(path: str | None, sha256: str | None) -> dict[str, object] | None:
    return None if path is None else {"path": path, "sha256": sha256}


def _evaluation(plan: Plan) -> dict[str, object] | None:
    run = plan.evaluation
    if run is None:
        return None
    return {
        "model": run.model,
        "tokens": run.tokens,
        "text_bytes": run.text_bytes,
        "baseline_bits_per_byte": run.baseline_bits_per_byte,
        "source_bits_per_byte": run.source_bits_per_byte,
    }


def _trial(trial: Trial) -> dict[str, object]:
    return {
        **_candidate(trial.candidate),
        "tables": [
            {
                "owner": table.owner,
                "name": table.name,
                "account": table.account,
                "shape": list(table.shape),
                "bits": table.bits,
                "raw_bytes": table.raw_bytes,
            }
            for table in trial.tables
        ],
        "decoder_bytes": trial.decoder_bytes,
        "artifact_bytes": trial.artifact_bytes,
        "counted_bytes": trial.counted_bytes,
        "saved_bytes": trial.saved_bytes,
        "sha256": trial.sha256,
        "fits": trial.fits,
        "quality": _quality(trial.quality),
        "price": trial.price,
        "pareto": trial.pareto,
        "floor": None if trial.floor is None else certificate_json(trial.floor),
        "loser": trial.loser,
    }


def _candidate(candidate: Candidate) -> dict[str, object]:
    return {
        "name": candidate.name,
        "side": str(candidate.side),
        "scheme": candidate.scheme,
        "options": dict(candidate.options),
        "owners": list(candidate.owners),
        "input_side": candidate.input_side,
        "input_options": dict(candidate.input_options),
        "parts": [_candidate(part) for part in candidate.parts],
        "steps": candidate.steps,
    }


def _quality(quality: Quality) -> dict[str, object]:
    worst = quality.worst_row
    return {
        "metric": quality.metric,
        "delta": quality.delta,
        "low": quality.low,
        "high": quality.high,
        "evidence": str(quality.evidence),
        "error_ratio": quality.error_ratio,
        "relative_error": quality.relative_error,
        "worst_row": None
        if worst is None
        else {"owner": worst.owner, "row": worst.row, "relative_error": worst.relative_error},
        "output_error": quality.output_error,
        "divergence": None if quality.divergence is None else msgspec.to_builtins(quality.divergence),
        "bands": [msgspec.to_builtins(band) for band in quality.bands],
    }
