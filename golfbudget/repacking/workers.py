"""Run compressions side by side.  Codecs release the interpreter lock, so threads are enough.

The threads are daemons: an interrupt ends the program at once, and not when the slowest codec is done.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from golfbudget.repacking.compressors import COMPRESSORS

Progress = Callable[[str, int], None]
_Task = tuple[int, Callable[[], bytes]]


@dataclass(slots=True)
class Workers:
    """So many threads, and everything they have compressed before: the same bytes are never compressed twice."""

    jobs: int
    progress: Progress
    known: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    steps: int = 0

    def encode(self, tasks: Sequence[tuple[str, bytes]], label: str) -> list[bytes]:
        """What each (codec, data) compresses to, in the order given."""
        keys = [(codec, hashlib.sha256(data).digest()) for codec, data in tasks]
        missing = {key: task for key, task in zip(keys, tasks, strict=True) if key not in self.known}
        # The longest first, so that no thread is left alone with it at the end.
        order = sorted(missing, key=lambda key: -len(missing[key][1]))
        for key, made in zip(order, self._run([missing[key] for key in order], label), strict=True):
            self.known[key] = made
        return [self.known[key] for key in keys]

    def _run(self, tasks: Sequence[tuple[str, bytes]], label: str) -> list[bytes]:
        results: list[bytes] = [b""] * len(tasks)
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        finished: queue.SimpleQueue[tuple[int, bytes | BaseException]] = queue.SimpleQueue()
        self.steps += len(tasks)
        for number in range(len(tasks)):
            todo.put(number)

        def work() -> None:
            while True:
                try:
                    number = todo.get_nowait()
                except queue.Empty:
                    return
                codec, data = tasks[number]
                try:
                    finished.put((number, COMPRESSORS[codec](data)))
                except BaseException as error:  # noqa: BLE001  (raised again where the results are collected)
                    finished.put((number, error))

        for _ in range(min(self.jobs, len(tasks))):
            threading.Thread(target=work, daemon=True).start()
        for _ in tasks:
            self.progress(label, self.steps)
            number, found = finished.get()
            if isinstance(found, BaseException):
                raise found
            results[number] = found
        return results
