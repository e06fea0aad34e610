"""Which text chooses and which reports: what is chosen on a text looks better there than it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from golfbudget.quality.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The text that chooses and the one that reports, and what to call them."""

    chooses: Text
    reports: Text
    chosen_on: str
    reported_on: str


def split(text: Text, calibration: Text | None) -> Texts:
    """The calibration text chooses where there is one, and else the first tenth of the only text."""
    if calibration is not None:
        return Texts(chooses=calibration, reports=text, chosen_on="the calibration text", reported_on="all of --tokens")
    first = text.choosing
    return Texts(
        chooses=text.first(first),
        reports=replace(text, windows=text.windows[first:], bytes_per_window=text.bytes_per_window[first:]),
        chosen_on=f"the first {first} of {len(text.windows)} windows of --tokens",
        reported_on=f"the other {len(text.windows) - first} windows",
    )
