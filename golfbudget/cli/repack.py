"""`golfbudget repack`: the same tensors in fewer bytes, with what each lever gave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.report import ReportFormat


def repack(
    path: Annotated[Path, arg("ARTIFACT", "A model file that golfbudget opens.")],
    output: Annotated[
        Path | None, opt("--output -o FILE", "Write the repacked artifact; without it, only count.")
    ] = None,
    levers: Annotated[
        str | None,
        opt(
            "--levers LIST",
            "Try only these, by commas: codec, filter, container, streams, shuffle, dtype, order, rows, coder, "
            "settings.",
        ),
    ] = None,
    same_container: Annotated[
        bool,
        opt("--same-container", "Keep the container's bytes, so that its own loader reads it: codec and filter only."),
    ] = False,
    jobs: Annotated[int, opt("--jobs -j", "Compressions at a time.", min=1, max=64)] = 2,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    decoder: Annotated[
        Path | None, opt("--decoder FILE", "Write the Python that undoes the packing, as it is counted.")
    ] = None,
    output_format: options.Format = ReportFormat.TABLE,
    quiet: options.Quiet = False,
) -> None:
    """Find the smallest file of the same tensors and values.

    It says how much each lever gave.  Two kinds of levers: codec and filter keep the container, so that any loader of
    it works after another call of decompress; the others rebuild it as a golfbudget-pack, which inspect reads and whose
    decoder is counted.  The result is opened again and compared in full before it is written, and is never larger than
    the input.

    \b
    Examples:
      golfbudget repack final_model.int8.ptz
      golfbudget repack final_model.int8.ptz -o smaller.gbpk --decoder read_it.py
      golfbudget repack final_model.int8.ptz --same-container -o smaller.ptz
      golfbudget repack final_model.int8.ptz --levers codec,container,streams
    """
    from golfbudget.api.repack import chosen_levers
    from golfbudget.api.repack import repack as repack_file
    from golfbudget.cli.careful import check_outputs
    from golfbudget.cli.output import emit, note, write

    chosen = chosen_levers(levers, same_container=same_container)
    found = repack_file(path, levers=chosen, jobs=jobs, cache=cache, no_cache=no_cache, progress=not quiet)
    packed = found.repacked
    check_outputs(Path(packed.path), output, decoder)  # The path may have been the folder that holds it.
    if packed.data is None and (output is not None or decoder is not None):
        note(f"{path}: nothing to gain, nothing is written", quiet=quiet)
    elif packed.data is not None:
        for file, data in ((output, packed.data), (decoder, packed.decoder_source.encode())):
            if file is not None:
                write(file, data)
                note(f"wrote {file}: {len(data):,} bytes", quiet=quiet)
    emit(found.document(), output_format, None)
