"""How many threads torch works on: one, in every process.

Threads add up in the order in which they finish, and spin against each other where other programs run.  On one thread
results are the same wherever they are made; several candidates at a time, each in its own process, use all cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_faiss_thread() -> Iterator[None]:
    """Faiss adds up in the order its threads finish: with one thread, encoding is deterministic."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
