"""`golfbudget check`: what a submission counts, who claims what, and whether it fits."""

from __future__ import annotations

from dataclasses import replace
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
    from golfbudget.cli.output import emit
    from golfbudget.errors import UsageError
    from golfbudget.report.check import document
    from golfbudget.rules import Convention, load_rules
    from golfbudget.submission import check_submission

    del list_findings
    if len(submissions) > 1 and (model or code or log):
        raise UsageError("--model, --code and --log name files of one submission; give one, or leave them out")
    try:
        chosen = None if convention is None else Convention(convention)
    except ValueError:
        known = ", ".join(Convention)
        raise UsageError(f"--convention {convention[:80] if convention else ''}: expected one of {known}") from None
    loaded = load_rules(rules)
    checks = [
        check_submission(path, loaded, convention=chosen, model=model or (), code=code or (), log=log or ())
        for path in submissions
    ]
    if quiet and output_format is not ReportFormat.JSON:
        checks = [replace(checked, notes=()) for checked in checks]
    emit(document(checks, strict=strict), output_format, output)
    undecided = [checked for checked in checks if not checked.chosen.rows]
    if undecided:
        first = undecided[0]
        raise UsageError(f"{first.folder.root}: {first.convention} cannot be counted: {first.chosen.reason}")
    if not all(checked.passed(strict=strict) for checked in checks):
        raise typer.Exit(1)
