"""What each way to store each matrix costs: its bytes, and the loss that its error makes.

The loss of an error is taken to grow with the squared error, at a rate that is one matrix's own: its sensitivity, from
one measured perturbation.  A restructured head errs by more than that holds for, so each is measured.  Without a model
the loss is modelled: a matrix's squared error over its energy, for each of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from golfbudget.evidence import Evidence
from golfbudget.fit.desk import Desk, Priced, perturbed, price
from golfbudget.fit.kept import KeptCosts
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
    progress: Progress,
    kept: KeptCosts,
) -> MenuCosts:
    """Encode every entry of every menu, and measure what errors cost; what is kept is not done again."""
    priced = {owner: kept.priced(owner) for owner in menus}
    tasks = [(owner, choice) for owner, menu in menus.items() for choice in menu if choice not in priced[owner]]
    # The largest matrices first, so that no process is left alone with one at the end.
    tasks.sort(key=lambda task: -desk.source.reference[task[0]].numel())
    for number, found in processes.results(price, tasks):
        owner, choice = tasks[number]
        progress(f"{owner} {choice.name}", len(tasks))
        priced[owner][choice] = found
        kept.keep_priced(owner, priced[owner])
    # What else is kept is of other menus.
    priced = {owner: {choice: priced[owner][choice] for choice in menu} for owner, menu in menus.items()}
    rates, measured = _rates_without_model(desk, twins), dict[str, dict[MatrixChoice, float]]()
    if desk.chooser is not None:
        probes = {owner: _probe(desk, owner, own) for owner, own in priced.items()}
        measured = _measured(processes, priced, probes, progress, kept)
        rates = {
            owner: measured[owner][probe] * len(twins[owner]) / error if (error := priced[owner][probe].error) else 0.0
            for owner, probe in probes.items()
        }
    options = {
        owner: {
            choice: _cost(
                found, rates[owner], measured[owner][choice] if restructures(choice.scheme) and measured else None
            )
            for choice, found in own.items()
        }
        for owner, own in priced.items()
    }
    evidence = Evidence.MODELLED if desk.chooser is None else Evidence.MEASURED
    return MenuCosts(options=options, rates=rates, twins=twins, evidence=evidence)


def _cost(found: Priced, rate: float, measured: float | None) -> Cost:
    return Cost(bytes=found.bytes, error=found.error, loss=found.error * rate if measured is None else measured)


def _rates_without_model(desk: Desk, twins: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """A matrix's squared error over its energy, for each of its weights."""
    found = {}
    for owner, own in twins.items():
        energy = desk.energy(owner)
        found[owner] = desk.source.reference[owner].numel() * len(own) / energy if energy else 0.0
    return found


def _probe(desk: Desk, owner: str, own: Mapping[MatrixChoice, Priced]) -> MatrixChoice:
    """The plain choice whose bytes are closest to those of the perturbation."""
    wanted = desk.source.reference[owner].numel() * _PROBE_BYTES_A_WEIGHT
    plain = [found for found in own.values() if not restructures(found.choice.scheme) and found.error > 0]
    plain = plain or list(own.values())
    return min(plain, key=lambda found: (abs(found.bytes - wanted), found.choice.name)).choice


def _measured(
    processes: Processes[Desk],
    priced: Mapping[str, Mapping[MatrixChoice, Priced]],
    probes: Mapping[str, MatrixChoice],
    progress: Progress,
    kept: KeptCosts,
) -> dict[str, dict[MatrixChoice, float]]:
    """Divergences of every owner's probe, and of every restructured head."""
    found = {owner: kept.losses(owner) for owner in priced}
    wanted = [(owner, probe) for owner, probe in probes.items()]
    wanted += [(owner, choice) for owner, own in priced.items() for choice in own if restructures(choice.scheme)]
    tasks = [(owner, choice) for owner, choice in dict.fromkeys(wanted) if choice not in found[owner]]
    for number, loss in processes.results(perturbed, tasks):
        owner, choice = tasks[number]
        progress(f"loss of {owner} {choice.name}", len(tasks))
        found[owner][choice] = loss
        kept.keep_losses(owner, found[owner])
    return found
