"""Texts in which people write the size of their artifact, and the totals in bytes that they give there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from golfbudget.rules import Convention
from golfbudget.submission.findings import Checked, Finding
from golfbudget.submission.folder import matches
from golfbudget.submission.loglines import read_line
from golfbudget.submission.places import Place

_LONGEST = 1 << 22
_NAMES = ("README*",)
#: What marks words as bold or as code.
_MARKS = re.compile(r"[*`]+|</?(?:b|strong|code|em)>")


def prose(checked: Checked) -> Iterator[tuple[str, str]]:
    """The texts in which people write sizes: path and content."""
    for file in checked.folder.files:
        if matches(file.path, _NAMES) and file.size <= _LONGEST:
            yield file.path, _text(checked.folder.place(file))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        # Prose proves nothing; not being able to read it is no reason to stop.
        return ""


def unknown_totals(checked: Checked, known: list[int]) -> Iterator[tuple[Place, int]]:
    """Totals in bytes that prose gives and nothing counts to, each once: neither the `known` numbers nor a log's."""
    figures = {figure.number for log in checked.logs for run in log.runs for figure in run.figures}
    seen = {*known, *figures, checked.rules.cap, *_means(checked)}
    for path, text in prose(checked):
        for number, line in enumerate(text.splitlines(), 1):
            for figure in read_line(_MARKS.sub("", line), number).figures:
                if figure.what == "total" and not figure.rounded and figure.number not in seen:
                    seen.add(figure.number)
                    yield Place(file=path, line=number), figure.number


def _means(checked: Checked) -> Iterator[int]:
    """Means of what the seeds come to, rounded either way."""
    for tally in checked.tallies.values():
        if tally.rows:
            mean = sum(row.total for row in tally.rows) // len(tally.rows)
            yield from (mean, mean + 1)


def examine_prose(checked: Checked, known: list[int]) -> Iterator[Finding]:
    """GB304 for totals in prose."""
    for place, number in unknown_totals(checked, known):
        row = checked.chosen.largest or checked.tallies[Convention.LOGGED].largest
        if row is not None and not row.stated:
            message = f"{place} says {number:,} bytes in total, which no count gives; the largest run has {row.total:,}"
            yield Finding(code="GB304", message=message, place=place)
