"""What a fit of the example loses at a few caps, and what each of its ingredients gives: the table of docs/fit.md.

    python tests/fit_table.py [JOBS] [CAP ...]

Each row is the file of least loss at those bytes by fewer means than all: one step for every matrix, or one for each
by its loss (allocation); integers rounded, along a trellis, or along one with error feedback.  All are written by the
same layout, coder and codec, chosen on the first tenth of the text and measured on the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from golfbudget import example
from golfbudget.fit.assembly import Assembled
from golfbudget.fit.bench import FittingBench, bench, menus_of
from golfbudget.fit.costs import MenuCosts
from golfbudget.fit.menu import AS_IS, MatrixChoice
from golfbudget.fit.request import HeadKind
from golfbudget.plan.building import baseline_file
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import decode
from golfbudget.schemes.threads import one_thread

CAPS = (900_000, 700_000, 600_000, 500_000, 400_000)
#: What a loader takes, about; every row leaves as much.
LOADER = 1_500
ROWS = {
    "rounded, one step": ("clipped",),
    "rounded, a step for each matrix": ("clipped",),
    "trellis, a step for each matrix": ("clipped", "trellis"),
    "trellis with error feedback: all of `fit`": ("clipped", "trellis", "trellis-gptq", "scalar", "ternary"),
}


def only(costs: MenuCosts, schemes: Iterable[str]) -> MenuCosts:
    """The same menus with these schemes alone."""
    kept = set(schemes)
    options = {
        owner: {choice: cost for choice, cost in own.items() if choice.scheme in kept or choice == AS_IS}
        for owner, own in costs.options.items()
    }
    return replace(costs, options=options)


def uniform(own: FittingBench, costs: MenuCosts, target: int) -> Assembled:
    """One choice for all, of the schemes there are: the largest file that is small enough, its last step scaled."""
    shared = set.intersection(*(set(options) for options in costs.options.values())) - {AS_IS}
    choices = sorted(shared, key=lambda choice: -sum(options[choice].bytes for options in costs.options.values()))
    for choice in choices:
        made = own.assembler.file(costs.everywhere(dict.fromkeys(costs.options, choice)))
        if len(made.data) <= target:
            return scaled(own, costs, choice, target, made)
    raise ValueError(f"no one step makes a file of {target} bytes")


def scaled(own: FittingBench, costs: MenuCosts, choice: MatrixChoice, target: int, best: Assembled) -> Assembled:
    low, high = 0.7, 1.0
    for _ in range(8):
        factor = (low * high) ** 0.5
        made = own.assembler.file(costs.everywhere(dict.fromkeys(costs.options, choice.scaled(factor))))
        if len(made.data) <= target:
            best, high = made, factor
        else:
            low = factor
    return best


def losses(own: FittingBench, files: list[Assembled]) -> list[str]:
    reporter = own.desk.reporter
    assert reporter is not None
    states = [(read_back(baseline_file(own.prepared.source), "baseline").state, None)]
    before, *after = own.reported([*states, *((decode(file.export), file.bias) for file in files)])
    found = (reporter.compare(before, each, 0) for each in after)
    return [f"{change.delta:+.4f} [{change.low:+.4f}, {change.high:+.4f}]" for change in found]


def main(jobs: int, caps: tuple[int, ...]) -> None:
    for cap in caps:
        request = PlanRequest(
            path=example.CHECKPOINT, cap=cap, recipe="int8-zlib-small", model=example.MODEL, jobs=jobs
        )
        prepared = prepare(request)
        target = cap - LOADER
        with one_thread(), bench(prepared) as own:
            costs = own.costs(menus_of(own, target, HeadKind.PLAIN))
            files = []
            for row, schemes in ROWS.items():
                mine = only(costs, schemes)
                if "one step" in row:
                    files.append(uniform(own, mine, target))
                else:
                    found = own.best(mine, target, 0)
                    files.append(own.full(found, target))
            told = losses(own, files)
            for row, file, loss in zip(ROWS, files, told, strict=True):
                plain = len(artifact_bytes(replace(file.export, streams={}), own.assembler.recipe))
                print(  # noqa: T201
                    f"| {cap // 1000} kB | {row} | {len(file.data):,} | {loss} | {plain - len(file.data):+,} |",
                    flush=True,
                )


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(arguments[0] if arguments else os.cpu_count() or 1, tuple(arguments[1:]) or CAPS)
