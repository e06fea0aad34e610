"""The joint optimum: which candidate each group of tensors takes, so that the whole file loses least within its bytes.

The choice supposes that bytes and losses of groups add up.  They do not quite, so what is chosen is written into one
file, counted and measured like any candidate; where that file is too long the choice is made again with less room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from golfbudget.plan.allocation import Allocation, Option, TensorGroup, allocate
from golfbudget.plan.results import Joint
from golfbudget.plan.trials import Candidate, Side, Trial, Trials

NAME = "joint"
#: What a group takes when it stays as the recipe has it.
_AS_IS = "as it is"
_ROUNDS = 6

Owners = frozenset[str]


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
        own = trials.trunk.where(lambda trial, owners=owners: frozenset(trial.candidate.owners) == owners)
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
