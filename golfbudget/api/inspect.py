"""`golfbudget.inspect`: where the bytes of one artifact are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.api.base import Code, Result, Size, StrPath, cap_size, code_bytes, here, reading
from golfbudget.artifact import Artifact, open_artifact
from golfbudget.errors import UsageError
from golfbudget.hub import refuse_hub_path
from golfbudget.inspection import Inspection, inspect_file
from golfbudget.ledger import Ledger
from golfbudget.roles import assign

if TYPE_CHECKING:
    from golfbudget.api.base import Watch
    from golfbudget.progress import Progress
    from golfbudget.report.document import Document
    from golfbudget.rollup import Totals


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InspectResult(Result):
    """An opened artifact and its ledger; `cap_given` says whether a cap was asked for, or is the rules' own."""

    inspection: Inspection
    cap_given: bool

    @property
    def path(self) -> str:
        return self.inspection.artifact.path

    @property
    def stored_bytes(self) -> int:
        """Stored bytes of the file."""
        return self.inspection.artifact.size

    @property
    def ledger(self) -> Ledger:
        """Every byte of the file, owned once: its `entries` are plain values to roll up as you like."""
        return self.inspection.assignment.ledger

    @property
    def parameters(self) -> int:
        """Weights of the model, each counted once."""
        return sum(entry.parameters for entry in self.ledger.entries)

    @property
    def tied(self) -> bool | None:
        """Whether one matrix is input table and output head; None where that is not known."""
        return self.inspection.assignment.tied

    @property
    def tied_reason(self) -> str:
        """Which evidence decides that, or is missing."""
        return self.inspection.assignment.tied_reason

    @property
    def headroom(self) -> int:
        """Bytes left under the cap, code counted where it was given; negative when over it."""
        return self.inspection.budget.headroom

    @property
    def passed(self) -> bool:
        """False when the file is over a cap that was given: where the command exits with 1."""
        return self.inspection.budget.fits or not self.cap_given

    def by(self, key: str = "role") -> dict[str, Totals]:
        """Totals by `role`, `account`, `owner`, `block` or `dtype`, as `--by` groups them; they sum to the file.

        `UsageError` for another key.
        """
        from golfbudget.report.views import VIEWS, view
        from golfbudget.rollup import Totals

        if key not in VIEWS:
            raise UsageError(f"nothing is grouped by {key!r}; known: {', '.join(VIEWS)}")
        made: dict[str, Totals] = {}
        for row in view(self.inspection, key).rows:
            if not row.part:
                label = str(row.labels[0])
                made[label] = made.get(label, Totals()) + row.totals
        return made

    def document(self, by: str = "role") -> Document:
        from golfbudget.report.inspect import document

        return document(self.inspection, by, advise=self.cap_given)

    def explain(self, *owners: str) -> ExplainResult:
        """Why these owners have their roles and accounts; `UsageError` names near ones for one that owns nothing."""
        made = ExplainResult(inspected=self, owners=owners)
        made.document()  # An owner that there is not is named now, not when the result is shown.
        return made

    def as_config(self, name: str | None = None) -> str:
        """A model file (TOML) for `estimate`; the model is called as the file is, unless `name` says otherwise."""
        from golfbudget.estimate.describe import describe
        from golfbudget.estimate.model_text import model_toml

        called = name or Path(self.path).name.partition(".")[0] or "model"
        return model_toml(describe(self.inspection.artifact, name=called, tied=self.tied))

    def summary(self) -> str:
        from golfbudget.report.numbers import count, left_text, percent, printable

        found = sorted(self.by("role").items(), key=lambda item: -item[1].stored_bytes)
        shares = ", ".join(f"{role} {percent(totals.stored_bytes, self.stored_bytes)}" for role, totals in found)
        return f"{printable(self.path)}: {count(self.stored_bytes)} bytes ({shares}); {left_text(self.headroom, '')}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExplainResult(Result):
    """Why owners are called what they are called."""

    inspected: InspectResult
    owners: tuple[str, ...]

    def document(self) -> Document:
        from golfbudget.report.inspect import explain_document
        from golfbudget.roles.explain import explain

        own = self.inspected.inspection
        return explain_document(own, [explain(owner, own.artifact, own.assignment) for owner in self.owners])

    def summary(self) -> str:
        from golfbudget.report.numbers import printable

        return ", ".join(map(printable, self.owners))


def inspect(
    path: StrPath,
    *,
    cap: Size | None = None,
    code: Code | None = None,
    roles: StrPath | None = None,
    as_format: str | None = None,
    layout: StrPath | None = None,
    max_decoded: Size = "1GiB",
    entropy: bool = False,
    original: StrPath | None = None,
    download: bool = False,
    progress: Watch = False,
) -> InspectResult:
    """Show where every byte of a file is: output head against trunk, and what is left under the cap.

    Sizes are bytes or texts such as `16MB`; `code` is a file too.  Pickles are read as data and never executed.
    `original` is the checkpoint that the artifact was made from: with it `entropy` says what its quantiser leaves.
    Of an hf:// path headers alone are read, and what depends on values is not known; `download` fetches its files.
    Raises a `GolfbudgetError` for what cannot be read.

    >>> import golfbudget as gb
    >>> from golfbudget import example
    >>> found = gb.inspect(example.ARTIFACT, cap="16MB")
    >>> found.stored_bytes, found.passed
    (962340, True)
    >>> found.by("role")["head"].stored_bytes
    144178
    """
    how = reading(roles=roles, as_format=as_format, layout=layout, max_decoded=max_decoded)
    place = here(path, progress) if download else Path(path)
    if entropy:
        refuse_hub_path(place, "--entropy takes values, which are not downloaded; {download}, and inspect DIR")
    found = inspect_file(place, cap=cap_size(cap), code=code_bytes(code), reading=how)
    if entropy:
        compared = None if original is None else open_artifact(here(original, progress), limit=how.limit)
        found = _measured(found, compared, progress)
    elif original is not None:
        raise UsageError("--original is what --entropy takes errors against; give --entropy, too")
    return InspectResult(inspection=found, cap_given=cap is not None)


def _measured(inspection: Inspection, original: Artifact | None, progress: Watch) -> Inspection:
    from rich.markup import escape

    from golfbudget.api.base import watched
    from golfbudget.efficiency.matrices import StoredNumbers
    from golfbudget.efficiency.measuring import efficiency
    from golfbudget.entropy import measure
    from golfbudget.report.numbers import printable

    def named(told: Progress) -> Progress:
        return lambda name, steps: told(escape(printable(name)), steps)

    against = None if original is None else StoredNumbers.of(original, assign(original, inspection.assignment.roles))
    with watched(progress, "entropy") as told:
        entropy = measure(inspection.artifact, inspection.assignment.ledger, named(told))
    with watched(progress, "efficiency") as told:
        left = efficiency(inspection.artifact, inspection.assignment, entropy, against, named(told))
    return replace(inspection, entropy=entropy, efficiency=left, original=original)
