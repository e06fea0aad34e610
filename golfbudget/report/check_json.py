"""Checks as JSON, schema `golfbudget/check/1`: integers are bytes, nothing depends on time or terminal."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget import __version__
from golfbudget.submission import Checked
from golfbudget.submission.conventions import CountedRun, Tally

SCHEMA = "golfbudget/check/1"


def check_json(checks: Sequence[Checked], *, strict: bool = False) -> dict[str, object]:
    """All submissions; `passed` is what the exit code says."""
    first = checks[0]
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "rules": first.rules.name,
        "cap": first.rules.cap,
        "convention": str(first.convention),
        "strict": strict,
        "submissions": [_submission(checked, strict=strict) for checked in checks],
        "passed": all(checked.passed(strict=strict) for checked in checks),
    }


def _submission(checked: Checked, *, strict: bool) -> dict[str, object]:
    return {
        "path": str(checked.folder.root),
        "conventions": {str(convention): _tally(tally) for convention, tally in checked.tallies.items()},
        "code": [
            {"path": counted.file.path, "bytes": counted.file.size, "how": counted.how, "by": counted.by}
            for counted in checked.code.counted
        ],
        "packed_code": {"bytes": checked.packed.length, "tools": dict(checked.packed.tools)},
        "models": [
            {"source": model.source, "seed": model.seed, "bytes": model.size, "claimed": model.claimed}
            for model in checked.models
        ],
        "tokenizer": {
            "bytes": sum(file.size for file in checked.tokenizers),
            "files": [{"path": file.path, "bytes": file.size} for file in checked.tokenizers],
        },
        "runs": [
            {
                "sources": list(run.sources),
                "run": run.number,
                "seed": run.seed,
                "code_bytes": None if run.code is None else run.code.number,
                "model_bytes": None if run.model is None else run.model.number,
                "total_bytes": None if run.total is None else run.total.number,
                "label": None if run.model is None else run.model.label,
            }
            for run in checked.runs
        ],
        "claims": [
            {
                "source": matched.claim.source,
                "key": matched.claim.key,
                "bytes": matched.claim.number,
                "seed": matched.claim.seed,
                "agrees_with": None if matched.agrees is None else matched.agrees.name,
            }
            for matched in checked.matched
        ],
        "findings": [
            {"severity": str(finding.severity), "code": finding.code, "message": finding.message}
            for finding in checked.findings
        ],
        "notes": list(checked.notes),
        "passed": checked.passed(strict=strict),
    }


def _tally(tally: Tally) -> dict[str, object]:
    row = tally.largest
    return {
        "code_bytes": None if row is None else row.code,
        "model_bytes": None if row is None else row.model,
        "other_bytes": None if row is None else row.other,
        "total_bytes": None if row is None else row.total,
        "headroom": tally.headroom,
        "fits": tally.fits,
        "claimed": None if row is None else row.claimed,
        "spread_bytes": tally.spread,
        "missing": tally.reason or None,
        "runs": [_row(one, tally.cap) for one in tally.rows],
    }


def _row(row: CountedRun, cap: int) -> dict[str, object]:
    return {
        "label": row.label,
        "source": row.source,
        "seed": row.seed,
        "code_bytes": row.code,
        "model_bytes": row.model,
        "total_bytes": row.total,
        "headroom": cap - row.total,
        "fits": row.total <= cap,
        "claimed": row.claimed,
    }
