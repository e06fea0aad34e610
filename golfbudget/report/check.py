"""What `check` says: every convention side by side, the runs, the claims, the findings, the result.

A page has the result first and folds the claims.  As JSON, schema `golfbudget/check/1`, integers are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.report import ReportFormat
from golfbudget.report import document as doc
from golfbudget.report.check_table import table
from golfbudget.report.github import LONGEST
from golfbudget.report.next_steps import over_as_counted
from golfbudget.report.numbers import count, human
from golfbudget.report.render import rendered
from golfbudget.rules import Convention, Rules
from golfbudget.submission import TABLE, Checked, Finding
from golfbudget.submission.batch import Judgement, Outcome, Unchecked, known, verdict
from golfbudget.submission.conventions import CountedRun, Tally
from golfbudget.submission.file_uses import FileUse, file_uses
from golfbudget.submission.logs import ChosenBy, Run
from golfbudget.submission.matching import Matched
from golfbudget.version import __version__

SCHEMA = "golfbudget/check/1"
MARK = "golfbudget check"
#: Files named in one line.
_MOST_NAMES = 6
#: Characters of a run's name that a narrow screen leaves in one line.
_RUN = 10
_SEVERITIES = ("error", "warning", "note")


def document(
    outcomes: Sequence[Outcome], *, rules: Rules, convention: Convention, strict: bool = False, details: bool = False
) -> doc.Document:
    """The report of one submission; of several a table, with `details` and every report under it."""
    checks = [one for one in outcomes if isinstance(one, Checked)]
    several = len(outcomes) > 1
    reports = (_submission(checked, titled=several) for checked in checks) if details or not several else ()
    head = table(outcomes, rules, convention, every=details) if several else ()
    return doc.Document(
        parts=(*head, *reports),
        data=lambda: _data(outcomes, rules, convention, strict=strict),
        csv=lambda: _tallies(outcomes, convention),
    )


def comment(outcomes: Sequence[Outcome], *, rules: Rules, convention: Convention) -> doc.Document:
    """For a comment on GitHub, which takes only so much: the table, and every report folded if there is room."""
    head = table(outcomes, rules, convention)
    reports = [
        doc.Details(
            summary=checked.folder.root.resolve().name,
            parts=(_submission(checked, titled=False),),
            order=2,
        )
        for checked in outcomes
        if isinstance(checked, Checked)
    ]
    made = doc.Document(parts=(*head, *reports), mark=MARK)
    return made if len(rendered(made, ReportFormat.MARKDOWN)) <= LONGEST else doc.Document(parts=head, mark=MARK)


def finding_document() -> doc.Document:
    """Every finding there can be."""
    rows = (doc.line(code, str(kind.severity), kind.title) for code, kind in TABLE.items())
    return doc.Document(parts=(doc.grid(map(doc.name, ("code", "severity", "what was found")), rows),))


def _submission(checked: Checked, *, titled: bool) -> doc.Section:
    parts: list[doc.Part] = [doc.Facts(rows=_heading(checked), order=2), _conventions(checked)]
    runs, claims = _runs(checked), _claims(checked)
    if runs is not None:
        parts.append(runs)
    if claims is not None:
        parts.append(doc.Details(summary="claims", parts=(claims,), order=1))
    files = _files(checked)
    if files is not None:
        parts.append(files)
    parts += _findings(checked)
    parts.append(doc.prose(doc.bold(_result(checked)), order=-1))
    if not titled:
        parts += over_as_counted(checked)
    return doc.Section(title=checked.folder.root.resolve().name, parts=tuple(parts), titled=titled)


def _heading(checked: Checked) -> tuple[tuple[str, str], ...]:
    rules = checked.rules
    by = {counted.file.path: f" ({counted.how} by {counted.by})" for counted in checked.code.counted if counted.by}
    code = [f"{file.path} {count(file.size)}{by.get(file.path, '')}" for file in checked.code.files]
    rows = [
        ("submission", str(checked.folder.root)),
        ("rules", f"{rules.name}: at most {count(rules.cap)} bytes ({human(rules.cap)}) as {checked.convention}"),
        ("code", _listed(code) + " bytes"),
        ("model", _model(checked)),
    ]
    if checked.tokenizers:
        size = sum(file.size for file in checked.tokenizers)
        counted = "counted" if rules.count.tokenizer else "counted only as folder"
        names = _listed([file.path for file in checked.tokenizers])
        rows.append(("tokenizer", f"{names}: {count(size)} bytes, {counted}"))
    if checked.every_run:
        logs = len({source for run in checked.runs for source in run.sources})
        runs = f"{len(checked.runs)} different finished runs" if len(checked.runs) != 1 else "1 finished run"
        rows.append(("logs", f"{runs} in {logs} {'log' if logs == 1 else 'logs'}"))
    if checked.packed is not None and checked.packed.tools:
        tools = ", ".join(f"{name} {version}" for name, version in checked.packed.tools)
        rows += [("packed by", tools), ("", "the packed length depends on these and their versions")]
    return (*rows, *(("note", note) for note in checked.notes))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) or "none:  0") + more


def _model(checked: Checked) -> str:
    models = checked.models
    if not models:
        return "not known"
    if any(model.absent for model in models):
        return "no file; the code alone is counted"
    if any(model.claimed for model in models):
        sources = _listed(list(dict.fromkeys(model.source for model in models)))
        return f"no file; {count(max(model.size for model in models))} bytes at most, claimed by {sources}"
    files = [f"{file.path} {count(file.size)}" for model in models for file in model.files]
    return _listed(files) + " bytes"


def _conventions(checked: Checked) -> doc.Grid:
    """Every convention, by its largest run; the chosen one is marked."""
    others = any(tally.largest is not None and tally.largest.other for tally in checked.tallies.values())
    rows = []
    for convention, tally in checked.tallies.items():
        chosen = convention is checked.convention
        code, model, other, total = _amounts(tally.largest)
        cells = (code, model, other, total) if others else (code, model, total)
        label = f"{convention} *" if chosen else str(convention)
        rows.append(doc.line(label, *cells, doc.change(tally.headroom), _verdict(tally), bold=chosen))
    # A narrow screen leaves out what the total is made of, and then what is left.
    ranks = {"code": 3, "model": 2, **({"other files": 4} if others else {}), "total": 0, "headroom": 1, "": 0}
    return doc.grid((doc.name("convention"), *(doc.number(name, rank=rank) for name, rank in ranks.items())), rows)


def _tallies(outcomes: Sequence[Outcome], convention: Convention) -> doc.Grid:
    """Every convention of every submission, for programs; one that could not be read has no amounts."""
    keys = ("code_bytes", "model_bytes", "other_bytes", "total_bytes", "headroom", "fits")
    columns = (doc.name(None, "path"), doc.name(None, "convention"), *(doc.number(None, key) for key in keys))
    rows = []
    for checked in outcomes:
        if isinstance(checked, Unchecked):
            unknown = (doc.amount(None),) * 5
            rows.append(doc.line(str(checked.path), str(convention), *unknown, doc.Cell(text="not known", value=None)))
            continue
        for named, tally in checked.tallies.items():
            cells = (*_amounts(tally.largest), doc.change(tally.headroom), _verdict(tally))
            rows.append(doc.line(str(checked.folder.root), str(named), *cells))
    return doc.grid(columns, rows)


def _amounts(row: CountedRun | None) -> tuple[doc.Cell, doc.Cell, doc.Cell, doc.Cell]:
    if row is None:
        return (doc.amount(None),) * 4
    return doc.amount(row.code), doc.amount(row.model), doc.amount(row.other), doc.amount(row.total)


def _verdict(tally: Tally) -> doc.Cell:
    text = {True: "fits", False: "OVER", None: "not known"}[tally.fits]
    if tally.fits and tally.largest is not None and tally.largest.stated:
        text = "fits, claimed"
    return doc.Cell(text=text, value=tally.fits)


def _runs(checked: Checked) -> doc.Grid | None:
    """Each run by every convention; None where there is only one."""
    labels = dict.fromkeys(row.label for tally in checked.tallies.values() for row in tally.rows)
    if len(labels) < 2:
        return None
    shown = [tally for tally in checked.tallies.values() if tally.rows]
    totals = {(tally.convention, row.label): row.total for tally in shown for row in tally.rows}
    cap = checked.rules.cap
    rows = []
    for label in labels:
        total = totals.get((checked.convention, label))
        cells = (doc.amount(totals.get((tally.convention, label))) for tally in shown)
        rows.append(doc.line(label, *cells, doc.change(None if total is None else cap - total)))
    largest = (doc.amount(tally.largest.total if tally.largest else None) for tally in shown)
    rows.append(doc.line("largest", *largest, doc.change(checked.chosen.headroom), bold=True))
    if any(tally.spread is not None for tally in shown):
        rows.append(doc.line("spread of seeds", *(doc.amount(tally.spread) for tally in shown), ""))
    totals_by = (
        doc.number(str(one), rank=2 * (one is not checked.convention)) for one in (t.convention for t in shown)
    )
    columns = (*totals_by, doc.number(f"headroom as {checked.convention}", rank=1))
    return doc.grid((doc.name("run"), *columns), rows, name_width=_RUN)


def _claims(checked: Checked) -> doc.Grid | None:
    rows: list[doc.GridRow] = [
        doc.line(m.claim.source, m.claim.key, m.agrees.name if m.agrees else "–", doc.amount(m.claim.number))
        for m in checked.matched
    ]
    columns = (doc.name("claimed in"), doc.name("as"), doc.name("agrees with"), doc.number("bytes"))
    return doc.grid(columns, rows) if rows else None


def _files(checked: Checked) -> doc.Grid | None:
    """Files that count beside program and model, and large or unknown ones that do not."""
    uses = [use for use in file_uses(checked) if use.notable]
    rows = [doc.line(use.file.path, use.counted_as or "no", use.why, doc.amount(use.file.size)) for use in uses]
    columns = (doc.name("file"), doc.name("counted as"), doc.name("why"), doc.number("bytes"))
    return doc.grid(columns, rows) if rows else None


def _findings(checked: Checked) -> list[doc.Facts | doc.Prose]:
    found = sorted(checked.findings, key=lambda finding: (_SEVERITIES.index(finding.severity), finding.code))
    if not found:
        return []
    lines = (doc.bullet((doc.strong(str(one.severity)), f" {one.code}: {one.message}")) for one in found)
    rows = tuple((str(one.severity), f"{one.code}  {one.message}") for one in found)
    return [doc.Facts(rows=rows, only=doc.Medium.SCREEN), doc.prose(*lines, only=doc.Medium.PAGE)]


def _result(checked: Checked) -> str:
    """The last line: limit, value, excess and what to do."""
    tally, row = checked.chosen, checked.chosen.largest
    if row is None or tally.headroom is None:
        return f"NOT DECIDED: {tally.convention} cannot be counted"
    amounts = f"{count(row.total)} of {count(tally.cap)} bytes as {tally.convention}"
    if tally.headroom < 0:
        return f"FAILED: {amounts}, over by {count(-tally.headroom)}; shrink model or code by that much"
    left = f"{amounts}, {count(tally.headroom)} left"
    if checked.claimed:
        left += ", claimed: by the submission's own JSON alone"
    if checked.over_beside:
        run, _, total = max(checked.over_beside, key=lambda over: over[2])
        by = "the claim chooses" if run.by is ChosenBy.CLAIM else "comes last"
        left += f", by the export that {by}; another in {run.source} is over the cap with {count(total)} (GB508)"
    if checked.passed():
        return f"passed: {left}"
    codes = ", ".join(dict.fromkeys(f.code for f in checked.findings if f.severity != "note"))
    return f"FAILED: {codes}{' (--strict)' if checked.strict else ''}; {left}"


def _data(outcomes: Sequence[Outcome], rules: Rules, convention: Convention, *, strict: bool) -> dict[str, object]:
    """All submissions; `passed` is what the exit code says."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "rules": rules.name,
        "cap": rules.cap,
        "convention": str(convention),
        "strict": strict,
        "submissions": [_outcome_data(outcome) for outcome in outcomes],
        "passed": all(verdict(outcome) is Judgement.PASSED for outcome in outcomes),
    }


def _outcome_data(outcome: Outcome) -> dict[str, object]:
    """A submission, with how its total is known; or what could not be read, with why."""
    how = known(outcome)
    judged = {"verdict": str(verdict(outcome)), "known": None if how is None else str(how)}
    if isinstance(outcome, Unchecked):
        return {"path": str(outcome.path), "error": outcome.error, "passed": False, **judged}
    return {**_submission_data(outcome), **judged}


def _submission_data(checked: Checked) -> dict[str, object]:
    code = [{"path": c.file.path, "bytes": c.file.size, "how": c.how, "by": c.by} for c in checked.code.counted]
    models = [{"source": m.source, "seed": m.seed, "bytes": m.size, "claimed": m.claimed} for m in checked.models]
    tokenizers = [{"path": file.path, "bytes": file.size} for file in checked.tokenizers]
    packed = checked.packed
    return {
        "path": str(checked.folder.root),
        "conventions": {str(convention): _tally_data(tally) for convention, tally in checked.tallies.items()},
        "code": code,
        "packed_code": None if packed is None else {"bytes": packed.length, "tools": dict(packed.tools)},
        "models": models,
        "files": [_file_data(use) for use in file_uses(checked)],
        "tokenizer": {"bytes": sum(file.size for file in checked.tokenizers), "files": tokenizers},
        "runs": list(map(_log_data, checked.runs)),
        "claims": list(map(_claim_data, checked.matched)),
        "findings": list(map(_finding_data, checked.findings)),
        "notes": list(checked.notes),
        "claimed": checked.claimed,
        "passed": checked.passed(),
    }


def _finding_data(found: Finding) -> dict[str, object]:
    told = {"severity": str(found.severity), "code": found.code, "message": found.message}
    return {**told, "file": found.file, "line": found.line}


def _file_data(use: FileUse) -> dict[str, object]:
    counted = use.counted_as is not None
    return {"path": use.file.path, "bytes": use.file.size, "counted": counted, "as": use.counted_as, "why": use.why}


def _log_data(run: Run) -> dict[str, object]:
    figures = (("code", run.code), ("model", run.model), ("total", run.total))
    amounts = {f"{what}_bytes": None if figure is None else figure.number for what, figure in figures}
    label = None if run.model is None else run.model.label
    exports = [
        {
            "label": figure.label,
            "model_bytes": export.model.number if export.model else None,
            "total_bytes": export.total.number if export.total else None,
            "line": figure.line,
            "counted": export == run.export,
        }
        for export in run.exports
        for figure in (export.model or export.total,)
        if figure is not None
    ]
    said = {"sources": list(run.sources), "run": run.number, "seed": run.seed, **amounts, "label": label}
    chosen_by = str(run.by) if len(exports) > 1 else None
    return {**said, "rounded": run.rounded, "exports": exports, "chosen_by": chosen_by}


def _claim_data(matched: Matched) -> dict[str, object]:
    claim, agrees = matched.claim, None if matched.agrees is None else matched.agrees.name
    said = {"source": claim.source, "key": claim.key, "line": claim.line, "bytes": claim.number, "seed": claim.seed}
    return {**said, "agrees_with": agrees}


def _tally_data(tally: Tally) -> dict[str, object]:
    row = tally.largest
    amounts = (None,) * 4 if row is None else (row.code, row.model, row.other, row.total)
    return {
        **dict(zip(("code_bytes", "model_bytes", "other_bytes", "total_bytes"), amounts, strict=True)),
        "headroom": tally.headroom,
        "fits": tally.fits,
        "claimed": None if row is None else row.claimed,
        "spread_bytes": tally.spread,
        "missing": tally.reason or None,
        "runs": [_run_data(one, tally.cap) for one in tally.rows],
    }


def _run_data(row: CountedRun, cap: int) -> dict[str, object]:
    run = {"label": row.label, "source": row.source, "seed": row.seed}
    amounts = {"code_bytes": row.code, "model_bytes": row.model, "total_bytes": row.total}
    return {**run, **amounts, "headroom": cap - row.total, "fits": row.total <= cap, "claimed": row.claimed}
