"""The table of docs/speed.md, made by `make bench`: a row stays as it was measured last until it is measured again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Every row of the table, in its order.
ROWS = (
    "`inspect` of a small safetensors file",
    "the demo, nothing kept",
    "the demo beside two busy processes",
    *(f"decode and attribute 23 MB in {codec}" for codec in ("zlib", "gzip", "deflate", "brotli", "zstd", "xz")),
    "`repack` of the example's artifact",
    "`check` of 100 submissions",
    "100 estimates by two workers",
)
_ROW = re.compile(r"^\| (?P<what>[^|]+?) \| (?P<rest>.+) \|$", re.MULTILINE)
_HEAD = ("what", "---")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One row: what was timed, what it took, and what that is held against, if anything."""

    what: str
    takes: str
    against: str = "–"


def rows_of(page: str) -> dict[str, str]:
    """The table's rows by what was timed: what stands behind it."""
    return {found["what"]: found["rest"] for found in _ROW.finditer(page) if found["what"] not in _HEAD}


def rewritten(page: str, timings: Iterable[Timing]) -> str:
    """The page with these rows in place of their earlier ones; `KeyError` for one that the table does not have."""
    rows = rows_of(page)
    for timing in timings:
        if timing.what not in ROWS:
            raise KeyError(timing.what)
        rows[timing.what] = f"{timing.takes} | {timing.against}"
    table = [f"| {what} | {rows[what]} |" for what in ROWS if what in rows]
    before, after = page.split("|---|---:|---|\n", 1)
    rest = after[after.index("\n\n") :] if "\n\n" in after else "\n"
    return f"{before}|---|---:|---|\n{chr(10).join(table)}{rest}"
