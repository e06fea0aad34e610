"""What each way to store each matrix costs: its bytes, and the loss that its error makes.

The loss of an error is taken to grow with the squared error, at a rate that is one matrix's own: its sensitivity, from
one measured perturbation.  A restructured head errs by more than that holds for, so each is measured.  Without a model
the loss is modelled: a matrix's squared error over its energy, for each of its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from golfbudget.evidence import Evidence
from golfbudget.fit.desk import Desk, Priced, perturbed, price
from golfbudget.fit.menu import MatrixChoice, restructures
from golfbudget.progress import Progress
from golfbudget.workers import Processes

#: The step of the perturbation: large enough to be seen, small enough for the square to hold.
_PROBE_BYTES_A_WEIGHT = 3 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Bytes of a choice before the container, and its loss: bits per byte, or of no unit where it is modelled."""

    bytes: int
    error: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuCosts:
    """By owner and choice; `rates` are losses for each unit of squared error.

    `owners` that hold equal matrices stand under the first of them, in `twins`.
    """

    options: Mapping[str, Mapping[MatrixChoice, Cost]]
    rates: Mapping[str, float]
    twins: Mapping[str, tuple[str, ...]]
    evidence: Evidence

    def of(self, owner: str, choice: MatrixChoice) -> Cost:
        return self.options[owner][choice]

    def everywhere(self, choices: Mapping[str, MatrixChoice]) -> dict[str, MatrixChoice]:
        """The choices of all owners, twins included."""
        return {twin: choice for owner, choice in choices.items() for twin in self.twins[owner]}

    def next_kilobyte(self, owner: str, choice: MatrixChoice) -> float | None:
        """What a kilobyte more would gain in one matrix, µbpb; None where nothing finer was tried, or nothing run."""
        own = self.options.get(owner, {})
        if self.evidence is not Evidence.MEASURED or not own:
            return None
        here = own[choice.closest(own)]
        gains = [
            (here.loss - cost.loss) * 1e6 / ((cost.bytes - here.bytes) / 1000)
            for cost in own.values()
            if cost.bytes > here.bytes and cost.loss < here.loss
        ]
        return round(max(gains), 3) if gains else None

    def at_rates(self, rates: Mapping[str, float]) -> MenuCosts:
        """Losses anew from errors, at other rates; what was measured stays."""
        options = {
            owner: {
                choice: cost if restructures(choice.scheme) else replace(cost, loss=cost.error * rates[owner])
                for choice, cost in own.items()
            }
            for owner, own in self.options.items()
        }
        return replace(self, options=options, rates=dict(rates))


def measure_costs(
    desk: Desk,
    processes: Processes[Desk],
    menus: Mapping[str, Sequence[MatrixChoice]],
    twins: Mapping[str, tuple[str, ...]],
    jobs: int,
    progress: Progress,
) -> MenuCosts:
    """Encode every entry of every menu, and measure what errors cost."""
    tasks = [(owner, choice) for owner, menu in menus.items() for choice in menu]
    # The largest matrices first, so that no process is left alone with one at the end.
    tasks.sort(key=lambda task: -desk.source.reference[task[0]].numel())
    steps = len(tasks) + len(menus)
    priced: dict[str, dict[MatrixChoice, Priced]] = {owner: {} for owner in menus}
    for number, found in processes.results(price, tasks, jobs):
        owner, choice = tasks[number]
        progress(f"{owner} {choice.name}", steps)
        priced[owner][choice] = found
    rates = dict(_rates(desk, processes, priced, twins, jobs, steps, progress))
    measured = dict(_measured(desk, processes, priced, jobs, progress))
    options = {
        owner: {choice: _cost(own[choice], rates[owner], measured.get((owner, choice))) for choice in menus[owner]}
        for owner, own in priced.items()
    }
    evidence = Evidence.MODELLED if desk.chooser is None else Evidence.MEASURED
    return MenuCosts(options=options, rates=rates, twins=twins, evidence=evidence)


def _cost(found: Priced, rate: float, measured: float | None) -> Cost:
    return Cost(bytes=found.bytes, error=found.error, loss=found.error * rate if measured is None else measured)


def _rates(
    desk: Desk,
    processes: Processes[Desk],
    priced: Mapping[str, Mapping[MatrixChoice, Priced]],
    twins: Mapping[str, tuple[str, ...]],
    jobs: int,
    steps: int,
    progress: Progress,
) -> Iterator[tuple[str, float]]:
    owners = list(priced)
    if desk.chooser is None:
        for owner in owners:
            weights = desk.source.reference[owner].numel() * len(twins[owner])
            energy = desk.energy(owner)
            yield owner, weights / energy if energy else 0.0
        return
    probes = [(owner, _probe(desk, owner, priced[owner])) for owner in owners]
    for number, loss in processes.results(perturbed, probes, jobs):
        owner, choice = probes[number]
        progress(f"what errors of {owner} cost", steps)
        error = priced[owner][choice].error
        yield owner, loss * len(twins[owner]) / error if error else 0.0


def _probe(desk: Desk, owner: str, own: Mapping[MatrixChoice, Priced]) -> MatrixChoice:
    """The plain choice whose bytes are closest to those of the perturbation."""
    wanted = desk.source.reference[owner].numel() * _PROBE_BYTES_A_WEIGHT
    plain = [found for found in own.values() if not restructures(found.choice.scheme) and found.error > 0]
    plain = plain or list(own.values())
    return min(plain, key=lambda found: (abs(found.bytes - wanted), found.choice.name)).choice


def _measured(
    desk: Desk,
    processes: Processes[Desk],
    priced: Mapping[str, Mapping[MatrixChoice, Priced]],
    jobs: int,
    progress: Progress,
) -> Iterator[tuple[tuple[str, MatrixChoice], float]]:
    if desk.chooser is None:
        return
    tasks = [(owner, choice) for owner, own in priced.items() for choice in own if restructures(choice.scheme)]
    for number, loss in processes.results(perturbed, tasks, jobs):
        owner, choice = tasks[number]
        progress(f"loss of {owner} {choice.name}", len(tasks))
        yield (owner, choice), loss
