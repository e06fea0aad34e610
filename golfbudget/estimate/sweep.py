"""A table of estimates: one model and recipe under every combination of some values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from golfbudget.estimate.request import Request
from golfbudget.estimate.results import Estimate
from golfbudget.estimate.settings import Value, points


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of swept values and its estimate."""

    settings: Mapping[str, Value]
    estimate: Estimate


def sweep(
    sweeps: Mapping[str, Sequence[Value]],
    request: Callable[[Mapping[str, Value]], Request],
    estimate: Callable[[Request], Estimate],
) -> list[Point]:
    """Estimates of every combination, in order; every request is made before anything long begins."""
    requests = [(settings, request(settings)) for settings in points(sweeps)]
    return [Point(settings=settings, estimate=estimate(made)) for settings, made in requests]
