"""`golfbudget compare`: what changed between two artifacts, and gates on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import GolfbudgetError
from golfbudget.report import ReportFormat

if TYPE_CHECKING:
    from golfbudget.api.compare import CompareResult

_SIDE = "An artifact, checkpoint or submission folder, or a report of `inspect` or `check` saved with --format json."


def compare(
    base: Annotated[Path, arg("BASE", _SIDE)],
    new: Annotated[Path, arg("NEW", "What BASE has become; the same kinds of files.")],
    fail_on: Annotated[
        list[str] | None,
        opt(
            "--fail-on EXPR",
            "Exit with 1 when EXPR is true; quote it.  ROLE or total, one of > >= < <=, and an amount: with a "
            "sign or % the change, otherwise NEW itself.  May be repeated.",
        ),
    ] = None,
    base_code: Annotated[
        str | None,
        opt(
            "--base-code FILE|SIZE",
            "Code that ships with BASE too; a folder's own, if both sides have some, counts without.",
        ),
    ] = None,
    new_code: Annotated[str | None, opt("--new-code FILE|SIZE", "Code that ships with NEW too.")] = None,
    every: Annotated[bool, opt("--all", "Show all owners that moved, not only those that moved most.")] = False,
    roles: options.Roles = None,
    as_format: options.As = None,
    layout: options.Layout = None,
    max_decoded: options.MaxDecoded = "1GiB",
    output_format: options.GithubFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Show what changed from BASE to NEW, and fail on growth.

    Changes are shown by role (what bytes are for) and by owner (the tensor that they belong to).  Owners that were
    renamed are known by shape and content.  A submission without a model file is compared by its totals, as logged or
    claimed.  Exit code 1 when a --fail-on is true, 2 when a side cannot be read.

    \b
    Examples:
      golfbudget compare old.int8.ptz new.int8.ptz
      golfbudget compare records/mine records/better
      golfbudget compare base.json final_model.int8.ptz --fail-on 'total>+0'
      golfbudget compare base.json new.ptz --fail-on 'head>+10kB' \\
          --fail-on 'trunk>+1%' --fail-on 'total>16MB'
      golfbudget compare base.json new.ptz --format markdown -o comment.md
    """
    from golfbudget.api.compare import compare as compare_files

    del quiet
    try:
        found = compare_files(
            base,
            new,
            fail_on=fail_on or (),
            base_code=base_code,
            new_code=new_code,
            roles=roles,
            as_format=as_format,
            layout=layout,
            max_decoded=max_decoded,
        )
    except GolfbudgetError as error:
        if output_format is ReportFormat.GITHUB:
            _annotate(error, base, new)
        raise
    _report(found, output_format, output, every=every)
    if not found.passed:
        raise typer.Exit(1)


def _report(found: CompareResult, output_format: ReportFormat, output: Path | None, *, every: bool) -> None:
    from golfbudget.cli.output import emit
    from golfbudget.report.compare import comment

    if output_format not in (ReportFormat.MARKDOWN, ReportFormat.GITHUB):
        emit(found.document(every=every), output_format, output)
        return
    page = comment(found.comparison, found.gates, every=every)
    if output_format is ReportFormat.MARKDOWN:
        emit(page, output_format, output)
        return
    from golfbudget.cli.output import emit_github
    from golfbudget.report.compare import github_commands

    emit_github(github_commands(found.comparison, found.gates), page, output)


def _annotate(error: GolfbudgetError, base: Path, new: Path) -> None:
    """The side that could not be read, as an error of the run on GitHub."""
    from golfbudget.cli.output import emit_text
    from golfbudget.report.github import trouble

    text = str(error)
    emit_text(f"{trouble('golfbudget compare', text, new if text.startswith(f'{new}') else base)}\n", None)
