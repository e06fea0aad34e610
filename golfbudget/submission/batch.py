"""Many submissions: each in its row, whatever one of them holds, checked side by side in processes.

What a folder's reader raises is that folder's row, and never the end of the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from golfbudget.errors import GolfbudgetError
from golfbudget.progress import Progress, unwatched
from golfbudget.rules import Convention, Rules
from golfbudget.submission.check import check_submission
from golfbudget.submission.findings import Checked
from golfbudget.workers import Processes

#: A process takes half a second to start, which fewer folders do not win back.
_WORTH_A_PROCESS = 4


class Judgement(StrEnum):
    """What became of a submission; the last two could not be judged."""

    PASSED = "passed"
    OVER = "over"
    FAILED = "failed"
    UNDECIDED = "undecided"
    ERROR = "error"


#: Verdicts that are none.
UNJUDGED = (Judgement.UNDECIDED, Judgement.ERROR)


class Known(StrEnum):
    """How the chosen total is known: from files on disk, from a training log, or from what the contestant states."""

    COUNTED = "counted"
    LOGGED = "logged"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """A folder that could not be read as a submission, and why."""

    path: Path
    error: str

    @property
    def reason(self) -> str:
        """The error without the path that begins it."""
        return self.error.removeprefix(f"{self.path}: ").removeprefix(f"{self.path}{os.sep}")


Outcome = Checked | Unchecked


def check_all(
    roots: Sequence[Path],
    rules: Rules,
    *,
    convention: Convention | None = None,
    no_model: bool = False,
    packed: bool = True,
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress = unwatched,
) -> tuple[Outcome, ...]:
    """Check every folder, in the order given, with `jobs` processes, by cores and folders where it is None.

    `packed` and `strict` as for `check_submission`.
    """
    if jobs is None:
        jobs = _cores() if len(roots) >= _WORTH_A_PROCESS else 1
    check = partial(
        check_submission, rules=rules, convention=convention, no_model=no_model, packed=packed, strict=strict
    )
    progress(f"{len(roots)} submissions", len(roots))
    with Processes(check, jobs) as processes:
        return tuple(processes.in_order(_checked, roots, lambda number: progress(roots[number].name, len(roots))))


def _cores() -> int:
    """Cores that this process may use, which are fewer than the machine has in most containers."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(check: Callable[[Path], Checked], root: Path) -> Outcome:
    try:
        return check(root)
    except GolfbudgetError as error:
        return Unchecked(path=root, error=str(error))
    except OSError as error:
        return Unchecked(path=root, error=f"{error.filename or root}: cannot be read: {error.strerror}")
    except Exception as error:  # noqa: BLE001  # A fault of ours in one folder is no reason to lose the others.
        what = " ".join(str(error).split())[:200]
        return Unchecked(
            path=root, error=f"{root}: golfbudget fails on it, which is a fault: {type(error).__name__}: {what}"
        )


def verdict(outcome: Outcome) -> Judgement:
    """What became of it under the chosen convention."""
    if isinstance(outcome, Unchecked):
        return Judgement.ERROR
    if outcome.chosen.fits is None:
        return Judgement.UNDECIDED
    if not outcome.chosen.fits:
        return Judgement.OVER
    return Judgement.PASSED if outcome.passed() else Judgement.FAILED


def known(outcome: Outcome) -> Known | None:
    """How the chosen total is known; None where there is none."""
    row = None if isinstance(outcome, Unchecked) else outcome.chosen.largest
    if row is None or isinstance(outcome, Unchecked):
        return None
    if not row.claimed:
        return Known.COUNTED
    return Known.CLAIMED if outcome.claimed else Known.LOGGED
