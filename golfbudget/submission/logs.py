"""Figures that training logs print, run by run: code, model and total bytes, with the label the log gives them.

A run may export its model several times; each export is kept, and `choosing` says which one counts.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from golfbudget.errors import CorruptError, LimitError, UsageError
from golfbudget.submission.loglines import LogLine, Printed, read_line
from golfbudget.submission.places import Place

#: Public logs have at most a megabyte.
_LONGEST_LOG = 1 << 28
#: Public logs have a few dozen.
_MOST_FIGURES = 1000
#: A text with more signs than this share that are no text is no log.
_MOST_NOISE = 0.01
#: A text with more letters than this share that are not ASCII has two bytes for them.
_MOST_LETTERS = 0.25
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: A line of training: what follows it is another export only if a new run began.
_STEP = re.compile(r"(?:\A|[\s\[|:])(?:step|iter|epoch)\w*[ :=]*\d", re.IGNORECASE)
#: Lines of training that make a text a log: prose may have one.
_FEWEST_STEPS = 3
#: Lines that were not understood, and are remembered.
_MOST_DOUBTS = 100
#: Labels of code that is shorter than its source.
_PACKED = ("compressed", "packed")
_LOG_SUFFIXES = (".log", ".out")
_LOG_NAME = re.compile(
    r"(?:^|[/_.\-])(?:logs?|train|training|run|stdout|stderr|output|console)\d*(?=[/_.\-])", re.IGNORECASE
)
_DATA_NAME = re.compile(r"data|token|prompt|corpus|sample|vocab|merges|words", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A model that a run wrote, and the total printed for it; `raw`: the weights before they are quantised."""

    model: Printed | None = None
    total: Printed | None = None
    raw: bool = False


class ChosenBy(StrEnum):
    """Why an export of several counts: a file of its length, a claim of its length, or it is the last one."""

    FILE = "file"
    CLAIM = "claim"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run printed, in order; `sources` are the logs that say so, the first one first.

    `chosen` is the number of the export that counts among `exports`; the last one where nothing decides.  `by` says
    what decides.
    """

    sources: tuple[str, ...]
    number: int = 1
    seed: int | None = None
    seed_line: int | None = None
    figures: tuple[Printed, ...] = ()
    chosen: int = -1
    by: ChosenBy = ChosenBy.ORDER

    @property
    def exports(self) -> tuple[Exported, ...]:
        """The exports in order."""
        return tuple(export for export in _exports(self.figures) if not export.raw)

    @property
    def raw_exports(self) -> tuple[Exported, ...]:
        """The weights before they are quantised, with their totals."""
        return tuple(export for export in _exports(self.figures) if export.raw)

    @property
    def export(self) -> Exported:
        """The export that counts; an empty one where the run has none."""
        exports = self.exports
        return exports[self.chosen] if exports else Exported()

    @property
    def model(self) -> Printed | None:
        return self.export.model

    @property
    def total(self) -> Printed | None:
        """The total of the exported model, not that of the raw weights."""
        return self.export.total

    @property
    def code(self) -> Printed | None:
        """The code that the printed total counts; without one, the compressed figure, then the plain one.

        What is rounded would spoil exact figures, and is none beside them.
        """
        figures = [f for f in self.figures if f.what == "code" and (self.rounded or not f.rounded)]
        if self.model and self.total:
            for figure in figures:
                if self.model.number + figure.number == self.total.number:
                    return figure
        packed = [figure for figure in figures if figure.label in _PACKED]
        last = packed or figures
        return last[-1] if last else None

    @property
    def compressed(self) -> Printed | None:
        figures = [f for f in self.figures if f.what == "code" and f.label in _PACKED and not f.rounded]
        return figures[-1] if figures else None

    @property
    def rounded(self) -> bool:
        """Whether the export is known in megabytes only."""
        return any(figure is not None and figure.rounded for figure in (self.model, self.total))

    @property
    def cut(self) -> bool:
        """Whether digits of its export may be missing, as the log ends with the last one of them."""
        return any(figure is not None and figure.open for figure in (self.model, self.total, self.code))

    @property
    def source(self) -> str:
        return self.sources[0]

    @property
    def place(self) -> Place:
        """The line of its total, else of its model."""
        figure = self.total or self.model
        return Place(file=self.source, line=None if figure is None else figure.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A text that may be a log: its runs, and the first line that speaks of bytes in words that were not understood.

    `trained` says that several lines tell of steps or losses.  `more`: the last lines that were not understood, each as
    the largest number of bytes in it, its place, and what it says.
    """

    name: str
    runs: tuple[Run, ...] = ()
    doubtful: tuple[int, str] | None = None
    trained: bool = False
    more: tuple[tuple[int, int, str], ...] = ()

    @property
    def understood(self) -> bool:
        return any(run.model or run.total for run in self.runs)

    @property
    def is_log(self) -> bool:
        """Whether it is a log by its name or by what it holds; other texts are data or prose."""
        return self.trained or named_like_log(self.name)


def named_like_log(path: str) -> bool:
    """Whether a name says that a text is a log.

    >>> [named_like_log(name) for name in ("train_v3.txt", "logs/a.txt", "a.log", "requirements.txt", "train_data.txt")]
    [True, True, True, False, False]
    """
    if path.lower().endswith(_LOG_SUFFIXES):
        return True
    return bool(_LOG_NAME.search(path)) and not _DATA_NAME.search(path)


def decode(data: bytes, where: str) -> str:
    """UTF-8 or UTF-16, with or without a mark in front, else Latin-1.  `CorruptError` where the bytes are no text."""
    for mark, encoding in _UTF16.items():
        if data.startswith(mark):
            return _checked(data[2:].decode(encoding, errors="replace"), where)
    for half, encoding in ((data[1:512:2], "utf-16-le"), (data[:512:2], "utf-16-be")):
        if half.count(0) > len(half) // 2:
            return _checked(data.decode(encoding, errors="replace"), where)
    text = data.decode("utf-8-sig", errors="replace")
    # One byte for each letter, as Latin-1 has it, or Windows: some letters are not ASCII, most are.
    latin = _MOST_NOISE * len(text) < _noise(text, "\ufffd") < _MOST_LETTERS * len(text)
    return _checked(data.decode("latin-1") if latin else text, where)


def _noise(text: str, signs: Iterable[str]) -> int:
    return sum(map(text.count, signs))


def _checked(text: str, where: str) -> str:
    controls = (chr(code) for code in range(32) if code not in (8, 9, 10, 12, 13, 27))
    noise = _noise(text, ("\ufffd", *controls))
    if noise > _MOST_NOISE * len(text):
        raise CorruptError(
            f"{where}: not a readable log: {noise} of {len(text)} characters are no text, neither as UTF-8 nor as "
            "UTF-16 or Latin-1; leave the file out, or name the logs that count with --log FILE"
        )
    return text


def read_log(path: Path, name: str, *, asked: bool = False) -> Log:
    """A log file; what is no text is none, unless its name says so or it was `asked` for.

    Raises `UsageError`, `LimitError` or `CorruptError` where it cannot be read.
    """
    try:
        if path.stat().st_size > _LONGEST_LOG:
            what = f"{path.stat().st_size} bytes, expected a log of at most {_LONGEST_LOG}"
            raise LimitError(f"{path}: {what}; leave it out, or name the logs that count with --log FILE")
        data = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}; name the logs that count with --log FILE"
        raise UsageError(f"{path}: {what}") from None
    try:
        text = decode(data, str(path))
    except CorruptError:
        if asked or named_like_log(name):
            raise
        return Log(name=name)
    return _parsed(text, name, str(path))


def parse(text: str, source: str) -> list[Run]:
    """The runs in a text, in order."""
    return list(_parsed(text, source, source).runs)


def _lines(text: str, where: str) -> Iterator[tuple[int, str, LogLine]]:
    """Every line with its number and what it says; a figure stays `open` only at the end of a text without one."""
    told, lines = 0, text.splitlines()
    unended = len(lines) if lines and text.endswith(lines[-1]) else 0
    for number, line in enumerate(lines, 1):
        read = read_line(line, number)
        if number != unended and any(figure.open for figure in read.figures):
            read = replace(read, figures=tuple(replace(figure, open=False) for figure in read.figures))
        told += len(read.figures)
        if told > _MOST_FIGURES:
            what = f"more than {_MOST_FIGURES} figures, expected the log of a few runs"
            raise LimitError(f"{where}: {what}; name the logs that count with --log FILE")
        yield number, line, read


def _parsed(text: str, source: str, where: str) -> Log:
    """A run ends at a new seed, and where a figure comes again after training has gone on."""
    runs: list[Run] = []
    figures: list[Printed] = []
    seed: int | None = None
    seed_line: int | None = None
    doubtful: tuple[int, str] | None = None
    more: deque[tuple[int, int, str]] = deque(maxlen=_MOST_DOUBTS)
    trained, steps = False, 0

    def close() -> None:
        if figures:
            number, said = len(runs) + 1, tuple(figures)
            runs.append(Run(sources=(source,), number=number, seed=seed, seed_line=seed_line, figures=said))
        figures.clear()

    for number, line, read in _lines(text, where):
        if read.doubtful:
            said = " ".join(line.split())[:80]
            doubtful = doubtful or (number, said)
            more.append((read.most, number, said))
        done = any(f.what == "model" or (f.what == "total" and f.label) for f in figures)
        if read.seed is not None:
            if figures and (done or seed not in (None, read.seed)):
                close()
            seed, seed_line = read.seed, number
        for given in read.figures:
            figure = _second_is_smaller(figures, given) if not trained else given
            again = any((f.what, f.label) == (figure.what, figure.label) for f in figures)
            same = any((f.what, f.label, f.number) == (figure.what, figure.label, figure.number) for f in figures)
            if trained and figures and (again or (done and figure.what in ("raw", "code"))):
                close()
            elif same and figure.what in ("raw", "code"):
                continue
            elif done and figure.what == "raw":
                close()
            trained = False
            figures.append(figure)
        if not read.figures and (not trained or steps < _FEWEST_STEPS) and _STEP.search(line[:200]):
            trained, steps = True, steps + 1
    close()
    return Log(name=source, runs=tuple(runs), doubtful=doubtful, trained=steps >= _FEWEST_STEPS, more=tuple(more))


def _second_is_smaller(figures: list[Printed], figure: Printed) -> Printed:
    """A second model without a label, smaller than the first of the same run, is the exported one."""
    first = [f.number for f in figures if f.what == "raw"]
    known = any(f.what in ("model", "total") and f.label for f in figures)
    smaller = figure.what == "raw" and bool(first) and figure.number < min(first) and not known
    return replace(figure, what="model") if smaller else figure


def _exports(figures: tuple[Printed, ...]) -> tuple[Exported, ...]:
    """Models with their totals: of one label, or that sum with the code, or the nearest before."""
    made: list[Exported] = []
    codes = {figure.number for figure in figures if figure.what == "code"}
    for figure in figures:
        if figure.what in ("model", "raw"):
            made.append(Exported(model=figure, raw=figure.what == "raw"))
        elif figure.what == "total":
            if any(export.total is not None and export.total.number == figure.number for export in made):
                continue
            place = _owner(made, figure, codes)
            if place is None:
                made.append(Exported(total=figure))
            else:
                made[place] = replace(made[place], total=figure)
    artifacts = [figure for figure in figures if figure.what == "artifact"]
    return _with_artifacts(made, artifacts, codes)


def _owner(made: list[Exported], total: Printed, codes: set[int]) -> int | None:
    """The export whose total this is; raw weights own only what they sum to."""
    free = [n for n, export in enumerate(made) if export.total is None and export.model is not None]

    def sums(place: int) -> bool:
        model = made[place].model
        return model is not None and total.number - model.number in codes

    summing = [n for n in free if sums(n)]
    labelled = [n for n in free if total.label and _label_of(made[n]) == total.label]
    models = [n for n in free if not made[n].raw]
    for places in (labelled, summing, models):
        if places:
            return places[-1]
    return None


def _label_of(export: Exported) -> str:
    return export.model.label if export.model else ""


def _with_artifacts(made: list[Exported], artifacts: list[Printed], codes: set[int]) -> tuple[Exported, ...]:
    """An `artifact` is a total of its own, or the model where a printed total or code says so; rounded, a last word."""
    found = [export for export in made if not export.raw]
    exact = [figure for figure in artifacts if not figure.rounded] or ([] if found else artifacts)
    for artifact in exact:
        owners = [
            n for n, e in enumerate(made) if e.model is None and e.total and e.total.number - artifact.number in codes
        ]
        if owners:
            made[owners[-1]] = replace(made[owners[-1]], model=artifact)
        elif not found:
            made.append(Exported(total=artifact))
    # A figure in megabytes gives way to one in bytes.
    whole = [e for e in made if not any(f is not None and f.rounded for f in (e.model, e.total))]
    return tuple(whole if any(not e.raw for e in whole) else made)


def named_seeds(runs: Iterable[Run], names: dict[str, int | None]) -> tuple[list[Run], dict[int, list[Place]]]:
    """Give runs the seeds that the names of their logs say, where lines say none or all logs the same one.

    Also each seed that lines print in logs whose names say others, with these lines.
    """
    runs = list(runs)
    printed: dict[int, list[Place]] = {}
    for run in runs:
        if run.seed is not None and names.get(run.source) not in (None, run.seed):
            printed.setdefault(run.seed, []).append(Place(file=run.source, line=run.seed_line))
    count = Counter(run.source for run in runs)
    renamed = [
        replace(run, seed=names[run.source])
        if count[run.source] == 1 and names.get(run.source) is not None and (run.seed is None or run.seed in printed)
        else run
        for run in runs
    ]
    return renamed, printed


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
