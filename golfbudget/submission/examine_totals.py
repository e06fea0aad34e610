"""Findings about totals against the cap, and about where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.rules import Convention
from golfbudget.submission.checked import Checked
from golfbudget.submission.conventions import Tally
from golfbudget.submission.findings import Finding


def examine_totals(checked: Checked) -> Iterator[Finding]:
    """GB1xx and GB5xx."""
    for convention, tally in checked.tallies.items():
        yield from _over(tally, chosen=convention is checked.convention)
    if not checked.chosen.rows:
        yield Finding(
            code="GB104",
            message=f"{checked.convention} cannot be counted: {checked.chosen.reason}; name what is missing with "
            "--model FILE or --log FILE, or choose another --convention",
        )
    yield from _close(checked.chosen)
    yield from _claimed(checked)
    yield from _same_seed(checked)


def _over(tally: Tally, *, chosen: bool) -> Iterator[Finding]:
    if tally.fits is not False or tally.largest is None:
        return
    over, row = tally.largest.total - tally.cap, tally.largest
    message = (
        f"over the cap of {tally.cap:,} bytes by {over:,} as {tally.convention}: {row.total:,} bytes ({row.label}"
        + (f"; code {row.code:,}, model {row.model:,}" if row.code is not None and row.model is not None else "")
        + (f", other files {row.other:,}" if row.other else "")
        + ")"
    )
    if chosen:
        yield Finding(code="GB101", message=message)
    elif tally.convention is not Convention.FOLDER:
        # Nobody keeps the whole folder under the cap; the table shows by how much it is over.
        yield Finding(code="GB102", message=message)


def _close(tally: Tally) -> Iterator[Finding]:
    if tally.fits and tally.spread is not None and tally.headroom is not None and tally.headroom < tally.spread:
        yield Finding(
            code="GB103",
            message=f"{tally.headroom:,} bytes are left as {tally.convention}, less than the {tally.spread:,} bytes "
            f"between the seeds at hand ({len(tally.rows)} runs): another seed may be over the cap",
        )


def _claimed(checked: Checked) -> Iterator[Finding]:
    sources = dict.fromkeys(model.source for model in checked.models if model.claimed)
    if sources:
        yield Finding(code="GB501", message=f"no model file: model bytes are claimed by {', '.join(sources)}")


def _same_seed(checked: Checked) -> Iterator[Finding]:
    seeds = [run.seed for run in checked.runs if run.seed is not None]
    for seed in dict.fromkeys(seed for seed in seeds if seeds.count(seed) > 1):
        places = dict.fromkeys(run.source for run in checked.runs if run.seed == seed)
        yield Finding(
            code="GB502",
            message=f"{seeds.count(seed)} different runs of seed {seed} in {', '.join(places)}; all of them count, and "
            "the largest decides (--log FILE names the logs that count)",
        )
