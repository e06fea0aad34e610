"""How many threads torch works on: one, in every process.

Threads add up in the order in which they finish, and spin against each other where other programs run.  On one thread
results are the same wherever they are made; several candidates at a time, each in its own process, use all cores.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from golfbudget.workers.threads import one_thread_by, one_thread_of


def one_thread() -> AbstractContextManager[None]:
    """Torch on one thread, and as before afterwards."""
    return one_thread_of(torch)


def one_faiss_thread() -> AbstractContextManager[None]:
    """Faiss adds up in the order its threads finish: with one thread, encoding is deterministic."""
    import faiss

    return one_thread_by(faiss.omp_get_max_threads, faiss.omp_set_num_threads)
