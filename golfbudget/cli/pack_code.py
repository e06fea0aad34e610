"""`golfbudget pack-code`: a program as a file that unpacks and executes itself, as small as that gets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


class Allow(StrEnum):
    """What a packed program may rely on where it runs."""

    BROTLI = "brotli"
    UNANNOTATED = "unannotated"
    SEVEN_BIT = "7-bit"
    ZIP = "zip"
    LATIN_1 = "latin-1"


def pack_code(
    path: Annotated[Path, arg("FILE", "A Python program.")],
    output: Annotated[Path | None, opt("--output -o OUT", "Write the packed program; without it, only count.")] = None,
    allow: Annotated[
        list[Allow] | None,
        opt(
            "--allow",
            "Also try brotli, which must then be installed where the program runs; or drop annotations of "
            "parameters, results and variables, which a decorator may read; or a zip file, text that is not UTF-8 "
            "(latin-1), or control characters (7-bit) where the program reads its own file.  May be repeated.",
        ),
    ] = None,
    printable: Annotated[
        bool, opt("--printable", "Only printable characters; else a literal may hold control characters too.")
    ] = False,
    minify: Annotated[bool, opt("--minify/--no-minify", "Minify the source before packing it.")] = True,
    output_format: options.Format = ReportFormat.TABLE,
    quiet: options.Quiet = False,
) -> None:
    """Pack a program into the fewest bytes that still run.

    It is minified, compressed and wrapped so that it unpacks itself.  The program is never run here.  What unpacks it
    needs Python 3.8 or later and the standard library alone, unless --allow says otherwise.  It is unpacked again and
    must hold the syntax tree that was packed.

    \b
    Examples:
      golfbudget pack-code train_gpt.py
      golfbudget pack-code train_gpt.py -o packed/train_gpt.py
      golfbudget pack-code train_gpt.py --allow brotli --allow unannotated
    """
    from golfbudget.cli.output import emit, note, write
    from golfbudget.code_packing import FORMS, OPTIONAL, load
    from golfbudget.code_packing import pack_code as pack_bytes
    from golfbudget.report.pack_code import document

    data = load(path)
    allowed = set(allow or ())
    if Allow.UNANNOTATED in allowed and not minify:
        raise UsageError("--allow unannotated is about minifying, which --no-minify forbids; give one of them")
    packed = pack_bytes(
        data,
        name=str(path),
        minified=minify,
        unannotated=Allow.UNANNOTATED in allowed,
        printable=printable,
        allow=[name.value for name in allowed if name.value in {*OPTIONAL, *FORMS}],
    )
    if packed.refusal is not None:
        # Not silenced by --quiet: the same source would count otherwise with other tools.
        note(f"{path}: packed without minifying: {packed.refusal}")
    if output is not None:
        write(output, packed.stub)
        note(f"wrote {output}: {packed.length:,} bytes", quiet=quiet)
    emit(document(packed), output_format, None)
