"""README.md and docs/ are executed: each command is run and compared, digits masked where figures are re-made.

GOLFBUDGET_REWRITE=1 writes transcripts, tables of files and pictures anew instead; look at the difference before
committing it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from support.command_line import Run, environment
from support.installed import Demo
from support.marks import slow_for
from support.transcripts import (
    PAGES,
    REWRITE,
    ROOT,
    Step,
    anchors,
    blocks,
    command_lines,
    links,
    masked,
    name,
    picture,
    steps,
    terminal,
    tidy,
    words,
)

from golfbudget import configs, example

TEXTS = {name(page): page.read_text(encoding="utf-8") for page in PAGES}
#: How many commands and pieces of Python each page runs, so that none gets lost.
STEPS = {
    "README.md": 3,
    "docs/check.md": 2,
    "docs/checkpoints.md": 1,
    "docs/compare.md": 3,
    "docs/decoder.md": 1,
    "docs/demo.md": 1,
    "docs/estimate.md": 2,
    "docs/executors.md": 1,
    "docs/inspect.md": 4,
    "docs/plan.md": 2,
    "docs/python.md": 2,
    "docs/repack.md": 1,
    "docs/schemes.md": 2,
    "docs/vocabulary.md": 1,
    "docs/ways/checks-in-ci.md": 4,
    "docs/ways/fifty-folders.md": 3,
    "docs/ways/large-model.md": 1,
    "docs/ways/notebook.md": 3,
    "docs/ways/over-the-cap.md": 7,
    "docs/ways/review.md": 4,
    "docs/ways/under-the-cap.md": 3,
}
#: Pages without a plan that take over a second and a half.
SLOW = ("docs/estimate.md", "docs/executors.md", "docs/repack.md", "docs/vocabulary.md", "docs/ways/fifty-folders.md",
        "docs/ways/over-the-cap.md", "docs/ways/review.md", "docs/ways/under-the-cap.md")  # fmt: skip
PROGRAM = Path("golfbudget", "example", "train.py")


@pytest.fixture
def folder(demo: Demo, tmp_path: Path) -> Path:
    """Where a page's commands run: what the demo left, and the example's program; each page starts anew."""
    shutil.copytree(demo.files, tmp_path / "build" / "example")
    return with_program(tmp_path)


@pytest.fixture
def example_folder(tmp_path: Path) -> Path:
    """The same for a page that needs no plan: the example's files as they are shipped, and its program."""
    (tmp_path / "build" / "example").mkdir(parents=True)
    for file in example.FILES:
        shutil.copy(file, tmp_path / "build" / "example")
    return with_program(tmp_path)


def with_program(folder: Path) -> Path:
    """The folder, in which the example's program and the scripts that pages run are where a checkout has them."""
    (folder / PROGRAM).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / PROGRAM, folder / PROGRAM)
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def in_a_shell(command: str, folder: Path) -> str:
    """What a line prints that is more than one command of ours: with pipes, exit codes or tools of the system."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for program, run in (("python", ""), ("golfbudget", " -m golfbudget")):
        (programs / program).write_text(f'#!/bin/sh\nexec "{sys.executable}"{run} "$@"\n', encoding="utf-8")
        (programs / program).chmod(0o755)
    environ = environment({"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"})
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def printed(step: Step, folder: Path, namespace: dict[str, object], golfbudget: Run, demo: Demo | None) -> str:
    """What a step prints; the Python of a page goes on where its last piece ended."""
    if step.python:
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(step.source, "<page>", "exec"), namespace)  # noqa: S102  (our own pages)
        return out.getvalue()
    if step.source == "make demo":
        assert demo is not None
        return demo.stdout
    if not step.source.startswith("golfbudget ") or re.search(r"[|>&;*]", re.sub(r"'[^']*'", "", step.source)):
        return in_a_shell(step.source, folder)
    program, *arguments = shlex.split(step.source)
    assert program == "golfbudget", step.source
    done = golfbudget(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def needs_the_demo(page: str) -> bool:
    """Whether a page's commands run the demo, or read the plan that it leaves."""
    return any("plan.json" in step.source or " demo" in step.source for step in steps(TEXTS[page]))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in STEPS if needs_the_demo(page)])
def test_a_page_shows_what_its_commands_print(page: str, folder: Path, golfbudget: Run, demo: Demo) -> None:
    compare(page, folder, golfbudget, demo)


@pytest.mark.parametrize("page", slow_for(SLOW, (page for page in STEPS if not needs_the_demo(page))))
def test_a_page_without_a_plan_shows_what_its_commands_print(page: str, example_folder: Path, golfbudget: Run) -> None:
    compare(page, example_folder, golfbudget, None)


def compare(page: str, folder: Path, golfbudget: Run, demo: Demo | None) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    text, written, end = TEXTS[page], "", 0
    for step in steps(text):
        found, shown = tidy(printed(step, folder, namespace, golfbudget, demo)), tidy(step.output)
        if step.python and not step.output:
            assert found == "\n", f"{page}: a text block below must show what this prints: {step.source}"
        elif REWRITE:
            between = "\n" * bool(re.search(r"^\n\Z", step.output, re.MULTILINE))
            written += text[end : step.start] + found.lstrip("\n") + between
            end = step.stop
        elif step.masked:
            assert masked(found) == masked(shown), f"{page}: {step.source}"
        else:
            assert found == shown, f"{page}: {step.source}"
    if REWRITE:
        (ROOT / page).write_text(written + text[end:], encoding="utf-8")


def test_no_transcript_got_lost() -> None:
    assert {page: count for page, text in TEXTS.items() if (count := len(list(steps(text))))} == STEPS


def test_the_picture_of_inspect_is_what_the_terminal_shows(folder: Path) -> None:
    command = "golfbudget inspect build/example/artifact.int8.ptz"
    drawn = picture(command, terminal(folder, *shlex.split(command)[1:]))
    path = ROOT / "docs" / "inspect.svg"
    if REWRITE:
        path.write_text(drawn, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == drawn


def test_the_picture_of_the_verdict_is_what_the_terminal_shows(folder: Path) -> None:
    drawn = picture("make demo", terminal(folder, "demo", "--save", "build/example"))
    path = ROOT / "docs" / "verdict.svg"
    if REWRITE:
        path.write_text(drawn, encoding="utf-8")
    # Where a line is broken depends on its figures: words are compared.
    before, now = (sorted(masked(words(svg)).split()) for svg in (path.read_text(encoding="utf-8"), drawn))
    assert before == now


def test_a_picture_is_the_same_each_time_and_asks_no_server_for_anything() -> None:
    first, second = (picture("golfbudget x", "a\x1b[1m b\x1b[0m <1>\n") for _ in range(2))
    assert first == second
    assert words(first) == "$ golfbudget x\na b <1>"
    assert set(re.findall(r"https?://[^\s\"]+", first)) == {"http://www.w3.org/2000/svg", "https://www.textualize.io"}


def test_masking_hides_figures_and_nothing_else() -> None:
    assert masked("head-int6  933,369  +28,971  [+0.0002]") == masked("head-int6 *  933,370  +28,970  [+0.0003]")
    assert masked("verdict: trunk") != masked("verdict: head")


def test_a_newcomers_page_stays_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("docs/ways/")])
def test_a_way_is_one_screen(page: str) -> None:
    assert len(TEXTS[page].splitlines()) <= 40


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for target in links(TEXTS[page]):
        place, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / place).resolve() if place else ROOT / page
        assert path.is_file(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {target}"


def test_the_readme_leads_to_every_page() -> None:
    assert set(TEXTS) - {"README.md"} <= {target.partition("#")[0] for target in links(TEXTS["README.md"])}


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_says_what_a_reader_gets_there(page: str) -> None:
    title, empty, first = TEXTS[page].splitlines()[:3]
    assert title.startswith("# ")
    assert not empty
    assert re.match(r"[A-Za-z]", first), "prose comes before headings, lists and code"


def test_commands_and_options_of_the_pages_are_known_to_the_program(golfbudget: Run) -> None:
    commands = re.findall(r"^  ([a-z][a-z-]+) ", golfbudget("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) >= 11
    helps = {command: golfbudget(command, "--help").stdout for command in commands}
    lines = [line for text in TEXTS.values() for line in command_lines(text)]
    assert len(lines) >= sum(STEPS.values())
    for line in lines:
        _, command, *arguments = shlex.split(line)
        assert command in helps, line
        for option in arguments:
            if option.startswith("-"):
                assert re.search(rf"(^|[\s/,]){option.partition('=')[0]}\b", helps[command]), line
    assert all(f"golfbudget {command}" in "\n".join(TEXTS.values()) for command in commands)


def test_targets_of_the_pages_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {found for text in TEXTS.values() for found in re.findall(r"(?:`|\$ )make ([a-z]+)\b", text)}
    assert {"demo", "test"} <= named <= targets


def test_scripts_of_the_pages_are_there() -> None:
    named = {found for text in TEXTS.values() for found in re.findall(r"python (tests/\w+\.py)", text)}
    assert named
    assert all((ROOT / script).is_file() for script in named)


def test_models_and_recipes_are_listed_with_their_summaries() -> None:
    page = ROOT / "docs" / "files.md"
    for kind in ("models", "recipes"):
        text = page.read_text(encoding="utf-8")
        loaded = [tomllib.loads(path.read_text(encoding="utf-8")) for path in files(kind)]
        head = f"| `configs/{kind}/` | |\n|---|---|\n"
        table = head + "".join(f"| `{found['name']}` | {found['summary']} |\n" for found in loaded)
        if REWRITE:
            before, _, after = text.partition(head)
            text = before + table + re.sub(r"\A(\|.*\n)*", "", after)
            page.write_text(text, encoding="utf-8")
        assert f"\n{table}\n" in text


@pytest.mark.parametrize("kind", ["roles", "rules", "schemas"])
def test_other_shipped_files_are_named(kind: str) -> None:
    for path in files(kind):
        assert f"{path.name if kind == 'schemas' else path.stem}" in TEXTS["docs/files.md"], path


def files(kind: str) -> list[Path]:
    found = sorted(path for path in (configs.config_folder() / kind).iterdir() if path.is_file())
    assert found
    return found


def block(page: str, kind: str, start: str) -> str:
    (found,) = [b.body for b in blocks(TEXTS[page]) if b.kind == kind and b.body.startswith(start)]
    return found


def test_the_model_file_of_the_pages_is_read(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(block("docs/estimate.md", "toml", "#:schema"), encoding="utf-8")
    done = golfbudget("estimate", "mine.toml", "--fast", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout


def test_the_layout_of_the_pages_is_read(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "layout.toml").write_text(block("docs/formats.md", "toml", "[[parts]]"), encoding="utf-8")
    (tmp_path / "model.bin").write_bytes(bytes(36 + 2 * 16384 * 16))
    done = golfbudget("inspect", "model.bin", "--layout", "layout.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "embedding" in done.stdout
    assert "unmapped" not in done.stdout


def test_the_workflows_of_the_pages_give_the_action_its_own_inputs() -> None:
    known = set(yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"])
    whole = yaml.safe_load(block("docs/compare.md", "yaml", "name: bytes"))["jobs"]["bytes"]["steps"]
    for found in (whole, yaml.safe_load(block("README.md", "yaml", "- uses:"))):
        (step,) = [step for step in found if step.get("uses", "").startswith("OWNER/golfbudget@")]
        assert set(step["with"]) <= known


def test_the_hook_of_the_pages_is_one_of_this_repository() -> None:
    (repository,) = yaml.safe_load(block("docs/compare.md", "yaml", "repos:"))["repos"]
    known = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    assert {hook["id"] for hook in repository["hooks"]} <= known
