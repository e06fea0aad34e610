"""`golfbudget inspect`: where the bytes of one artifact are, and why they are called what they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfbudget.cli.options import (
    AsOption,
    By,
    CapOption,
    CodeOption,
    LayoutOption,
    MaxDecodedOption,
    OutputOption,
    QuietOption,
    RolesOption,
    ViewFormatOption,
)
from golfbudget.report.formats import ReportFormat

if TYPE_CHECKING:
    from golfbudget.formats import Format
    from golfbudget.inspection import Inspection
    from golfbudget.report.document import Document
    from golfbudget.roles import Roles


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A checkpoint or artifact, or a folder that holds one.")],
    by: Annotated[
        By, typer.Option("--by", help="Rows: what bytes are for, what they are, whose, in which block, of which type.")
    ] = By.ROLE,
    entropy: Annotated[
        bool,
        typer.Option(
            "--entropy",
            help="Add the order-0 entropy of each tensor and what it takes compressed by itself (slow for brotli, xz).",
        ),
    ] = False,
    explain: Annotated[
        list[str] | None,
        typer.Option(
            "--explain", metavar="OWNER", help="Say instead why OWNER has its role and accounts; may be repeated."
        ),
    ] = None,
    as_config: Annotated[
        bool,
        typer.Option("--as-config", help="Write the artifact's config instead: a model file (TOML) for `estimate`."),
    ] = False,
    cap: CapOption = None,
    code: CodeOption = None,
    roles: RolesOption = None,
    as_format: AsOption = None,
    layout: LayoutOption = None,
    max_decoded: MaxDecodedOption = "1GiB",
    output_format: ViewFormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show where every byte of a file is: output head against trunk, and what is left under the cap.

    Codecs are recognised by content.  Pickles are read as data and never executed.  Exit code 1 when the file
    is over a --cap that was given, 2 when it cannot be read.

    \b
    Examples:
      golfbudget inspect model.safetensors
      golfbudget inspect final_model.int8.ptz --code train_gpt.py --by owner
      golfbudget inspect final_model.int8.ptz --by block --entropy
      golfbudget inspect final_model.int8.ptz --cap 16MB --format json -o base.json
      golfbudget inspect final_model.int8.ptz --by dtype --format markdown
      golfbudget inspect final_model.int8.ptz --explain tok_emb.weight
      golfbudget inspect model.bin --layout layout.toml
      golfbudget inspect final_model.int8.ptz --as-config -o model.toml
    """
    from golfbudget.budget import code_size, parse_size
    from golfbudget.cli.output import emit
    from golfbudget.errors import UsageError
    from golfbudget.inspection import inspect_file
    from golfbudget.report.inspect import document
    from golfbudget.roles import load_roles
    from golfbudget.rules import load_rules

    if layout is not None and as_format is not None:
        raise UsageError("--layout and --as both say how to read the file; give one of them")
    if explain and entropy:
        raise UsageError("--explain prints no amounts, so there is nothing that --entropy could add")
    if explain and output_format is ReportFormat.CSV:
        raise UsageError("--explain prints sentences, which csv has no columns for; choose table, json or markdown")
    if as_config and (explain or entropy or cap is not None or output_format is not ReportFormat.TABLE):
        raise UsageError(
            "--as-config writes a model file and nothing else; leave out --explain, --entropy, --cap, --format"
        )
    rules = load_roles(roles)
    inspection = inspect_file(
        path,
        cap=load_rules().cap if cap is None else parse_size(cap),
        code=None if code is None else code_size(code),
        roles=rules,
        as_format=as_format,
        layout=None if layout is None else _load(layout),
        limit=parse_size(max_decoded),
    )
    if as_config:
        _as_config(inspection, path, output)
    elif explain:
        emit(_explained(inspection, explain, rules), output_format, output)
    else:
        emit(document(_measured(inspection, quiet=quiet) if entropy else inspection, by.value), output_format, output)
    if cap is not None and not inspection.budget.fits:
        raise typer.Exit(1)


def _as_config(inspection: Inspection, path: Path, output: Path | None) -> None:
    from golfbudget.cli.output import emit_text
    from golfbudget.estimate.describe import describe
    from golfbudget.estimate.toml import model_toml

    found = describe(inspection.artifact, name=path.name.partition(".")[0] or "model", tied=inspection.assignment.tied)
    emit_text(model_toml(found), output)


def _explained(inspection: Inspection, owners: list[str], rules: Roles) -> Document:
    from golfbudget.report.inspect import explain_document
    from golfbudget.roles import explain

    return explain_document(
        inspection, [explain(owner, inspection.artifact, inspection.assignment, rules) for owner in owners]
    )


def _measured(inspection: Inspection, *, quiet: bool) -> Inspection:
    from rich.markup import escape

    from golfbudget.cli.progress import progress_bar
    from golfbudget.entropy import measure
    from golfbudget.report.escaping import printable

    with progress_bar("entropy", quiet=quiet) as progress:

        def step(name: str, steps: int) -> None:
            progress(escape(printable(name)), steps)

        return replace(inspection, entropy=measure(inspection.artifact, inspection.assignment.ledger, step))


def _load(layout: Path) -> Format:
    from golfbudget.formats.custom import load_layout

    return load_layout(layout)
