"""Options that several commands share, each defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer
from typer.models import OptionInfo

from golfbudget.report.formats import ReportFormat


class By(StrEnum):
    """What `inspect` groups by."""

    ROLE = "role"
    ACCOUNT = "account"
    OWNER = "owner"
    BLOCK = "block"
    DTYPE = "dtype"


class _FormatChoice(click.Choice[str]):
    """Some of the formats by their words; a default is a member of the enumeration."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(str(value), param, ctx)


def format_option(*others: ReportFormat, more: str = "") -> OptionInfo:
    """--format, of a page and other formats; `more` ends its help."""
    choice = _FormatChoice(
        [str(one) for one in (ReportFormat.TABLE, ReportFormat.JSON, ReportFormat.MARKDOWN, *others)]
    )
    option: OptionInfo = typer.Option("--format", click_type=choice, help=f"How to print the result{more}.")
    return option


#: For what has a table that programs read, and for what has none.
FormatOption = Annotated[ReportFormat, format_option(ReportFormat.CSV)]
PageFormatOption = Annotated[ReportFormat, format_option()]
ViewFormatOption = Annotated[
    ReportFormat, format_option(ReportFormat.CSV, more="; json holds all views, the others the one of --by")
]
CompareFormatOption = Annotated[
    ReportFormat,
    format_option(
        ReportFormat.CSV,
        ReportFormat.GITHUB,
        more="; markdown is made for a pull-request comment.  github annotates the run, adds the markdown to the step "
        "summary, and writes it to the file of -o",
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result to FILE instead of stdout.")
]
DetailsOption = Annotated[
    bool, typer.Option("--details", help="Print every candidate, note, certificate and price, not the answer alone.")
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

JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, max=256, help="Candidates written at a time.  [default: by cores and work]"),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where results are kept.  [default: $GOLFBUDGET_CACHE or ~/.cache]"),
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Do everything anew, and keep nothing.")]
