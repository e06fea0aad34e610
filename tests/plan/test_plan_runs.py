"""How a plan runs: in processes, from the cache, and until it is interrupted; never with another result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from support.models import repeated_rows_model, save, state
from support.small_model import files

from golfbudget import cache
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.plan import trying
from golfbudget.plan.building import Built, baseline_file, build
from golfbudget.plan.measuring import Measurer
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.result_cache import FileLosses
from golfbudget.plan.results import Plan
from golfbudget.plan.run import make_plan
from golfbudget.plan.trials import Candidate
from golfbudget.workers import Processes, WorkerDiedError


def planned(path: Path, **more: object) -> Plan:
    choices = {"path": path, "cap": 16_000_000, "schemes": ("scalar", "tiers"), **more}
    return make_plan(PlanRequest(**choices))  # type: ignore[arg-type]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(tmp_path, repeated_rows_model())


def square(offset: int, number: int) -> int:
    if number == 13:
        raise ValueError("an unlucky number")
    if number == 99:
        os._exit(3)
    return offset + number * number


def in_processes(function: Callable[[int, int], int], shared: int, tasks: Sequence[int], jobs: int) -> dict[int, int]:
    with Processes(shared, jobs) as processes:
        return dict(processes.results(function, tasks))


@pytest.mark.slow
def test_files_are_compared_at_the_budgets_that_are_asked_for_too(tmp_path: Path) -> None:
    named = files(tmp_path)
    choices = {
        "recipe": str(named["recipe"]), "model": "builtin:baseline", "tokens": named["tokens"],
        "schemes": ("scalar", "vq-logits-int"), "jobs": 1,
    }  # fmt: skip
    own = planned(named["path"], **choices, fits=False).baseline.artifact.size
    found = planned(named["path"], **choices, budgets=(own * 7 // 10, own // 3)).budgets
    assert [budget.bytes for budget in found] == [own, own * 7 // 10, round(own / 2), own // 3]
    fitted = [(budget, file) for budget in found for file in (budget.without, budget.with_head, budget.vq) if file]
    assert len(fitted) > 6
    assert all(file.counted_bytes <= budget.bytes for budget, file in fitted)
    with pytest.raises(UsageError, match=f"--budgets: {own + 1:,} bytes are more than the {own:,}"):
        planned(named["path"], **choices, budgets=(own + 1,))
    left = planned(named["path"], **{**choices, "schemes": ("scalar",)}, budgets=(own // 2,))
    assert not left.budgets
    assert [note for note in left.notes if note.startswith("--budgets: no files were compared")]


@pytest.mark.parametrize(("more", "told"), [
    ({}, "needs --model and --tokens"),
    ({"model": "builtin:baseline", "tokens": Path("text"), "fits": False}, "does nothing with --no-fits"),
    ({"model": "builtin:baseline", "tokens": Path("text"), "preview": "zstd-3"}, "does nothing with --preview"),
])  # fmt: skip
def test_budgets_that_nothing_is_fitted_for_are_refused(model: Path, more: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=f"--budgets {told}"):
        planned(model, budgets=(5_000,), **more)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 3])
def test_every_task_gives_its_own_result(jobs: int) -> None:
    numbers = [5, 3, 8, 1, 2]
    assert in_processes(square, 7, numbers, jobs) == {i: 7 + n * n for i, n in enumerate(numbers)}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_task_raises_is_raised_here(jobs: int) -> None:
    with pytest.raises(ValueError, match="unlucky"):
        in_processes(square, 0, [1, 2, 13, 4, 5, 6], jobs)


@pytest.mark.slow
def test_a_process_that_dies_is_an_error_and_not_a_wait_for_ever() -> None:
    with pytest.raises(WorkerDiedError, match="--jobs"):
        in_processes(square, 0, [1, 99, 2, 3], 2)


_AT_WORK = """
import os, sys, time
from pathlib import Path
from golfbudget.workers import Processes

def busy(folder, number):
    (Path(folder) / f"{os.getpid()}.pid").touch()
    while True:
        time.sleep(0.1)

if __name__ == "__main__":
    with Processes(sys.argv[1], 2) as processes:
        list(processes.results(busy, [1, 2]))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_process_outlives_a_command_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "at_work.py"
    script.write_text(_AT_WORK)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], start_new_session=True) as command:
        waited(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        command.kill()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    waited(lambda: not any(map(at_work, workers)))


def at_work(process: int) -> bool:
    """Whether a process runs: one that has ended may wait to be taken note of."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def waited(done: Callable[[], bool]) -> None:
    """Until that is so, a minute at most."""
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_a_plan_by_two_processes_is_the_same_to_the_byte(tmp_path: Path) -> None:
    """Schemes that add up in k-means of either library, in singular vectors, and not at all; and every codec."""
    generator = torch.Generator().manual_seed(3)
    tensors = state(torch.randn(256, 48, generator=generator), [torch.randn(96, 64, generator=generator)])
    path = save(tmp_path, tensors)
    more = {"schemes": ("lqer", "vq-logits", "product", "tiers", "repack"), "recipe": "int8-zlib-small"}
    texts = [json.dumps(plan_json(planned(path, jobs=jobs, **more))) for jobs in (1, 2)]
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["candidates"]) > 30


@pytest.mark.slow
def test_losses_are_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    """Each candidate is run whole in one process, on one thread: to the last digit, and kept for the next plan."""
    named = files(tmp_path)
    cache_folder = tmp_path / "cache"

    def measured(jobs: int, folder: Path | None) -> str:
        request = PlanRequest(
            path=named["path"], recipe=str(named["recipe"]), model="builtin:baseline", tokens=named["tokens"],
            schemes=("scalar", "vq-logits"), cap=16_000_000, jobs=jobs, cache=folder, fits=False,
        )  # fmt: skip
        return json.dumps(plan_json(make_plan(request)))

    texts = [measured(1, None), measured(2, cache_folder), measured(2, cache_folder)]
    assert texts[0] == texts[1] == texts[2]
    trials = json.loads(texts[0])["candidates"]
    assert sum(trial["quality"]["evidence"] == "measured" for trial in trials) > 12
    assert {trial["side"] for trial in trials} >= {"head", "trunk"}


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True])
def test_files_that_decode_to_the_same_are_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    named, run = files(tmp_path), list[str]()
    request = PlanRequest(
        path=named["path"], recipe=str(named["recipe"]), model="builtin:baseline", tokens=named["tokens"],
        schemes=("ternary", "ternary-packed"), cap=16_000_000, jobs=1, cache=tmp_path / "cache" if kept else None,
        fits=False,
    )  # fmt: skip

    def losses(measurer: Measurer, file: bytes | None, content: str) -> FileLosses:
        run.append(content)
        return measure(measurer, file, content)

    measure = Measurer.losses
    monkeypatch.setattr(Measurer, "losses", losses)
    trials = {trial.name: trial for trial in make_plan(request).trials}
    plain, packed = trials["trunk-ternary"], trials["trunk-ternary-packed"]
    assert plain.sha256 != packed.sha256
    assert plain.quality.evidence is Evidence.MEASURED
    assert plain.quality == packed.quality
    measured = {trial.name: trial for trial in trials.values() if trial.quality.evidence is Evidence.MEASURED}
    # The baseline and the source are run, too; what decodes to something else has losses of its own.
    assert len(run) == len({*run}) == len({trial.content for trial in measured.values()}) + 2 < len(measured) + 2
    assert len({trial.quality.delta for trial in measured.values()}) == len(run) - 2
    make_plan(request)
    assert len(run) == (len({*run}) if kept else 2 * len({*run}))


@pytest.mark.slow
def test_processes_take_one_run_of_tasks_after_another() -> None:
    with Processes(7, 2) as processes:
        for numbers in ([5, 3, 8], [1], [2, 4, 6, 9]):
            assert dict(processes.results(square, numbers)) == {i: 7 + n * n for i, n in enumerate(numbers)}
        # A run that is left early leaves nothing behind for the next.
        for _ in processes.results(square, [1, 2, 3, 4, 5]):
            break
        assert dict(processes.results(square, [6, 7])) == {0: 43, 1: 56}


@pytest.mark.slow
def test_a_second_plan_writes_nothing_anew(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    first = plan_json(planned(model, cache=folder))
    entries = sorted(path.name for path in folder.iterdir())
    assert entries
    assert all(name.startswith("plan-") for name in entries)

    def never(*_arguments: object) -> None:
        raise AssertionError("built again")

    with monkeypatch.context() as patch:
        patch.setattr(trying, "build", never)
        patch.setattr(trying, "baseline_file", never)
        assert plan_json(planned(model, cache=folder)) == first
        with pytest.raises(AssertionError, match="built again"):
            planned(model)
        patch.setattr(trying, "baseline_file", baseline_file)
        # Whatever the bytes depend on makes it another entry.
        for change in ({"seed": 1}, {"recipe": "int8-zlib-small"}, {"schemes": ("scalar", "lqer")}):
            with pytest.raises(AssertionError, match="built again"):
                planned(model, cache=folder, **change)
        other = save(tmp_path, repeated_rows_model(seed=5), "other.safetensors")
        with pytest.raises(AssertionError, match="built again"):
            planned(other, cache=folder)
    # The baselines of the other recipe and the other model are all that came to be kept.
    others = {path.name for path in folder.iterdir()} - {*entries}
    assert len(others) == 2
    assert len(list(folder.iterdir())) == len(entries) + 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other facts"])
def test_a_damaged_entry_is_made_again(model: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "cache"
    first = plan_json(planned(model, cache=folder, schemes=("tiers",)))
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[len(data) // 2] ^= 1
        elif damage == "cut":
            del data[len(data) // 2 :]
        elif damage == "empty":
            data.clear()
        else:
            found = cache.read(folder, path.name)
            assert found is not None
            cache.write(folder, path.name, {"tables": "none"}, found[1])
            continue
        path.write_bytes(data)
    assert plan_json(planned(model, cache=folder, schemes=("tiers",))) == first
    assert all(cache.read(folder, path.name) is not None for path in folder.iterdir())


def test_a_folder_that_cannot_be_written_is_no_obstacle(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert planned(model, cache=tmp_path / "file" / "cache", schemes=("tiers",)).trials


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    for number, name in enumerate(("plan-a", "plan-b", "plan-c", "repack-d")):
        cache.write(tmp_path, name, {}, bytes(1000))
        os.utime(tmp_path / name, (number, number))
    cache.prune(tmp_path, "plan-", 2500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan-b", "plan-c", "repack-d"]


def test_the_cache_stands_where_the_user_wants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOLFBUDGET_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path
    monkeypatch.delenv("GOLFBUDGET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform != "win32":
        assert cache.default_folder() == tmp_path / "golfbudget"


def alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_what_an_interrupted_plan_wrote_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates that share their encodings are one task; those of it that were done are kept, too."""
    path, folder = save(tmp_path, repeated_rows_model()), tmp_path / "cache"
    more = {"cache": folder, "schemes": ("vq-logits", "ternary")}
    done = list[str]()

    def interrupted(source: object, candidate: Candidate, *others: object) -> Built:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(candidate.name)
        return build(source, candidate, *others)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(trying, "build", interrupted)
        with pytest.raises(KeyboardInterrupt):
            planned(path, **more)
    again = list[str]()

    def counted(source: object, candidate: Candidate, *others: object) -> Built:
        again.append(candidate.name)
        return build(source, candidate, *others)  # type: ignore[arg-type]

    def never(*_arguments: object) -> bytes:
        raise AssertionError("the baseline is kept")

    monkeypatch.setattr(trying, "build", counted)
    monkeypatch.setattr(trying, "baseline_file", never)
    found = plan_json(planned(path, **more))
    assert len(done) == 5
    # The last one's task was not done: there are more ways to go on from its codebook.
    assert any(name.startswith(done[-1].removesuffix("shared")) for name in again)
    assert not {*done} & {*again}
    names = {trial["name"] for trial in json.loads(json.dumps(found))["candidates"]}
    assert {*done, *again} == names
    monkeypatch.undo()
    assert plan_json(planned(path, schemes=("vq-logits", "ternary"))) == found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent as signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_ends_a_plan_at_once_and_leaves_nothing_half_done(model: Path, tmp_path: Path, jobs: int) -> None:
    folder = tmp_path / "cache"
    command = [sys.executable, "-m", "golfbudget", "plan", str(model), "--schemes", "all", "--jobs", str(jobs)]
    command += ["--format", "json", "-o", str(tmp_path / "plan.json"), "--cache", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(trying.__file__).parents[2])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while not (folder.is_dir() and len(list(folder.iterdir())) > 4) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # As a terminal does: to every process of the group.
        start = time.monotonic()
        out, errors = process.communicate(timeout=30)
    # It takes a second or two, more where the machine is busy; a plan that was not interrupted ends with 0.
    assert time.monotonic() - start < 20
    assert (process.returncode, out, errors) == (130, "", "golfbudget: interrupted\n")
    while alive(process.pid) and time.monotonic() - start < 25:
        time.sleep(0.05)
    assert not alive(process.pid)
    assert not (tmp_path / "plan.json").exists()
    assert all(cache.read(folder, path.name) is not None for path in folder.iterdir())
