"""Findings about logs: what was not understood, whose seeds differ, which exports are not the one that counts."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.submission.findings import Checked
from golfbudget.submission.logs import Exported, Run


def examine_logs(checked: Checked) -> Iterator[str]:
    """GB306 and GB502 to GB507.  A finding is its code, then its message."""
    yield from _sums(checked)
    yield from _not_understood(checked)
    yield from _seeds(checked)
    yield from _same_seed(checked)
    yield from _weak(checked)
    for run in checked.runs:
        if len(run.exports) > 1:
            yield _others(run)


def _sums(checked: Checked) -> Iterator[str]:
    for run in checked.runs:
        if run.code and run.model and run.total and run.code.number + run.model.number != run.total.number:
            yield (
                f"GB306 {run.source}, line {run.total.line}: parts of the log do not sum to its total: a total of "
                f"{run.total.number:,} bytes is printed, but model {run.model.number:,} and code {run.code.number:,} "
                f"sum to {run.model.number + run.code.number:,}"
            )


def _not_understood(checked: Checked) -> Iterator[str]:
    what = "" if any(log.understood for log in checked.logs) else ": no log says what the submission has"
    silent = []
    for log in checked.logs:
        if log.understood:
            continue
        raw = [export.model for run in log.runs for export in run.raw_exports if export.model]
        if raw:
            yield (
                f"GB503 {log.name}, line {raw[0].line}: only the model before it is quantised is printed, "
                f"{raw[0].number:,} bytes{what}"
            )
        elif log.doubtful is not None:
            line, text = log.doubtful
            yield f"GB503 {log.name}, line {line}: bytes in words that were not understood: {text!r}{what}"
        else:
            silent.append(log.name)
    if silent:
        more = f" and {len(silent) - 4} more" if len(silent) > 4 else ""
        yield f"GB503 {', '.join(silent[:4])}{more}: no figure of bytes in any line{what}"


def _seeds(checked: Checked) -> Iterator[str]:
    for seed, logs in checked.seeds.items():
        yield (
            f"GB504 {', '.join(logs[:6])}: the names say other seeds than the lines, which print seed {seed}; the "
            "names are believed"
        )


def _same_seed(checked: Checked) -> Iterator[str]:
    seeds = [run.seed for run in checked.runs if run.seed is not None]
    for seed in dict.fromkeys(seed for seed in seeds if seeds.count(seed) > 1):
        places = dict.fromkeys(run.source for run in checked.runs if run.seed == seed)
        yield (
            f"GB502 {seeds.count(seed)} different runs of seed {seed} in {', '.join(places)}; all of them count, and "
            "the largest decides (--log FILE names the logs that count)"
        )


def _weak(checked: Checked) -> Iterator[str]:
    if any(model.absent for model in checked.models):
        names = ", ".join(file.path for file in checked.code.files)
        yield f"GB507 no model file: {names} is counted, code alone, as weights inside it or none at all need no other"
    row = checked.chosen.largest
    if row is None:
        return
    if row.stated:
        yield (
            f"GB505 {checked.chosen.convention} rests on {row.source} alone: no model file and no log that is "
            "understood confirms it"
        )
    elif row.claimed and any(run.rounded and run.source == row.source for run in checked.runs):
        yield f"GB505 {row.source} gives megabytes, not bytes: {row.total:,} is rounded, and MB may mean MiB"


def _others(run: Run) -> str:
    counted = run.export
    others = [export for export in run.exports if export != counted]
    return (
        f"GB506 {run.source} has {len(run.exports)} exports: {_export(counted)} counts; not counted: "
        f"{'; '.join(map(_export, others))}"
    )


def _export(export: Exported) -> str:
    figure = export.model or export.total
    if figure is None:
        return "nothing"
    said = f"{figure.label} " if figure.label else ""
    total = export.total
    amount = f"{total.number:,} bytes in total" if total else f"a model of {figure.number:,} bytes"
    return f"{said}{amount} (line {(total or figure).line})"
