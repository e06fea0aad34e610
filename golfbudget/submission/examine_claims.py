"""Findings about claims: what logs and JSON say against what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from golfbudget.rules import Convention
from golfbudget.submission.checked import Checked
from golfbudget.submission.claims import About
from golfbudget.submission.findings import Finding
from golfbudget.submission.folder import matches
from golfbudget.submission.matching import Matched, Sort
from golfbudget.submission.megabytes import MEBI, Mistaken, mistaken, sizes_in_text

_LONGEST_TEXT = 1 << 22
#: Texts in which people write the size of their artifact.
_PROSE = ("README*",)


def examine_claims(checked: Checked) -> Iterator[Finding]:
    """GB201, GB202 and GB3xx."""
    yield from _packed(checked)
    yield from _code(checked)
    yield from _model(checked)
    for matched in checked.matched:
        if matched.claim.source in _claim_files(checked) and matched.claim.about is About.TOTAL:
            yield from _total(checked, matched)
    yield from _sums(checked)
    yield from _megabytes(checked)


def _claim_files(checked: Checked) -> set[str]:
    return {claim.source for claim in checked.stated.numbers}


def _who(found: Iterable[Matched]) -> str:
    places = list(dict.fromkeys(f"{matched.claim.source} ({matched.claim.key})" for matched in found))
    return ", ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")


def _compressed(checked: Checked) -> set[int]:
    """Code lengths that a log calls compressed, or that are what packing gives, and that are not shipped."""
    compressed = {run.compressed.number for run in checked.runs if run.compressed}
    compressed.add(checked.packed.length)
    return {number for number in compressed if number < checked.code.length}


def _packed(checked: Checked) -> Iterator[Finding]:
    compressed = _compressed(checked)
    claimed = [m for m in checked.matched if m.claim.about is About.CODE and m.claim.number in compressed]
    if claimed:
        numbers = ", ".join(f"{number:,}" for number in sorted({matched.claim.number for matched in claimed}))
        files = ", ".join(file.path for file in checked.code.files)
        yield Finding(
            code="GB202",
            message=f"{_who(claimed)}: {numbers} bytes of packed code are claimed, but what is shipped ({files}) has "
            f"{checked.code.length:,} bytes; ship the packed file (golfbudget pack-code FILE -o OUT)",
        )


def _code(checked: Checked) -> Iterator[Finding]:
    compressed, code = _compressed(checked), checked.code
    # The figures with a finding of their own: a stub's or helper's program without the rest.
    partial = {code.length, *(file.size for file in code.files)} if len(code.files) > 1 else {code.length}
    wrong: dict[int, list[Matched]] = {}
    for matched in checked.matched:
        number = matched.claim.number
        if matched.claim.about is About.CODE and number not in compressed and number not in partial:
            wrong.setdefault(number, []).append(matched)
    for number, same in wrong.items():
        yield Finding(
            code="GB201",
            message=f"{_who(same)}: {number:,} bytes of code are claimed, but on disk "
            f"{' and '.join(file.path for file in code.files)} {'has' if len(code.files) == 1 else 'have'} "
            f"{code.length:,}, {_difference(code.length, number)}",
        )


def _difference(there: int, claimed: int) -> str:
    return f"{abs(there - claimed):,} {'more' if there > claimed else 'fewer'}"


def _model(checked: Checked) -> Iterator[Finding]:
    models = [model for model in checked.models if not model.claimed]
    if not models:
        return
    for matched in checked.matched:
        claim = matched.claim
        same = [model for model in models if model.seed in (claim.seed, None) or claim.seed is None]
        if claim.about is About.MODEL and matched.agrees is None and same:
            there = same[0].size
            yield Finding(
                code="GB201",
                message=f"{claim.source} ({claim.key}): {claim.number:,} bytes of model are claimed, but "
                f"{same[0].source} has {there:,}, {_difference(there, claim.number)}",
            )


def _total(checked: Checked, matched: Matched) -> Iterator[Finding]:
    claim, agrees = matched.claim, matched.agrees
    said = f"{claim.source}: {claim.key} is {claim.number:,} bytes"
    largest = _largest(checked)
    if agrees is None and not largest:
        yield Finding(code="GB304", message=f"{said}, and nothing in the folder is there to check it by")
    elif agrees is None:
        yield Finding(code="GB304", message=f"{said}, which no count gives{largest}")
    elif agrees.sort is Sort.MODEL:
        what = f"the {agrees.name}" if agrees.mean else "the model alone"
        yield Finding(code="GB302", message=f"{said}: that is {what}, without code{largest}")
    elif agrees.sort is Sort.MEAN and not claim.mean:
        yield Finding(code="GB301", message=f"{said}: that is the {agrees.name}; the largest run decides{largest}")
    elif agrees.sort is Sort.RUN and claim.seed is None and not claim.mean:
        yield Finding(code="GB303", message=f"{said}: that is the {agrees.name}, not of the largest run{largest}")


def _largest(checked: Checked) -> str:
    """What the total should be."""
    for convention in (checked.convention, Convention.LOGGED, Convention.SHIPPED):
        row = checked.tallies[convention].largest
        if row is not None:
            return f"; {convention} is {row.total:,}" + (f" ({row.label})" if len(checked.models) > 1 else "")
    return ""


def _sums(checked: Checked) -> Iterator[Finding]:
    for run in checked.runs:
        if run.code and run.model and run.total and run.code.number + run.model.number != run.total.number:
            yield Finding(
                code="GB306",
                message=f"{run.source}, line {run.total.line}: a total of {run.total.number:,} bytes is printed, but "
                f"model {run.model.number:,} and code {run.code.number:,} sum to "
                f"{run.model.number + run.code.number:,}",
            )


def _megabytes(checked: Checked) -> Iterator[Finding]:
    numbers = [row.total for tally in checked.tallies.values() for row in tally.rows]
    numbers += [model.size for model in checked.models]
    numbers += [matched.claim.number for matched in checked.matched if matched.claim.about is About.TOTAL]
    for stated in checked.stated.megabytes:
        for wrong in mistaken(stated.text, numbers):
            yield _mebibytes(f"{stated.source} ({stated.key})", wrong)
    for file in checked.folder.files:
        if matches(file.path, _PROSE) and file.size <= _LONGEST_TEXT:
            for wrong in sizes_in_text(_text(checked.folder.place(file)), numbers):
                yield _mebibytes(file.path, wrong)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        # Prose proves nothing; not being able to read it is no reason to stop.
        return ""


def _mebibytes(where: str, wrong: Mistaken) -> Finding:
    return Finding(
        code="GB305",
        message=f"{where} says {wrong.text}, which is right only in MiB: {wrong.number:,} bytes are "
        f"{wrong.number / 10**6:.2f} MB and {wrong.number / MEBI:.2f} MiB",
    )
