"""A checked submission as one value: what every report of it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.rules import Convention, Rules
from golfbudget.submission.claims import Claims
from golfbudget.submission.code import Code
from golfbudget.submission.conventions import CountedModel, Tally
from golfbudget.submission.findings import Finding, Severity
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile
from golfbudget.submission.logs import Run
from golfbudget.submission.matching import Matched
from golfbudget.submission.packed import PackedCode


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A checked submission: what it holds, what that counts for, what is claimed, what was found."""

    folder: Folder
    rules: Rules
    convention: Convention
    code: Code
    packed: PackedCode
    models: tuple[CountedModel, ...]
    runs: tuple[Run, ...]
    every_run: int
    tallies: Mapping[Convention, Tally]
    matched: tuple[Matched, ...]
    stated: Claims
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tokenizers(self) -> list[SubmissionFile]:
        return self.folder.of(FileKind.TOKENIZER)

    @property
    def chosen(self) -> Tally:
        return self.tallies[self.convention]

    def passed(self, *, strict: bool = False) -> bool:
        """Whether the chosen convention fits and no error was found; with `strict`, no warning either."""
        failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
        return bool(self.chosen.fits) and not any(finding.severity in failing for finding in self.findings)
