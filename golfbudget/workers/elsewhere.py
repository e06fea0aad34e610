"""Tasks handed to an executor of `concurrent.futures`: a dask cluster, jobs of a batch system, any other.

Only names of files, and what is small, travel by the executor.  A task that is lost with its worker is handed over
again, a few times; every other trouble is an error here.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from golfbudget.cache import VARIABLE
from golfbudget.errors import GolfbudgetError
from golfbudget.parcels import Parcels
from golfbudget.workers import environment
from golfbudget.workers.performing import Answer, Outcome, perform

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class WorkerDiedError(GolfbudgetError):
    """A process ended before its task did, for want of memory perhaps."""


class WorkerDiffersError(GolfbudgetError):
    """A worker has another golfbudget, or other libraries, or does not see the files of the one who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where tasks are handed to.

    `name` is what messages call it.  What is handed over lies in `folder`.  At most `most` calls are under way at a
    time, as many as there are tasks where it is None; a run of tasks is that many calls where `grouped`, since each
    takes seconds to begin.  A call is tried `tries` times.
    """

    name: str
    executor: Executor
    folder: Path
    most: int | None = None
    grouped: bool = False
    tries: int = 3

    def submit(self, shared: str, tasks: Sequence[bytes | str]) -> Future[list[Answer]]:
        return self.executor.submit(
            perform, environment.digest(), str(Path.cwd()), str(self.folder), shared, list(tasks)
        )  # fmt: skip

    def groups(self, tasks: int) -> list[range]:
        """Numbers of the tasks of every call; the first ones, which are the largest, in calls of their own."""
        calls = min(tasks, self.most) if self.grouped and self.most else tasks
        return [range(first, tasks, calls) for first in range(calls)]


_chosen: ContextVar[Workplace | None] = ContextVar("workplace", default=None)


def chosen() -> Workplace | None:
    """Where tasks are handed to; None for processes of this machine."""
    return _chosen.get()


def shared_folder() -> Path | None:
    """Where temporary files lie that workers read, too; None for the system's own place."""
    place = _chosen.get()
    return None if place is None else place.folder


@contextmanager
def handing_to(place: Workplace) -> Iterator[None]:
    """In this block tasks of more than one job are handed there."""
    token = _chosen.set(place)
    try:
        yield
    finally:
        _chosen.reset(token)


def lay(place: Workplace, shared: object) -> str:
    """Put down what tasks share; the name of its file."""
    return Parcels(place.folder).lay(shared)


def results(
    place: Workplace, shared: str, function: Callable[[S, T], R], tasks: Sequence[T]
) -> Iterator[tuple[int, R]]:
    """(number of the task, result) of every task, in the order in which they are done.

    `shared` names the file of the function's first argument.  What a task raises is raised here; `WorkerDiedError` for
    one that was lost too often, `WorkerDiffersError` where a worker cannot give the same results.  What is left of a
    run that is not taken to its end is called off.
    """
    parcels = Parcels(place.folder)
    waiting, lost = deque(place.groups(len(tasks))), Counter[range]()
    running: dict[Future[list[Answer]], range] = {}
    try:
        while waiting or running:
            while waiting and (place.most is None or len(running) < place.most):
                group = waiting.popleft()
                packed = [parcels.pack((function, tasks[number])) for number in group]
                try:
                    running[place.submit(shared, packed)] = group
                except (BrokenExecutor, RuntimeError) as error:
                    raise _died(place, tasks[group[0]], 1, error) from None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                group = running.pop(future)
                try:
                    answers = future.result()
                except (ImportError, AttributeError) as error:
                    raise _stranger(place, error) from None
                except Exception as error:  # noqa: BLE001  (an executor's own trouble; tasks' errors are answers)
                    lost[group] += 1
                    if lost[group] >= place.tries or isinstance(error, BrokenExecutor):
                        raise _died(place, tasks[group[0]], lost[group], error) from None
                    waiting.appendleft(group)
                    continue
                for number, answer in zip(group, _valid(place, answers), strict=True):
                    yield number, cast("R", _opened(parcels, answer))
    finally:
        for future in running:
            future.cancel()


def ask(place: Workplace, seconds: float | None) -> None:
    """Ask for a first answer, for `seconds` at most; `TimeoutError` where none comes.

    Raises `WorkerDiffersError` where a worker cannot give the same results, `WorkerDiedError` where it is lost.
    """
    future = place.submit(lay(place, None), [])
    try:
        answers = future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise
    except (BrokenExecutor, CancelledError) as error:
        raise _died(place, "a first question", 1, error) from None
    except Exception as error:  # noqa: BLE001  (what reads a call raises what it likes where golfbudget is not known)
        raise _stranger(place, error) from None
    _valid(place, answers)


def _valid(place: Workplace, answers: list[Answer]) -> list[Answer]:
    """The answers, where the worker could work."""
    if answers and answers[0][0] == Outcome.DIFFERS:
        facts = json.loads(cast("bytes", answers[0][1]))
        raise WorkerDiffersError(
            f"--executor {place.name}: the worker on {facts['host']} has {environment.difference(facts)}; results "
            "would not be the same: install there what is installed here"
        )
    if answers and answers[0][0] == Outcome.BLIND:
        host, path = cast("bytes", answers[0][1]).decode().split("\n", 1)
        raise WorkerDiffersError(
            f"--executor {place.name}: the worker on {host} does not see {path}; workers and this machine must share "
            f"the folder of the command, its files and the cache: --cache DIR or ${VARIABLE} puts that elsewhere"
        )
    return answers


def _opened(parcels: Parcels, answer: Answer) -> Any:  # noqa: ANN401  (whatever the task's function gives)
    outcome, parcel = answer
    if outcome == Outcome.RAISED:
        raise pickle.loads(cast("bytes", parcel))  # noqa: S301  (our own worker's)
    return parcels.unpack(parcel)


def _died(place: Workplace, task: object, times: int, error: BaseException) -> WorkerDiedError:
    reason = "called off, as when a scheduler ends" if isinstance(error, CancelledError) else _line(error)
    often = f"{times} times " if times > 1 else ""
    return WorkerDiedError(
        f"--executor {place.name}: {_named(task)} was lost {often}with its worker ({type(error).__name__}: {reason}); "
        "see whether workers have enough memory"
    )


def _stranger(place: Workplace, error: Exception) -> WorkerDiffersError:
    return WorkerDiffersError(
        f"--executor {place.name}: no golfbudget like this one is known there ({type(error).__name__}: "
        f"{_line(error)}); install it, with the same packages, where tasks are done and where a scheduler runs"
    )


def _line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "no more is known")[:300]


def _named(task: object) -> str:
    """A task in a few words: paths, names of candidates and matrices."""
    name = getattr(task, "name", None)
    if isinstance(task, Path):
        return str(task)
    if isinstance(name, str):
        return name
    if isinstance(task, list | tuple):
        return ", ".join(map(_named, task[:3])) + (" …" if len(task) > 3 else "")
    return task if isinstance(task, str) else f"a task ({type(task).__name__})"
