"""The choice of least loss whose file is within a target: chosen, written, and chosen again where bytes differ.

Sums of tables are not a file: the container adds its own bytes, and the codec takes some away.  So the room for tables
is what the last file left for them.  Then neighbours are measured: what a matrix loses in the midst of all others'
errors is not what it loses alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from golfbudget.errors import UsageError
from golfbudget.fit.assembly import Assembled, Assembler
from golfbudget.fit.costs import Cost, MenuCosts
from golfbudget.fit.desk import State, diverging
from golfbudget.fit.menu import MatrixChoice
from golfbudget.plan.joint import Option, TensorGroup, allocate
from golfbudget.progress import Progress

_ROUNDS = 5
#: A file so much under its target is not chosen again.
_CLOSE = 0.001
#: A corrected rate is at most so many times the other way's, whatever noise says.
_MOST_CHANGE = 4.0
#: A neighbour is so much larger in error.
_COARSER = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file within its target, and its loss as `costs` have it; `divergence` bits per byte, where it was measured."""

    assembled: Assembled
    expected: float
    costs: MenuCosts
    divergence: float | None = None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.assembled.data)


def best_file(assembler: Assembler, costs: MenuCosts, target: int) -> Found:
    """The file of least expected loss of at most `target` bytes; `UsageError` where none is so small.

    Where what a file adds to its tables does not settle, more and more room is left for it until one fits.
    """
    least = {owner: min(own, key=lambda choice: own[choice].bytes) for owner, own in costs.options.items()}
    overhead, more, best = 0, 0, None
    sizes: dict[tuple[tuple[str, MatrixChoice], ...], int] = {}
    while True:
        chosen = _chosen(costs, target - overhead) or least
        key = tuple(sorted(chosen.items(), key=lambda item: item[0]))
        unsettled = key in sizes or len(sizes) >= _ROUNDS
        if best is not None and unsettled:
            return best
        if key not in sizes:
            assembled = assembler.file(costs.everywhere(chosen))
            found = Found(assembled=assembled, expected=expected(costs, chosen), costs=costs)
            sizes[key] = found.size
            if found.size <= target:
                best = found if best is None or found.expected < best.expected else best
                if found.size >= (1 - _CLOSE) * target:
                    return best
        size = sizes[key]
        own = size - sum(costs.of(owner, choice).bytes for owner, choice in chosen.items())
        if size <= target or not unsettled:
            overhead = own
        elif chosen != least:
            more = max(2 * more, size - target)
            overhead = max(overhead, own) + more
        else:
            raise UsageError(
                f"no file of {target:,} bytes: the smallest that the schemes tried make has {size:,}; "
                "raise the cap, or add schemes (--schemes)"
            )


def expected(costs: MenuCosts, chosen: Mapping[str, MatrixChoice]) -> float:
    """The sum of losses."""
    return sum(costs.of(owner, choice).loss for owner, choice in chosen.items())


#: Costs are known less well than to this share.
_GAP = 1e-3
#: Choices that lose more than so many times what the whole file does are not looked at again.
_FAR = 20.0


def _chosen(costs: MenuCosts, room: int) -> dict[str, MatrixChoice] | None:
    """By owner; None where nothing fits.

    The solver tells losses apart to a share of their whole range, which a few bad choices make wide: it is asked
    again without them.
    """
    first = _allocated(costs, room, math.inf)
    return None if first is None else _allocated(costs, room, _FAR * expected(costs, first)) or first


def _allocated(costs: MenuCosts, room: int, most: float) -> dict[str, MatrixChoice] | None:
    named = {
        owner: {f"{number:05}": choice for number, choice in enumerate(own)} for owner, own in costs.options.items()
    }
    groups = [
        TensorGroup(
            name=owner,
            options=tuple(
                Option(name=number, bytes=cost.bytes, loss=cost.loss)
                for number, choice in numbers.items()
                if (cost := costs.of(owner, choice)).loss <= most
            ),
        )
        for owner, numbers in named.items()
    ]
    allocation = allocate(groups, room, _GAP)
    if allocation.chosen is None:
        return None
    return {owner: named[owner][number] for owner, number in sorted(allocation.chosen.items())}


def corrected(assembler: Assembler, found: Found, target: int, progress: Progress) -> Found:
    """The better of the file and of one chosen by rates measured around it: every matrix a little coarser, in turn."""
    costs, here = found.costs, found.assembled
    own = {owner: here.choices[owner] for owner in costs.options}
    coarser = {owner: other for owner, choice in own.items() if (other := _coarser(costs.options[owner], choice))}
    states: list[State] = [(here.decoded, here.bias)]
    for owner, other in coarser.items():
        stored = assembler.stored({owner: other})[owner].decoded
        states.append(({**here.decoded, **dict.fromkeys(costs.twins[owner], stored)}, here.bias))
    now, *losses = assembler.processes.in_order(
        diverging, states, lambda number: progress(f"neighbour {number} of the choice", len(states))
    )
    rates = dict(costs.rates)
    for (owner, _), loss in zip(coarser.items(), losses, strict=True):
        before, after = costs.of(owner, own[owner]), costs.of(owner, coarser[owner])
        if (more := after.error - before.error) > 0:
            rate = (loss - now) / more
            least, most = rates[owner] / _MOST_CHANGE, rates[owner] * _MOST_CHANGE
            rates[owner] = min(max(rate, least), most)
    again = best_file(assembler, costs.at_rates(rates), target)
    loss = assembler.desk.divergence(again.assembled.decoded, again.assembled.bias)
    return replace(again, divergence=loss) if loss < now else replace(found, divergence=now)


def _coarser(own: Mapping[MatrixChoice, Cost], choice: MatrixChoice) -> MatrixChoice | None:
    """The choice of the same scheme, or else of any, whose error is next above."""
    here = own[choice]
    larger = [
        (other.scheme != choice.scheme, cost.error, other.name, other)
        for other, cost in own.items()
        if cost.error >= _COARSER * max(here.error, 1e-30) and cost.bytes < here.bytes
    ]
    return min(larger)[3] if larger else None
