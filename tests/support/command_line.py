"""The command line run in two ways that must not differ: in this process, which is fast, and in one of its own.

Start-up, imports, signals, memory, pipes and what a crash would take with it need a process of their own.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import golfbudget

#: The checkout under test, whichever one the interpreter has installed.
CHECKOUT = Path(golfbudget.__file__).parents[1]
#: Variables that change what is printed, and so belong to a test only where it sets them.
_HIDDEN = frozenset({"COLUMNS", "FORCE_COLOR", "PYTHONPATH"})
NONE: Mapping[str, str] = MappingProxyType({})


class Run(Protocol):
    """`run("inspect", path, cwd=...)`: how the program ended, and what it printed."""

    def __call__(
        self, *arguments: object, cwd: Path | None = None, environ: Mapping[str, str] = ...
    ) -> subprocess.CompletedProcess[str]: ...


def environment(more: Mapping[str, str] = NONE) -> dict[str, str]:
    """The environment of a process that runs this checkout's package as users run it, and more variables."""
    kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    return {**kept, "PYTHONPATH": str(CHECKOUT), **more}


def run_process(
    *arguments: object, cwd: Path | None = None, environ: Mapping[str, str] = NONE
) -> subprocess.CompletedProcess[str]:
    """`python -m golfbudget`, in a process of its own."""
    command = [sys.executable, "-m", "golfbudget", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment(environ))


def run_here(
    *arguments: object, cwd: Path | None = None, environ: Mapping[str, str] = NONE
) -> subprocess.CompletedProcess[str]:
    """`python -m golfbudget`, in this process; a warning is an exception, as it is in every test.

    Nothing that the command changes of the process outlives it.
    """
    out, errors = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        chdir(cwd or Path.cwd()),
        _process_state(["golfbudget", *map(str, arguments)], environment(environ)),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        code = _exit_code(errors)
    return subprocess.CompletedProcess(sys.argv, code, _text(out), _text(errors))


def _exit_code(errors: TextIOWrapper) -> int:
    """Run the program as `-m` does; a bug prints its traceback and ends with 1, as the interpreter would do it."""
    try:
        runpy.run_module("golfbudget", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            errors.write(f"{stop.code}\n")
            return 1
        return stop.code or 0
    except Exception:  # noqa: BLE001  (what the interpreter does with whatever nobody caught)
        errors.write(traceback.format_exc())
        return 1
    return 0


@contextmanager
def _process_state(argv: list[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Arguments, variables, import path and real standard output as they are in a process whose output is captured."""
    before = sys.argv, sys.path, dict(os.environ), sys.__stdout__, {*sys.modules}
    sys.argv, sys.path = argv, [str(Path.cwd()), *sys.path]
    # Click measures this stream; a terminal around the tests is not the program's.
    sys.__stdout__ = None  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(environ)
    torch = sys.modules.get("torch")
    threads, drawn = (None, None) if torch is None else (torch.get_num_threads(), torch.get_rng_state())
    try:
        yield
    finally:
        sys.argv, sys.path, variables, sys.__stdout__, modules = before  # type: ignore[misc]
        os.environ.clear()
        os.environ.update(variables)
        if torch is not None:
            torch.set_num_threads(threads)
            torch.set_rng_state(drawn)
        for name in {*sys.modules} - modules:
            if name.startswith("golfbudget_user_model_"):
                del sys.modules[name]


def _text(stream: TextIOWrapper) -> str:
    stream.seek(0)
    # As `text=True` reads a pipe: every end of a line becomes "\n".
    return TextIOWrapper(stream.buffer, encoding="utf-8").read()
