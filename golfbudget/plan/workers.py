"""Run one function over many tasks in processes of their own, and hand results over as they are done.

Processes, not threads: libraries set their numbers of threads for a whole process, so that threads would disturb each
other's arithmetic.  They are started fresh (spawn), ignore the keyboard's interrupt, and end with the iteration,
however that ends.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar, cast

from golfbudget.errors import GolfbudgetError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
_Running = dict[Connection, BaseProcess]


class WorkerDiedError(GolfbudgetError):
    """A process ended before its task did, for want of memory perhaps."""


def results(function: Callable[[S, T], R], shared: S, tasks: Sequence[T], jobs: int) -> Iterator[tuple[int, R]]:
    """(number of the task, result) of every task, in the order in which they are done.

    With one job everything runs here, in order.  `shared` goes to each process once.  What a task raises is raised
    here; `WorkerDiedError` when a process is gone.
    """
    if jobs <= 1 or len(tasks) <= 1:
        for number, task in enumerate(tasks):
            yield number, function(shared, task)
        return
    context = multiprocessing.get_context("spawn")
    running: _Running = {}
    try:
        with _uninterrupted():
            for _ in range(min(jobs, len(tasks))):
                ours, theirs = context.Pipe()
                process: BaseProcess = context.Process(target=_work, args=(theirs, function, shared), daemon=True)
                process.start()
                theirs.close()
                running[ours] = process
        yield from _hand_out(running, tasks)
    finally:
        for connection, process in running.items():
            process.terminate()
            process.join()
            connection.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes started here ignore the keyboard's interrupt from the first: it is their parent that answers it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hand_out(running: _Running, tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
    waiting = iter(enumerate(tasks))
    busy: dict[Connection, int] = {}
    for connection, (number, task) in zip(running, waiting, strict=False):
        connection.send(task)
        busy[connection] = number
    while busy:
        for ready in wait(list(busy)):
            connection = cast("Connection", ready)
            try:
                succeeded, found = connection.recv()
            except (EOFError, OSError):
                raise WorkerDiedError("a process of --jobs ended before its work was done; try fewer jobs") from None
            if not succeeded:
                raise found
            number = busy.pop(connection)
            following = next(waiting, None)
            if following is not None:
                # The next task first: the process works on it while this result is looked at.
                busy[connection] = following[0]
                connection.send(following[1])
            yield number, found


def _work(connection: Connection, function: Callable[[S, T], R], shared: S) -> None:
    """The life of a process: tasks in, (whether it succeeded, result or exception) out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return  # The parent is gone.
        try:
            answer: tuple[bool, object] = True, function(shared, task)
        except Exception as error:  # noqa: BLE001  (raised again where the results are handed over)
            answer = False, error
        connection.send(answer)
