"""Options that several commands share, each defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from golfbudget.report import ReportFormat


def arg(metavar: str, text: str, **more: Any) -> Any:  # noqa: ANN401  (typer's own)
    """An argument; `more` is what else typer takes."""
    return typer.Argument(metavar=metavar, help=text, **more)


def opt(usage: str, text: str, **more: Any) -> Any:  # noqa: ANN401
    """An option by its names and, where it takes a value, what that is called: `--output -o FILE`."""
    names = [word for word in usage.split() if word.startswith("-")]
    metavar = usage.split()[len(names) :]
    return typer.Option(*names, metavar=metavar[0] if metavar else None, help=text, **more)


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


def format_option(*others: ReportFormat, more: str = "") -> Any:  # noqa: ANN401
    """--format, of a page and other formats; `more` ends its help."""
    formats = (ReportFormat.TABLE, ReportFormat.JSON, ReportFormat.MARKDOWN, *others)
    return opt("--format", f"How to print the result{more}.", click_type=_FormatChoice([str(one) for one in formats]))


_ONE_FILE = "; html is one file with pictures"
#: For what has a table that programs read, and for what has none.
Format = Annotated[ReportFormat, format_option(ReportFormat.CSV)]
#: For what has a page of pictures, too.
PictureFormat = Annotated[ReportFormat, format_option(ReportFormat.CSV, ReportFormat.HTML, more=_ONE_FILE)]
PageFormat = Annotated[ReportFormat, format_option()]
ViewFormat = Annotated[
    ReportFormat,
    format_option(
        ReportFormat.CSV,
        ReportFormat.HTML,
        ReportFormat.SPEEDSCOPE,
        more="; json holds all views, html shows them in pictures, speedscope is for flame graphs, and the others hold "
        "the view of --by",
    ),
]
#: For what a pull request is judged by.
GithubFormat = Annotated[
    ReportFormat,
    format_option(
        ReportFormat.CSV,
        ReportFormat.GITHUB,
        ReportFormat.HTML,
        more=f"{_ONE_FILE}; markdown is made for a pull-request comment.  github annotates the run, adds the markdown "
        "to the step summary, and writes it to the file of -o",
    ),
]
Output = Annotated[Path | None, opt("--output -o FILE", "Write the result to FILE instead of stdout.")]
Details = Annotated[bool, opt("--details", "Print every candidate, note, certificate and price, not the answer alone.")]
Quiet = Annotated[bool, opt("--quiet -q", "Print no progress and no notes.")]
Cap = Annotated[str | None, opt("--cap SIZE", "Byte cap: 16000000, 16MB (decimal) or 16MiB.  [default: 16000000]")]
Code = Annotated[str | None, opt("--code FILE|SIZE", "Code that ships too: a file, or a size such as 48kB.")]
Roles = Annotated[
    Path | None, opt("--roles FILE", "Role rules (TOML) instead of the shipped ones, or before them (extends).")
]
As = Annotated[
    str | None,
    opt(
        "--as FORMAT",
        "Read as safetensors, torch-zip, torch-legacy, pickle, npz, npy, gguf, pgrp, golfbudget-pack, "
        "python-source, python-zip or opaque, whatever the file claims; opaque does not even decode.",
    ),
]
Layout = Annotated[Path | None, opt("--layout FILE", "Read a binary of your own by its description (TOML).")]
MaxDecoded = Annotated[str, opt("--max-decoded SIZE", "Refuse streams that decode to more than this.")]
Seed = Annotated[int, opt("--seed", "Seed of k-means and of the bootstrap.", min=0, max=2**32 - 1)]
Jobs = Annotated[
    int | None, opt("--jobs -j", "Candidates tried side by side.  [default: by cores and work]", min=1, max=256)
]
Executor = Annotated[
    str | None,
    opt(
        "--executor WHERE",
        "Who does the work: local (processes of this machine), dask:ADDRESS, or slurm, as in "
        "slurm:partition=NAME,time=MINUTES; see docs/executors.md.  [default: local]",
    ),
]
Cache = Annotated[Path | None, opt("--cache DIR", "Where results are kept.  [default: $GOLFBUDGET_CACHE or ~/.cache]")]
TokenLimit = Annotated[int | None, opt("--token-limit N", "Take no more than the text's first N tokens.", min=2)]
Tokenizer = Annotated[
    Path | None,
    opt(
        "--tokenizer FILE",
        "What the tokens are made with: a SentencePiece .model, or a tokenizer.json.  [default with --model hf: the "
        "one beside the model]",
    ),
]
TrustRemoteCode = Annotated[
    bool, opt("--trust-remote-code", "Let --model hf run code that the folder brings, with your rights.")
]
NoCache = Annotated[bool, opt("--no-cache", "Do everything anew, and keep nothing.")]
