"""Which executor a spelling names (`local`, `dask:ADDRESS`, `slurm:OPTION=VALUE,…`), and where it reads its tasks."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.cache import VARIABLE, default_folder
from golfbudget.errors import UsageError, explained
from golfbudget.workers.elsewhere import Workplace, ask, handing_to
from golfbudget.workers.performing import forget

if TYPE_CHECKING:
    from golfbudget.workers.batch_jobs import BatchJobs

#: An executor, or how the command line names one; None and `local` are processes of this machine.
Where = Executor | str | None

LOCAL, DASK, SLURM = "local", "dask", "slurm"
#: How long a scheduler may take to answer, and a cluster to have a worker.
_ANSWERS_WITHIN, _WORKS_WITHIN = 5, 30
#: Jobs of a batch system under way at a time, where `--jobs` does not say.
_JOBS = 16
#: Downstream more than one job means that tasks are handed out: how many at a time is the executor's affair.
_SEVERAL = 2
#: What is handed over is removed when a command ends; a command that is killed cannot, and the next one does.
_PREFIX, _STALE_SECONDS = "work-", 7 * 86_400


def check_spelling(where: Where) -> None:
    """`UsageError` for what names no executor, whether or not there is work to hand out."""
    if where is None or isinstance(where, Executor):
        return
    if not isinstance(where, str):
        raise UsageError(f"executor {type(where).__name__}: expected a spelling, or a concurrent.futures.Executor")
    kind, _, rest = where.partition(":")
    if where != LOCAL and (kind not in (DASK, SLURM) or (kind == DASK and not rest)):
        raise UsageError(
            f"--executor {where[:80]}: expected local, dask:ADDRESS (such as dask:tcp://host:8786) or slurm, with "
            "options as in slurm:partition=NAME,time=MINUTES"
        )


@contextmanager
def working_on(where: Where, *, jobs: int | None = None, cache: Path | None = None) -> Iterator[int | None]:
    """Tasks of this block are done by that executor; yields the number of jobs to ask for.

    `jobs` bounds the calls under way; what is handed over lies in `cache`, or the user's cache.  `UsageError` for what
    names no executor and for one that does not answer, `MissingExtraError` where its package is not installed.
    """
    check_spelling(where)
    if where is None or where == LOCAL:
        yield jobs
        return
    kind, _, rest = where.partition(":") if isinstance(where, str) else ("", "", "")
    with _work_folder(cache or default_folder()) as folder, explained():
        if isinstance(where, Executor):
            place = Workplace(name=type(where).__name__, executor=where, folder=folder, most=jobs)
            ask(place, None)
            with handing_to(place):
                yield max(_SEVERAL, jobs or 0)
        elif kind == DASK:
            with _dask(rest, folder, jobs) as place, handing_to(place):
                yield max(_SEVERAL, jobs or 0)
        else:
            with _slurm(where, rest, folder, jobs) as place, handing_to(place):
                yield max(_SEVERAL, jobs or 0)


@contextmanager
def _work_folder(cache: Path) -> Iterator[Path]:
    """A folder in the cache for what is handed over, which only this user reads; removed at the end."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=cache.absolute()))
    except OSError as error:
        raise UsageError(
            f"{cache}: cannot be written ({error.strerror}), and workers read there what they are handed; name a "
            f"folder by --cache or ${VARIABLE}"
        ) from None
    try:
        for left in [*cache.glob(f"{_PREFIX}*"), *cache.glob(f".{_PREFIX}*")]:
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        yield folder
    finally:
        forget()
        _remove(folder)


def _remove(folder: Path) -> None:
    """By another name first: a worker may write there still, and what appears in the meantime would stay."""
    going = folder.with_name(f".{folder.name}")
    try:
        folder.rename(going)
    except OSError:
        going = folder
    shutil.rmtree(going, ignore_errors=True)


@contextmanager
def _dask(address: str, folder: Path, jobs: int | None) -> Iterator[Workplace]:
    from distributed import Client
    from distributed.comm.addressing import parse_address, parse_host_port

    name = f"{DASK}:{address}"
    with _quiet("distributed", "tornado", "asyncio"):
        try:
            with warnings.catch_warnings():
                # Of versions that differ; ours are asked for, too.
                warnings.simplefilter("ignore")
                parse_host_port(parse_address(address)[1])  # A client that finds out by itself takes long to give up.
                client = Client(address, timeout=_ANSWERS_WITHIN, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"--executor {name}: no scheduler answers there within {_ANSWERS_WITHIN} seconds ({_line(error)}); "
                "start one by `dask scheduler`, and workers by `dask worker ADDRESS --nthreads 1`"
            ) from None
        try:
            # A scheduler tries a task that it loses again by itself.
            place = Workplace(name=name, executor=client.get_executor(), folder=folder, most=jobs, tries=1)
            try:
                ask(place, _WORKS_WITHIN)
            except TimeoutError:
                raise UsageError(
                    f"--executor {name}: no worker took a task within {_WORKS_WITHIN} seconds; start some by "
                    f"`dask worker {address} --nthreads 1`"
                ) from None
            yield place
        finally:
            client.close()


@contextmanager
def _slurm(where: str, options: str, folder: Path, jobs: int | None) -> Iterator[Workplace]:
    from golfbudget.workers.batch_jobs import batch_jobs

    executor: BatchJobs = batch_jobs(where, options, folder / "jobs")
    try:
        yield Workplace(name=where, executor=executor, folder=folder, most=jobs or _JOBS, grouped=True)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _quiet(*packages: str) -> Iterator[None]:
    """Nothing of the packages' own logs: what goes wrong is an error here, in one line."""
    names = {*packages, *(name for name in logging.root.manager.loggerDict if name.split(".")[0] in packages)}
    own = [logging.getLogger(name) for name in sorted(names)]
    before = [(one, one.level) for one in own]
    for one in own:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in before:
            one.setLevel(level)


def _line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
