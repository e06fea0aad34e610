"""`golfbudget report`: a saved report as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt


def report(
    saved: Annotated[Path, arg("SAVED.json", "What a command wrote with --format json.")],
    output: Annotated[Path, opt("--output -o FILE", "The page to write.")],
    quiet: options.Quiet = False,
) -> None:
    """Show a saved report as one HTML file.

    It asks for nothing from a network.  The page is the one that the command itself writes with --format html.

    \b
    Examples:
      golfbudget report base.json -o base.html
      golfbudget report plan.json -o plan.html
    """
    from golfbudget.cli.output import note, write
    from golfbudget.report.html import html_page
    from golfbudget.report.saved import read_saved

    page = html_page(read_saved(saved), str(saved)).encode(errors="backslashreplace")
    write(output, page)
    note(f"wrote {output}: {len(page):,} bytes", quiet=quiet)
