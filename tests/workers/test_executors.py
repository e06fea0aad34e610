"""Work handed to other processes by an executor: the same figures, whatever happens to who does it."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed import Client, LocalCluster, Worker
from support.command_line import Run, environment
from support.executor_tasks import busy_alone, dying, slow, square, threads_of_torch
from support.models import save, state
from support.small_model import files
from support.standins import submission

import golfbudget as gb
from golfbudget import cache
from golfbudget.errors import GolfbudgetError, MissingExtraError, UsageError
from golfbudget.fit.bench import bench, menus_of
from golfbudget.fit.desk import State, diverging
from golfbudget.fit.request import HeadKind
from golfbudget.parcels import Parcels
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.workers import Processes, WorkerDiedError, WorkerDiffersError, elsewhere, executors, working_on

PACKAGE = Path(gb.__file__).parent
SWEEP: dict[str, Sequence[int]] = {"layers": [2, 4], "width": [64, 128]}
SMALL = {"vocabulary": 64}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process of one thread, and whoever restarts them."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as made:
        yield made


@pytest.fixture(scope="module")
def dask(cluster: LocalCluster) -> str:
    return f"dask:{cluster.scheduler_address}"


def worker_processes(cluster: LocalCluster) -> list[int]:
    return [nanny.pid for nanny in cluster.workers.values()]


def started(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def spawned() -> Iterator[ProcessPoolExecutor]:
    with started(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = torch.Generator().manual_seed(3)
    tensors = state(torch.randn(256, 48, generator=generator), [torch.randn(96, 64, generator=generator)])
    return save(tmp_path_factory.mktemp("model"), tensors)


def planned(path: Path, **more: Any) -> str:
    given = {"recipe": "int8-zlib-small", "schemes": "tiers,scalar", "no_cache": True, **more}
    return gb.plan(path, **given).to_json()


@pytest.fixture(scope="module")
def alone(model: Path) -> str:
    """The plan by this process alone."""
    return planned(model, jobs=1)


# The same figures


@pytest.mark.slow
def test_a_plan_by_dask_workers_is_the_same_to_the_byte(dask: str, model: Path, alone: str) -> None:
    assert planned(model, executor=dask) == alone
    assert len(json.loads(alone)["candidates"]) > 7


@pytest.mark.slow
def test_a_plan_by_batch_jobs_is_the_same_to_the_byte(model: Path, alone: str) -> None:
    assert planned(model, executor="slurm:cluster=local,time=5", jobs=2) == alone


class Weighed(ThreadPoolExecutor):
    """Threads that note how much they are given, and how much they give back, as pickles."""

    def __init__(self) -> None:
        super().__init__(2)
        self.weights: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.weights.append(len(pickle.dumps((fn, args, kwargs))))
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda done: self.weights.append(len(pickle.dumps(done.result()))))
        return future


@pytest.mark.slow
def test_losses_measured_by_others_are_the_same_and_no_tensor_travels(dask: str, tmp_path: Path) -> None:
    named = files(tmp_path)
    more = {
        "recipe": named["recipe"], "model": "builtin:baseline", "tokens": named["tokens"], "schemes": "tiers",
        "no_fits": True, "cache": tmp_path / "cache", "no_cache": False,
    }  # fmt: skip
    found = planned(named["path"], executor=dask, **more)
    assert sum(trial["quality"]["evidence"] == "measured" for trial in json.loads(found)["candidates"]) > 4
    shutil.rmtree(tmp_path / "cache")
    assert planned(named["path"], **more, jobs=1) == found
    with Weighed() as threads:
        shutil.rmtree(tmp_path / "cache")
        assert planned(named["path"], executor=threads, **more) == found
    assert len(threads.weights) > 10
    # A matrix of the model alone takes more.
    assert max(threads.weights) < 20_000
    # What was handed over is gone.
    assert all(path.name.startswith("plan-") for path in (tmp_path / "cache").iterdir())


@pytest.mark.slow
def test_what_a_fit_asks_for_is_the_same_by_others(dask: str, tmp_path: Path) -> None:
    named = files(tmp_path)

    def fitted(executor: Executor | str | None) -> tuple[bytes, object]:
        with working_on(executor, jobs=None if executor else 1) as jobs:
            request = PlanRequest(
                path=named["path"], recipe=str(named["recipe"]), model="builtin:baseline", tokens=named["tokens"],
                cap=30_000, jobs=jobs,
            )  # fmt: skip
            with bench(prepare(request)) as own:
                menus = menus_of(own, 20_000, HeadKind.PLAIN, coarse=True)
                menus = {owner: menu[:3] for owner, menu in list(menus.items())[:3]}
                file = own.assembler.file({owner: menu[-1] for owner, menu in menus.items()})
                states: list[State] = [(file.decoded, None), (own.desk.source.reference, None)]
                divergences = own.processes.in_order(diverging, states)
                whole = {**own.desk.source.reference, **file.decoded}
                losses = own.reported([(whole, None), (own.desk.source.reference, None)])
                return file.data, (own.costs(menus), divergences, [each.tolist() for each in losses])

    assert fitted(dask) == fitted(None)


@pytest.mark.slow
@pytest.mark.parametrize("fast", [True, False])
def test_a_sweep_by_others_is_the_same_table(dask: str, *, fast: bool) -> None:
    more: dict[str, Any] = {"set": SMALL, "sweep": SWEEP, "fast": fast}
    assert gb.estimate("baseline", executor=dask, **more).to_json() == gb.estimate("baseline", **more).to_json()


@pytest.mark.slow
def test_a_sweep_by_batch_jobs_is_the_same_table() -> None:
    more: dict[str, Any] = {"set": SMALL, "sweep": SWEEP, "fast": True}
    found = gb.estimate("baseline", executor="slurm:cluster=local", **more)
    assert found.to_json() == gb.estimate("baseline", **more).to_json()


@pytest.mark.slow
def test_folders_checked_by_others_are_in_the_order_given(
    golfbudget: Run, dask: str, spawned: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """Paths are as they were given: a worker works in the folder of the command."""
    for name in ("b", "a", "d"):
        submission(tmp_path / name, {"train_gpt.py": f"x = '{name}'\n", "final_model.int8.ptz": bytes(range(256)) * 40})
    command = ("check", "b", "a", "nowhere", "d", "--format", "json", "--jobs", "2")
    here = golfbudget(*command, cwd=tmp_path)
    there = golfbudget(*command, "--executor", dask, cwd=tmp_path)
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)
    assert [one["path"] for one in json.loads(there.stdout)["submissions"]] == ["b", "a", "nowhere", "d"]
    with chdir(tmp_path):
        assert gb.check("b", "a", "nowhere", "d", executor=spawned).to_json() == here.stdout


# Tasks and what they share


def done(executor: Executor | str, function: Callable[[Any, Any], Any], shared: object, tasks: Sequence[Any]) -> Any:
    with working_on(executor) as jobs:
        assert jobs is not None
        with Processes(shared, jobs) as processes:
            return processes.in_order(function, tasks)


@pytest.mark.slow
def test_every_task_gives_its_own_result(dask: str, spawned: ProcessPoolExecutor) -> None:
    numbers = [5, 3, 8, 1, 2]
    for executor in (dask, spawned):
        assert done(executor, square, 7, numbers) == [7 + n * n for n in numbers]
        with pytest.raises(ValueError, match="unlucky"):
            done(executor, square, 7, [1, 13, 2])


@pytest.mark.slow
def test_workers_use_one_thread_of_torch_each(spawned: ProcessPoolExecutor) -> None:
    assert {*done(spawned, threads_of_torch, torch.zeros(1), [1, 2, 3])} == {1}


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_time_alone(dask: str, cluster: LocalCluster, tmp_path: Path) -> None:
    before = worker_processes(cluster)
    assert done(dask, dying, tmp_path, [1, 11, 2, 3, 4]) == [2, 12, 3, 4, 5]
    assert (tmp_path / "11").exists()
    assert worker_processes(cluster) != before


@pytest.mark.slow
def test_a_plan_goes_on_when_a_worker_is_killed(dask: str, cluster: LocalCluster, model: Path, alone: str) -> None:
    killed: list[int] = []

    def watch(_what: str, _steps: int) -> None:
        if len(killed) < 4:
            killed.append(worker_processes(cluster)[0])
        if len(killed) == 3:
            os.kill(killed[-1], signal.SIGKILL)

    assert planned(model, executor=dask, progress=watch) == alone
    assert killed[2] not in worker_processes(cluster)


@pytest.mark.slow
def test_a_job_that_is_killed_is_submitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 0)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(PACKAGE.parent), str(Path(__file__).parents[1]))))
    assert done("slurm:cluster=local", dying, tmp_path, [11, 2]) == [12, 3]


class Unreliable(Executor):
    """Loses every call that is not a first question."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()
        if not args[-1]:
            future.set_result(fn(*args, **kwargs))
        else:
            self.calls += 1
            future.set_exception(OSError("the machine is gone"))
        return future


def test_a_task_that_is_lost_again_and_again_is_named(tmp_path: Path) -> None:
    executor = Unreliable()
    with pytest.raises(
        WorkerDiedError, match=r"tasks/of-mine(, one)? was lost 3 times with its worker .*the machine is gone"
    ):
        done(executor, square, 1, [Path("tasks/of-mine"), [Path("tasks/of-mine"), "one"]])
    assert executor.calls <= 6
    # Of one process: where another is started while the pool of Python 3.11 breaks, its end waits for that forever.
    with started(1) as pool, pytest.raises(WorkerDiedError, match=r"ProcessPoolExecutor: .*BrokenProcessPool"):
        done(pool, dying, tmp_path, [11, 2, 3])


@pytest.mark.slow
def test_a_run_that_is_left_is_called_off(dask: str, tmp_path: Path) -> None:
    with working_on(dask) as jobs, Processes(tmp_path, jobs or 0) as processes:
        for number, _ in processes.results(slow, range(200)):
            assert number < 200
            break
    time.sleep(0.5)
    begun = len(list(tmp_path.iterdir()))
    time.sleep(0.5)
    assert begun == len(list(tmp_path.iterdir())) < 100


@pytest.mark.slow
def test_jobs_end_with_what_asked_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(PACKAGE.parent), str(Path(__file__).parents[1]))))
    with working_on("slurm:cluster=local"):
        place = elsewhere.chosen()
        assert place is not None
        place.submit(elsewhere.lay(place, tmp_path), [pickle.dumps((slow, number)) for number in range(1_000)])
        while not list(tmp_path.iterdir()):
            time.sleep(0.02)
    begun = len(list(tmp_path.iterdir()))
    time.sleep(0.3)
    assert begun == len(list(tmp_path.iterdir())) < 900


def test_what_a_worker_writes_after_the_end_leaves_nothing_behind(tmp_path: Path) -> None:
    """It is in the middle of its task when the command ends, and writes until that is refused."""
    cache_folder, refused = tmp_path / "cache", list[str]()

    def write_on(folder: Path) -> None:
        parcels = Parcels(folder)
        try:
            for number in range(100_000):
                parcels.lay(f"answer {number}")
        except GolfbudgetError as error:
            refused.append(str(error))

    with ThreadPoolExecutor(1) as others:
        with ThreadPoolExecutor(1) as pool, working_on(pool, cache=cache_folder):
            place = elsewhere.chosen()
            assert place is not None
            writing = others.submit(write_on, place.folder)
            while len(list(place.folder.iterdir())) < 5:
                time.sleep(0.01)
        writing.result()
    assert len(refused) == 1
    assert str(place.folder) in refused[0]
    assert not list(cache_folder.iterdir())


def test_what_shares_memory_shares_it_afterwards_and_what_does_not_does_not(tmp_path: Path) -> None:
    """A container stores a shared storage once; equal tensors that are two are stored twice."""
    large = torch.arange(40_000, dtype=torch.float32)
    value = {
        "whole": large, "part": large[100:200].view(10, 10).t(), "equal": large.clone(), "bfloat": large.bfloat16(),
        "none": torch.zeros(0), "nothing": torch.zeros(0), "small": torch.ones(3), "flag": torch.tensor(data=True),
    }  # fmt: skip
    parcels = Parcels(tmp_path)
    packed = parcels.pack(value)
    assert len(packed) < 4_000
    # Equal ones are one file, however often they are sent.
    parcels.pack([large, value["equal"]])
    assert len(list(tmp_path.iterdir())) == 2
    found = Parcels(tmp_path).unpack(packed)
    assert found.keys() == value.keys()
    for name, tensor in value.items():
        assert torch.equal(found[name], tensor)
        assert (found[name].dtype, found[name].stride()) == (tensor.dtype, tensor.stride())
    places = {name: tensor.untyped_storage().data_ptr() for name, tensor in found.items()}
    assert places["whole"] == places["part"] != places["equal"]
    found["whole"][0] = 5
    assert value["whole"][0] == 0


def test_a_damaged_parcel_is_seen(tmp_path: Path) -> None:
    parcels = Parcels(tmp_path)
    packed = parcels.pack(torch.arange(40_000))
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    with pytest.raises(gb.GolfbudgetError, match="not whole"):
        parcels.unpack(packed)


# Going on, and stopping


def command(model: Path, folder: Path, executor: str) -> list[str]:
    given = ["plan", str(model), "--recipe", "int8-zlib-small", "--schemes", "scalar,ternary", "--executor", executor]
    given += ["--cache", str(folder / "cache"), "--format", "json", "-o", str(folder / "plan.json")]
    return [sys.executable, "-m", "golfbudget", *given]


def until_more_are_kept(process: subprocess.Popen[str], folder: Path) -> None:
    before, deadline = len(list((folder / "cache").glob("plan-*"))), time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        if len(list((folder / "cache").glob("plan-*"))) > before + 2:
            return
        time.sleep(0.02)
    raise AssertionError(process.communicate())


def until_nothing_runs(executor: str) -> None:
    """Wait until workers have ended what a killed process asked of them: until then they write in its folder."""

    def running(dask_worker: Worker) -> int:
        return len(dask_worker.state.all_running_tasks)

    deadline = time.monotonic() + 60
    with Client(executor.removeprefix("dask:")) as client:
        while any(client.run(running).values()):
            assert time.monotonic() < deadline, "the workers are still busy"
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent as signals")
@pytest.mark.slow
def test_a_plan_that_is_interrupted_or_killed_goes_on_where_it_was(dask: str, model: Path, tmp_path: Path) -> None:
    started = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    arguments = command(model, tmp_path, dask)
    with subprocess.Popen(arguments, start_new_session=True, **started) as process:  # type: ignore[call-overload]
        until_more_are_kept(process, tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate(timeout=20)
    assert (process.returncode, *told) == (130, "", "golfbudget: interrupted\n")
    assert not list((tmp_path / "cache").glob("work-*"))
    with subprocess.Popen(arguments, start_new_session=True, **started) as process:  # type: ignore[call-overload]
        until_more_are_kept(process, tmp_path)
        process.kill()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("plan-*")}
    assert all(cache.read(path.parent, path.name) is not None for path in kept)
    (left,) = (tmp_path / "cache").glob("work-*")
    until_nothing_runs(dask)
    os.utime(left, (0, 0))
    more = {"schemes": "scalar,ternary", "cache": tmp_path / "cache", "no_cache": False}
    found = planned(model, executor=dask, **more)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list((tmp_path / "cache").glob("work-*"))
    assert found == planned(model, **more)


# What is refused


@pytest.fixture(scope="module")
def other_version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster whose worker has another golfbudget."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(PACKAGE, folder / "golfbudget", ignore=shutil.ignore_patterns("__pycache__", "data"))
    (folder / "golfbudget" / "version.py").write_text('__version__ = "0.0.1"\n', encoding="utf-8")
    with LocalCluster(n_workers=0, dashboard_address=":0") as made:
        started = [sys.executable, "-m", "distributed.cli.dask_worker", made.scheduler_address]
        started += ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
        own = environment({"PYTHONPATH": str(folder)})
        with subprocess.Popen(
            started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own, cwd=folder
        ) as one:
            yield f"dask:{made.scheduler_address}"
            one.kill()


def test_a_worker_of_another_version_is_refused(other_version: str, golfbudget: Run, model: Path) -> None:
    told = golfbudget("plan", model, "--executor", other_version)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.count("\n") == 1
    assert f"has golfbudget 0.0.1 (here {gb.__version__}), the code of golfbudget" in told.stderr


class Elsewhere(ThreadPoolExecutor):
    """Its workers see another file system: a folder is not there."""

    def __init__(self, argument: int) -> None:
        super().__init__(1)
        self.argument = argument

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        unseen = [f"/elsewhere{each}" if number == self.argument else each for number, each in enumerate(args)]
        return super().submit(fn, *unseen, **kwargs)


@pytest.mark.parametrize("argument", [1, 2])
def test_a_worker_that_does_not_see_the_files_is_refused(argument: int) -> None:
    with Elsewhere(argument) as executor, pytest.raises(WorkerDiffersError, match=r"does not see /elsewhere.*--cache"):
        done(executor, square, 1, [1, 2])


REFUSED = {
    "moon": "expected local, dask:ADDRESS",
    "dask": "expected local, dask:ADDRESS",
    "dask:": "expected local, dask:ADDRESS",
    "dask:nowhere": "no scheduler answers there within 5 seconds (missing port",
    "slurm:partition": "expected options as in slurm:partition=NAME",
    "slurm:cluster=moon": "cluster moon is none of slurm, local",
    "slurm:cluster=local,colour=red": "no option is called colour; known: cluster, account,",
}


@pytest.mark.parametrize("spelled", REFUSED)
def test_what_names_no_executor_is_refused_in_a_line(golfbudget: Run, model: Path, spelled: str) -> None:
    told = golfbudget("plan", model, "--executor", spelled)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(f"golfbudget: error: --executor {spelled}")
    assert told.stderr.count("\n") == 1
    assert REFUSED[spelled] in told.stderr


def test_what_names_no_executor_is_refused_for_one_folder_too(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("x = 1\n", encoding="utf-8")
    told = golfbudget("check", tmp_path, "--no-model", "--executor", "moon")
    assert told.returncode == 2
    assert "--executor moon: expected local, dask:ADDRESS" in told.stderr
    assert golfbudget("check", tmp_path, "--no-model", "--executor", "local").returncode == 0


@pytest.mark.slow
def test_an_address_that_does_not_answer_is_refused_in_seconds(golfbudget: Run, model: Path) -> None:
    start = time.monotonic()
    told = golfbudget("fit", model, "--cap", "25kB", "--executor", "dask:tcp://127.0.0.1:9")
    assert time.monotonic() - start < 20
    assert told.returncode == 2
    assert told.stderr.startswith("golfbudget: error: --executor dask:tcp://127.0.0.1:9: no scheduler answers there")
    assert told.stderr.count("\n") == 1


def test_a_cluster_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_WORKS_WITHIN", 0.5)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty, pytest.raises(UsageError, match="no worker took"):
        done(f"dask:{empty.scheduler_address}", square, 1, [1, 2])


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a batch system here")
def test_slurm_is_refused_where_there_is_none(golfbudget: Run, tmp_path: Path) -> None:
    told = golfbudget("check", tmp_path, tmp_path, "--executor", "slurm")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert 'Could not detect "srun"' in told.stderr


@pytest.mark.parametrize(("spelled", "module", "extra"), [
    ("dask:tcp://a:1", "distributed", "dask"), ("slurm", "submitit", "slurm"),
])  # fmt: skip
def test_a_package_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, spelled: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"needs {module}, .* pip install 'golfbudget\[{extra}\]'"):
        done(spelled, square, 1, [1, 2])


@pytest.mark.slow
def test_options_that_do_nothing_are_refused(golfbudget: Run) -> None:
    told = golfbudget("estimate", "baseline", "--fast", "--executor", "slurm")
    assert (told.returncode, "there is none" in told.stderr) == (2, True)
    told = golfbudget("plan", "sp8192", "--vocab", "1024:2.44", "--executor", "slurm")
    assert (told.returncode, "--executor slurm does nothing with --vocab" in told.stderr) == (2, True)
    assert golfbudget("estimate", "baseline", "--fast", "--executor", "local").returncode == 0


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with ThreadPoolExecutor(1) as pool, pytest.raises(UsageError, match="file/cache: cannot be written"):
        planned(model, executor=pool, cache=tmp_path / "file" / "cache", no_cache=False)


@pytest.mark.slow
def test_threads_do_one_thing_at_a_time(tmp_path: Path) -> None:
    """Libraries set threads and folders of a whole process."""
    with ThreadPoolExecutor(4) as pool:
        assert sum(done(pool, busy_alone, tmp_path, list(range(8)))) == 8
