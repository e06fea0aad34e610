"""Fitting: the artifact of least loss whose file, with the code that reads it, is within a cap.

From what a user asks to one file, in the order in which data flows:

- `request` is what was asked; `plan.prepare` opens it, and `texts` says which text chooses and which reports.
- `menu` lists what each matrix may become; `pricing` encodes each entry and takes its bytes and its error.
- `sensitivity` says what an error costs, by one measured perturbation of each matrix.
- `plan.joint` chooses within the cap; `assembly` writes what was chosen; `search` does so until bytes agree with what
  was expected and measured neighbours are no better; `filling` scales a last step until the cap is used up.
- `container` makes the file smaller at no loss and counts the loader; `run` does all of it in order.
- `results` are values, `fit_json` what they look like saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from golfbudget.progress import Progress, unwatched

if TYPE_CHECKING:
    from golfbudget.fit.request import FitRequest
    from golfbudget.fit.results import Fit


def make_fit(request: FitRequest, progress: Progress = unwatched) -> Fit:
    """The best file under the cap, written and measured."""
    from golfbudget.fit import run

    return run.make_fit(request, progress)
