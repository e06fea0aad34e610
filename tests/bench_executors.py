"""How much sooner 100 estimates of a sweep are done by workers of an executor than by one process."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

from bench_page import Timing

import golfbudget as gb
from golfbudget.schemes.threads import one_thread

#: Artifacts of a small model, each really written, one of each: where there are two, one process writes both at a time.
SMALL = {"vocabulary": 256, "width": 64}
SWEEP: dict[str, Sequence[int]] = {"layers": range(2, 12), "level": range(10)}


def seconds(executor: Executor | None) -> float:
    start = time.perf_counter()
    with one_thread():  # As every worker has it.
        gb.estimate("sp8192", set=SMALL, sweep=SWEEP, executor=executor)
    return time.perf_counter() - start


def sweep() -> Iterator[Timing]:
    """The same sweep by one process and by workers that are there."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        first = seconds(pool)
        alone, others = seconds(None), seconds(pool)
    print(
        f"sweep of 100 estimates by {workers} workers: {alone / others:.2f} x as fast as by one process "
        f"({others:.1f} s and {alone:.1f} s); {first:.1f} s where workers start first"
    )
    if workers == 2:
        against = f"one process, {alone:.1f} s"
        yield Timing(what="100 estimates by two workers", takes=f"{alone / others:.2f} x as fast", against=against)
