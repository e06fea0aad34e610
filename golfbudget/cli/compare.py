"""`golfbudget compare`: what changed between two artifacts, and gates on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfbudget.cli.options import (
    AsOption,
    CompareFormatOption,
    LayoutOption,
    MaxDecodedOption,
    OutputOption,
    QuietOption,
    RolesOption,
)
from golfbudget.report.formats import ReportFormat

if TYPE_CHECKING:
    from golfbudget.compare import Comparison, Side
    from golfbudget.gates import GateResult

_SIDE = "An artifact, checkpoint or submission folder, or a report that `inspect --format json` saved."


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help=_SIDE)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="What BASE has become; the same kinds of files.")],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="EXPR",
            help="Exit with 1 when EXPR is true; quote it.  ROLE or total, one of > >= < <=, and an amount: with a "
            "sign or % the change, otherwise NEW itself.  May be repeated.",
        ),
    ] = None,
    base_code: Annotated[
        str | None,
        typer.Option(
            "--base-code",
            metavar="FILE|SIZE",
            help="Code that ships with BASE too; a folder's own, if both sides have some, counts without.",
        ),
    ] = None,
    new_code: Annotated[
        str | None, typer.Option("--new-code", metavar="FILE|SIZE", help="Code that ships with NEW too.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show all owners that moved, not only those that moved most.")
    ] = False,
    roles: RolesOption = None,
    as_format: AsOption = None,
    layout: LayoutOption = None,
    max_decoded: MaxDecodedOption = "1GiB",
    output_format: CompareFormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show what changed from BASE to NEW, by role and by owner, and fail on growth.

    Owners that were renamed are known by shape and content.  Exit code 1 when a --fail-on is true, 2 when a side
    cannot be read.

    \b
    Examples:
      golfbudget compare old.int8.ptz new.int8.ptz
      golfbudget compare records/mine records/better
      golfbudget compare base.json final_model.int8.ptz --fail-on 'total>+0'
      golfbudget compare base.json new.ptz --fail-on 'head>+10kB' --fail-on 'trunk>+1%' --fail-on 'total>16MB'
      golfbudget compare base.json new.ptz --format markdown -o comment.md
    """
    from golfbudget.baseline import Reading, load_side
    from golfbudget.budget import parse_size
    from golfbudget.compare import compare as compare_sides
    from golfbudget.errors import UsageError
    from golfbudget.gates import judge, parse_gate
    from golfbudget.roles import load_roles

    del quiet
    gates = [parse_gate(expression) for expression in fail_on or ()]
    if layout is not None and as_format is not None:
        raise UsageError("--layout and --as both say how to read the files; give one of them")
    reading = Reading(roles=load_roles(roles), as_format=as_format, limit=parse_size(max_decoded))
    if layout is not None:
        from dataclasses import replace

        from golfbudget.formats.custom import load_layout

        reading = replace(reading, layout=load_layout(layout))
    sides = [
        _with_code(load_side(path, reading), code, option)
        for path, code, option in ((base, base_code, "--base-code"), (new, new_code, "--new-code"))
    ]
    comparison = compare_sides(*_with_code_beside(sides, (base, new)))
    results = [judge(gate, comparison) for gate in gates]
    _report(comparison, results, output_format, output, every=every)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _with_code(side: Side, code: str | None, option: str) -> Side:
    if code is None:
        return side
    from golfbudget.budget import code_size
    from golfbudget.content import DIGITS
    from golfbudget.hashing import file_hash

    size = code_size(code, option=option)
    path = Path(code)
    return side.with_code(size, file_hash(path)[:DIGITS] if path.is_file() else None)


def _with_code_beside(sides: list[Side], paths: Sequence[Path]) -> list[Side]:
    """Count the code in submission folders, as shipped, where both sides then count theirs."""
    if all(side.code_bytes is not None for side in sides):
        return sides
    from golfbudget.content import DIGITS
    from golfbudget.rules import load_rules
    from golfbudget.submission.beside import code_beside

    made = []
    for side, path in zip(sides, paths, strict=True):
        code = code_beside(path, load_rules()) if side.code_bytes is None else None
        made.append(side if code is None else side.with_code(code.length, code.sha256[:DIGITS]))
    return made if all(side.code_bytes is not None for side in made) else sides


def _report(
    comparison: Comparison,
    results: Sequence[GateResult],
    output_format: ReportFormat,
    output: Path | None,
    *,
    every: bool,
) -> None:
    from golfbudget.cli.output import emit, emit_text
    from golfbudget.report.compare import comment, document

    if output_format not in (ReportFormat.MARKDOWN, ReportFormat.GITHUB):
        emit(document(comparison, results, every=every), output_format, output)
        return
    page = comment(comparison, results, every=every)
    if output_format is ReportFormat.MARKDOWN:
        emit(page, output_format, output)
        return
    from golfbudget.report.annotations import github_commands
    from golfbudget.report.render import rendered

    emit_text(github_commands(comparison, results), None)
    if output is not None:
        emit(page, ReportFormat.MARKDOWN, output)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _append(Path(summary), rendered(page, ReportFormat.MARKDOWN))


def _append(path: Path, text: str) -> None:
    from golfbudget.errors import UsageError

    try:
        with path.open("ab") as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path} (GITHUB_STEP_SUMMARY): cannot be written: {error.strerror}") from None
