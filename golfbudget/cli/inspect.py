"""`golfbudget inspect`: where the bytes of one file are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli.options import (
    AsOption,
    By,
    CapOption,
    CodeOption,
    Format,
    FormatOption,
    MaxDecodedOption,
    OutputOption,
    QuietOption,
    RolesOption,
)


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A checkpoint or artifact, or a folder that holds one.")],
    by: Annotated[By, typer.Option("--by", help="Rows of the table.")] = By.ROLE,
    cap: CapOption = None,
    code: CodeOption = None,
    roles: RolesOption = None,
    as_format: AsOption = None,
    max_decoded: MaxDecodedOption = "1GiB",
    output_format: FormatOption = Format.TABLE,
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
      golfbudget inspect final_model.int8.ptz --cap 16MB --format json -o base.json
    """
    from golfbudget.budget import code_size, parse_size
    from golfbudget.inspection import inspect_file
    from golfbudget.roles import load_roles
    from golfbudget.rules import load_rules

    del quiet
    inspection = inspect_file(
        path,
        cap=load_rules().cap if cap is None else parse_size(cap),
        code=None if code is None else code_size(code),
        roles=load_roles(roles),
        as_format=as_format,
        limit=parse_size(max_decoded),
    )
    if output_format is Format.JSON:
        from golfbudget.cli.output import emit_json
        from golfbudget.report.inspect_json import inspect_json

        emit_json(inspect_json(inspection), output)
    else:
        from golfbudget.cli.output import emit_table
        from golfbudget.report.inspect_table import inspect_table

        emit_table(inspect_table(inspection, by.value), output)
    if cap is not None and not inspection.budget.fits:
        raise typer.Exit(1)
