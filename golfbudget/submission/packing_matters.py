"""Whether anything that a check says hangs on the packed length of the code, which takes a second to find.

It is at most the code's own length, and more than nothing: what no length in between changes does not hang on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from golfbudget.rules import Convention
from golfbudget.submission.claims import About
from golfbudget.submission.examine_claims import known_bytes
from golfbudget.submission.findings import Checked
from golfbudget.submission.matching import Matched, Sort
from golfbudget.submission.megabytes import may_be_of, said_in_text
from golfbudget.submission.prose import prose, unknown_totals

#: Conventions that a claim is compared with before the packed one, in whatever order they are asked.
_BEFORE = (Convention.LOGGED, Convention.SHIPPED)


def hangs_on_packing(checked: Checked) -> bool:
    """Whether a verdict, a finding or an agreement may be another once the code is packed.

    `checked` is counted without that, and has no findings yet.
    """
    shipped = checked.tallies[Convention.SHIPPED]
    if checked.convention is Convention.PACKED or shipped.fits is False:
        return True
    if any(_claim_hangs(checked, matched) for matched in checked.matched):
        return True
    numbers, ranges = known_bytes(checked), [(row.total - checked.code.length, row.total) for row in shipped.rows]
    if any(least < number <= most for _, number in unknown_totals(checked, numbers) for least, most in ranges):
        return True
    return any(may_be_of(text, numbers, least, most) for least, most in ranges for text in _megabytes(checked))


def _megabytes(checked: Checked) -> Iterator[str]:
    yield from (stated.text for stated in checked.stated.megabytes)
    for _, text in prose(checked):
        yield from (size for _, size in said_in_text(text))


def _claim_hangs(checked: Checked, matched: Matched) -> bool:
    claim, agrees = matched.claim, matched.agrees
    if claim.about is About.CODE:
        return claim.number < checked.code.length
    rows = checked.tallies[Convention.SHIPPED].rows
    if claim.about is not About.TOTAL or not rows:
        return False
    least = min(row.total for row in rows) - checked.code.length
    if not least < claim.number <= max(row.total for row in rows):
        return False
    # A figure that is asked first settles it.
    first = agrees is not None and agrees.name.startswith(tuple(f"{one}." for one in _BEFORE))
    return not (first and agrees is not None and (agrees.sort is Sort.LARGEST or claim.seed is not None))
