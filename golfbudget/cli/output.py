"""Printing and writing, for all commands: results to stdout or a file, everything else to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat
from golfbudget.report.document import Document
from golfbudget.report.render import rendered

#: Letters of a file's name in that of its temporary neighbour, whose name has letters of its own.
_PREFIX = 100


def emit(document: Document, output_format: ReportFormat, output: Path | None) -> None:
    """Print a report, or write it to a file.  Only a terminal has a width and colours.

    `UsageError` for an html page on a terminal, and as `write` raises it.
    """
    if output is None and output_format is ReportFormat.TABLE:
        from golfbudget.report.render.terminal import show

        show(document)
    elif output is None and output_format is ReportFormat.HTML and sys.stdout.isatty():
        raise UsageError("--format html writes a page of about a megabyte, which no terminal shows; give -o FILE.html")
    else:
        emit_text(rendered(document, output_format), output)


def emit_text(text: str, output: Path | None) -> None:
    """Print or write a text as it stands."""
    if output is None:
        sys.stdout.write(text)
    else:
        write(output, text.encode(errors="backslashreplace"))


def emit_github(commands: str, page: Document, output: Path | None) -> None:
    """Annotate a run on GitHub, and add the page to its step summary, and to a file where one is named.

    `UsageError` where a file cannot be written.
    """
    emit_text(commands, None)
    if output is not None:
        emit(page, ReportFormat.MARKDOWN, output)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("ab") as file:
                file.write(rendered(page, ReportFormat.MARKDOWN).encode(errors="backslashreplace"))
        except OSError as error:
            raise UsageError(f"{summary} (GITHUB_STEP_SUMMARY): cannot be written: {error.strerror}") from None


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: through a temporary neighbour, then a rename.

    What a link leads to is written, and the link stays; a pipe or device takes the bytes, and stays what it is.
    `UsageError` where it cannot be written.
    """
    import tempfile

    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        target = path.resolve()
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:_PREFIX]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def note(text: str, *, quiet: bool = False) -> None:
    """A line on stderr."""
    if not quiet:
        sys.stderr.write(f"golfbudget: {text}\n")
