"""The command-line program: commands, one place where errors become a line and an exit code.

Exit codes: 0 done and every gate passed, 1 a gate failed, 2 trouble.  A command is imported and built when it is
named, and imports what it needs when it runs, so that `inspect` starts fast.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from golfbudget.cli.careful import CarefulCommand
from golfbudget.errors import GolfbudgetError, explained
from golfbudget.version import __version__

INTERRUPTED = 130
TROUBLE = 2
#: What writing to stdout ends with where no more can be written; such errors name no file.
_UNWRITTEN = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF})

#: Commands in the order of the help, and the modules under `golfbudget.cli` that hold their functions.
COMMANDS = {
    **{name: name for name in ("inspect", "check", "compare", "estimate", "plan", "fit", "pack")},
    "unpack": "pack",
    **{name: name for name in ("repack", "decoder")},
    "pack-code": "pack_code",
    "schemes": "schemes",
    "report": "report",
    "demo": "demo",
}


def _typer(**options: Any) -> typer.Typer:  # noqa: ANN401  (typer's own options)
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


_HELP = """The byte accountant for language models under a size cap.

It says where the bytes of a model file are, what is left under the cap, and how to store the model in fewer.

\b
Examples:
  golfbudget inspect model.safetensors --cap 16MB
  golfbudget demo --save example
  golfbudget COMMAND --help

Exit codes: 0 done, 1 a gate failed, 2 trouble.
"""


class Commands(TyperGroup):
    """The commands by name, each built when it is asked for: building them all takes as long as reading a file."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self.commands = {name: click.Command(name) for name in COMMANDS}  # For their names alone.

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"golfbudget.cli.{COMMANDS[cmd_name]}")
        alone = _typer()
        alone.command(cmd_name, cls=CarefulCommand)(getattr(module, cmd_name.replace("-", "_")))
        return typer.main.get_command(alone)


app = _typer(
    name="golfbudget",
    cls=Commands,
    help=_HELP,
    no_args_is_help=True,
    suggest_commands=False,  # click does so already.
)


def _show_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"golfbudget {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the program and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run with the given arguments; returns the exit code."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets its escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        with explained():
            code = app(args=arguments, prog_name="golfbudget", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer returns it where click raises.
            raise KeyboardInterrupt
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return TROUBLE
    except click.ClickException as error:
        return _fail(error.format_message())
    except GolfbudgetError as error:
        return _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("golfbudget: interrupted\n")
        return INTERRUPTED
    except (OSError, SystemExit) as error:
        return _system_trouble(error)
    return code if isinstance(code, int) else 0


def _open_closed() -> None:
    """Streams that the caller closed (`>&-`): writing to stdout fails, as to any closed file; stderr takes all."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _system_trouble(error: OSError | SystemExit) -> int:
    """Names that no file can have, folders that may not be read, a full disk: what names a file is no bug."""
    if isinstance(error, SystemExit):
        # Click ends with 1, which says that a gate failed, where the reader of a pipe went away.
        if not isinstance(error.__context__, BrokenPipeError):
            raise error
        error = error.__context__
    if error.filename is not None:
        return _fail(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if error.errno not in _UNWRITTEN:
        raise error
    # What could not be written would be tried again at exit, and complained about there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # The reader of a pipe that went away wants to know nothing.
    return TROUBLE if error.errno == errno.EPIPE else _fail(f"the output cannot be written: {error.strerror}")


def _fail(message: str) -> int:
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    sys.stderr.write(f"golfbudget: error: {line}\n")
    return TROUBLE
