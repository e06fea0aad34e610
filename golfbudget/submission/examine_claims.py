"""Findings about totals against the cap, and about claims: what logs and JSON say against what is there."""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.rules import Convention
from golfbudget.submission.claims import About, Claim, Stated
from golfbudget.submission.conventions import Tally
from golfbudget.submission.findings import Checked, Finding
from golfbudget.submission.matching import Matched, Sort
from golfbudget.submission.megabytes import MEBI, Mistaken, is_of_none, mistaken, sizes_in_text
from golfbudget.submission.places import Place, listed
from golfbudget.submission.prose import examine_prose, prose


def examine_claims(checked: Checked) -> Iterator[Finding]:
    """GB201, GB202 and GB3xx."""
    yield from _packed(checked)
    yield from _code(checked)
    yield from _model(checked)
    files = {claim.source for claim in checked.stated.numbers}
    for matched in checked.matched:
        if matched.claim.source in files and matched.claim.about is About.TOTAL:
            yield from _total(checked, matched)
    yield from _unread(checked)
    yield from _megabytes(checked)
    yield from examine_prose(checked, known_bytes(checked))


def _compressed(checked: Checked) -> set[int]:
    """Code lengths that a log calls compressed, or that are what packing gives, and that are not shipped."""
    compressed = {run.compressed.number for run in checked.runs if run.compressed}
    if checked.packed is not None:
        compressed.add(checked.packed.length)
    return {number for number in compressed if number < checked.code.length}


def _packed(checked: Checked) -> Iterator[Finding]:
    compressed = _compressed(checked)
    claimed = [m.claim for m in checked.matched if m.claim.about is About.CODE and m.claim.number in compressed]
    if claimed:
        numbers = ", ".join(f"{number:,}" for number in sorted({claim.number for claim in claimed}))
        files = ", ".join(file.path for file in checked.code.files)
        message = (
            f"{listed(claimed)}: {numbers} bytes of packed code are claimed, but what is shipped ({files}) has "
            f"{checked.code.length:,} bytes; ship the packed file (golfbudget pack-code FILE -o OUT)"
        )
        yield Finding(code="GB202", message=message, place=claimed[0].place)


def _code(checked: Checked) -> Iterator[Finding]:
    compressed, code = _compressed(checked), checked.code
    if code.undecided:
        return
    # The figures with a finding of their own: a stub's or helper's program without the rest.
    partial = {code.length, *(file.size for file in code.files)} if len(code.files) > 1 else {code.length}
    wrong: dict[int, list[Claim]] = {}
    for matched in checked.matched:
        number = matched.claim.number
        if matched.claim.about is About.CODE and number not in compressed and number not in partial:
            wrong.setdefault(number, []).append(matched.claim)
    for number, same in wrong.items():
        message = (
            f"{listed(same)}: {number:,} bytes of code are claimed, but on disk "
            f"{' and '.join(file.path for file in code.files)} {'has' if len(code.files) == 1 else 'have'} "
            f"{code.length:,}, {_difference(code.length, number)}"
        )
        yield Finding(code="GB201", message=message, place=same[0].place)


def _difference(there: int, claimed: int) -> str:
    return f"{abs(there - claimed):,} {'more' if there > claimed else 'fewer'}"


def _model(checked: Checked) -> Iterator[Finding]:
    models = [model for model in checked.models if not model.claimed]
    if not models:
        yield from _logged_model(checked)
        return
    for matched in checked.matched:
        claim = matched.claim
        same = [model for model in models if model.seed in (claim.seed, None) or claim.seed is None]
        if claim.about is About.MODEL and matched.agrees is None and same:
            there = same[0].size
            message = (
                f"{claim}: {claim.number:,} bytes of model are claimed, but {same[0].source} has {there:,}, "
                f"{_difference(there, claim.number)}"
            )
            yield Finding(code="GB201", message=message, place=claim.place)


def _logged_model(checked: Checked) -> Iterator[Finding]:
    """Claims of a model that no log prints, where logs are all there is."""
    logged = [export.model for run in checked.runs for export in (*run.exports, *run.raw_exports) if export.model]
    logged = [figure for figure in logged if not figure.rounded]
    known = {figure.number for figure in logged} | {model.size for model in checked.models}
    files = {claim.source for claim in checked.stated.numbers}
    for claim in (m.claim for m in checked.matched if m.claim.about is About.MODEL and m.agrees is None):
        if logged and claim.source in files and claim.number not in known and not claim.mean:
            nearest = min(known, key=lambda number: abs(number - claim.number))
            message = (
                f"{claim.place}: {claim.key} is {claim.number:,} bytes, which no log prints; the nearest model has "
                f"{nearest:,}, {_difference(nearest, claim.number)}"
            )
            yield Finding(code="GB304", message=message, place=claim.place)


def _unread(checked: Checked) -> Iterator[Finding]:
    yield from map(_no_count, checked.stated.unread)


def _no_count(stated: Stated) -> Finding:
    message = f"{stated.place}: {stated.key} is {stated.text!r}, which is no count of bytes; write a whole number"
    return Finding(code="GB304", message=message, place=stated.place)


def _total(checked: Checked, matched: Matched) -> Iterator[Finding]:
    claim = matched.claim
    for code, why in _wrong_total(checked, matched):
        said = f"{claim.place}: {claim.key} is {claim.number:,} bytes"
        yield Finding(code=code, message=f"{said}{why}", place=claim.place)


def _wrong_total(checked: Checked, matched: Matched) -> Iterator[tuple[str, str]]:
    """What is wrong with a claimed total: the code of the finding, and how its message goes on."""
    claim, agrees, largest = matched.claim, matched.agrees, _largest(checked)
    if agrees is None and not largest:
        yield "GB304", ", and nothing in the folder is there to check it by"
    elif agrees is None:
        yield "GB304", f", which no count gives{_nearest(checked, matched)}{largest}"
    elif agrees.sort is Sort.MODEL:
        what = f"the {agrees.name}" if agrees.mean else "the model alone"
        yield "GB302", f": that is {what}, without code{largest}"
    elif agrees.sort is Sort.MEAN and not claim.mean:
        yield "GB301", f": that is the {agrees.name}; the largest run decides{largest}"
    elif agrees.sort is Sort.RUN and claim.seed is None and not claim.mean:
        yield "GB303", f": that is the {agrees.name}, not of the largest run{largest}"


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


def _megabytes(checked: Checked) -> Iterator[Finding]:
    numbers = known_bytes(checked)
    for stated in checked.stated.megabytes:
        for wrong in mistaken(stated.text, numbers):
            yield _mebibytes(str(stated), stated.place, wrong)
        if stated.about is About.TOTAL and not stated.mean and numbers and is_of_none(stated.text, numbers):
            message = f"{stated.place}: {stated.key} is {stated.text}, which no count gives{_largest(checked)}"
            yield Finding(code="GB304", message=message, place=stated.place)
    codes = [checked.code.length, *(run.code.number for run in checked.runs if run.code)]
    codes += [] if checked.packed is None else [checked.packed.length]
    for stated in checked.stated.amounts:
        among = codes if stated.about is About.CODE else numbers if stated.about is About.TOTAL else []
        if stated.span is None and stated.about is not About.OTHER:
            yield _no_count(stated)
        elif stated.span and among and not any(stated.span[0] <= number <= stated.span[1] for number in among):
            said = _largest(checked) if stated.about is About.TOTAL else f"; the code on disk has {codes[0]:,} bytes"
            message = f"{stated.place}: {stated.key} is {stated.text}, which no count gives{said}"
            yield Finding(code="GB304", message=message, place=stated.place)
    for path, text in prose(checked):
        for wrong in sizes_in_text(text, numbers):
            place = Place(file=path, line=wrong.line)
            yield _mebibytes(str(place), place, wrong)


def known_bytes(checked: Checked) -> list[int]:
    """Every total, model and claimed total, which a size in megabytes may be of."""
    numbers = [row.total for tally in checked.tallies.values() for row in tally.rows]
    numbers += [model.size for model in checked.models]
    return numbers + [matched.claim.number for matched in checked.matched if matched.claim.about is About.TOTAL]


def _mebibytes(where: str, place: Place, wrong: Mistaken) -> Finding:
    message = (
        f"{where} says {wrong.text}, which is right only in MiB: {wrong.number:,} bytes are "
        f"{wrong.number / 10**6:.2f} MB and {wrong.number / MEBI:.2f} MiB"
    )
    return Finding(code="GB305", message=message, place=place)


def examine_totals(checked: Checked) -> Iterator[Finding]:
    """GB1xx and GB501."""
    for convention, tally in checked.tallies.items():
        yield from _over(tally, chosen=convention is checked.convention)
    if not checked.chosen.rows:
        message = (
            f"{checked.convention} cannot be counted: {checked.chosen.reason}; name what is missing with --model FILE "
            "or --log FILE, or choose another --convention"
        )
        yield Finding(code="GB104", message=message)
    yield from _close(checked.chosen)
    yield from _claimed(checked)


def _over(tally: Tally, *, chosen: bool) -> Iterator[Finding]:
    if tally.fits is not False or tally.largest is None:
        return
    over, row = tally.largest.total - tally.cap, tally.largest
    # A run without a label of its own is called by its file, which need not be said twice.
    where = "" if row.place is None or row.label == str(row.place) else f"; {row.place}"
    message = (
        f"over the cap of {tally.cap:,} bytes by {over:,} as {tally.convention}: {row.total:,} bytes ({row.label}"
        + (f"; code {row.code:,}, model {row.model:,}" if row.code is not None and row.model is not None else "")
        + (f", other files {row.other:,}" if row.other else "")
        + f"{where})"
    )
    if chosen:
        yield Finding(code="GB101", message=message, place=row.place)
    elif tally.convention is not Convention.FOLDER:
        # Nobody keeps the whole folder under the cap; the table shows by how much it is over.
        yield Finding(code="GB102", message=message, place=row.place)


def _close(tally: Tally) -> Iterator[Finding]:
    row = tally.largest
    if tally.fits and row and tally.spread is not None and tally.headroom is not None and tally.headroom < tally.spread:
        message = (
            f"{tally.headroom:,} bytes are left as {tally.convention}, less than the {tally.spread:,} bytes "
            f"between the seeds at hand ({len(tally.rows)} runs, the largest in {row.place}): another seed may be over "
            "the cap"
        )
        yield Finding(code="GB103", message=message, place=row.place)


def _claimed(checked: Checked) -> Iterator[Finding]:
    claimed = [model for model in checked.models if model.claimed]
    if claimed:
        places = listed(f"{model.place} ({model.source})" if model.stated else model.place for model in claimed)
        message = f"no model file: model bytes are claimed by {places}"
        yield Finding(code="GB501", message=message, place=claimed[0].place)
