"""The command-line program: commands, one place where errors become a line and an exit code.

Exit codes: 0 done and every gate passed, 1 a gate failed, 2 trouble.  Commands import what they need when they
run, so that `--help` and `inspect` start fast.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated

import click
import typer

from golfbudget import __version__
from golfbudget.cli.check import check
from golfbudget.cli.compare import compare
from golfbudget.cli.demo import demo
from golfbudget.cli.estimate import estimate
from golfbudget.cli.inspect import inspect
from golfbudget.cli.pack import pack, unpack
from golfbudget.cli.pack_code import pack_code
from golfbudget.cli.plan import plan
from golfbudget.cli.repack import repack
from golfbudget.cli.schemes import schemes
from golfbudget.errors import GolfbudgetError
from golfbudget.extras import explained

INTERRUPTED = 130
TROUBLE = 2

app = typer.Typer(
    name="golfbudget",
    help="The byte accountant for language models under a size cap.\n\nExit codes: 0 done, 1 a gate failed, 2 trouble.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (inspect, check, compare, estimate, plan, pack, unpack, repack, pack_code, schemes, demo):
    app.command()(_command)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets its escape, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        with explained():
            code = app(args=arguments, standalone_mode=False)
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
    except BrokenPipeError:
        # The reader of a pipe went away; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return TROUBLE
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    sys.stderr.write(f"golfbudget: error: {line}\n")
    return TROUBLE
