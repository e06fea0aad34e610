"""Findings about logs: what was not understood, whose seeds differ, which exports are not the one that counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from golfbudget.submission.findings import Checked, Finding
from golfbudget.submission.logs import ChosenBy, Exported, Run
from golfbudget.submission.places import Place, listed

#: Words of labels that name a part of a model.
_PART = re.compile(
    r"\b(?:trunk|backbone|body|blocks?|layers?|head|embed\w*|emb|table|n?gram|bigram|lora|adapters?|codebook|part|shard|"
    r"chunk|encoder|decoder|attn|attention|mlp)\b",
    re.IGNORECASE,
)
#: Why an export counts.
_WHY = {
    ChosenBy.FILE: "a model file has its length",
    ChosenBy.CLAIM: "the submission's own JSON claims it",
    ChosenBy.ORDER: "it is the last one",
}


def examine_logs(checked: Checked) -> Iterator[Finding]:
    """GB306 and GB502 to GB509."""
    yield from _sums(checked)
    yield from _not_understood(checked)
    yield from _more(checked)
    yield from _seeds(checked)
    yield from _same_seed(checked)
    yield from _weak(checked)
    for run in checked.runs:
        if len(run.exports) > 1:
            yield _others(run)
    for run, export, total in checked.over_beside:
        figure = export.total or export.model
        place = Place(file=run.source, line=figure.line if figure else None)
        message = (
            f"{place}: this export comes to {total:,} bytes, over the cap by {total - checked.rules.cap:,}; "
            f"another counts because {_WHY[run.by]}, and no model file says which one ships"
        )
        yield Finding(code="GB508", message=message, place=place)
    yield from _parts(checked)


def _more(checked: Checked) -> Iterator[Finding]:
    """Lines that speak of bytes over the cap after all that was understood of a log, which fits it by that.

    What comes before may be what was tried until it fitted.
    """
    row, cap = checked.chosen.largest, checked.rules.cap
    if row is None or not row.claimed or not checked.chosen.fits:
        return
    for log in checked.logs:
        last = max((run.place.line or 0 for run in log.runs if run.model or run.total), default=None)
        told = [one for one in log.more if last is not None and cap < one[0] < 2 * cap and one[1] > last]
        if told:
            amount, line, text = told[0]
            place = Place(file=log.name, line=line)
            message = (
                f"{place}: {amount:,} bytes, over the cap by {amount - cap:,}, in words that were not understood: "
                f"{text!r}; {row.total:,} are counted"
            )
            yield Finding(code="GB509", message=message, place=place)


def _parts(checked: Checked) -> Iterator[Finding]:
    """Exports without totals that are called parts of a model: one of them counts, and all may ship."""
    row, cap = checked.chosen.largest, checked.rules.cap
    if row is None or not row.claimed or not checked.chosen.fits:
        return
    for run in checked.runs:
        models = [export.model for export in run.exports if export.model and not export.total]
        parts = [model for model in models if _PART.search(model.label)]
        total = sum(model.number for model in models) + (run.code.number if run.code else checked.code.length)
        if len(models) > 1 and len(models) == len(run.exports) and parts and total > cap:
            place = Place(file=run.source, line=parts[0].line)
            message = (
                f"{place}: {len(models)} exports in one run that may be parts of one model: with the code they come to "
                f"{total:,} bytes, over the cap by {total - cap:,}; {row.total:,} are counted"
            )
            yield Finding(code="GB508", message=message, place=place)


def _sums(checked: Checked) -> Iterator[Finding]:
    for run in checked.runs:
        if run.code and run.model and run.total and run.code.number + run.model.number != run.total.number:
            place = Place(file=run.source, line=run.total.line)
            message = (
                f"{place}: parts of the log do not sum to its total: a total of {run.total.number:,} bytes is printed, "
                f"but model {run.model.number:,} and code {run.code.number:,} sum to "
                f"{run.model.number + run.code.number:,}"
            )
            yield Finding(code="GB306", message=message, place=place)


def _not_understood(checked: Checked) -> Iterator[Finding]:
    what = "" if any(log.understood for log in checked.logs) else ": no log says what the submission has"
    silent = []
    for log in checked.logs:
        if log.understood:
            continue
        raw = [export.model for run in log.runs for export in run.raw_exports if export.model]
        if raw:
            place = Place(file=log.name, line=raw[0].line)
            said = f"only the model before it is quantised is printed, {raw[0].number:,} bytes"
            yield Finding(code="GB503", message=f"{place}: {said}{what}", place=place)
        elif log.doubtful is not None:
            line, text = log.doubtful
            place = Place(file=log.name, line=line)
            said = f"bytes in words that were not understood: {text!r}"
            yield Finding(code="GB503", message=f"{place}: {said}{what}", place=place)
        elif log.is_log:
            silent.append(Place(file=log.name))
    if silent:
        message = f"{listed(silent)}: no figure of bytes in any line{what}"
        yield Finding(code="GB503", message=message, place=silent[0])


def _seeds(checked: Checked) -> Iterator[Finding]:
    for seed, places in checked.seeds.items():
        message = (
            f"{listed(places)}: the names say other seeds than the lines, which print seed {seed}; the names are "
            "believed"
        )
        yield Finding(code="GB504", message=message, place=places[0])


def _same_seed(checked: Checked) -> Iterator[Finding]:
    seeds = [run.seed for run in checked.runs if run.seed is not None]
    for seed in dict.fromkeys(seed for seed in seeds if seeds.count(seed) > 1):
        places = [run.place for run in checked.runs if run.seed == seed]
        message = (
            f"{seeds.count(seed)} different runs of seed {seed} in {listed(places)}; all of them count, and the "
            "largest decides (--log FILE names the logs that count)"
        )
        yield Finding(code="GB502", message=message, place=places[0])


def _weak(checked: Checked) -> Iterator[Finding]:
    if checked.code.files and any(model.absent for model in checked.models):
        names = ", ".join(file.path for file in checked.code.files)
        message = f"no model file: {names} is counted, code alone, as weights inside it or none at all need no other"
        yield Finding(code="GB507", message=message, place=Place(file=checked.code.files[0].path))
    row = checked.chosen.largest
    if row is None:
        return
    if row.stated:
        message = (
            f"{row.place}: {checked.chosen.convention} rests on {row.source} alone: no model file and no log that is "
            "understood confirms it"
        )
        yield Finding(code="GB505", message=message, place=row.place)
    elif row.claimed and any(run.rounded and run.source == row.source for run in checked.runs):
        message = f"{row.place} gives megabytes, not bytes: {row.total:,} is rounded, and MB may mean MiB"
        yield Finding(code="GB505", message=message, place=row.place)
    for run in checked.runs:
        if run.cut:
            message = (
                f"{run.place}: the log ends with a number, and without an end of line or a unit: digits may be "
                "missing; end it with a line break if it is whole"
            )
            yield Finding(code="GB505", message=message, place=run.place)


def _others(run: Run) -> Finding:
    counted = run.export
    others = [export for export in run.exports if export != counted]
    message = (
        f"{run.place}: {len(run.exports)} exports in one run: {_export(counted)} counts because {_WHY[run.by]}; "
        f"not counted: {'; '.join(map(_export, others))}"
    )
    return Finding(code="GB506", message=message, place=run.place)


def _export(export: Exported) -> str:
    figure = export.model or export.total
    if figure is None:
        return "nothing"
    said = f"{figure.label} " if figure.label else ""
    total = export.total
    amount = f"{total.number:,} bytes in total" if total else f"a model of {figure.number:,} bytes"
    return f"{said}{amount} (line {(total or figure).line})"
