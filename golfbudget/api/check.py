"""`golfbudget.check`: what a submission counts, who claims what, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.api.base import Paths, Result, StrPath, paths
from golfbudget.errors import UsageError
from golfbudget.rules import DEFAULT, Convention, load_rules
from golfbudget.submission import Checked, check_submission

if TYPE_CHECKING:
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CheckResult(Result):
    """Checked submissions, in the order in which they were given; `strict`: warnings count as failures."""

    submissions: tuple[Checked, ...]
    strict: bool

    @property
    def undecided(self) -> str | None:
        """Why the first submission that cannot be counted cannot be, None where all can; the command exits with 2."""
        for checked in self.submissions:
            if not checked.chosen.rows:
                return f"{checked.folder.root}: {checked.convention} cannot be counted: {checked.chosen.reason}"
        return None

    @property
    def passed(self) -> bool:
        """Whether every submission is counted, fits, and has no error; where one does not, the command exits with 1."""
        return all(checked.passed(strict=self.strict) for checked in self.submissions)

    def without_notes(self) -> CheckResult:
        """The same without the notes, as `--quiet` prints it."""
        return replace(self, submissions=tuple(replace(checked, notes=()) for checked in self.submissions))

    def document(self) -> Document:
        from golfbudget.report.check import document

        return document(self.submissions, strict=self.strict)

    def summary(self) -> str:
        from golfbudget.report.numbers import printable

        told = (f"{printable(str(checked.folder.root))} {self._state(checked)}" for checked in self.submissions)
        return "; ".join(told)

    def _state(self, checked: Checked) -> str:
        if not checked.chosen.rows:
            return "undecided"
        found = len(checked.findings)
        state = "passed" if checked.passed(strict=self.strict) else "failed"
        how = ", claimed" if checked.claimed else ""
        return f"{state} ({checked.convention}{how}, {found} finding{'' if found == 1 else 's'})"


def check(
    *submissions: StrPath,
    rules: StrPath = DEFAULT,
    convention: str | None = None,
    model: Paths = (),
    code: Paths = (),
    log: Paths = (),
    strict: bool = False,
    no_model: bool = False,
) -> CheckResult:
    """Count submission folders by every convention, match their claims, and say whether they are under the cap.

    Nothing of a submission is executed.  `model`, `code` and `log` name files of one submission where its folder does
    not tell.  Raises a `GolfbudgetError` for a folder that holds no submission.
    """
    if not submissions:
        raise UsageError("there is nothing to check; give a folder")
    if len(submissions) > 1 and (model or code or log):
        raise UsageError("--model, --code and --log name files of one submission; give one, or leave them out")
    try:
        chosen = None if convention is None else Convention(convention)
    except ValueError:
        known = ", ".join(Convention)
        raise UsageError(f"--convention {str(convention)[:80]}: expected one of {known}") from None
    loaded, named = load_rules(Path(rules)), {"model": paths(model), "code": paths(code), "log": paths(log)}
    checked = (
        check_submission(Path(path), loaded, convention=chosen, no_model=no_model, **named) for path in submissions
    )
    return CheckResult(submissions=tuple(checked), strict=strict)
