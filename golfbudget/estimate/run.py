"""Estimates, one or a table: exact container, artifact measured or modelled, chance to fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from golfbudget.artifact import open_bytes
from golfbudget.errors import ConfigError
from golfbudget.estimate.modelled import Formula, Modelled
from golfbudget.estimate.request import Dependence, EstimateRequest, dependence, payload_bytes
from golfbudget.estimate.results import Bytes, Estimate, Sample
from golfbudget.estimate.settings import Value, points
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.progress import Progress, unwatched
from golfbudget.roles import Roles
from golfbudget.workers import Processes

if TYPE_CHECKING:
    from golfbudget.estimate.measured import Draw

#: Artifacts written side by side at most: each takes some hundred megabytes.
_MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateTerms:
    """What an estimate is held against: cap, code and spread in bytes, and who gets which bytes."""

    cap: int
    code_bytes: int | None
    spread: int
    roles: Roles


def modelled_estimate(request: EstimateRequest, terms: EstimateTerms) -> Estimate:
    """The entropy formula alone; `ConfigError` where it has nothing to say."""
    depends = dependence(request)
    artifact, own = _modelled(request, depends)
    return Estimate(
        request=request,
        cap=terms.cap,
        code_bytes=terms.code_bytes,
        spread=terms.spread,
        artifact=artifact,
        payload_bytes=payload_bytes(request),
        modelled=artifact,
        terms=own,
        depends=depends.reasons,
        notes=depends.notes,
    )


def measured_estimate(
    request: EstimateRequest, terms: EstimateTerms, *, seed: int, repeat: int, progress: Progress
) -> tuple[Estimate, bytes]:
    """Artifacts of synthetic weights written and counted; the estimate, and the first seed's artifact."""
    from golfbudget.estimate.measured import STEPS, Draw, write
    from golfbudget.recipe import layouts

    depends = dependence(request)
    seeds = range(seed, seed + repeat)
    draws = [Draw(seed=s, family="gaussian", tensors=depends.tensors) for s in seeds]
    if depends.reasons:
        draws += [Draw(seed=s, family="laplace", tensors=depends.tensors) for s in seeds]
    lock = Lock()

    def step(what: str) -> None:
        with lock:
            progress(what, STEPS * len(draws))

    def run(which: Draw) -> tuple[Sample, bytes]:
        return write(request, which, step)

    workers = min(len(draws), os.cpu_count() or 1, _MOST_AT_ONCE)
    with ThreadPoolExecutor(workers) as pool:
        # Only the first artifact is kept: it is the one that is accounted for, and saved.
        first, *others = [pool.submit(run, which) for which in draws]
        sample, data = first.result()
        samples = (sample, *(other.result()[0] for other in others))
    counted = [s.artifact_bytes for s in samples]
    value = None if depends.reasons else sample.artifact_bytes
    artifact = Bytes(value=value, low=min(counted), high=max(counted), evidence=Evidence.SYNTHETIC)
    try:
        modelled, own = _modelled(request, depends)
    except ConfigError:
        modelled, own = None, None
    opened = open_bytes(data, name=f"{request.model.name}.{request.recipe.codec}")
    inspection = Inspection.of(opened, terms.roles, cap=terms.cap, code=terms.code_bytes)
    assignment = inspection.assignment
    notes = list(depends.notes)
    if None not in (assignment.tied, request.model.tied) and assignment.tied != request.model.tied:
        told = "tied" if request.model.tied else "untied"
        notes.append(f"the model file says {told}, its tensors' names say the opposite ({assignment.tied_reason})")
    estimate = Estimate(
        request=request,
        cap=terms.cap,
        code_bytes=terms.code_bytes,
        spread=terms.spread,
        artifact=artifact,
        payload_bytes=sample.payload_bytes,
        container_bytes=sample.container_bytes,
        container_fixed=layouts.get(request.recipe.layout).fixed,
        modelled=modelled,
        terms=own,
        samples=samples,
        depends=depends.reasons,
        notes=tuple(notes),
        inspection=inspection,
    )
    return estimate, data


def _modelled(request: EstimateRequest, depends: Dependence) -> tuple[Bytes, Modelled]:
    """The formula's figure and its terms; where size depends on training, a range and the terms of its upper end."""
    tensors = request.model.tensors
    high = Formula(request.recipe, "gaussian", depends.tensors).of(tensors)
    if not depends.reasons:
        return Bytes(value=high.value, low=high.value, high=high.value, evidence=Evidence.MODELLED), high
    low = Formula(request.recipe, "laplace", depends.tensors).of(tensors)
    ends = sorted((low.value, high.value))
    return Bytes(value=None, low=ends[0], high=ends[1], evidence=Evidence.MODELLED), high


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of swept values and its estimate."""

    settings: Mapping[str, Value]
    estimate: Estimate

    def __repr__(self) -> str:
        """In a line: a cell or a shell shows a list of them."""
        chosen = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        low, high = self.estimate.artifact.low, self.estimate.artifact.high
        told = f"{low:,} bytes" if low == high else f"{low:,} to {high:,} bytes"
        return f"<Point {chosen}: {told}, {self.estimate.headroom:+,} under the cap>"


def sweep(
    sweeps: Mapping[str, Sequence[Value]],
    request: Callable[[Mapping[str, Value]], EstimateRequest],
    estimates: Callable[[Sequence[EstimateRequest]], Sequence[Estimate]],
) -> list[Point]:
    """Estimates of every combination, in order; every request is made before anything long begins."""
    settings = list(points(sweeps))
    requests = [request(own) for own in settings]
    return [Point(settings=own, estimate=found) for own, found in zip(settings, estimates(requests), strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimating:
    """How every combination of a sweep is estimated; `fast` by the formula alone."""

    terms: EstimateTerms
    fast: bool
    seed: int
    repeat: int

    def estimate(self, request: EstimateRequest, progress: Progress) -> tuple[Estimate, bytes | None]:
        """The estimate, and the first seed's artifact where one is written."""
        if self.fast:
            return modelled_estimate(request, self.terms), None
        return measured_estimate(request, self.terms, seed=self.seed, repeat=self.repeat, progress=progress)

    def side_by_side(self, requests: Sequence[EstimateRequest], jobs: int, progress: Progress) -> list[Estimate]:
        """Estimates of all requests, in order, by an executor's workers."""
        progress(f"{len(requests)} estimates", len(requests))
        numbers = count(1)
        with Processes(self, jobs) as processes:
            return processes.in_order(_alone, requests, lambda _: progress(f"estimate {next(numbers)}", len(requests)))


def _alone(how: Estimating, request: EstimateRequest) -> Estimate:
    if how.fast:
        return how.estimate(request, unwatched)[0]
    from golfbudget.schemes.threads import one_thread

    with one_thread():
        return how.estimate(request, unwatched)[0]
