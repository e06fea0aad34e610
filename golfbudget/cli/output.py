"""Printing and writing, for all commands: results to stdout or a file, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType


def emit_json(value: object, output: Path | None) -> None:
    """Print or write one JSON document, in stable order."""
    if output is None:
        sys.stdout.write(_document(value))
    else:
        write_json(output, value)


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, whole or not at all."""
    write(path, _document(value).encode())


def _document(value: object) -> str:
    import json

    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def emit_text(text: str, output: Path | None) -> None:
    """Print or write a text as it stands."""
    if output is None:
        sys.stdout.write(text)
    else:
        write(output, text.encode(errors="backslashreplace"))


def emit_table(parts: Sequence[RenderableType], output: Path | None) -> None:
    """Print renderables, or write their plain text."""
    from golfbudget.report.tables import console, render

    if output is None:
        screen = console()
        for part in parts:
            screen.print(part)
    else:
        write(output, render(*parts).encode())


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: through a temporary neighbour, then a rename."""
    import tempfile

    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def note(text: str, *, quiet: bool = False) -> None:
    """A line on stderr."""
    if not quiet:
        sys.stderr.write(f"golfbudget: {text}\n")
