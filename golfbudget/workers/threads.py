"""One function over many tasks in threads: for codecs, which release the interpreter lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[tuple[int, R]]:
    """(number of the task, result) of every task, in the order in which they are done.

    What a task raises is raised here.  The threads are daemons: an interrupt ends the program at once, and not when
    the slowest task is done.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    for number in range(len(tasks)):
        waiting.put(number)

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((number, function(tasks[number]), None))
            except BaseException as error:  # noqa: BLE001  (raised again where the results are handed over)
                done.put((number, None, error))

    for _ in range(min(jobs, len(tasks))):
        threading.Thread(target=work, daemon=True).start()
    for _ in tasks:
        number, result, raised = done.get()
        if raised is not None:
            raise raised
        yield number, cast("R", result)


def one_thread_of(torch: ModuleType) -> AbstractContextManager[None]:
    """Torch on one thread, and as before afterwards; the library is handed over, as only some work imports it."""
    return one_thread_by(torch.get_num_threads, torch.set_num_threads)


@contextmanager
def one_thread_by(get: Callable[[], int], put: Callable[[int], object]) -> Iterator[None]:
    """A library on one thread, and as before afterwards, by its own functions for the number of its threads."""
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)
