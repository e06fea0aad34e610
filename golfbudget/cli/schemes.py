"""`golfbudget schemes`: every way to represent a matrix, its options, and what it takes before any codec."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


def schemes(
    names: Annotated[list[str] | None, arg("[NAME...]", "Only these schemes, by name.", show_default=False)] = None,
    shape: Annotated[str | None, opt("--shape ROWSxCOLUMNS", "Print the raw bytes for a matrix of this shape.")] = None,
    option: Annotated[
        list[str] | None,
        opt("--option NAME=VALUE", "With --shape: for every scheme that takes it.  May be repeated."),
    ] = None,
    output_format: options.PictureFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """List the ways to store a matrix, and what each takes.

    A scheme represents a head or a trunk matrix, as it is or with some loss.  Its options and its raw bytes are listed,
    by formula or for a shape.  Raw bytes are those of the tables, before any codec: only a written artifact says what a
    scheme takes in the end. Schemes of other packages (entry point group golfbudget.schemes) are listed too.

    \b
    Examples:
      golfbudget schemes
      golfbudget schemes gptq vq-logits
      golfbudget schemes --shape 8192x512 --option bits=6 --option codes=256
      golfbudget schemes --format json -o schemes.json
    """
    from golfbudget import schemes as package
    from golfbudget.cli.output import emit
    from golfbudget.report.schemes import document, scheme_sizes

    del quiet
    size, given = None if shape is None else parse_shape(shape), parse_options(option or ())
    if given and size is None:
        raise UsageError("--option sets what --shape computes with; give --shape ROWSxCOLUMNS too")
    package.load_others()
    known = {name: package.get(name) for name in names} if names else package.registered()
    emit(document(scheme_sizes(known, size, given), size), output_format, output)


def parse_shape(text: str) -> tuple[int, int]:
    """Rows and columns of `8192x512`; `UsageError` for anything else, zeros included."""
    found = re.fullmatch(r"([1-9][0-9]{0,11})x([1-9][0-9]{0,11})", text, re.ASCII)
    if found is None:
        raise UsageError(f"--shape {text}: expected ROWSxCOLUMNS, both at least 1, for example 8192x512")
    return int(found[1]), int(found[2])


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` each; `UsageError` for one that is not, or a name given twice."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--option {text}: expected NAME=VALUE, for example bits=6")
        if name in given:
            raise UsageError(f"--option {text}: {name} is given twice")
        given[name] = value
    return given
