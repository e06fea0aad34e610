"""Which export of a run counts, where a log has several: the one that files, or else claims, agree with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from golfbudget.submission.claims import About, Claim
from golfbudget.submission.loglines import Printed
from golfbudget.submission.logs import ChosenBy, Exported, Run


def choose(runs: Iterable[Run], files: Collection[int], claims: Sequence[Claim]) -> list[Run]:
    """Runs with their export chosen; `files` are lengths of model files.  The last export where nothing decides."""
    stated = {claim.number for claim in claims if claim.about in (About.TOTAL, About.MODEL)}
    return [_chosen(_unlabelled(run, files, stated), files, stated) for run in runs]


def _chosen(run: Run, files: Collection[int], stated: Collection[int]) -> Run:
    exports = run.exports
    if len(exports) < 2:
        return run
    for by, told in (
        (ChosenBy.FILE, [n for n, export in enumerate(exports) if export.model and export.model.number in files]),
        (ChosenBy.CLAIM, [n for n, export in enumerate(exports) if _numbers(export) & set(stated)]),
    ):
        if told:
            return replace(run, chosen=told[-1], by=by)
    return run


def _numbers(export: Exported) -> set[int]:
    return {figure.number for figure in (export.model, export.total) if figure is not None}


def _unlabelled(run: Run, files: Collection[int], stated: Collection[int]) -> Run:
    """A log may give its only model without a label, as the raw weights have none; files and claims tell."""
    if run.exports:
        return run
    told = {
        export.model.line
        for export in run.raw_exports
        if export.model and (export.model.number in files or _numbers(export) & set(stated))
    }

    def exported(figure: Printed) -> Printed:
        return replace(figure, what="model") if figure.what == "raw" and figure.line in told else figure

    return replace(run, figures=tuple(map(exported, run.figures))) if told else run
