"""`golfbudget.estimate`: the bytes of an artifact before its model is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from golfbudget.api.base import (
    REPEATS,
    SEEDS,
    Code,
    Result,
    Size,
    StrPath,
    Watch,
    cap_size,
    code_bytes,
    path_or_none,
    watched,
    within,
)
from golfbudget.errors import UsageError, explained
from golfbudget.estimate.request import EstimateRequest
from golfbudget.estimate.results import Estimate
from golfbudget.estimate.run import EstimateTerms, Estimating, Point
from golfbudget.estimate.run import sweep as sweep_all
from golfbudget.estimate.settings import Settings, Value, make_request
from golfbudget.hub import refuse_hub_path
from golfbudget.roles import load_roles
from golfbudget.rules import load_rules
from golfbudget.workers import LOCAL, Where, working_on

if TYPE_CHECKING:
    from golfbudget.ledger import Ledger
    from golfbudget.report.document import Document


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EstimateResult(Result):
    """One estimate; `data` is the first seed's artifact, None where none was written."""

    estimate: Estimate
    data: bytes | None

    @property
    def low(self) -> int:
        """The least that the artifact may take, in bytes; `high` the most.  They are equal where size is one figure."""
        return self.estimate.artifact.low

    @property
    def high(self) -> int:
        return self.estimate.artifact.high

    @property
    def headroom(self) -> int:
        """Bytes left under the cap by `high`, code counted where it was given; negative when over it."""
        return self.estimate.headroom

    @property
    def ledger(self) -> Ledger | None:
        """Who gets which bytes of the artifact that was written."""
        found = self.estimate.inspection
        return None if found is None else found.assignment.ledger

    def document(self) -> Document:
        from golfbudget.report.estimate import document

        return document(self.estimate)

    def summary(self) -> str:
        from golfbudget.report.numbers import count

        found = self.estimate
        told = count(self.high) if self.low == self.high else f"{count(self.low)} to {count(self.high)}"
        return (
            f"{found.request.model.name} by {found.request.recipe.name}: {told} bytes, {found.artifact.evidence.value}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SweepResult(Result):
    """An estimate for every combination of values, in order."""

    points: tuple[Point, ...]

    def document(self) -> Document:
        from golfbudget.report.estimate import sweep_document

        return sweep_document(self.points)

    def summary(self) -> str:
        request = self.points[0].estimate.request
        return f"{request.model.name} by {request.recipe.name}: {len(self.points)} estimates"


@overload
def estimate(
    config: StrPath,
    *,
    recipe: StrPath | None = ...,
    seed: int = ...,
    repeat: int = ...,
    fast: bool = ...,
    set: Settings | None = ...,
    sweep: None = ...,
    cap: Size | None = ...,
    code: Code | None = ...,
    roles: StrPath | None = ...,
    executor: Where = ...,
    progress: Watch = ...,
) -> EstimateResult: ...
@overload
def estimate(
    config: StrPath,
    *,
    recipe: StrPath | None = ...,
    seed: int = ...,
    repeat: int = ...,
    fast: bool = ...,
    set: Settings | None = ...,
    sweep: Mapping[str, Sequence[Value]],
    cap: Size | None = ...,
    code: Code | None = ...,
    roles: StrPath | None = ...,
    executor: Where = ...,
    progress: Watch = ...,
) -> SweepResult: ...
def estimate(
    config: StrPath,
    *,
    recipe: StrPath | None = None,
    seed: int = 0,
    repeat: int = 1,
    fast: bool = False,
    set: Settings | None = None,  # noqa: A002  (the option's name)
    sweep: Mapping[str, Sequence[Value]] | None = None,
    cap: Size | None = None,
    code: Code | None = None,
    roles: StrPath | None = None,
    executor: Where = None,
    progress: Watch = False,
) -> EstimateResult | SweepResult:
    """Say what an artifact will weigh before its model is trained; `config` is a model file or a shipped one's name.

    `fast` takes the entropy formula alone; without it artifacts of synthetic weights are written, which needs
    `golfbudget[plan]`.  `set` changes variables of the model file and fields of the recipe, `sweep` gives several
    values to each and makes a `SweepResult`, whose combinations `executor` estimates: a spelling of `--executor`, or
    any `concurrent.futures.Executor`.  Raises a `GolfbudgetError` for what neither file knows.

    >>> import golfbudget as gb
    >>> gb.estimate("sp8192", fast=True)
    <EstimateResult sp8192 by sp8192-brotli: 15,974,207 bytes, modelled>
    >>> [point.estimate.expected for point in gb.estimate("sp8192", fast=True, sweep={"layers": [10, 11]}).points]
    [14749770, 15974207]
    """
    refuse_hub_path(
        config, "this takes a model file; type: golfbudget inspect {address} --as-config -o FILE, and name FILE"
    )
    within("--seed", seed, SEEDS)
    within("--repeat", repeat, REPEATS)
    if fast and repeat != 1:
        raise UsageError("--fast writes no artifact, so there is no seed to --repeat")
    if sweep is None and executor not in (None, LOCAL):
        raise UsageError("--executor hands out the combinations of --sweep, and there is none; leave it out")
    rules = load_rules()
    terms = EstimateTerms(
        cap=cap_size(cap),
        code_bytes=code_bytes(code),
        spread=rules.seed_spread,
        roles=load_roles(path_or_none(roles)),
    )
    named = None if recipe is None else str(recipe)

    how = Estimating(terms=terms, fast=fast, seed=seed, repeat=repeat)

    def one(request: EstimateRequest) -> EstimateResult:
        with explained(), watched(not fast and progress, request.model.name) as told:
            found, data = how.estimate(request, told)
        return EstimateResult(estimate=found, data=data)

    def every(requests: Sequence[EstimateRequest]) -> list[Estimate]:
        with working_on(executor) as several:
            if several is None:
                return [one(request).estimate for request in requests]
            with explained(), watched(progress, "estimate") as told:
                return how.side_by_side(requests, several, told)

    fixed = dict(set or {})
    for name in fixed.keys() & (sweep or {}).keys():
        raise UsageError(f"--set {name} and --sweep {name} both say what it is; give one of them")
    if sweep is None:
        return one(make_request(str(config), named, fixed))
    points = sweep_all(
        sweep,
        lambda settings: make_request(str(config), named, {**fixed, **settings}),
        every,
    )
    return SweepResult(points=tuple(points))
