"""What a check can find: codes that stay the same from version to version, each with its severity.

An error fails the check, a warning does so with --strict, a note never does.

    GB1xx  totals against the cap
    GB2xx  code
    GB3xx  claims
    GB4xx  models
    GB5xx  where figures come from
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from golfbudget.rules import Convention, Rules
from golfbudget.submission.claims import Claims
from golfbudget.submission.code import Code
from golfbudget.submission.conventions import CountedModel, Tally
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile
from golfbudget.submission.logs import ChosenBy, Exported, Log, Run
from golfbudget.submission.matching import Matched
from golfbudget.submission.packed_code import PackedCode
from golfbudget.submission.places import Place


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingKind:
    """What a code stands for."""

    severity: Severity
    title: str


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE
#: Every code there is.
TABLE: dict[str, FindingKind] = {
    code: FindingKind(severity=severity, title=title)
    for code, severity, title in (
        ("GB101", _E, "over the cap under the chosen convention"),
        ("GB102", _W, "over the cap under another convention"),
        ("GB103", _W, "headroom smaller than the spread from seed to seed"),
        ("GB104", _E, "no figure for the chosen convention (exit code 2)"),
        ("GB201", _W, "a claim disagrees with a file on disk"),
        ("GB202", _W, "packed code is claimed, but what is shipped is not packed"),
        ("GB203", _W, "a helper is imported, named or read by the program, and no claim counts it"),
        ("GB204", _N, "the entry file is a stub that runs another file; both count"),
        ("GB205", _N, "code in the folder that is not counted"),
        ("GB206", _W, "a code file that is no valid Python: what it imports is unknown"),
        ("GB207", _E, "the program is empty"),
        (
            "GB208",
            _E,
            "the program cannot be parsed, or what it needs is a pointer or not found: what it takes is unknown",
        ),
        ("GB209", _N, "files of no known kind that the program does not name; they are not counted"),
        ("GB210", _W, "the program runs or imports what only running it tells, and files beside it are not counted"),
        ("GB211", _W, "the program needs what is not in the folder, and not counted"),
        ("GB212", _W, "the program names texts that are not counted, and whether it reads them is not known"),
        ("GB213", _W, "the program fetches files from the net, which are not counted"),
        ("GB301", _W, "a claimed total is a mean"),
        ("GB302", _W, "a claimed total is the model alone, without code"),
        ("GB303", _W, "a claimed total is not that of the largest run"),
        ("GB304", _W, "a claim agrees with nothing"),
        ("GB305", _W, "MiB taken for MB"),
        ("GB306", _W, "a log's total is not the sum of its model and code"),
        ("GB401", _W, "a label contradicts the codec"),
        ("GB402", _E, "the model file is empty or a placeholder"),
        ("GB403", _W, "the model file holds no readable model"),
        (
            "GB404",
            _W,
            "a model file is not counted, or taken for that of another seed, that may be a part of the model",
        ),
        ("GB501", _N, "model bytes are claimed: there is no model file"),
        ("GB502", _N, "several different runs of one seed; the largest counts"),
        ("GB503", _W, "a log has no byte figure that is understood"),
        ("GB504", _W, "logs whose names say different seeds print one seed"),
        (
            "GB505",
            _W,
            "what counts rests on the submission's own JSON, or on figures that are rounded or may be cut off",
        ),
        ("GB506", _N, "a log has several exports; the others are named"),
        ("GB507", _W, "there is no model file: the code alone is counted"),
        ("GB508", _W, "another export of the log is over the cap, and no file says which one ships"),
        ("GB509", _W, "a log that fits speaks of bytes over the cap in words that are not understood"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found; the code says how severe it is.  `place`: the file it is about, which the message names too."""

    code: str
    message: str
    place: Place | None = None

    @property
    def severity(self) -> Severity:
        return TABLE[self.code].severity

    @property
    def file(self) -> str | None:
        """Its path from the folder."""
        return None if self.place is None else self.place.file

    @property
    def line(self) -> int | None:
        """The line of the file itself; None for one of what the file unpacks to."""
        return None if self.place is None or self.place.inside else self.place.line


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A checked submission: what it holds, what that counts for, what is claimed, what was found.

    `packed` is None where the code was not packed.  `left`: model files that logs or claims decided
    against.  `seeds`: seeds that logs print whose names say others, and where.  Where `strict`, a warning fails it,
    too.
    """

    folder: Folder
    rules: Rules
    convention: Convention
    code: Code
    models: tuple[CountedModel, ...]
    runs: tuple[Run, ...]
    every_run: int
    stated: Claims
    tallies: Mapping[Convention, Tally] = field(default_factory=dict)
    matched: tuple[Matched, ...] = ()
    left: tuple[SubmissionFile, ...] = ()
    packed: PackedCode | None = None
    logs: tuple[Log, ...] = ()
    seeds: Mapping[int, Sequence[Place]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    strict: bool = False

    @property
    def tokenizers(self) -> list[SubmissionFile]:
        return self.folder.of(FileKind.TOKENIZER)

    @property
    def chosen(self) -> Tally:
        return self.tallies[self.convention]

    @property
    def claimed(self) -> bool:
        """Whether the chosen total rests on the submission's own JSON alone."""
        return self.chosen.largest is not None and self.chosen.largest.stated

    @property
    def over_beside(self) -> list[tuple[Run, Exported, int]]:
        """Exports over the cap, with their totals, that do not count though no file says which one ships.

        Only where the chosen total is a log's own, and fits.
        """
        row = self.chosen.largest
        if row is None or not row.claimed or row.stated or not self.chosen.fits:
            return []
        found = []
        for run in self.runs:
            for export in run.exports if run.by is not ChosenBy.FILE else ():
                total = self._total(run, export)
                if export != run.export and total is not None and total > self.chosen.cap:
                    found.append((run, export, total))
        return found

    def _total(self, run: Run, export: Exported) -> int | None:
        """What an export comes to: the total printed for it, else its model and the code."""
        if export.total is not None:
            return export.total.number
        if export.model is None:
            return None
        return export.model.number + (run.code.number if run.code else self.code.length)

    def codes(self, *severities: Severity) -> list[str]:
        """Codes of the findings of these severities, each once."""
        return list(dict.fromkeys(found.code for found in self.findings if found.severity in severities))

    @property
    def failing(self) -> list[str]:
        """Codes of the findings that fail it."""
        return self.codes(Severity.ERROR, *([Severity.WARNING] if self.strict else []))

    def passed(self) -> bool:
        """Whether the chosen convention fits and nothing was found that fails it."""
        return bool(self.chosen.fits) and not self.failing
