"""Several submissions in one table: a row each, with what it comes to, how that is known, and why it does not pass."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from golfbudget.report import document as doc
from golfbudget.report.github import command, trouble
from golfbudget.report.numbers import count, human
from golfbudget.rules import Convention, Rules
from golfbudget.submission.batch import Judgement, Outcome, Unchecked, known, verdict
from golfbudget.submission.findings import Checked, Finding, Severity
from golfbudget.submission.folder import FileKind

#: Characters that a narrow screen leaves of a folder's name, and of a reason.
_NAME = 24
_REASON = 20
#: Characters of a reason; the rest is in the report of that folder.
_LONGEST_REASON = 90
#: Submissions of which each has its row on a screen.
_MOST_ROWS = 30
_TITLE = "golfbudget check"
#: Findings that the verdict says already.
_SAID = ("GB101", "GB104")
#: Findings about the whole, which stand where the verdict does.
_TOTALS = ("GB102", "GB103")
#: Conventions that every table shows; the chosen one is a column of its own where it is another.
_SHOWN = (Convention.LOGGED, Convention.SHIPPED)


def table(
    outcomes: Sequence[Outcome], rules: Rules, convention: Convention, *, every: bool = True
) -> tuple[doc.Part, ...]:
    """What they are judged by, a row of each, and how many there are of each verdict.

    Without `every` a screen shows those of many that pass and warn of nothing as one row: it holds what is to be done.
    """
    shown = [*_SHOWN, *(() if convention in _SHOWN else (convention,))]
    rule = f"{rules.name}: at most {count(rules.cap)} bytes ({human(rules.cap)}) as {convention}"
    # A narrow screen leaves out a column, but for the chosen one; that one, too, where it would show nothing.
    empty = all(isinstance(outcome, Unchecked) or outcome.chosen.largest is None for outcome in outcomes)
    kept = Convention.LOGGED if empty else convention
    columns = (
        doc.name("submission", least=_NAME),
        *(doc.number(f"{one} *" if one is convention else str(one), rank=int(one is not kept)) for one in shown),
        doc.name("verdict"),
        doc.name("known"),
        doc.name("reason", least=_REASON),
    )
    rows = [_row(outcome, shown) for outcome in outcomes]
    quiet = [_quiet(one) for one in outcomes]
    short = not every and len(outcomes) > _MOST_ROWS and any(quiet)
    grids = [doc.grid(columns, rows, only=doc.Medium.PAGE if short else None, name_width=_NAME)]
    if short:
        told = [row for row, passes in zip(rows, quiet, strict=True) if not passes]
        others = _together([one for one, passes in zip(outcomes, quiet, strict=True) if passes], shown)
        grids.append(doc.grid(columns, [*told, others], only=doc.Medium.SCREEN, name_width=_NAME))
    return (
        doc.Facts(rows=(("rules", rule),), order=1),
        *grids,
        doc.prose(doc.bold(_result(outcomes)), order=-1),
    )


def _row(outcome: Outcome, shown: Sequence[Convention]) -> doc.GridRow:
    judged, how = verdict(outcome), known(outcome)
    words = (_word(judged), doc.DASH if how is None else str(how), _brief(outcome))
    if isinstance(outcome, Unchecked):
        return doc.line(outcome.path.name or str(outcome.path), *(doc.amount(None) for _ in shown), *words)
    name = outcome.folder.root.name or outcome.folder.root.resolve().name
    return doc.line(name, *(_total(outcome, one) for one in shown), *words)


def _quiet(outcome: Outcome) -> bool:
    """Whether nothing is to be said of it but that it passes."""
    return verdict(outcome) is Judgement.PASSED and not reason(outcome)


def _together(passed: Sequence[Outcome], shown: Sequence[Convention]) -> doc.GridRow:
    """Submissions that pass, in a row: the largest total of each convention."""
    cells = []
    for one in shown:
        tallies = (outcome.tallies[one].largest for outcome in passed if isinstance(outcome, Checked))
        cells.append(doc.amount(max((row.total for row in tallies if row is not None), default=None)))
    how = " or ".join(sorted({str(known(outcome)) for outcome in passed}))
    name = f"[{len(passed)} others, largest]"
    return doc.line(name, *cells, _word(Judgement.PASSED), how, "rows: --format markdown")


def _total(checked: Checked, convention: Convention) -> doc.Cell:
    largest = checked.tallies[convention].largest
    return doc.amount(None if largest is None else largest.total)


def _word(judged: Judgement) -> str:
    """Only what passes is in small letters."""
    return str(judged) if judged is Judgement.PASSED else str(judged).upper()


def reason(outcome: Outcome) -> str:
    """Why it does not pass; of one that does, how many warnings it has."""
    if isinstance(outcome, Unchecked):
        return outcome.reason
    headroom = outcome.chosen.headroom
    if headroom is None:
        return outcome.chosen.reason
    if headroom < 0:
        return f"over by {count(-headroom)}"
    if outcome.failing:
        return ", ".join(outcome.failing)
    warnings = outcome.codes(Severity.WARNING)
    return f"warns of {', '.join(warnings)}" if warnings else ""


def _brief(outcome: Outcome) -> str:
    """The reason as short as a row has room for; what to do is in the report."""
    text = reason(outcome)
    if isinstance(outcome, Checked) and outcome.chosen.headroom is None:
        undecided = text == outcome.code.undecided
        text = outcome.code.briefly if undecided else text.partition(": ")[0]
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1].rstrip()}…"


def github_commands(outcomes: Sequence[Outcome]) -> str:
    """A notice with the result, an error for every submission that does not pass, then the warnings of the others."""
    errors: list[str] = []
    warnings: list[str] = []
    for outcome in outcomes:
        judged = verdict(outcome)
        if isinstance(outcome, Unchecked):
            errors.append(trouble(_TITLE, outcome.error, outcome.path))
            continue
        root, file = outcome.folder.root, _main_file(outcome)
        if judged is not Judgement.PASSED:
            text = f"{root}: {_word(judged)}: {reason(outcome)}"
            errors.append(command("error", _TITLE, text, file=file))
        for found in outcome.findings:
            if found.severity is not Severity.NOTE and found.code not in _SAID:
                serious = found.severity is Severity.ERROR or outcome.strict
                (errors if serious else warnings).append(_annotation(root, found, file, serious=serious))
    return "\n".join([command("notice", _TITLE, _result(outcomes)), *errors, *warnings]) + "\n"


def _annotation(root: Path, found: Finding, main: Path, *, serious: bool) -> str:
    """A finding at the file and line that it is about; one about the whole at the main file."""
    kind, title, text = "error" if serious else "warning", f"{_TITLE} {found.code}", f"{root}: {found.message}"
    if found.file is None or found.code in _TOTALS:
        return command(kind, title, text, file=main)
    # A file that an option names may lie outside of the folder.
    return command(kind, title, text, file=Path(os.path.normpath(root / found.file)), line=found.line)


def _main_file(checked: Checked) -> Path:
    """The file that an annotation stands at: what claims, else the program."""
    claims = [file.path for file in checked.folder.of(FileKind.CLAIMS)]
    named = [*claims, *(file.path for file in checked.code.files)]
    return checked.folder.root / named[0] if named else checked.folder.root


def _result(outcomes: Sequence[Outcome]) -> str:
    """How many there are of each verdict, and how many of those that pass rest on a claim."""
    judged = [verdict(outcome) for outcome in outcomes]
    counted = Counter(judged)
    told = [f"{count(counted[one])} {_word(one)}" for one in Judgement if counted[one]]
    passed = (known(outcome) for outcome, one in zip(outcomes, judged, strict=True) if one is Judgement.PASSED)
    how = Counter(str(one) for one in passed if one is not None)
    basis = f"; passed as {', '.join(f'{word} {count(number)}' for word, number in sorted(how.items()))}" if how else ""
    what = "1 submission" if len(outcomes) == 1 else f"{count(len(outcomes))} submissions"
    return f"{what}: {', '.join(told)}{basis}"
