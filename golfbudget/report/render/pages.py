"""What markdown and html have in common: which parts a page has, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from golfbudget.report.document import Facts, Line, Medium, Part


def page_parts(parts: Sequence[Part]) -> list[Part]:
    """The parts of a page, in its order; facts that follow on facts are one list with them."""
    made: list[Part] = []
    for part in sorted((part for part in parts if part.only is not Medium.SCREEN), key=lambda part: part.order):
        if isinstance(part, Facts) and made and isinstance(made[-1], Facts):
            made[-1] = Facts(rows=(*made[-1].rows, *part.rows))
        else:
            made.append(part)
    return made


def paragraphs(lines: Iterable[Line]) -> list[list[Line]]:
    """Lines as paragraphs of one line each, bullets that follow on each other as one list."""
    made: list[list[Line]] = []
    for line in lines:
        if line.bullet and made and made[-1][-1].bullet:
            made[-1].append(line)
        else:
            made.append([line])
    return made
