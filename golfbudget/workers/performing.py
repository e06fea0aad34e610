"""What a worker does: the same check, the same folder, one thread, one task at a time in a process."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import chdir, nullcontext
from enum import StrEnum
from pathlib import Path

from golfbudget.parcels import MissingParcelError, Parcel, Parcels, Storages
from golfbudget.workers import environment
from golfbudget.workers.threads import one_thread_of


class Outcome(StrEnum):
    """What became of a task: a result or an exception; or the worker has other code, or does not see a folder."""

    DONE = "done"
    RAISED = "raised"
    DIFFERS = "differs"
    BLIND = "blind"


#: An outcome by its word, and what goes with it: a value, or a text of the last two.
Answer = tuple[str, Parcel]

#: Shared values that a process holds: a plan has two at a time.
_MOST_SHARED = 2
_shared: dict[str, object] = {}
_recent: Storages = {}
#: Folder, number of threads and what is held are the process's.
_one_at_a_time = threading.Lock()


def perform(wanted: str, here: str, folder: str, shared: str, tasks: Sequence[Parcel]) -> list[Answer]:
    """Work on tasks, each a function and what it takes besides the value that is `shared`; an answer for each.

    `wanted` is the digest of the environment of whoever asks, `here` the folder they work in, `folder` that of what
    they hand over.  An answer that the worker cannot work stands alone.
    """
    if environment.digest() != wanted:
        return [(Outcome.DIFFERS, json.dumps({"host": socket.gethostname(), **environment.facts()}).encode())]
    for path in (folder, here):
        if not Path(path).is_dir():
            return [(Outcome.BLIND, f"{socket.gethostname()}\n{path}".encode())]
    with _one_at_a_time, chdir(here):
        parcels = Parcels(Path(folder), _recent)
        try:
            value = _opened(parcels, shared)
        except MissingParcelError:
            return [(Outcome.BLIND, f"{socket.gethostname()}\n{Path(folder) / shared}".encode())]
        return [_performed(parcels, value, task) for task in tasks]


def _opened(parcels: Parcels, shared: str) -> object:
    if shared not in _shared:
        while len(_shared) >= _MOST_SHARED:
            del _shared[next(iter(_shared))]
        _shared[shared] = Parcels(parcels.folder).unpack(shared)
    return _shared[shared]


def _performed(parcels: Parcels, shared: object, task: Parcel) -> Answer:
    try:
        function, given = parcels.unpack(task)
        # Where a task uses torch; those who start workers may not have said so.
        torch = sys.modules.get("torch")
        with nullcontext() if torch is None else one_thread_of(torch):
            return Outcome.DONE, Parcels(parcels.folder).pack(function(shared, given))
    except Exception as error:  # noqa: BLE001  (raised again where the results are handed over)
        try:
            packed = pickle.dumps(error)
            pickle.loads(packed)  # noqa: S301  (an exception may ask for more than it says)
        except Exception:  # noqa: BLE001  (whatever an exception of another package holds)
            packed = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
        return Outcome.RAISED, packed


def forget() -> None:
    """Let go of what is held, where workers are threads of the process that asks."""
    with _one_at_a_time:
        _shared.clear()
        _recent.clear()
