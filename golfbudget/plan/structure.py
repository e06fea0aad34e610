"""How many different rows a matrix shows, whatever grid of codebook sizes is tried.

Ward's agglomeration of the rows gives the squared error of every number of clusters in one pass, where fitting a
codebook would give it for one.  Rows that are copies of a few, exactly or under noise, show as a step in what merges
cost; rows that rounding makes alike, as an error within the recipe's own.  Token counts are not looked at, and of more
rows than a tree takes, equal ones alone are counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import EQUAL_ERROR
from golfbudget.recipe.export import decode_tensor
from golfbudget.schemes.agglomeration import MOST_ROWS, merge_tree

#: Merging across what is planted costs this many times what the last merge within it did.  Without structure the step
#: between one merge and the next is under 1.5, but for the last few, which divide the whole in two or three.
_STEP = 4.0
#: … and those are told by what they leave: where more than this share of the rows' spread is left, they are no copies.
_LEFT = 0.1
#: Costs under this share of a row's mean energy are the arithmetic's.
_NOTHING = 1e-12
_LEAST_ROWS, _MOST_STEPS = 3, 2

Rows = NDArray[np.floating]


def structural_codes(rows: Rows, allowed: float) -> tuple[int, ...]:
    """Codebook sizes that the rows [count, width] speak for, each under `count`.

    The fewest at which merging suddenly costs more, twice perhaps (rows that rounding made equal, then copies); and the
    least whose squared error is at most `allowed`, where that is at most half the rows: a codebook that is not rounded
    takes two bytes a value, and more of it saves nothing over rows of one.
    """
    if len(rows) < _LEAST_ROWS:
        return ()
    if len(rows) > MOST_ROWS:
        distinct = len(np.unique(rows, axis=0))
        return (distinct,) if distinct < len(rows) else ()
    costs = merge_tree(rows).costs
    errors = np.cumsum(costs)
    within = len(rows) - int(np.searchsorted(errors, allowed, side="right"))
    return tuple(dict.fromkeys((*_steps(rows, costs, errors), *([within] if within <= len(rows) // 2 else []))))


def _steps(rows: Rows, costs: NDArray[np.float64], errors: NDArray[np.float64]) -> list[int]:
    """Clusters before each merge that costs so much more than the one before it, fewest first."""
    least = _NOTHING * float(np.square(np.asarray(rows, dtype=np.float64)).sum()) / len(rows)
    if errors[-1] <= least:
        return [1]
    costs = np.maximum(costs, least)
    sudden = (costs[1:] >= _STEP * costs[:-1]) & (errors[:-1] <= _LEFT * errors[-1])
    return [len(rows) - 1 - int(merge) for merge in np.flatnonzero(sudden)[::-1][:_MOST_STEPS]]


def head_codes(source: PlanSource) -> tuple[int, ...]:
    """Codebook sizes that a source's head speaks for, its error held against what the recipe's rounding allows."""
    head = source.reference[source.head].float()
    own = decode_tensor(source.export, source.head).float()
    allowed = EQUAL_ERROR * float((head.double() - own.double()).square().sum())
    return structural_codes(head.numpy(), allowed)
