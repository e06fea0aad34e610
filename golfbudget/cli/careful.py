"""What all commands refuse before they begin: to write over a file that they read, and to write two things to one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import click
from typer.core import TyperCommand

from golfbudget.errors import UsageError

#: Parameters that name files to be written; all others are read, or are no files.
WRITTEN = frozenset({"output", "decoder", "report", "save"})


class CarefulCommand(TyperCommand):
    """A command whose files to write are none of its files to read."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's own)
        """Run the command; `UsageError` where a file would be written over one that is read, or two into one."""
        named = [(name, Path(value)) for name, value in ctx.params.items() if name in WRITTEN and value is not None]
        for read in _read(ctx):
            check_outputs(read, *(path for _, path in named))
        for (first, one), (second, other) in combinations(named, 2):
            if one.absolute() == other.absolute() or _same(one, other):
                raise UsageError(f"{one}: is asked for twice, as --{first} and as --{second}; name two files")
        return super().invoke(ctx)


def check_outputs(read: Path, *outputs: Path | None) -> None:
    """`UsageError` where writing one of `outputs` would replace the file `read`."""
    for path in outputs:
        if path is not None and _same(path, read):
            raise UsageError(f"{path}: is read here, and the result would replace it; write to another file")


def _read(ctx: click.Context) -> Iterator[Path]:
    """Values that may be names of files: each text, path, and member of a list of them."""
    for name, value in ctx.params.items():
        if name not in WRITTEN:
            several = value if isinstance(value, (tuple, list)) else (value,)
            yield from (Path(one) for one in several if isinstance(one, (str, Path)))


def _same(output: Path, path: Path) -> bool:
    """Whether writing one would replace the other; a pipe or device holds nothing to replace."""
    try:
        return output.is_file() and output.samefile(path)
    except (OSError, ValueError):
        return False  # There is no such file yet, or writing it will say what is wrong.
