"""Figures that training logs print, run by run: code, model and total bytes, with the label the log gives them.

A figure is a whole line, perhaps behind a time stamp.  Source code that a log dumps is no figure, even where it
spells the same words: `log0(f"Code size: {code_bytes} bytes")` has neither the number nor the line to itself.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from golfbudget.errors import CorruptError, LimitError, UsageError

#: Public logs have at most a megabyte.
_LONGEST_LOG = 1 << 28
#: Longer lines are dumped data.
_LONGEST_LINE = 1000
#: A text with more signs than this share that are no text is no log.
_MOST_NOISE = 0.01
_NUMBER = r"(\d[\d,_]{0,20})"
_FIGURE = re.compile(
    r"(?:(?P<what>Serialized model|Code size|Total submission size)(?: +(?P<label>\([a-z]+\)|[^\s:(){}\"'%]{1,60}))?"
    rf"|(?P<artifact>artifact_bytes)): *(?P<number>{_NUMBER})(?(artifact)(?: bytes)?| bytes)(?: *| +\(.*\) *)\Z"
)
_SEED = re.compile(r"seed(?:: *|=)(\d{1,20}) *", re.IGNORECASE)
#: What may stand before a figure: times, levels, ranks, in any brackets.
_BEFORE = re.compile(r"\b(?:INFO|DEBUG|WARNING|root|rank|stdout|UTC|T|Z|\d+T\d+|\d+Z)\b")
_PLAIN = re.compile(r"[\s\d\[\](){}<>|:.,;/+\-]*")
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One figure of a run; `what` is `raw`, `code`, `model`, `total` or `artifact`, `label` as the log has it."""

    what: str
    label: str
    number: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run printed, in order; `sources` are the logs that say so, the first one first."""

    sources: tuple[str, ...]
    number: int = 1
    seed: int | None = None
    figures: tuple[Printed, ...] = ()

    def _last(self, what: str, label: str | None = None) -> Printed | None:
        figures = [f for f in self.figures if f.what == what and label in (None, f.label)]
        return figures[-1] if figures else None

    @property
    def model(self) -> Printed | None:
        """The exported model: the last one where several codecs were tried."""
        return self._last("model")

    @property
    def total(self) -> Printed | None:
        """The total of the exported model, not that of the raw weights."""
        labelled = [f for f in self.figures if f.what == "total" and f.label]
        return labelled[-1] if labelled else None if self.model else self._last("artifact")

    @property
    def code(self) -> Printed | None:
        """The code that the printed total counts; without one, the compressed figure, then the plain one."""
        figures = [f for f in self.figures if f.what == "code"]
        if self.model and self.total:
            for figure in figures:
                if self.model.number + figure.number == self.total.number:
                    return figure
        return self.compressed or self._last("code")

    @property
    def compressed(self) -> Printed | None:
        return self._last("code", "compressed")

    @property
    def source(self) -> str:
        return self.sources[0]


def decode(data: bytes, where: str) -> str:
    """UTF-8 or UTF-16, with or without a mark in front.  `CorruptError` where the bytes are no text."""
    for mark, encoding in _UTF16.items():
        if data.startswith(mark):
            return _checked(data[2:].decode(encoding, errors="replace"), where)
    for half, encoding in ((data[1:512:2], "utf-16-le"), (data[:512:2], "utf-16-be")):
        if half.count(0) > len(half) // 2:
            return _checked(data.decode(encoding, errors="replace"), where)
    return _checked(data.decode("utf-8-sig", errors="replace"), where)


def _checked(text: str, where: str) -> str:
    controls = (chr(code) for code in range(32) if code not in (8, 9, 10, 12, 13, 27))
    noise = sum(map(text.count, ("\ufffd", *controls)))
    if noise > _MOST_NOISE * len(text):
        raise CorruptError(
            f"{where}: not a readable log: {noise} of {len(text)} characters are no text, neither as UTF-8 nor as "
            "UTF-16; leave the file out, or name the logs that count with --log FILE"
        )
    return text


def read_log(path: Path, name: str) -> list[Run]:
    """The runs of a log file.  Raises `UsageError`, `LimitError` or `CorruptError` where it cannot be read."""
    try:
        if path.stat().st_size > _LONGEST_LOG:
            raise LimitError(f"{path}: {path.stat().st_size} bytes, expected a log of at most {_LONGEST_LOG}")
        data = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}; name the logs that count with --log FILE"
        raise UsageError(f"{path}: {what}") from None
    return parse(decode(data, str(path)), name)


def parse(text: str, source: str) -> list[Run]:
    """The runs in a text, in order.

    A run ends where one of its figures comes again, or where a seed, raw model or code size follows its total.
    """
    runs: list[Run] = []
    figures: list[Printed] = []
    seed: int | None = None
    known: set[tuple[str, str]] = set()

    def close() -> None:
        if figures:
            runs.append(Run(sources=(source,), number=len(runs) + 1, seed=seed, figures=tuple(figures)))
        figures.clear()
        known.clear()

    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            continue
        new_seed = _seed(line)
        if new_seed is not None:
            if any(figure.what == "total" and figure.label for figure in figures):
                close()
            seed = new_seed
            continue
        figure = _figure(line, number)
        if figure is None:
            continue
        done = any(f.what in ("model", "total") and f.label for f in figures)
        if (figure.what, figure.label) in known or (done and figure.what in ("raw", "code")):
            close()
        known.add((figure.what, figure.label))
        figures.append(figure)
    close()
    return runs


def _behind(line: str, start: int) -> bool:
    """Whether nothing but time stamps and levels stands before a place in a line."""
    return _PLAIN.fullmatch(_BEFORE.sub("", line[:start])) is not None


def _seed(line: str) -> int | None:
    if "seed" not in line.lower():
        return None
    match = _SEED.fullmatch(line, line.lower().index("seed"))
    return int(match[1]) if match and _behind(line, match.start()) else None


def _figure(line: str, number: int) -> Printed | None:
    match = _FIGURE.search(line)
    if match is None or not _behind(line, match.start()):
        return None
    label = (match["label"] or "").strip("()")
    named = {"Code size": "code", "Total submission size": "total", None: "artifact"}
    what = named.get(match["what"], "model" if label else "raw")
    return Printed(what=what, label=label, number=int(re.sub("[,_]", "", match["number"])), line=number)


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Runs that say the same of the same seed are one, with all their sources."""
    kept: dict[tuple[object, ...], Run] = {}
    for run in runs:
        key = (run.seed, tuple((figure.what, figure.label, figure.number) for figure in run.figures))
        before = kept.get(key)
        if before is None:
            kept[key] = run
        elif run.source not in before.sources:
            kept[key] = replace(before, sources=(*before.sources, run.source))
    return list(kept.values())
