"""The README is executed: each transcript is run and compared, digits masked where figures are re-made.

GOLFBUDGET_REWRITE=1 writes the transcripts anew instead; look at the difference before committing it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import Run
from installed import Demo

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(?P<mask><!-- figures masked.*?-->\n)?```(?P<kind>console|python)\n(?P<body>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Transcript:
    """A command and what the README says it prints."""

    command: str
    output: str
    masked: bool


def transcripts() -> Iterator[Transcript]:
    for block in BLOCK.finditer(README.read_text(encoding="utf-8")):
        if block["kind"] != "console":
            continue
        for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Transcript(command, output, block["mask"] is not None)


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def masked(text: str) -> str:
    """Figures, the padding that follows their width, and the marks and order that depend on them, taken out."""
    words = re.sub(r"[-+<>]?\d[\d,.]*|[ *─]+", " ", text)
    return "\n".join(sorted(" ".join(line.split()) for line in words.splitlines()))


def output_of(transcript: Transcript, golfbudget: Run, demo: Demo) -> str:
    if transcript.command == "make demo":
        return demo.stdout
    program, *arguments = shlex.split(transcript.command)
    assert program == "golfbudget", transcript.command
    done = golfbudget(*arguments, cwd=demo.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_transcripts_are_what_the_commands_print(golfbudget: Run, demo: Demo) -> None:
    text = README.read_text(encoding="utf-8")
    ran = 0
    program = Path("golfbudget", "example", "train.py")
    (demo.folder / program).parent.mkdir(parents=True)
    shutil.copyfile(README.parent / program, demo.folder / program)
    for transcript in transcripts():
        if transcript.command == "make test":
            assert re.search(r"\d+ passed", transcript.output)
            continue
        found = tidy(output_of(transcript, golfbudget, demo))
        ran += 1
        if os.environ.get("GOLFBUDGET_REWRITE"):
            text = text.replace(f"$ {transcript.command}\n{transcript.output}", f"$ {transcript.command}\n{found}")
        elif transcript.masked:
            assert masked(found) == masked(tidy(transcript.output)), transcript.command
        else:
            assert found == tidy(transcript.output), transcript.command
    assert ran == 17
    if os.environ.get("GOLFBUDGET_REWRITE"):
        README.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_the_python_example_runs(demo: Demo) -> None:
    (code,) = [m["body"] for m in BLOCK.finditer(README.read_text(encoding="utf-8")) if m["kind"] == "python"]
    done = subprocess.run([sys.executable, "-c", code], cwd=demo.folder, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+ of 962340\n", done.stdout)


def test_masking_hides_figures_and_nothing_else() -> None:
    assert masked("head-int6  933,369  +28,971  [+0.0002]") == masked("head-int6 *  933,370  +28,970  [+0.0003]")
    assert masked("verdict: trunk") != masked("verdict: head")


def test_every_command_of_the_readme_is_documented_by_the_program(golfbudget: Run) -> None:
    known = golfbudget("--help").stdout
    used = set(re.findall(r"golfbudget ([a-z]+)\b", "\n".join(t.command for t in transcripts())))
    assert used
    assert all(command in known for command in used)
