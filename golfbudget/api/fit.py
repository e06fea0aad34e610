"""`golfbudget.fit`: the artifact of least loss under a cap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from golfbudget.api.base import (
    JOBS,
    SEEDS,
    Code,
    Result,
    Size,
    StrPath,
    Watch,
    cache_folder,
    cap_size,
    code_bytes,
    here,
    path_or_none,
    size,
    watched,
    within,
)
from golfbudget.api.plan import chosen_schemes
from golfbudget.errors import UsageError, explained
from golfbudget.workers import Where, working_on

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from golfbudget.fit.results import Fit
    from golfbudget.ledger import Ledger
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FitResult(Result):
    """A fitted file, what each matrix got, and the loader that reads it."""

    fit: Fit

    @property
    def data(self) -> bytes:
        """The file; saving it is up to you."""
        return self.fit.data

    @property
    def loader(self) -> str:
        """The Python that reads the file back, as it is counted."""
        return self.fit.loader

    @property
    def ledger(self) -> Ledger:
        """Every byte of the file, owned once."""
        return self.fit.inspection.assignment.ledger

    def document(self, *, details: bool = False, written: Path | None = None, loader: Path | None = None) -> Document:
        from golfbudget.report.fit import document

        return document(self.fit, details=details, written=written, loader=loader)

    def summary(self) -> str:
        from golfbudget.report.fit import answer

        return answer(self.fit)


def fit(
    path: StrPath,
    *,
    cap: Size | None = None,
    code: Code | None = None,
    recipe: StrPath | None = None,
    model: str | None = None,
    tokens: StrPath | None = None,
    tokenizer: StrPath | None = None,
    token_limit: int | None = None,
    trust_remote_code: bool = False,
    calibration: StrPath | None = None,
    counts: StrPath | None = None,
    schemes: str | Sequence[str] | None = None,
    head: str = "any",
    effort: int = 1,
    jobs: int | None = None,
    executor: Where = None,
    seed: int = 0,
    roles: StrPath | None = None,
    max_decoded: Size = "1GiB",
    cache: StrPath | None = None,
    no_cache: bool = False,
    progress: Watch = False,
) -> FitResult:
    """Fit a checkpoint's artifact to a cap, loader included; needs `golfbudget[plan]`.

    `cap` is bytes or a text such as `16MB`.  With `model` and `tokens` losses are measured, on text that chose nothing;
    without, squared errors decide and the result is modelled.  `head` is any, plain, vq or restructured.  Nothing is
    written: `Path("model.fit").write_bytes(result.data)` is up to you.  `executor` is as for `plan`.  Raises a
    `GolfbudgetError` for what contradicts itself, cannot be read or cannot fit.
    """
    within("--seed", seed, SEEDS)
    within("--jobs", jobs, JOBS)
    with explained():
        from golfbudget.fit.request import FitRequest, HeadKind
        from golfbudget.fit.run import make_fit
        from golfbudget.plan.request import PlanRequest

        known = [str(kind) for kind in HeadKind]
        if head not in known:
            raise UsageError(f"--head {head}: expected {', '.join(known)}")
        if effort < 0:
            raise UsageError(f"--effort {effort}: expected how many times neighbours are measured, 0 or more")
        request = FitRequest(
            plan=PlanRequest(
                path=here(path, progress),
                cap=cap_size(cap),
                code_bytes=code_bytes(code),
                recipe=None if recipe is None else str(recipe),
                model=model,
                trust_remote_code=trust_remote_code,
                tokens=path_or_none(tokens),
                tokenizer=path_or_none(tokenizer),
                token_limit=token_limit,
                calibration=path_or_none(calibration),
                counts=path_or_none(counts),
                schemes=chosen_schemes(schemes),
                seed=seed,
                jobs=jobs,
                roles=path_or_none(roles),
                limit=size(max_decoded),
                cache=cache_folder(cache, off=no_cache),
            ),
            effort=effort,
            head=HeadKind(head),
        )
        with (
            working_on(executor, jobs=jobs, cache=request.plan.cache) as several,
            watched(progress, "fit") as told,
        ):
            return FitResult(fit=make_fit(replace(request, plan=replace(request.plan, jobs=several)), told))
