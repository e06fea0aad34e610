"""What commands write to: never what they read, never a device or link in place of itself; what fails is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import Run, environment

from golfbudget import example


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.ptz"
    path.write_bytes(example.ARTIFACT.read_bytes())
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "model.ptz", "-o", "model.ptz"),
        ("inspect", "model.ptz", "-o", "./model.ptz", "--format", "json"),
        ("inspect", "model.ptz", "-o", "link.ptz", "--as-config"),
        ("inspect", "absent.pt", "--code", "model.ptz", "-o", "model.ptz"),
        ("compare", "absent.pt", "model.ptz", "-o", "model.ptz"),
        ("check", ".", "--model", "absent.ptz", "--model", "model.ptz", "-o", "model.ptz"),
        ("unpack", "model.ptz", "-o", "model.ptz"),
        ("pack", "model.ptz", "--candidate", "x", "-o", "model.ptz"),
        ("plan", "absent.pt", "--counts", "model.ptz", "-o", "model.ptz"),
        ("fit", "model.ptz", "--cap", "1MB", "--report", "model.ptz"),
        ("estimate", "absent.toml", "--code", "model.ptz", "--save", "model.ptz"),
    ],
)
def test_no_command_writes_over_what_it_reads(
    arguments: tuple[str, ...], model: Path, golfbudget: Run, tmp_path: Path
) -> None:
    (tmp_path / "link.ptz").symlink_to("model.ptz")
    done = golfbudget(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is read here, and the result would replace it; write to another file" in done.stderr
    assert model.read_bytes() == example.ARTIFACT.read_bytes()


def test_two_results_are_not_written_to_one_file(model: Path, golfbudget: Run, tmp_path: Path) -> None:
    done = golfbudget("repack", model, "-o", "x", "--decoder", "./x", cwd=tmp_path)
    assert "x: is asked for twice, as --output and as --decoder; name two files" in done.stderr


def test_a_link_stays_and_what_it_leads_to_is_written(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("page.md")
    assert golfbudget("schemes", "--format", "markdown", "-o", "link.md", cwd=tmp_path).returncode == 0
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("|")


def test_a_pipe_takes_the_bytes_and_stays(golfbudget: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert golfbudget("schemes", "-o", tmp_path / "pipe").returncode == 0
        assert (tmp_path / "pipe").is_fifo()
        assert os.read(reader, 100)
    finally:
        os.close(reader)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line(golfbudget_process: Run, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "golfbudget", "schemes"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment(),
        )  # fmt: skip
    message = "golfbudget: error: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, message)
    into = golfbudget_process("schemes", "-o", "/dev/full", cwd=tmp_path)
    assert (into.returncode, into.stderr) == (
        2,
        "golfbudget: error: /dev/full: cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("arguments", [("inspect", "model.ptz", "--cap", "16MB"), ("--help",)])
def test_a_reader_that_goes_away_is_no_failed_gate(model: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "golfbudget", *arguments]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=model.parent, env=environment()
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
@pytest.mark.parametrize(
    ("closed", "arguments", "code", "told"),
    [
        (">&-", "inspect model.ptz", 2, "golfbudget: error: the output cannot be written: Bad file descriptor\n"),
        (">&-", "inspect model.ptz --format json", 2, "golfbudget: error: the output cannot be written: Bad file d"),
        (">&-", "inspect model.ptz -o report.txt", 0, ""),
        ("2>&-", "inspect nope", 2, ""),
    ],
)
def test_closed_streams_are_no_failed_gate(model: Path, closed: str, arguments: str, code: int, told: str) -> None:
    command = f'exec "{sys.executable}" -m golfbudget {arguments} {closed}'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, cwd=model.parent, env=environment()
    )  # fmt: skip
    assert done.returncode == code
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr


LONG = "x" * 300


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", LONG),
        ("compare", LONG, "model.ptz"),
        ("estimate", LONG),
        ("plan", LONG),
        ("check", ".", "--rules", LONG),
        ("plan", example.CHECKPOINT, "--recipe", LONG),
        ("inspect", "model.ptz", "-o", LONG),
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(
    arguments: tuple[object, ...], golfbudget: Run, tmp_path: Path
) -> None:
    done = golfbudget(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert LONG in done.stderr
    assert done.stderr.endswith("File name too long\n")
    assert done.stderr.count("\n") == 1


def test_a_long_name_is_written(model: Path, golfbudget: Run, tmp_path: Path) -> None:
    name = "y" * 250
    assert golfbudget("inspect", model, "-o", name, cwd=tmp_path).returncode == 0
    assert (tmp_path / name).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.ptz", name]
