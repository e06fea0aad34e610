"""`golfbudget repack`: the same tensors in fewer bytes, with what each lever gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfbudget.cli.options import CacheOption, FormatOption, NoCacheOption, QuietOption, cache_folder
from golfbudget.report.formats import ReportFormat

if TYPE_CHECKING:
    from golfbudget.repacking.result import Lever

_DEFAULT_JOBS = 2


def repack(
    path: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A model file that golfbudget opens.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the repacked artifact; without it, only count."),
    ] = None,
    levers: Annotated[
        str | None,
        typer.Option(
            "--levers",
            metavar="LIST",
            help="Try only these, by commas: codec, filter, container, streams, shuffle, dtype, order, rows.",
        ),
    ] = None,
    same_container: Annotated[
        bool,
        typer.Option(
            "--same-container",
            help="Keep the container's bytes, so that its own loader reads it: codec and filter only.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Compressions at a time.")] = _DEFAULT_JOBS,
    cache: CacheOption = None,
    no_cache: NoCacheOption = False,
    decoder: Annotated[
        Path | None,
        typer.Option("--decoder", metavar="FILE", help="Write the Python that undoes the packing, as it is counted."),
    ] = None,
    output_format: FormatOption = ReportFormat.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Find the smallest file that holds the same tensors and values, and say how much each lever gave.

    Two kinds of levers: codec and filter keep the container, so that any loader of it works after another call of
    decompress; the others rebuild it as a golfbudget-pack, which inspect reads and whose decoder is counted.  The
    result is opened again and compared in full before it is written, and is never larger than the input.

    \b
    Examples:
      golfbudget repack final_model.int8.ptz
      golfbudget repack final_model.int8.ptz -o smaller.gbpk --decoder read_it.py
      golfbudget repack final_model.int8.ptz --same-container -o smaller.ptz
      golfbudget repack final_model.int8.ptz --levers codec,container,streams --format json
    """
    from golfbudget.cli.output import emit, note, write
    from golfbudget.cli.progress import progress_bar
    from golfbudget.errors import UsageError
    from golfbudget.repacking import repack as search
    from golfbudget.report.repack import document

    chosen = _levers(levers, same_container=same_container)
    kept = cache_folder(cache, off=no_cache)
    if output is not None and decoder is not None and output.absolute() == decoder.absolute():
        raise UsageError(f"{output}: named as the artifact and as its decoder; give two files")
    _refuse_input(path, output, decoder)
    with progress_bar("repack", quiet=quiet) as step:
        packed = search(path, levers=chosen, jobs=jobs, cached=kept, progress=step)
    _refuse_input(Path(packed.path), output, decoder)  # The path may have been the folder that holds it.
    if packed.data is None and (output is not None or decoder is not None):
        note(f"{path}: nothing to gain, nothing is written", quiet=quiet)
    elif packed.data is not None:
        for file, data in ((output, packed.data), (decoder, packed.decoder_source.encode())):
            if file is not None:
                write(file, data)
                note(f"wrote {file}: {len(data):,} bytes", quiet=quiet)
    emit(document(packed), output_format, None)


def _levers(text: str | None, *, same_container: bool) -> list[Lever]:
    from golfbudget.errors import UsageError
    from golfbudget.repacking.result import REBUILT, SAME_CONTAINER, Lever

    known = [str(lever) for lever in Lever]
    names = known if text is None else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--levers: no lever is called {unknown[0]!r}; known: {', '.join(known)}")
    chosen = [lever for lever in Lever if lever in names]
    if same_container:
        if text is not None and not set(chosen).isdisjoint(REBUILT):
            raise UsageError(
                "--same-container allows codec and filter only, and --levers names others; give one of them"
            )
        chosen = [lever for lever in chosen if lever in SAME_CONTAINER]
    if not set(chosen).isdisjoint(REBUILT) and Lever.CONTAINER not in chosen:
        raise UsageError("--levers: streams, shuffle, dtype, order and rows need container, which rebuilds the file")
    return chosen


def _refuse_input(path: Path, *files: Path | None) -> None:
    from golfbudget.errors import UsageError

    for file in files:
        if file is not None and _same_file(file, path):
            raise UsageError(f"{file}: is the artifact itself, which repacking would replace; write to another file")


def _same_file(file: Path, path: Path) -> bool:
    try:
        return file.samefile(path)
    except OSError:
        return False  # There is no such file yet, or writing it will say what is wrong.
