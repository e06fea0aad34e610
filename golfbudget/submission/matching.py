"""Which counted figure a claim agrees with, to the byte; only a mean may be rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from golfbudget.rules import Convention
from golfbudget.submission.claims import About, Claim
from golfbudget.submission.code import Code
from golfbudget.submission.conventions import CountedModel, CountedRun, Tally


class Sort(StrEnum):
    """What the figure is that a claim agrees with."""

    LARGEST = "largest"
    RUN = "run"
    MEAN = "mean"
    MODEL = "model"
    CODE = "code"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A figure by name, as reports print it."""

    name: str
    sort: Sort
    mean: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A claim and what it agrees with, None where that is nothing."""

    claim: Claim
    agrees: Agreement | None


def match(
    claim: Claim,
    tallies: Mapping[Convention, Tally],
    chosen: Convention,
    code: Code,
    models: Sequence[CountedModel],
    *,
    logged: bool = False,
) -> Matched:
    """Find the figure; the chosen convention is asked first.

    A log's own line (`logged`) is no proof of itself, and no claim of one that is made of the claims.
    """
    tallies = {convention: replace(tally, rows=_not_stated(tally.rows)) for convention, tally in tallies.items()}
    models = [model for model in models if not model.stated]
    order = [chosen, *(convention for convention in tallies if convention is not chosen)]
    asked = [tallies[convention] for convention in order if not (logged and convention is Convention.LOGGED)]
    figures = {
        About.TOTAL: lambda: _totals(claim, asked, models),
        About.MODEL: lambda: _models(claim, models, logged=logged),
        About.CODE: lambda: _codes(asked, code),
    }.get(claim.about)
    for number, tolerance, agreement in figures() if figures else ():
        # A mean is of so many runs: in whole numbers, number/tolerance is the mean.
        if abs(claim.number * tolerance - number) < (tolerance if agreement.mean else 1):
            return Matched(claim=claim, agrees=agreement)
    return Matched(claim=claim, agrees=None)


def _not_stated(rows: Sequence[CountedRun]) -> tuple[CountedRun, ...]:
    return tuple(row for row in rows if not row.stated)


_Figures = Iterator[tuple[int, int, Agreement]]


def _of_seed(claim: Claim, rows: Sequence[CountedRun]) -> list[CountedRun]:
    """Rows of the claim's seed; a row of no seed is of every one."""
    return [row for row in rows if claim.seed is None or row.seed in (claim.seed, None)]


def _totals(claim: Claim, tallies: Sequence[Tally], models: Sequence[CountedModel]) -> _Figures:
    for tally in tallies:
        name, largest = f"{tally.convention}.total_bytes", tally.largest
        if largest is not None and _of_seed(claim, [largest]):
            label = "" if claim.seed is None or len(tally.rows) == 1 else f" of {largest.label}"
            yield largest.total, 1, Agreement(name=name + label, sort=Sort.LARGEST)
    for tally in tallies:
        for row in _of_seed(claim, tally.rows):
            name = f"{tally.convention}.total_bytes of {row.label}"
            yield row.total, 1, Agreement(name=name, sort=Sort.RUN)
    for tally in tallies:
        if len(tally.rows) > 1:
            total = sum(row.total for row in tally.rows)
            name = f"mean of {tally.convention}.total_bytes"
            yield total, len(tally.rows), Agreement(name=name, sort=Sort.MEAN, mean=True)
    for number, count, agreement in _models(claim, models, logged=False):
        yield number, count, Agreement(name=agreement.name, sort=Sort.MODEL, mean=agreement.mean)


def _models(claim: Claim, models: Sequence[CountedModel], *, logged: bool) -> _Figures:
    known = [model for model in models if not (logged and model.claimed)]
    for model in known:
        if claim.seed is None or model.seed in (claim.seed, None):
            yield model.size, 1, Agreement(name=f"model_bytes of {model.source}", sort=Sort.MODEL)
    if len(known) > 1:
        total = sum(model.size for model in known)
        yield total, len(known), Agreement(name="mean of model_bytes", sort=Sort.MODEL, mean=True)


def _codes(tallies: Sequence[Tally], code: Code) -> _Figures:
    for tally in tallies:
        for row in tally.rows:
            if row.code is not None:
                label = f" of {row.label}" if tally.convention is Convention.LOGGED else ""
                yield row.code, 1, Agreement(name=f"{tally.convention}.code_bytes{label}", sort=Sort.CODE)
    if not any(tally.convention is Convention.SHIPPED and tally.rows for tally in tallies):
        yield code.length, 1, Agreement(name="shipped.code_bytes", sort=Sort.CODE)
    for file in (*code.files, *code.uncounted):
        yield file.size, 1, Agreement(name=f"the length of {file.path}", sort=Sort.FILE)
