"""`golfbudget decoder`: the Python that reads an artifact back, to paste into a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.decoding.framework import Framework
from golfbudget.report import ReportFormat


def decoder(
    path: Annotated[Path, arg("FILE", "An artifact of a known layout, or a golfbudget-pack.")],
    output: Annotated[Path | None, opt("--output -o FILE", "Write the program; without it, only count.")] = None,
    framework: Annotated[
        Framework, opt("--with numpy|torch", "What its tensors are of, besides the standard library.")
    ] = Framework.NUMPY,
    output_format: options.PageFormat = ReportFormat.TABLE,
    quiet: options.Quiet = False,
) -> None:
    """Write the smallest Python that reads an artifact back.

    The program has a function `load` from the file's bytes to tensors by name: codec, filter, container, layout and
    schemes of this file, and nothing else.  It is run on the file in an interpreter of its own, without golfbudget,
    and what it gives must be what golfbudget reads, to the last bit.  Its bytes are counted as by pack-code.

    \b
    Examples:
      golfbudget decoder final_model.ptz
      golfbudget decoder final_model.ptz -o decode.py
      golfbudget decoder final_model.ptz --with torch -o decode.py --format json
    """
    from golfbudget.api.decoder import decoder as made_for
    from golfbudget.cli.careful import check_outputs
    from golfbudget.cli.output import emit, note, write

    found = made_for(path, framework=framework)
    if output is not None:
        check_outputs(found.decoder.composed.file, output)  # The path may have been the folder that holds it.
        write(output, found.source.encode())
        note(f"wrote {output}: {len(found.source.encode()):,} bytes", quiet=quiet)
    emit(found.document(written=output), output_format, None)
