"""Findings about totals against the cap, and about claims: what logs and JSON say against what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from golfbudget.rules import Convention
from golfbudget.submission.claims import About
from golfbudget.submission.conventions import Tally
from golfbudget.submission.findings import Checked
from golfbudget.submission.folder import matches
from golfbudget.submission.matching import Matched, Sort
from golfbudget.submission.megabytes import MEBI, Mistaken, mistaken, sizes_in_text

_LONGEST_TEXT = 1 << 22
#: Texts in which people write the size of their artifact.
_PROSE = ("README*",)


def examine_claims(checked: Checked) -> Iterator[str]:
    """GB201, GB202 and GB3xx.  A finding is its code, then its message."""
    yield from _packed(checked)
    yield from _code(checked)
    yield from _model(checked)
    for matched in checked.matched:
        if matched.claim.source in _claim_files(checked) and matched.claim.about is About.TOTAL:
            yield from _total(checked, matched)
    yield from _megabytes(checked)


def _claim_files(checked: Checked) -> set[str]:
    return {claim.source for claim in checked.stated.numbers}


def _who(found: Iterable[Matched]) -> str:
    places = list(dict.fromkeys(matched.claim.place for matched in found))
    return ", ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")


def _compressed(checked: Checked) -> set[int]:
    """Code lengths that a log calls compressed, or that are what packing gives, and that are not shipped."""
    compressed = {run.compressed.number for run in checked.runs if run.compressed}
    if checked.packed is not None:
        compressed.add(checked.packed.length)
    return {number for number in compressed if number < checked.code.length}


def _packed(checked: Checked) -> Iterator[str]:
    compressed = _compressed(checked)
    claimed = [m for m in checked.matched if m.claim.about is About.CODE and m.claim.number in compressed]
    if claimed:
        numbers = ", ".join(f"{number:,}" for number in sorted({matched.claim.number for matched in claimed}))
        files = ", ".join(file.path for file in checked.code.files)
        yield (
            f"GB202 {_who(claimed)}: {numbers} bytes of packed code are claimed, but what is shipped ({files}) has "
            f"{checked.code.length:,} bytes; ship the packed file (golfbudget pack-code FILE -o OUT)"
        )


def _code(checked: Checked) -> Iterator[str]:
    compressed, code = _compressed(checked), checked.code
    if code.undecided:
        return
    # The figures with a finding of their own: a stub's or helper's program without the rest.
    partial = {code.length, *(file.size for file in code.files)} if len(code.files) > 1 else {code.length}
    wrong: dict[int, list[Matched]] = {}
    for matched in checked.matched:
        number = matched.claim.number
        if matched.claim.about is About.CODE and number not in compressed and number not in partial:
            wrong.setdefault(number, []).append(matched)
    for number, same in wrong.items():
        yield (
            f"GB201 {_who(same)}: {number:,} bytes of code are claimed, but on disk "
            f"{' and '.join(file.path for file in code.files)} {'has' if len(code.files) == 1 else 'have'} "
            f"{code.length:,}, {_difference(code.length, number)}"
        )


def _difference(there: int, claimed: int) -> str:
    return f"{abs(there - claimed):,} {'more' if there > claimed else 'fewer'}"


def _model(checked: Checked) -> Iterator[str]:
    models = [model for model in checked.models if not model.claimed]
    if not models:
        return
    for matched in checked.matched:
        claim = matched.claim
        same = [model for model in models if model.seed in (claim.seed, None) or claim.seed is None]
        if claim.about is About.MODEL and matched.agrees is None and same:
            there = same[0].size
            yield (
                f"GB201 {claim.place}: {claim.number:,} bytes of model are claimed, but "
                f"{same[0].source} has {there:,}, {_difference(there, claim.number)}"
            )


def _total(checked: Checked, matched: Matched) -> Iterator[str]:
    claim, agrees = matched.claim, matched.agrees
    said = f"{claim.source}: {claim.key} is {claim.number:,} bytes" + (f" (line {claim.line})" if claim.line else "")
    largest = _largest(checked)
    if agrees is None and not largest:
        yield f"GB304 {said}, and nothing in the folder is there to check it by"
    elif agrees is None:
        yield f"GB304 {said}, which no count gives{_nearest(checked, matched)}{largest}"
    elif agrees.sort is Sort.MODEL:
        what = f"the {agrees.name}" if agrees.mean else "the model alone"
        yield f"GB302 {said}: that is {what}, without code{largest}"
    elif agrees.sort is Sort.MEAN and not claim.mean:
        yield f"GB301 {said}: that is the {agrees.name}; the largest run decides{largest}"
    elif agrees.sort is Sort.RUN and claim.seed is None and not claim.mean:
        yield f"GB303 {said}: that is the {agrees.name}, not of the largest run{largest}"


def _nearest(checked: Checked, matched: Matched) -> str:
    """The figure of the claim's seed that is nearest, or the one of another seed that the claim is."""
    claim, name = matched.claim, f"{checked.convention}.total_bytes"
    tallies = (checked.chosen, *checked.tallies.values())
    for tally in tallies:
        for row in tally.rows:
            if row.total == claim.number and not row.stated:
                return f" of seed {claim.seed}; it is {tally.convention}.total_bytes of {row.label}"
    rows = [row for row in checked.chosen.rows if not row.stated and claim.seed in (None, row.seed)]
    if not rows or (claim.seed is None and len(rows) == 1):
        return ""
    row = min(rows, key=lambda row: abs(row.total - claim.number))
    return f"; the nearest {name} is {row.total:,} ({row.label}), {_difference(row.total, claim.number)}"


def _largest(checked: Checked) -> str:
    for convention in (checked.convention, Convention.LOGGED, Convention.SHIPPED):
        row = checked.tallies[convention].largest
        if row is not None and not row.stated:
            return f"; {convention} is {row.total:,}" + (f" ({row.label})" if len(checked.models) > 1 else "")
    return ""


def _megabytes(checked: Checked) -> Iterator[str]:
    numbers = known_bytes(checked)
    for stated in checked.stated.megabytes:
        for wrong in mistaken(stated.text, numbers):
            yield _mebibytes(f"{stated.source} ({stated.key})", wrong)
    for path, text in prose(checked):
        for wrong in sizes_in_text(text, numbers):
            yield _mebibytes(path, wrong)


def known_bytes(checked: Checked) -> list[int]:
    """Every total, model and claimed total, which a size in megabytes may be of."""
    numbers = [row.total for tally in checked.tallies.values() for row in tally.rows]
    numbers += [model.size for model in checked.models]
    return numbers + [matched.claim.number for matched in checked.matched if matched.claim.about is About.TOTAL]


def prose(checked: Checked) -> Iterator[tuple[str, str]]:
    """The texts in which people write sizes: path and content."""
    for file in checked.folder.files:
        if matches(file.path, _PROSE) and file.size <= _LONGEST_TEXT:
            yield file.path, _text(checked.folder.place(file))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        # Prose proves nothing; not being able to read it is no reason to stop.
        return ""


def _mebibytes(where: str, wrong: Mistaken) -> str:
    return (
        f"GB305 {where} says {wrong.text}, which is right only in MiB: {wrong.number:,} bytes are "
        f"{wrong.number / 10**6:.2f} MB and {wrong.number / MEBI:.2f} MiB"
    )


def examine_totals(checked: Checked) -> Iterator[str]:
    """GB1xx and GB501.  A finding is its code, then its message."""
    for convention, tally in checked.tallies.items():
        yield from _over(tally, chosen=convention is checked.convention)
    if not checked.chosen.rows:
        yield (
            f"GB104 {checked.convention} cannot be counted: {checked.chosen.reason}; name what is missing with "
            "--model FILE or --log FILE, or choose another --convention"
        )
    yield from _close(checked.chosen)
    yield from _claimed(checked)


def _over(tally: Tally, *, chosen: bool) -> Iterator[str]:
    if tally.fits is not False or tally.largest is None:
        return
    over, row = tally.largest.total - tally.cap, tally.largest
    message = (
        f"over the cap of {tally.cap:,} bytes by {over:,} as {tally.convention}: {row.total:,} bytes ({row.label}"
        + (f"; code {row.code:,}, model {row.model:,}" if row.code is not None and row.model is not None else "")
        + (f", other files {row.other:,}" if row.other else "")
        + ")"
    )
    if chosen:
        yield f"GB101 {message}"
    elif tally.convention is not Convention.FOLDER:
        # Nobody keeps the whole folder under the cap; the table shows by how much it is over.
        yield f"GB102 {message}"


def _close(tally: Tally) -> Iterator[str]:
    if tally.fits and tally.spread is not None and tally.headroom is not None and tally.headroom < tally.spread:
        yield (
            f"GB103 {tally.headroom:,} bytes are left as {tally.convention}, less than the {tally.spread:,} bytes "
            f"between the seeds at hand ({len(tally.rows)} runs): another seed may be over the cap"
        )


def _claimed(checked: Checked) -> Iterator[str]:
    sources = dict.fromkeys(model.source for model in checked.models if model.claimed)
    if sources:
        yield f"GB501 no model file: model bytes are claimed by {', '.join(sources)}"
