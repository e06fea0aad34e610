"""One function over many tasks in processes: those of this machine, or an executor's where one was chosen."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from golfbudget.workers import elsewhere
from golfbudget.workers.elsewhere import WorkerDiedError
from golfbudget.workers.memory import give_back

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class Processes(Generic[S]):
    """At most `jobs` processes that have `shared` sent to them once each, for one run of tasks after another.

    They are started fresh (spawn) when there is first work for them, ignore the keyboard's interrupt, and end with the
    `with` block, however that ends.  Where an executor was chosen its workers are all there are.
    """

    def __init__(self, shared: S, jobs: int) -> None:
        self._shared, self.jobs = shared, jobs
        self._running: dict[Connection, BaseProcess] = {}
        #: The file that an executor's workers read it from.
        self._laid: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._end()

    def results(self, function: Callable[[S, T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """(number of the task, result) of every task, in the order in which they are done.

        With one job everything runs here, in order; with more, an executor knows how many are done at a time.  What a
        task raises is raised here; `WorkerDiedError` when a process is gone.  A run that is not taken to its end ends
        the processes: they are at work on it still.
        """
        if self.jobs <= 1 or len(tasks) <= 1:
            for number, task in enumerate(tasks):
                yield number, function(self._shared, task)
            return
        place = elsewhere.chosen()
        if place is not None:
            self._laid = self._laid or elsewhere.lay(place, self._shared)
            yield from elsewhere.results(place, self._laid, function, tasks)
            return
        self._start(min(self.jobs, len(tasks)))
        give_back()
        finished = False
        try:
            yield from _hand_out(list(self._running), function, tasks)
            finished = True
        finally:
            if not finished:
                self._end()

    def in_order(
        self, function: Callable[[S, T], R], tasks: Sequence[T], done: Callable[[int], object] | None = None
    ) -> list[R]:
        """The results of all tasks, in the order of the tasks; `done` is called with each one's number as it is."""
        found: dict[int, R] = {}
        for number, result in self.results(function, tasks):
            found[number] = result
            if done is not None:
                done(number)
        return [found[number] for number in range(len(tasks))]

    def _start(self, processes: int) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        with _uninterrupted():
            while len(self._running) < processes:
                ours, theirs = context.Pipe()
                process: BaseProcess = context.Process(target=_work, args=(theirs, self._shared), daemon=True)
                process.start()
                theirs.close()
                self._running[ours] = process

    def _end(self) -> None:
        for connection, process in self._running.items():
            process.terminate()
            process.join()
            connection.close()
        self._running.clear()


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


def _hand_out(
    connections: Sequence[Connection], function: Callable[[S, T], R], tasks: Sequence[T]
) -> Iterator[tuple[int, R]]:
    from multiprocessing.connection import wait

    waiting = iter(enumerate(tasks))
    busy: dict[Connection, int] = {}
    for connection, (number, task) in zip(connections, waiting, strict=False):
        connection.send((function, task))
        busy[connection] = number
    while busy:
        for ready in wait(list(busy)):
            connection = cast("Connection", ready)
            try:
                succeeded, result = connection.recv()
            except (EOFError, OSError):
                raise WorkerDiedError("a process of --jobs ended before its work was done; try fewer jobs") from None
            if not succeeded:
                raise result
            number = busy.pop(connection)
            following = next(waiting, None)
            if following is not None:
                # The next task first: the process works on it while this result is looked at.
                busy[connection] = following[0]
                connection.send((function, following[1]))
            yield number, result


def _work(connection: Connection, shared: S) -> None:
    """The life of a process: a function and its task in, (whether it succeeded, result or exception) out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, task = connection.recv()
        except EOFError:
            return  # The parent is gone.
        try:
            answer: tuple[bool, object] = True, function(shared, task)
        except Exception as error:  # noqa: BLE001  (raised again where the results are handed over)
            answer = False, error
        connection.send(answer)
        # The next task may be long in coming.
        del function, task, answer
        give_back()


def _end_with_parent() -> None:
    """End this process once its parent is gone: a command that is killed leaves nobody at work on a task of minutes."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
