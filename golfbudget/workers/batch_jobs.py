"""Jobs of a batch system, by submitit, as an executor of `concurrent.futures`: a job for each call."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from golfbudget.errors import UsageError

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

P = ParamSpec("P")
T = TypeVar("T")

#: Where jobs run: on slurm, or as processes of this machine, for trying out.
_CLUSTERS = ("slurm", "local")
#: Options of submitit's that are no texts or numbers.
_NO_TEXTS = {"additional_parameters", "setup", "srun_args", "stderr_to_stdout", "teardown", "use_srun"}
#: submitit's own limit is five minutes of slurm's, and two of local ones.
_MINUTES, _LOCAL_MINUTES = 60, 7 * 24 * 60
_POLL_SECONDS, _END_SECONDS = 0.1, 5.0
#: A terminal interrupts local jobs, too, which end in a second, and not at all where they are interrupted twice.
_GRACE_SECONDS = 2.0


def batch_jobs(where: str, options: str, folder: Path) -> BatchJobs:
    """The executor of a spelling's `options`, names and values by commas; jobs' own files lie in `folder`.

    `cluster` is slurm or local; the others are what submitit calls them for slurm: partition, time, account, mem …
    `UsageError` for an option that is not known, and for a value that submitit refuses.
    """
    import submitit

    given = dict[str, str]()
    for part in filter(None, options.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"--executor {where[:80]}: expected options as in slurm:partition=NAME,time=MINUTES")
        given[name] = value
    cluster = given.pop("cluster", "slurm")
    if cluster not in _CLUSTERS:
        raise UsageError(f"--executor {where[:80]}: cluster {cluster} is none of {', '.join(_CLUSTERS)}")
    known = sorted({*submitit.SlurmExecutor._valid_parameters()} - _NO_TEXTS)  # noqa: SLF001  (it has no other list)
    for name in given:
        if name not in known:
            raise UsageError(f"--executor {where[:80]}: no option is called {name}; known: cluster, {', '.join(known)}")
    try:
        auto = submitit.AutoExecutor(folder, cluster=cluster)
    except RuntimeError as error:
        raise UsageError(f"--executor {where[:80]}: {error}") from None
    values: dict[str, Any] = {"slurm_time": _MINUTES, "timeout_min": _LOCAL_MINUTES, "cpus_per_task": 1}
    values |= {f"slurm_{name}": int(value) if value.isdigit() else value for name, value in given.items()}
    try:
        auto.update_parameters(name="golfbudget", **values)
    except (NameError, AssertionError, ValueError) as error:
        raise UsageError(f"--executor {where[:80]}: {str(error).splitlines()[0]}") from None
    return BatchJobs(auto, local=cluster == "local")


class BatchJobs(Executor):
    """Jobs that are looked after by a thread as long as there are any; `shutdown` ends those that are left.

    `local` ones are processes of this machine.
    """

    def __init__(self, auto: AutoExecutor, *, local: bool) -> None:
        self._auto, self._local = auto, local
        self._jobs: dict[Future[Any], Job[Any]] = {}
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = Future[T]()
        with _unheard() if self._local else nullcontext():
            job = self._auto.submit(fn, *args, **kwargs)
        with self._lock:
            self._jobs[future] = job
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Leave no job behind: those that are not done are cancelled, and waited for a little."""
        with self._lock:
            left, self._jobs = self._jobs, {}
        if self._local:
            _until_done(left.values(), _GRACE_SECONDS)
        for future, job in left.items():
            future.cancel()
            if not (self._local and job.done()):
                job.cancel(check=False)
        if wait:
            _until_done(left.values(), _END_SECONDS)
        if wait and self._watcher is not None:
            self._watcher.join(_END_SECONDS)

    def _watch(self) -> None:
        while True:
            with self._lock:
                waiting = dict(self._jobs)
                if not waiting:
                    self._watcher = None
                    return
            for future, job in waiting.items():
                if future.cancelled() and not self._local:
                    job.cancel(check=False)
                elif job.done() and not future.cancelled():
                    _settle(future, job)
                else:
                    continue
                with self._lock:
                    self._jobs.pop(future, None)
            time.sleep(_POLL_SECONDS)


def _until_done(jobs: Collection[Job[Any]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(job.done() for job in jobs):
        time.sleep(_POLL_SECONDS)


@contextmanager
def _unheard() -> Iterator[None]:
    """What is started here has no error stream: submitit's own process prints a traceback when it is interrupted."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _settle(future: Future[Any], job: Job[Any]) -> None:
    """Tell the future what became of its job."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job.result())
    except Exception as error:  # noqa: BLE001  (whatever became of it)
        future.set_exception(error)
