"""One estimate: exact container, artifact measured on synthetic weights or modelled, chance to fit."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from golfbudget.artifact import open_bytes
from golfbudget.budget import Budget
from golfbudget.errors import ConfigError
from golfbudget.estimate.chance import chance_to_fit
from golfbudget.estimate.dependence import Dependence, dependence
from golfbudget.estimate.modelled import Formula, Modelled
from golfbudget.estimate.payload import payload_bytes
from golfbudget.estimate.request import Request
from golfbudget.estimate.results import Bytes, Estimate, Sample
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.progress import Progress
from golfbudget.roles import Roles, assign

if TYPE_CHECKING:
    from golfbudget.estimate.measured import Draw

#: Artifacts written side by side at most: each takes some hundred megabytes.
_MOST_AT_ONCE = 4

#: Called with what is about to be done and how many steps there are in all.


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateTerms:
    """What an estimate is held against: cap, code and spread in bytes, and who gets which bytes."""

    cap: int
    code_bytes: int | None
    spread: int
    roles: Roles


def modelled_estimate(request: Request, terms: EstimateTerms) -> Estimate:
    """The entropy formula alone; `ConfigError` where it has nothing to say."""
    depends = dependence(request)
    bytes_, own = _modelled(request, depends)
    return _estimate(request, terms, depends, artifact=bytes_, modelled=bytes_, own=own, payload=payload_bytes(request))


def measured_estimate(
    request: Request, terms: EstimateTerms, *, seed: int, repeat: int, progress: Progress
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
    artifact = Bytes(
        value=None if depends.reasons else sample.artifact_bytes,
        low=min(counted),
        high=max(counted),
        evidence=Evidence.SYNTHETIC,
    )
    try:
        modelled, own = _modelled(request, depends)
    except ConfigError:
        modelled, own = None, None
    opened = open_bytes(data, name=f"{request.model.name}.{request.recipe.codec}")
    assignment = assign(opened, terms.roles)
    budget = Budget(cap=terms.cap, stored=len(data), code=terms.code_bytes)
    notes = []
    if assignment.tied is not None and assignment.tied != request.model.tied:
        told = "tied" if request.model.tied else "untied"
        notes.append(f"the model file says {told}, its tensors' names say the opposite ({assignment.tied_reason})")
    estimate = _estimate(
        request,
        terms,
        depends,
        artifact=artifact,
        modelled=modelled,
        own=own,
        payload=sample.payload_bytes,
        container=sample.container_bytes,
        fixed=layouts.get(request.recipe.layout).fixed,
        samples=samples,
        inspection=Inspection(artifact=opened, assignment=assignment, budget=budget),
        notes=tuple(notes),
    )
    return estimate, data


def _modelled(request: Request, depends: Dependence) -> tuple[Bytes, Modelled]:
    """The formula's figure and its terms; where size depends on training, a range and the terms of its upper end."""
    tensors = request.model.tensors
    high = Formula(request.recipe, "gaussian", depends.tensors).of(tensors)
    if not depends.reasons:
        return Bytes(value=high.value, low=high.value, high=high.value, evidence=Evidence.MODELLED), high
    low = Formula(request.recipe, "laplace", depends.tensors).of(tensors)
    ends = sorted((low.value, high.value))
    return Bytes(value=None, low=ends[0], high=ends[1], evidence=Evidence.MODELLED), high


def _estimate(
    request: Request,
    terms: EstimateTerms,
    depends: Dependence,
    *,
    artifact: Bytes,
    modelled: Bytes | None,
    own: Modelled | None,
    payload: int | None,
    container: int | None = None,
    fixed: bool = True,
    samples: tuple[Sample, ...] = (),
    inspection: Inspection | None = None,
    notes: tuple[str, ...] = (),
) -> Estimate:
    chance = None
    if artifact.value is not None:
        headroom = terms.cap - artifact.value - (terms.code_bytes or 0)
        chance = chance_to_fit(headroom, artifact.value, terms.spread)
    return Estimate(
        request=request,
        cap=terms.cap,
        code_bytes=terms.code_bytes,
        payload_bytes=payload,
        container_bytes=container,
        container_fixed=fixed,
        artifact=artifact,
        modelled=modelled,
        terms=own,
        samples=samples,
        depends=depends.reasons,
        notes=(*depends.notes, *notes),
        spread=terms.spread,
        chance=chance,
        inspection=inspection,
    )
