"""The joint optimum: which candidate each group of tensors takes, so that the whole file loses least within its bytes.

A multiple-choice knapsack, solved to optimality as a mixed integer program by HiGHS through scipy.  Of solutions with
the least loss it takes one with the fewest bytes; groups and options are put in one fixed order before solving, so the
answer does not depend on theirs.

The choice supposes that bytes and losses of groups add up.  They do not quite, so what is chosen is written into one
file, counted and measured like any candidate; where that file is too long the choice is made again with less room.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golfbudget.errors import UsageError
from golfbudget.plan.results import Joint
from golfbudget.plan.trials import Candidate, Side, Trial, Trials

NAME = "joint"
#: What a group takes when it stays as the recipe has it.
_AS_IS = "as it is"
_ROUNDS = 6

Owners = frozenset[str]
#: Losses are scaled to this range for the solver, whose absolute gap of 1e-6 is then far below what matters.
_RANGE = 1e6
#: Of that range: losses closer than this are one loss when bytes decide.
_SAME = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to store a group: its bytes (or their change; negative saves) and its loss in any one unit."""

    name: str
    bytes: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorGroup:
    """An owner or group of owners that takes exactly one of its options."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer.  `chosen` maps group to option name, and is None when no choice is within the cap.

    `bytes` and `loss` are sums over what is chosen; with no choice, `bytes` is the least there is and `loss` is None.
    """

    chosen: Mapping[str, str] | None
    bytes: int
    loss: float | None


def allocate(groups: Sequence[TensorGroup], cap: int, gap: float = 0.0) -> Allocation:
    """Take one option per group: least loss, then fewest bytes, with total bytes at most `cap`.

    With a `gap` any choice will do whose loss, above the least that there is without a cap, is within that share of the
    best one's: many like groups take long to tell apart.

    Raises `UsageError` for a group without options, for names used twice, and for a loss that is not finite.
    """
    _check(groups)
    kept = [(group.name, _undominated(group.options)) for group in sorted(groups, key=lambda group: group.name)]
    least = sum(options[0].bytes for _, options in kept)
    if least > cap:
        return Allocation(chosen=None, bytes=least, loss=None)
    picked = _solve([options for _, options in kept], cap, gap)
    return Allocation(
        chosen={name: option.name for (name, _), option in zip(kept, picked, strict=True)},
        bytes=_total(picked),
        loss=_loss(picked),
    )


def _check(groups: Sequence[TensorGroup]) -> None:
    if len({group.name for group in groups}) != len(groups):
        raise UsageError(f"allocation: group names repeat in {', '.join(group.name for group in groups)}")
    for group in groups:
        if not group.options:
            raise UsageError(f"allocation: group {group.name} has no options; give at least what it is now")
        if len({option.name for option in group.options}) != len(group.options):
            raise UsageError(f"allocation: option names repeat in group {group.name}")
        for option in group.options:
            if not math.isfinite(option.loss):
                raise UsageError(f"allocation: {group.name}/{option.name} has loss {option.loss}, expected a number")


def _undominated(options: Sequence[Option]) -> list[Option]:
    """Options in order of rising bytes and strictly falling loss; no other can be in a best choice."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (option.bytes, option.loss, option.name)):
        if not kept or option.loss < kept[-1].loss:
            kept.append(option)
    return kept


def _loss(picked: Sequence[Option]) -> float:
    return math.fsum(option.loss for option in picked)


def _total(picked: Sequence[Option]) -> int:
    return sum(option.bytes for option in picked)


def _solve(groups: Sequence[Sequence[Option]], cap: int, gap: float) -> list[Option]:
    flat = [option for options in groups for option in options]
    spread = math.fsum(options[0].loss - options[-1].loss for options in groups)
    if spread == 0:
        return [options[0] for options in groups]
    # Both are counted from each group's own least, which keeps the numbers small and the same choices best.
    bytes_ = np.array([option.bytes - options[0].bytes for options in groups for option in options], dtype=np.float64)
    losses = np.array([option.loss - options[-1].loss for options in groups for option in options])
    losses *= _RANGE / spread
    room = min(float(cap - sum(options[0].bytes for options in groups)), float(bytes_.sum()))
    program = _Program([len(options) for options in groups], bytes_, room, gap)
    first = program.choose(losses, losses, math.inf)
    if gap:
        return [flat[i] for i in first]
    ceiling = float(losses[first].sum()) + _SAME
    second = program.choose(bytes_, losses, ceiling)
    best, thrifty = [flat[i] for i in first], [flat[i] for i in second]
    # The second solve may give up a rounding of the loss for bytes; it is kept only if the loss is the same.
    same = math.isclose(_loss(thrifty), _loss(best), rel_tol=1e-12, abs_tol=1e-12 * spread)
    return thrifty if _total(thrifty) <= _total(best) and (same or _loss(thrifty) < _loss(best)) else best


class _Program:
    """One variable per option; exactly one per group; bytes within the room.

    The solver allows variables to miss whole numbers by 1e-6, which on millions of bytes is more than a byte.  So
    each answer is rounded and its bytes counted exactly; one that is over is forbidden and the program solved again.
    The true optimum is never forbidden, and choices are finite.
    """

    def __init__(self, sizes: Sequence[int], bytes_: NDArray[np.float64], room: float, gap: float) -> None:
        self.owner = np.repeat(np.arange(len(sizes)), sizes)
        self.one_each = (self.owner == np.arange(len(sizes))[:, None]).astype(np.float64)
        self.bytes, self.room, self.gap = bytes_, room, gap
        self.forbidden: list[NDArray[np.float64]] = []

    def choose(self, objective: NDArray[np.float64], losses: NDArray[np.float64], ceiling: float) -> NDArray[np.int64]:
        """Flat indices of the options with the least objective whose losses sum to at most `ceiling`."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        groups = len(self.one_each)
        while True:
            rules = [LinearConstraint(self.one_each, 1, 1), LinearConstraint(self.bytes, -np.inf, self.room)]
            if math.isfinite(ceiling):
                rules.append(LinearConstraint(losses, -np.inf, ceiling))
            rules += [LinearConstraint(taken, -np.inf, groups - 1) for taken in self.forbidden]
            with _silent():
                found = milp(
                    objective,
                    constraints=rules,
                    integrality=np.ones(len(objective)),
                    bounds=Bounds(0, 1),
                    options={"mip_rel_gap": self.gap},
                )
            if found.x is None or found.status != 0:
                raise RuntimeError(f"HiGHS found no optimum of a feasible program: {found.message}")
            chosen = np.flatnonzero(found.x > 0.5)
            if self.bytes[chosen].sum() <= self.room:
                return chosen
            taken = np.zeros(len(objective))
            taken[chosen] = 1
            self.forbidden.append(taken)


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing that compiled code prints reaches stdout, where a report goes: HiGHS has a line of its own there.

    What C's library holds back is let go before stdout is the old one again.
    """
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # There is no stdout.
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointResult:
    """The joint choice and the trial of its file; or neither, and why."""

    joint: Joint | None
    trial: Trial | None
    reason: str


def partitions(trials: Trials) -> list[tuple[Owners, ...]]:
    """Ways to cut the trunk into groups that were tried: as a whole, or in two halves that make up the whole.

    Where neither was, the largest group; one empty way where nothing was tried.
    """
    tried = list(dict.fromkeys(frozenset(trial.candidate.owners) for trial in trials.trunk))
    whole = frozenset[str]().union(*tried)
    halves = [
        (one, other)
        for number, one in enumerate(tried)
        for other in tried[number + 1 :]
        if not one & other and one | other == whole
    ]
    ways = [*([(whole,)] if whole in tried else []), *halves]
    return ways or [(max(tried, key=len),) if tried else ()]


def groups(trials: Trials, trunk: Sequence[Owners]) -> list[TensorGroup]:
    """The head and each part of the trunk with the trials on exactly these tensors whose loss is known.

    An option's bytes are the change that it makes to the counted bytes, its loss the change in bits per byte.
    """
    options = {"head": trials.head}
    for owners in trunk:
        own = trials.trunk.replacing(owners)
        # A group's name is the word that its candidates begin with.
        options[own[0].name.partition("-")[0]] = own
    as_is = Option(name=_AS_IS, bytes=0, loss=0.0)
    return [TensorGroup(name=name, options=(as_is, *map(_option, own.known))) for name, own in options.items()]


def _option(trial: Trial) -> Option:
    return Option(name=trial.name, bytes=-trial.saved_bytes, loss=trial.loss)


def best_choice(trials: Trials, room: int) -> Allocation | None:
    """The least loss over all partitions with a change of at most `room` bytes; None where nothing fits."""
    made = [allocate(groups(trials, trunk), room) for trunk in partitions(trials)]
    feasible = [allocation for allocation in made if allocation.chosen is not None]
    return min(feasible, key=lambda a: (a.loss or 0.0, a.bytes), default=None)


def joint_candidate(chosen: Mapping[str, str], trials: Trials) -> Candidate | None:
    """What is chosen as one candidate; None where everything stays as it is."""
    picked = (trials.named(option) for _, option in sorted(chosen.items()))
    parts = tuple(trial.candidate for trial in picked if trial is not None)
    if not parts:
        return None
    owners = tuple(owner for part in parts for owner in part.owners)
    return Candidate(name=NAME, side=Side.JOINT, scheme=NAME, options={}, owners=owners, parts=parts)


def make_joint(trials: Trials, baseline_bytes: int, target: int, tried: Callable[[Candidate], Trial]) -> JointResult:
    """The best choice whose file has at most `target` counted bytes; `tried` writes, counts and measures a candidate.

    A file that is longer than the sum of its groups said leaves that much less room for the next choice.
    """
    room = target - baseline_bytes
    for _ in range(_ROUNDS):
        allocation = best_choice(trials, room)
        if allocation is None or allocation.chosen is None:
            return _none("no choice of candidates of known loss fits")
        candidate = joint_candidate(allocation.chosen, trials)
        if candidate is None:
            return _none("the least loss leaves every group as it is")
        trial = tried(candidate)
        excess = trial.counted_bytes - target
        if excess <= 0:
            return JointResult(joint=_joint(allocation, baseline_bytes, target, trial), trial=trial, reason="")
        room -= excess
    return _none(f"files kept coming out longer than their sums, {_ROUNDS} times")


def _none(reason: str) -> JointResult:
    return JointResult(joint=None, trial=None, reason=f"no joint choice: {reason}")


def _joint(allocation: Allocation, baseline_bytes: int, target: int, trial: Trial) -> Joint:
    chosen = allocation.chosen or {}
    return Joint(
        target=target,
        chosen={group: None if option == _AS_IS else option for group, option in chosen.items()},
        expected_bytes=baseline_bytes + allocation.bytes,
        expected_loss=round(allocation.loss or 0.0, 6),
        candidate=trial.name,
        rebuilt_bytes=trial.counted_bytes,
        difference=trial.counted_bytes - baseline_bytes - allocation.bytes,
    )
