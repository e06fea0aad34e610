"""`golfbudget check`: what a submission counts, who claims what, and whether it fits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli.options import FormatOption, OutputOption, QuietOption
from golfbudget.report.formats import ReportFormat


def _list_findings(value: bool) -> None:
    if value:
        from golfbudget.cli.output import emit
        from golfbudget.report.check import finding_document

        emit(finding_document(), ReportFormat.TABLE, None)
        raise typer.Exit


def check(
    submissions: Annotated[
        list[Path], typer.Argument(metavar="SUBMISSION...", help="Folders, each with code, logs, JSON, model files.")
    ],
    rules: Annotated[
        str, typer.Option("--rules", metavar="NAME|FILE", help="What counts, and the cap: a TOML file.")
    ] = "parameter-golf",
    convention: Annotated[
        str | None,
        typer.Option(
            "--convention", metavar="NAME", help="Decide by logged, shipped, packed or folder.  [default: the rules']"
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", metavar="FILE", help="The model file; several: one of each seed, or parts of one."),
    ] = None,
    code: Annotated[
        list[Path] | None, typer.Option("--code", metavar="FILE", help="The program; may be repeated.")
    ] = None,
    log: Annotated[
        list[Path] | None, typer.Option("--log", metavar="FILE", help="Only these logs count; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    list_findings: Annotated[
        bool,
        typer.Option(
            "--list-findings", callback=_list_findings, is_eager=True, help="Print all finding codes and exit."
        ),
    ] = False,
    output_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Count a submission by every convention, match its claims, and fail when it is over the cap.

    Nothing of the submission is executed.  Without a model file its bytes come from the logs and are `claimed`.
    Exit code 1 when the chosen convention is over the cap or an error is found, 2 when it cannot be decided.

    \b
    Examples:
      golfbudget check records/my_run
      golfbudget check records/* --convention logged --format json -o check.json
      golfbudget check . --model final_model.int8.ptz --code train_gpt.py --strict
      golfbudget check . --rules everything
      golfbudget check --list-findings
    """
    from golfbudget.api.check import check as check_folders
    from golfbudget.cli.output import emit
    from golfbudget.errors import UsageError

    del list_findings
    found = check_folders(
        *submissions,
        rules=rules,
        convention=convention,
        model=model or (),
        code=code or (),
        log=log or (),
        strict=strict,
    )
    shown = found.without_notes() if quiet and output_format is not ReportFormat.JSON else found
    emit(shown.document(), output_format, output)
    if found.undecided is not None:
        raise UsageError(found.undecided)
    if not found.passed:
        raise typer.Exit(1)
