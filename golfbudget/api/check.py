"""`golfbudget.check`: what a submission counts, who claims what, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.api.base import JOBS, Paths, Result, StrPath, Watch, paths, watched, within
from golfbudget.errors import UsageError
from golfbudget.rules import DEFAULT, Convention, Rules, load_rules
from golfbudget.submission import Checked, check_submission
from golfbudget.submission.batch import UNJUDGED, Judgement, Outcome, Unchecked, check_all, verdict
from golfbudget.workers import Where, check_spelling, working_on

if TYPE_CHECKING:
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CheckResult(Result):
    """Folders in the order in which they were given; `strict`: warnings count as failures.

    `outcomes` holds for each a checked submission, or what could not be read of it.
    """

    rules: Rules
    convention: Convention
    outcomes: tuple[Outcome, ...]
    strict: bool

    @property
    def submissions(self) -> tuple[Checked, ...]:
        """Those that could be read."""
        return tuple(one for one in self.outcomes if isinstance(one, Checked))

    @property
    def errors(self) -> tuple[Unchecked, ...]:
        """Those that could not."""
        return tuple(one for one in self.outcomes if isinstance(one, Unchecked))

    @property
    def verdicts(self) -> tuple[Judgement, ...]:
        """What became of each."""
        return tuple(verdict(one) for one in self.outcomes)

    @property
    def undecided(self) -> str | None:
        """Why the first that cannot be judged cannot be, and how many there are; the command exits with 2."""
        unjudged = [one for one, judged in zip(self.outcomes, self.verdicts, strict=True) if judged in UNJUDGED]
        if not unjudged:
            return None
        more = f" ({len(unjudged)} of {len(self.outcomes)} could not be judged)" if len(self.outcomes) > 1 else ""
        return f"{_reason(unjudged[0])}{more}"

    @property
    def passed(self) -> bool:
        """Whether every submission is counted, fits, and has no error; where one does not, the command exits with 1."""
        return all(one is Judgement.PASSED for one in self.verdicts)

    def without_notes(self) -> CheckResult:
        """The same without the notes, as `--quiet` prints it."""
        quiet = (one if isinstance(one, Unchecked) else replace(one, notes=()) for one in self.outcomes)
        return replace(self, outcomes=tuple(quiet))

    def true_claims(self) -> list[dict[str, object]]:
        """The true figures of each submission as a block for its submission.json.

        `UsageError` where the chosen convention cannot be counted, or rests on the claims that it would confirm.
        """
        from golfbudget.submission.stating import true_claims

        return [true_claims(checked) for checked in self.submissions]

    def document(self, *, details: bool = False) -> Document:
        """One report, or a table of several; `details` puts every report under the table."""
        from golfbudget.report.check import document

        return document(
            self.outcomes, rules=self.rules, convention=self.convention, strict=self.strict, details=details
        )

    def comment(self) -> Document:
        """The table and every report, folded, for a comment on a pull request."""
        from golfbudget.report.check import comment

        return comment(self.outcomes, rules=self.rules, convention=self.convention)

    def github_commands(self) -> str:
        """What annotates a run on GitHub: an error for what does not pass, with its file, and the warnings."""
        from golfbudget.report.check_table import github_commands

        return github_commands(self.outcomes)

    def summary(self) -> str:
        from golfbudget.report.numbers import printable

        told = zip(self.outcomes, self.verdicts, strict=True)
        return "; ".join(f"{printable(str(_root(one)))} {self._state(one, judged)}" for one, judged in told)

    def _state(self, outcome: Outcome, judged: Judgement) -> str:
        if isinstance(outcome, Unchecked) or judged is Judgement.UNDECIDED:
            return judged
        found = len(outcome.findings)
        state = "passed" if judged is Judgement.PASSED else "failed"
        how = ", claimed" if outcome.claimed else ""
        return f"{state} ({outcome.convention}{how}, {found} finding{'' if found == 1 else 's'})"


def _root(outcome: Outcome) -> Path:
    return outcome.path if isinstance(outcome, Unchecked) else outcome.folder.root


def _reason(outcome: Outcome) -> str:
    if isinstance(outcome, Unchecked):
        return outcome.error
    return f"{outcome.folder.root}: {outcome.convention} cannot be counted: {outcome.chosen.reason}"


def check(
    *submissions: StrPath,
    rules: StrPath = DEFAULT,
    convention: str | None = None,
    model: Paths = (),
    code: Paths = (),
    log: Paths = (),
    strict: bool = False,
    no_model: bool = False,
    packed: bool = True,
    jobs: int | None = None,
    executor: Where = None,
    progress: Watch = False,
) -> CheckResult:
    """Count submission folders by every convention, match their claims, and say whether they are under the cap.

    Nothing of a submission is executed.  `model`, `code` and `log` name files of one submission where its folder does
    not tell.  Raises a `GolfbudgetError` for a single folder that holds no submission; of several, each such folder is
    one of `errors`, and `jobs` of them are checked side by side, by `executor` as for `plan`.  `packed=False` is
    faster: code is packed only where the packed length decides something.
    """
    within("--jobs", jobs, JOBS)
    if not submissions:
        raise UsageError("there is nothing to check; give a folder")
    if len(submissions) > 1 and (model or code or log):
        raise UsageError("--model, --code and --log name files of one submission; give one, or leave them out")
    if len(submissions) > 1:
        return check_each(
            submissions,
            rules=rules,
            convention=convention,
            strict=strict,
            no_model=no_model,
            packed=packed,
            jobs=jobs,
            executor=executor,
            progress=progress,
        )
    # One folder is checked here, whoever else could.
    check_spelling(executor)
    loaded, chosen = _rules(rules, convention)
    checked = check_submission(
        Path(submissions[0]), loaded, convention=chosen, model=paths(model), code=paths(code), log=paths(log),
        no_model=no_model, packed=packed, strict=strict,
    )  # fmt: skip
    return CheckResult(rules=loaded, convention=chosen, outcomes=(checked,), strict=strict)


def check_each(
    submissions: Sequence[StrPath],
    *,
    rules: StrPath = DEFAULT,
    convention: str | None = None,
    strict: bool = False,
    no_model: bool = False,
    packed: bool = True,
    jobs: int | None = None,
    executor: Where = None,
    progress: Watch = False,
) -> CheckResult:
    """The same of several folders, or of one that may be none: what cannot be read is one of `errors`."""
    loaded, chosen = _rules(rules, convention)
    with working_on(executor, jobs=jobs) as several, watched(progress, "check") as told:
        outcomes = check_all(
            list(map(Path, submissions)), loaded, convention=chosen, no_model=no_model, packed=packed, strict=strict,
            jobs=several, progress=told,
        )  # fmt: skip
    return CheckResult(rules=loaded, convention=chosen, outcomes=outcomes, strict=strict)


def _rules(rules: StrPath, convention: str | None) -> tuple[Rules, Convention]:
    """The rules, and the convention that decides: theirs, unless one is named."""
    loaded = load_rules(Path(rules))
    try:
        return loaded, loaded.convention if convention is None else Convention(convention)
    except ValueError:
        known = ", ".join(Convention)
        raise UsageError(f"--convention {str(convention)[:80]}: expected one of {known}") from None
