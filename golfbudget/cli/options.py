"""Options that several commands share, each defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


class ReportFormat(StrEnum):
    """Output formats of `inspect`."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"


class By(StrEnum):
    """What `inspect` groups by."""

    ROLE = "role"
    ACCOUNT = "account"
    OWNER = "owner"
    BLOCK = "block"
    DTYPE = "dtype"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
ReportFormatOption = Annotated[
    ReportFormat,
    typer.Option("--format", help="How to print the result; json holds all views, the others the one of --by."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result to FILE instead of stdout.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]
CapOption = Annotated[
    str | None,
    typer.Option("--cap", metavar="SIZE", help="Byte cap: 16000000, 16MB (decimal) or 16MiB.  [default: 16000000]"),
]
CodeOption = Annotated[
    str | None, typer.Option("--code", metavar="FILE|SIZE", help="Code that ships too: a file, or a size such as 48kB.")
]
RolesOption = Annotated[
    Path | None, typer.Option("--roles", metavar="FILE", help="Role rules (TOML) instead of the default ones.")
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="FORMAT",
        help="Read as safetensors, torch-zip, torch-legacy, pickle, npz, npy, gguf, pgrp, golfbudget-pack, "
        "python-source or opaque, whatever the file claims; opaque does not even decode.",
    ),
]
LayoutOption = Annotated[
    Path | None,
    typer.Option("--layout", metavar="FILE", help="Read a binary of your own by its description (TOML)."),
]
MaxDecodedOption = Annotated[
    str, typer.Option("--max-decoded", metavar="SIZE", help="Refuse streams that decode to more than this.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of k-means and of the bootstrap.")]
