"""`golfbudget.plan`: whether a VQ head beats squeezing the trunk once more."""

from __future__ import annotations

from collections.abc import Sequence
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
from golfbudget.errors import explained
from golfbudget.workers import Where, working_on

if TYPE_CHECKING:
    from golfbudget.estimate.settings import Settings
    from golfbudget.ledger import Ledger
    from golfbudget.plan.request import PlanRequest
    from golfbudget.plan.results import Plan, Verdict, VqAnswer
    from golfbudget.plan.trials import Trials
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanResult(Result):
    """A finished plan: every candidate's counted file, and who wins; `asked` are the options that it was made with."""

    plan: Plan
    asked: PlanRequest | None = None

    @property
    def verdict(self) -> Verdict:
        """The side whose best candidate wins, with evidence and reasons."""
        return self.plan.verdict

    @property
    def vq(self) -> VqAnswer:
        """Whether a VQ-Logits head beats both its control and the trunk."""
        return self.plan.vq

    @property
    def trials(self) -> Trials:
        """Every candidate's file, counted, and its quality; with the rules that select among them, by name."""
        return self.plan.trials

    @property
    def ledger(self) -> Ledger:
        """Every byte of the baseline's artifact, owned once."""
        return self.plan.baseline.assignment.ledger

    def pack(self, candidate: str) -> bytes:
        """The file of a candidate, or of `baseline`, as it was counted: what `golfbudget pack` writes."""
        from golfbudget.plan.rewrite import write_candidate

        return write_candidate(self.plan, candidate)

    def document(self, *, details: bool = False) -> Document:
        from golfbudget.report.plan import document

        return document(self.plan, details=details, asked=self.asked)

    def summary(self) -> str:
        from golfbudget.report.numbers import printable

        return (
            f"{printable(self.plan.inputs.source_path)}: winner {self.verdict.winner}, VQ-Logits {self.vq.answer}; "
            f"{len(self.trials)} candidates"
        )


def plan(
    path: StrPath,
    *,
    set: Settings | None = None,  # noqa: A002  (the option's name)
    recipe: StrPath | None = None,
    preview: str | None = None,
    model: str | None = None,
    tokens: StrPath | None = None,
    fresh: StrPath | None = None,
    tokenizer: StrPath | None = None,
    token_limit: int | None = None,
    counts: StrPath | None = None,
    schemes: str | Sequence[str] | None = None,
    trust_remote_code: bool = False,
    calibration: StrPath | None = None,
    price: float | None = None,
    recover: int | None = None,
    no_fits: bool = False,
    budgets: str | Sequence[Size] | None = None,
    jobs: int | None = None,
    executor: Where = None,
    cache: StrPath | None = None,
    no_cache: bool = False,
    cap: Size | None = None,
    code: Code | None = None,
    seed: int = 0,
    roles: StrPath | None = None,
    max_decoded: Size = "1GiB",
    progress: Watch = False,
) -> PlanResult:
    """Encode head and trunk candidates for real, count each whole file, and say who wins; needs `golfbudget[plan]`.

    `path` is a float checkpoint, an int8 artifact, an hf:// path (downloaded first), or a model file or a shipped one's
    name.  With `model` and `tokens` the change in bits per byte is measured, and the best candidates' on the text
    `fresh`, too; `model` may name a file of yours, which is then run as a program.  `executor` is where candidates are
    tried: a spelling of `--executor`, or any `concurrent.futures.Executor`.  Raises a `GolfbudgetError` for what
    contradicts itself or cannot be read.
    """
    within("--seed", seed, SEEDS)
    within("--jobs", jobs, JOBS)
    with explained():
        from golfbudget.plan.request import PlanRequest
        from golfbudget.plan.run import make_plan

        request = PlanRequest(
            path=here(path, progress),
            settings=dict(set or {}),
            preview=preview,
            recipe=None if recipe is None else str(recipe),
            model=model,
            trust_remote_code=trust_remote_code,
            tokens=path_or_none(tokens),
            fresh=path_or_none(fresh),
            tokenizer=path_or_none(tokenizer),
            token_limit=token_limit,
            price=price,
            counts=path_or_none(counts),
            roles=path_or_none(roles),
            seed=seed,
            cap=cap_size(cap),
            code_bytes=code_bytes(code),
            schemes=chosen_schemes(schemes),
            calibration=path_or_none(calibration),
            recover=recover,
            fits=not no_fits,
            budgets=tuple(map(size, budgets.split(",") if isinstance(budgets, str) else budgets or ())),
            jobs=jobs,
            cache=cache_folder(cache, off=no_cache),
            limit=size(max_decoded),
        )
        with working_on(executor, jobs=jobs, cache=request.cache) as several, watched(progress, "plan") as told:
            return PlanResult(plan=make_plan(replace(request, jobs=several), told), asked=request)


def chosen_schemes(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of schemes, of the repacker and of sets of them; `UsageError` for what is none."""
    if given is None:
        return None
    from golfbudget.errors import UsageError
    from golfbudget.plan.candidates import ALL, DEFAULT, REPACK
    from golfbudget.schemes import bound, load_others, registered

    load_others()
    parts = given.split(",") if isinstance(given, str) else given
    chosen, known = tuple(part.strip() for part in parts), (*registered(), *bound(), REPACK, DEFAULT, ALL)
    for name in chosen:
        if name not in known:
            raise UsageError(f"--schemes: no scheme is called {name!r}; known: {', '.join(known)}")
    return chosen
