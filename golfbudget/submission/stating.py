"""The claims that a submission should make: its own figures, to be put into `submission.json`."""

from __future__ import annotations

from golfbudget.errors import UsageError
from golfbudget.submission.findings import Checked


def true_claims(checked: Checked) -> dict[str, object]:
    """Bytes in total, of code and of the model of the largest run, and of each seed where there are several.

    `UsageError` where the chosen convention cannot be counted, or rests on the claims that it would confirm.
    """
    tally, row = checked.chosen, checked.chosen.largest
    if row is None or row.stated:
        why = tally.reason or "only the JSON itself gives its bytes"
        raise UsageError(
            f"{checked.folder.root}: there is no figure to claim as {tally.convention}: {why}; name the model with "
            "--model FILE or a log with --log FILE"
        )
    stated: dict[str, object] = {"bytes_total": row.total, "bytes_code": row.code, "bytes_model": row.model}
    seeds = {str(one.seed): {"artifact_bytes": one.total} for one in tally.rows if one.seed is not None}
    return {**stated, "seed_results": seeds} if len(seeds) > 1 else stated
