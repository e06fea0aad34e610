"""What stands under an answer says what to type next, and what it says can be typed as it stands."""

from __future__ import annotations

import re
import shlex
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fifty_folders import EMPTY, OVER, WRONG, write
from safetensors.torch import save_file
from support.blobs import saved
from support.command_line import Run
from support.points import point
from support.standins import submission
from test_answer_first import large
from test_golden import inspection, plan

import golfbudget as gb
from golfbudget.fit.results import Fit
from golfbudget.inspection import Inspection
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.report import ReportFormat
from golfbudget.report.plan import document
from golfbudget.report.render import rendered

__all__ = ["inspection", "large", "plan"]

PROGRAM = "\n".join(f"def layer_{n}(state):\n    return state + {n}\n" for n in range(200))


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"tok_emb.weight": (64, 32), "blocks.0.mlp.fc.weight": (64, 32)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def commands(text: str) -> list[list[str]]:
    """The commands that a text says to type."""
    return [shlex.split(found) for found in re.findall(r"^(?:next|then): golfbudget (.+)$", text, re.MULTILINE)]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_file(state(), tmp_path / "a model.safetensors")
    return Path("a model.safetensors")


@pytest.mark.slow
def test_a_file_over_the_cap_says_what_to_type_and_that_runs(golfbudget: Run, checkpoint: Path, tmp_path: Path) -> None:
    size = (tmp_path / checkpoint).stat().st_size
    over = golfbudget("inspect", checkpoint, "--cap", "8kB", "--code", "500", cwd=tmp_path)
    assert over.returncode == 1
    found = commands(over.stdout)
    fit, plan = found
    assert fit == ["fit", str(checkpoint), "--cap", "8000", "--code", "500", "-o", "FILE"]
    assert plan == ["plan", str(checkpoint), "--cap", "8000", "--code", "500"]
    done = golfbudget(*fit, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "FILE").stat().st_size < size
    # What least loss says to do next runs, too, and its file fits with the loader as it is counted.
    (loader,) = commands(done.stdout.replace(" writes the loader", ""))
    assert golfbudget(*loader, cwd=tmp_path).returncode == 0
    both = golfbudget(*fit, "--decoder", "decode.py", cwd=tmp_path).stdout
    (pack,) = re.findall(r"^next: golfbudget (pack-code decode.py -o PACKED.py) makes", both, re.MULTILINE)
    assert golfbudget(*pack.split(), cwd=tmp_path).returncode == 0
    (used,) = re.findall(r"fitted: ([\d,]+) of 8,000 bytes", both)
    ships = sum((tmp_path / name).stat().st_size for name in ("FILE", "PACKED.py"))
    assert ships + 500 == int(used.replace(",", ""))
    assert golfbudget("inspect", "FILE", "--cap", "8kB", cwd=tmp_path).returncode == 0


def test_an_artifact_over_the_cap_is_packed_better_first(golfbudget: Run, tmp_path: Path) -> None:
    artifact = "model.ptz"
    whole = {name: torch.clamp((value * 30).round(), -127, 127).to(torch.int8) for name, value in state().items()}
    (tmp_path / artifact).write_bytes(zlib.compress(saved(whole), 1))
    over = golfbudget("inspect", artifact, "--cap", "2kB", cwd=tmp_path)
    repack, fit = commands(over.stdout)
    assert repack == ["repack", artifact, "-o", "FILE"]
    assert fit == ["fit", "CHECKPOINT", "--cap", "2000", "-o", "FILE"]
    assert golfbudget(*repack, cwd=tmp_path).returncode == 0
    assert (tmp_path / "FILE").stat().st_size < (tmp_path / artifact).stat().st_size


def test_a_file_that_fits_or_was_not_held_to_a_cap_says_nothing_of_it(
    golfbudget: Run, checkpoint: Path, tmp_path: Path
) -> None:
    for cap in ([], ["--cap", "16MB"]):
        assert "next: " not in golfbudget("inspect", checkpoint, *cap, cwd=tmp_path).stdout
    # No file with its loader is so small, and `fit` would refuse it.
    assert "next: " not in golfbudget("inspect", checkpoint, "--cap", "1500", cwd=tmp_path).stdout
    assert "next: " in golfbudget("inspect", checkpoint, "--cap", "1501", cwd=tmp_path).stdout
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    assert "next: " not in golfbudget("inspect", "noise", "--cap", "100", cwd=tmp_path).stdout


def test_a_submission_over_the_cap_says_what_to_type(golfbudget: Run, tmp_path: Path) -> None:
    model = zlib.compress(saved(state()))
    submission(tmp_path / "run", {"train_gpt.py": PROGRAM, "final_model.ptz": model})
    (tmp_path / "cap.toml").write_text('name = "mine"\ncap = 10_000\n')
    done = golfbudget("check", "run", "--rules", "cap.toml", cwd=tmp_path)
    assert done.returncode == 1
    pack_code, repack, fit = commands(done.stdout)
    assert pack_code == ["pack-code", "run/train_gpt.py", "-o", "FILE"]
    assert repack == ["repack", "run/final_model.ptz", "-o", "FILE"]
    assert fit == ["fit", "CHECKPOINT", "--cap", "10000", "--code", str(len(PROGRAM)), "-o", "FILE"]
    packed = golfbudget(*pack_code, cwd=tmp_path)
    assert packed.returncode == 0
    # The smallest programs are shown, all are in the csv.
    assert len(packed.stdout.splitlines()) < 30
    (others,) = re.findall(r"more: (\d+) larger programs", packed.stdout)
    every = golfbudget("pack-code", "run/train_gpt.py", "--format", "csv", cwd=tmp_path).stdout
    shown = packed.stdout.partition("────\n")[2].partition("more: ")[0].splitlines()
    assert len(every.splitlines()) - 1 == len(shown) + int(others)
    (less,) = re.findall(r"the same program, ([\d,]+) bytes smaller at least", done.stdout)
    assert len(PROGRAM) - (tmp_path / "FILE").stat().st_size >= int(less.replace(",", ""))
    # The file is named once.
    (line,) = [line for line in done.stdout.splitlines() if "GB101" in line]
    assert line.count("final_model.ptz") == 1


def test_a_packed_code_that_decides_is_not_to_be_packed_again(golfbudget: Run, tmp_path: Path) -> None:
    model = zlib.compress(saved(state()))
    submission(tmp_path / "run", {"train_gpt.py": PROGRAM, "final_model.ptz": model})
    (tmp_path / "cap.toml").write_text('name = "mine"\ncap = 10_000\n')
    done = golfbudget("check", "run", "--rules", "cap.toml", "--convention", "packed", cwd=tmp_path)
    assert [command[0] for command in commands(done.stdout)] == ["repack", "fit"]


def test_what_repack_writes_is_the_model_of_a_submission(golfbudget: Run, tmp_path: Path) -> None:
    submission(tmp_path / "run", {"train_gpt.py": PROGRAM})
    (tmp_path / "final.pt").write_bytes(saved(state()))
    done = golfbudget("repack", "final.pt", "--levers", "container", "-o", "run/final.gbpk", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = gb.check(tmp_path / "run")
    assert [model.source for model in found.submissions[0].models] == ["final.gbpk"]


@pytest.mark.slow
def test_of_many_folders_those_that_need_someone_have_rows(golfbudget: Run, tmp_path: Path) -> None:
    write(tmp_path / "records")
    folders = [f"records/{number:02}" for number in range(50)]
    done = golfbudget("check", *folders, cwd=tmp_path)
    assert done.returncode == 2
    rows = re.findall(r"^(\d\d|\[.+?\]) {2,}", done.stdout, re.MULTILINE)
    assert rows == [f"{OVER:02}", f"{WRONG:02}", "29", f"{EMPTY:02}", "[46 others, largest]"]
    assert "15,912,342" in done.stdout.partition("[46 others")[2]
    assert len(done.stdout.splitlines()) < 40
    table = golfbudget("check", *folders, "--format", "markdown", cwd=tmp_path).stdout
    assert re.findall(r"^\| (\d\d) \|", table, re.MULTILINE) == [f"{number:02}" for number in range(50)]
    # A few have a row each.
    few = golfbudget("check", *folders[:6], cwd=tmp_path).stdout
    assert re.findall(r"^(\d\d) ", few, re.MULTILINE) == [f"{number:02}" for number in range(6)]


def text_of(made: Plan, asked: PlanRequest | None) -> str:
    return rendered(document(made, saved="plan.json", asked=asked), ReportFormat.TABLE)


def test_the_next_step_of_a_plan_has_its_own_options(large: Plan) -> None:
    fitted = replace(large, budgets=(point(962_340, 0.009, 0.003), point(481_170, 0.034, 0.006)))
    asked = PlanRequest(
        path=Path("hand.safetensors"), cap=16_000_000, tokens=Path("my text.txt"), tokenizer=Path("sp.model"),
        token_limit=8192,
    )  # fmt: skip
    wanted = "--tokens 'my text.txt' --tokenizer sp.model --token-limit 8192 --cap 962340 -o FILE"
    assert wanted in text_of(fitted, asked)
    assert "spend what is left" not in text_of(fitted, asked)


def test_bytes_that_finer_numbers_could_take_are_to_be_spent(large: Plan) -> None:
    budget = replace_budget(large.baseline, cap=large.baseline.artifact.size + 1_000)
    inputs = replace(large.inputs, source_bytes=large.baseline.artifact.size + 5_000)
    made = replace(large, budgets=(point(962_340, 0.009, 0.003),), baseline=budget, inputs=inputs, code_bytes=500)
    assert f"or spend what is left: golfbudget fit {inputs.source_path}" in text_of(made, None)
    assert f"--cap {made.cap} --code 500 -o FILE" in text_of(made, None)


def replace_budget(inspected: Inspection, *, cap: int) -> Inspection:
    return replace(inspected, budget=type(inspected.budget)(cap=cap, stored=inspected.artifact.size, code=None))


def test_a_plan_without_a_candidate_to_pack_says_to_fit(golfbudget: Run, checkpoint: Path, tmp_path: Path) -> None:
    shown = golfbudget("plan", checkpoint, "--schemes", "ternary", "--no-fits", "--cap", "8kB", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert commands(shown.stdout) == [["fit", str(checkpoint), "--cap", "8000", "-o", "FILE"]]


@pytest.mark.slow
def test_a_fit_that_does_not_bind_says_what_its_bytes_would_buy(checkpoint: Path, tmp_path: Path) -> None:
    found = gb.fit(tmp_path / checkpoint, cap="16MB", no_cache=True, jobs=1, head="plain", effort=0)
    fit: Fit = found.fit
    assert not fit.binding
    text = str(found)
    assert f"the {fit.headroom:,} bytes left buy parameters, not finer rounding:" in text
    assert "--as-config -o model.toml" in text
    assert "golfbudget estimate model.toml --fast --cap 16000000 --sweep" in text


def test_every_help_has_a_whole_first_line_and_no_example_is_wider_than_a_screen(golfbudget: Run) -> None:
    listing = golfbudget("--help", environ={"COLUMNS": "80"}).stdout
    listed = listing.partition("Commands:")[2].splitlines()[1:]
    assert len(listed) >= 14
    assert not [line for line in listed if line.endswith("...")]
    for line in listed:
        text = golfbudget(line.split()[0], "--help", environ={"COLUMNS": "80"}).stdout
        assert max(map(len, text.splitlines())) <= 80, line
        assert text.startswith("Usage: golfbudget ")
