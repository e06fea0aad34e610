"""`golfbudget check`: what a submission counts, who claims what, and whether it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


def _list_findings(value: bool) -> None:
    if value:
        from golfbudget.cli.output import emit
        from golfbudget.report.check import finding_document

        emit(finding_document(), ReportFormat.TABLE, None)
        raise typer.Exit


def check(
    submissions: Annotated[list[Path], arg("SUBMISSION...", "Folders, each with code, logs, JSON, model files.")],
    rules: Annotated[str, opt("--rules NAME|FILE", "What counts, and the cap: a TOML file.")] = "parameter-golf",
    convention: Annotated[
        str | None, opt("--convention NAME", "Decide by logged, shipped, packed or folder.  [default: the rules']")
    ] = None,
    model: Annotated[
        list[Path] | None, opt("--model FILE", "The model file; several: one of each seed, or parts of one.")
    ] = None,
    code: Annotated[list[Path] | None, opt("--code FILE", "The program; may be repeated.")] = None,
    log: Annotated[list[Path] | None, opt("--log FILE", "Only these logs count; may be repeated.")] = None,
    no_model: Annotated[bool, opt("--no-model", "There is no model file: the code is the whole artifact.")] = False,
    write_claims: Annotated[
        bool, opt("--write-claims", "Print the true figures as a block for submission.json, and nothing else.")
    ] = False,
    strict: Annotated[bool, opt("--strict", "Fail on warnings too.")] = False,
    details: Annotated[bool, opt("--details", "Of several submissions, print every report under the table.")] = False,
    jobs: Annotated[
        int | None, opt("--jobs -j", "Submissions checked side by side.  [default: by cores]", min=1, max=256)
    ] = None,
    executor: options.Executor = None,
    list_findings: Annotated[
        bool, opt("--list-findings", "Print all finding codes and exit.", callback=_list_findings, is_eager=True)
    ] = False,
    output_format: options.GithubFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Count submissions, match claims, and hold them to the cap.

    A submission is a folder with an artifact, its code, logs and claims.  It is counted by four conventions: as logged,
    as shipped, with its code packed, and the whole folder; one of them decides.  Nothing of the submission is executed.
    Without a model file its bytes come from the logs and are `claimed`. Several are a table, a row each; one that
    cannot be read is a row, too.  Exit code 2 when one cannot be decided, else 1 when one is over the cap under the
    chosen convention, or has an error.

    \b
    Examples:
      golfbudget check records/my_run
      golfbudget check records/* --convention logged --format json -o check.json
      golfbudget check . --model final_model.int8.ptz --code train_gpt.py --strict
      golfbudget check . --rules everything
      golfbudget check --list-findings
    """
    from golfbudget.api.check import check as check_folders
    from golfbudget.api.check import check_each
    from golfbudget.cli.output import emit, emit_github

    del list_findings
    named: dict[str, Any] = {"model": model or (), "code": code or (), "log": log or ()}
    told: dict[str, Any] = {"rules": rules, "convention": convention, "strict": strict, "no_model": no_model}
    # A table of several shows no packed length unless that decides.
    short = len(submissions) > 1 and not details and output_format in (ReportFormat.TABLE, ReportFormat.MARKDOWN)
    told |= {"jobs": jobs, "executor": executor, "progress": not quiet, "packed": not short}
    if output_format is ReportFormat.GITHUB and not any(named.values()):
        found = check_each(submissions, **told)
    else:
        found = check_folders(*submissions, **told, **named)
    if write_claims:
        for block in found.true_claims():
            typer.echo(json.dumps(block, indent=2))
        return
    whole = output_format in (ReportFormat.JSON, ReportFormat.HTML)
    shown = found.without_notes() if quiet and not whole else found
    if output_format is ReportFormat.GITHUB:
        emit_github(found.github_commands(), found.comment(), output)
    else:
        emit(shown.document(details=details), output_format, output)
    if found.undecided is not None:
        raise UsageError(found.undecided)
    if not found.passed:
        raise typer.Exit(1)
