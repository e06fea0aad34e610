"""`golfbudget inspect`: where the bytes of one artifact are, and why they are called what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.hub import is_hub_path, parse_address
from golfbudget.report import ReportFormat


def inspect(
    path: Annotated[
        Path,
        arg(
            "PATH",
            "A checkpoint or artifact, a folder that holds one, or hf://org/name[@revision] and perhaps a file in it.",
        ),
    ],
    by: Annotated[
        options.By, opt("--by", "Rows: what bytes are for, what they are, whose, in which block, of which type.")
    ] = options.By.ROLE,
    entropy: Annotated[
        bool,
        opt(
            "--entropy",
            "Add each tensor's order-0 entropy, its bytes compressed alone (slow for brotli, xz), and what is left.",
        ),
    ] = False,
    original: Annotated[
        Path | None,
        opt("--original CHECKPOINT", "What the artifact was made from: --entropy then says what its quantiser leaves."),
    ] = None,
    explain: Annotated[
        list[str] | None, opt("--explain OWNER", "Say instead why OWNER has its role and accounts; may be repeated.")
    ] = None,
    as_config: Annotated[
        bool, opt("--as-config", "Write the artifact's config instead: a model file (TOML) for `estimate`.")
    ] = False,
    cap: options.Cap = None,
    code: options.Code = None,
    roles: options.Roles = None,
    as_format: options.As = None,
    layout: options.Layout = None,
    max_decoded: options.MaxDecoded = "1GiB",
    output_format: options.ViewFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Show where every byte of a file is, and what the cap leaves.

    Rows are roles: output head against trunk, and the rest.  Of an hf:// path headers alone are read; what depends on
    values is then not known, and said to be.

    Codecs are recognised by content.  Pickles are read as data and never executed.  Exit code 1 when the file
    is over a --cap that was given, 2 when it cannot be read.

    \b
    Examples:
      golfbudget inspect model.safetensors
      golfbudget inspect final_model.int8.ptz --code train_gpt.py --by owner
      golfbudget inspect final_model.int8.ptz --by block --entropy
      golfbudget inspect final_model.int8.ptz --entropy --original final.pt
      golfbudget inspect final_model.int8.ptz --cap 16MB --format json \\
          -o base.json
      golfbudget inspect final_model.int8.ptz --by dtype --format markdown
      golfbudget inspect final_model.int8.ptz --format html -o report.html
      golfbudget inspect final_model.int8.ptz --format speedscope \\
          -o ledger.speedscope.json
      golfbudget inspect final_model.int8.ptz --explain tok_emb.weight
      golfbudget inspect model.bin --layout layout.toml
      golfbudget inspect hf://org/name@main
      golfbudget inspect final_model.int8.ptz --as-config -o model.toml
    """
    from golfbudget.api.inspect import inspect as inspect_file
    from golfbudget.cli.output import emit, emit_text

    if explain and entropy:
        raise UsageError("--explain prints no amounts, so there is nothing that --entropy could add")
    if explain and output_format in (ReportFormat.CSV, ReportFormat.SPEEDSCOPE):
        raise UsageError(f"--explain prints sentences, which {output_format} has no place for; choose another format")
    if as_config and (
        explain or entropy or original is not None or cap is not None or output_format is not ReportFormat.TABLE
    ):
        raise UsageError(
            "--as-config writes a model file and nothing else; leave out --explain, --entropy, --original, --cap and "
            "--format"
        )
    found = inspect_file(
        path,
        cap=cap,
        code=code,
        roles=roles,
        as_format=as_format,
        layout=layout,
        max_decoded=max_decoded,
        entropy=entropy,
        original=original,
        download=as_config,
        progress=not quiet,
    )
    if as_config:
        name = parse_address(path).name if is_hub_path(path) else path.name
        emit_text(found.as_config(name.partition(".")[0] or None), output)
    elif explain:
        emit(found.explain(*explain).document(), output_format, output)
    else:
        emit(found.document(by.value), output_format, output)
    if not found.passed:
        raise typer.Exit(1)
