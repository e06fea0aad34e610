"""Compress side by side, and never the same bytes twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from golfbudget.progress import Progress
from golfbudget.repacking.compressors import COMPRESSORS
from golfbudget.workers import in_threads


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
        made: list[bytes] = [b""] * len(tasks)
        self.steps += len(tasks)
        compressed = in_threads(_compress, tasks, self.jobs)
        for _ in tasks:
            self.progress(label, self.steps)
            number, data = next(compressed)
            made[number] = data
        return made


def _compress(task: tuple[str, bytes]) -> bytes:
    codec, data = task
    return COMPRESSORS[codec](data)
