"""What the table and the markdown of a check have in common: the same lines and cells, in plain text."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.report.numbers import count, human, optional, signed
from golfbudget.submission import Checked
from golfbudget.submission.conventions import Tally

#: Files named in one line.
_MOST_NAMES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A small table: the first `left` columns are text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    strong: tuple[bool, ...] = ()


def heading(checked: Checked) -> list[tuple[str, str]]:
    """What was checked and by what."""
    rules = checked.rules
    code = checked.code
    rows = [
        ("submission", str(checked.folder.root)),
        ("rules", f"{rules.name}: at most {count(rules.cap)} bytes ({human(rules.cap)}) as {checked.convention}"),
        ("code", _listed([f"{c.file.path} {count(c.file.size)}" + _how(c.how, c.by) for c in code.counted]) + " bytes"),
        ("model", _model(checked)),
    ]
    if checked.tokenizers:
        size = sum(file.size for file in checked.tokenizers)
        counted = "counted" if rules.count.tokenizer else "counted only as folder"
        names = _listed([file.path for file in checked.tokenizers])
        rows.append(("tokenizer", f"{names}: {count(size)} bytes, {counted}"))
    if checked.every_run:
        logs = len({source for run in checked.runs for source in run.sources})
        rows.append(("logs", f"{len(checked.runs)} different finished runs in {logs} {'log' if logs == 1 else 'logs'}"))
    if checked.packed.tools:
        tools = ", ".join(f"{name} {version}" for name, version in checked.packed.tools)
        rows += [("packed by", tools), ("", "the packed length depends on these and their versions")]
    return [*rows, *(("note", note) for note in checked.notes)]


def _how(how: str, by: str | None) -> str:
    return "" if by is None else f" ({how} by {by})"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) or "none:  0") + more


def _model(checked: Checked) -> str:
    models = checked.models
    if not models:
        return "not known"
    if any(model.claimed for model in models):
        sources = _listed(list(dict.fromkeys(model.source for model in models)))
        return f"no file; {count(max(model.size for model in models))} bytes at most, claimed by {sources}"
    files = [f"{file.path} {count(file.size)}" for model in models for file in model.files]
    return _listed(files) + " bytes"


def conventions(checked: Checked) -> Grid:
    """Every convention, by its largest run; the chosen one is marked."""
    others = any(tally.largest is not None and tally.largest.other for tally in checked.tallies.values())
    rows, strong = [], []
    for convention, tally in checked.tallies.items():
        row, chosen = tally.largest, convention is checked.convention
        cells = [
            f"{convention} *" if chosen else str(convention),
            optional(row.code if row else None),
            optional(row.model if row else None),
            *([optional(row.other if row else None)] if others else []),
            optional(row.total if row else None),
            "–" if tally.headroom is None else signed(tally.headroom),
            verdict(tally),
        ]
        rows.append(tuple(cells))
        strong.append(chosen)
    names = ("convention", "code", "model", *(("other files",) if others else ()), "total", "headroom", "")
    return Grid(headings=names, rows=tuple(rows), strong=tuple(strong))


def verdict(tally: Tally) -> str:
    """Three ways it can be."""
    return {True: "fits", False: "OVER", None: "not known"}[tally.fits]


def runs(checked: Checked) -> Grid | None:
    """Each run by every convention; None where there is only one."""
    labels = dict.fromkeys(row.label for tally in checked.tallies.values() for row in tally.rows)
    if len(labels) < 2:
        return None
    shown = [convention for convention, tally in checked.tallies.items() if tally.rows]
    chosen = checked.chosen
    totals = {(tally.convention, row.label): row.total for tally in checked.tallies.values() for row in tally.rows}
    rows = []
    for label in labels:
        total = totals.get((checked.convention, label))
        rows.append(
            (
                label,
                *(optional(totals.get((convention, label))) for convention in shown),
                "–" if total is None else signed(checked.rules.cap - total),
            )
        )
    largest = [tally.largest for tally in (checked.tallies[convention] for convention in shown)]
    rows.append(
        (
            "largest",
            *(optional(row.total if row else None) for row in largest),
            "–" if chosen.headroom is None else signed(chosen.headroom),
        )
    )
    spreads = [checked.tallies[convention].spread for convention in shown]
    if any(spread is not None for spread in spreads):
        rows.append(("spread of seeds", *(optional(spread) for spread in spreads), ""))
    names = ("run", *map(str, shown), f"headroom as {checked.convention}")
    return Grid(headings=names, rows=tuple(rows), strong=tuple(row[0] == "largest" for row in rows))


def claims(checked: Checked) -> Grid | None:
    """Every claim and what it agrees with."""
    rows = tuple(
        (m.claim.source, m.claim.key, m.agrees.name if m.agrees else "–", count(m.claim.number))
        for m in checked.matched
    )
    return Grid(headings=("claimed in", "as", "agrees with", "bytes"), rows=rows, left=3) if rows else None


def findings(checked: Checked) -> list[tuple[str, str, str]]:
    """Severity, code and message, the worst first."""
    order = ["error", "warning", "note"]
    found = sorted(checked.findings, key=lambda finding: (order.index(finding.severity), finding.code))
    return [(str(finding.severity), finding.code, finding.message) for finding in found]


def result(checked: Checked, *, strict: bool) -> str:
    """The last line: limit, value, excess and what to do."""
    tally, row = checked.chosen, checked.chosen.largest
    if row is None or tally.headroom is None:
        return f"NOT DECIDED: {tally.convention} cannot be counted"
    amounts = f"{count(row.total)} of {count(tally.cap)} bytes as {tally.convention}"
    if tally.headroom < 0:
        return f"FAILED: {amounts}, over by {count(-tally.headroom)}; shrink model or code by that much"
    left = f"{amounts}, {count(tally.headroom)} left"
    if checked.passed(strict=strict):
        return f"passed: {left}"
    codes = ", ".join(dict.fromkeys(f.code for f in checked.findings if f.severity != "note"))
    return f"FAILED: {codes}{' (--strict)' if strict else ''}; {left}"
