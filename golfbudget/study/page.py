"""The page about the study: what it says of results stands between marks, and is made from the results.

Only what is between `<!-- NAME -->` and `<!-- end -->` is written; all other text stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from golfbudget.errors import UsageError
from golfbudget.study import tables
from golfbudget.study.comparing import SCALES, Study

_MADE = re.compile(r"<!-- ([a-z0-9-]+) -->\n.*?<!-- end -->", re.DOTALL)


def parts(study: Study) -> Mapping[str, Callable[[], str]]:
    """What each mark stands for."""
    found: dict[str, Callable[[], str]] = {
        "answer": lambda: tables.answer(study),
        "missing": lambda: tables.missing(study),
        "reference": lambda: tables.reference(study),
    }
    of_scales = {
        "losses": tables.losses, "bytes": tables.bytes_table, "ties": tables.ties, "training": tables.training
    }  # fmt: skip
    for name, make in of_scales.items():
        for scale in SCALES:
            found[f"{name}-{scale}"] = partial(make, study, scale)
    return found


def rewritten(text: str, study: Study, where: str) -> str:
    """The page with every marked part made again; `UsageError` for a mark that stands for nothing."""
    known = parts(study)

    def made(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise UsageError(f"{where}: mark {found[1]!r} is none of {', '.join(known)}")
        return f"<!-- {found[1]} -->\n{known[found[1]]()}\n<!-- end -->"

    return _MADE.sub(made, text)


def rewrite(page: Path, study: Study) -> bool:
    """Make a page's parts again; whether anything changed."""
    before = page.read_text(encoding="utf-8")
    after = rewritten(before, study, str(page))
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before
