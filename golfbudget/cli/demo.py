"""`golfbudget demo`: the whole job on the embedded example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli.options import (
    CapOption,
    DetailsOption,
    NoCacheOption,
    OutputOption,
    PageFormatOption,
    QuietOption,
    SeedOption,
)
from golfbudget.report.formats import ReportFormat


def demo(
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Copy the example's files to DIR first, and leave the plan there too."
        ),
    ] = None,
    cap: CapOption = None,
    seed: SeedOption = 0,
    no_cache: NoCacheOption = False,
    details: DetailsOption = False,
    output_format: PageFormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Inspect and plan the embedded example, a small language model, and print the verdict.

    It takes about a minute on two cores, and a few seconds when its results are kept from before.  With --save the
    files stay for trying other commands on.

    \b
    Examples:
      golfbudget demo
      golfbudget demo --save example
      golfbudget pack example/plan.json --candidate head-int6 -o head-int6.ptz
    """
    from golfbudget import example
    from golfbudget.api.arguments import cache_folder
    from golfbudget.api.progress import watched
    from golfbudget.budget import parse_size
    from golfbudget.cli.output import emit
    from golfbudget.inspection import inspect_file
    from golfbudget.plan import make_plan
    from golfbudget.plan.request import PlanRequest
    from golfbudget.report.demo import document
    from golfbudget.report.plan import document as plan_document
    from golfbudget.rules import load_rules

    folder = example.FOLDER if save is None else _copy(save)
    limit = load_rules().cap if cap is None else parse_size(cap)
    inspection = inspect_file(folder / example.ARTIFACT.name, cap=limit)
    request = PlanRequest(
        path=folder / example.CHECKPOINT.name,
        recipe=example.RECIPE,
        model=example.MODEL,
        tokens=folder / example.EVALUATION.name,
        seed=seed,
        cap=limit,
        cache=cache_folder(None, off=no_cache),
    )
    with watched(not quiet, "demo") as progress:
        plan = make_plan(request, progress)
    saved = None if save is None else save / "plan.json"
    if saved is not None:
        emit(plan_document(plan), ReportFormat.JSON, saved)
    emit(
        document(inspection, plan, details=details, saved=None if saved is None else str(saved)), output_format, output
    )


def _copy(folder: Path) -> Path:
    from golfbudget import example
    from golfbudget.cli.output import write
    from golfbudget.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from None
    for file in example.FILES:
        write(folder / file.name, file.read_bytes())
    return folder
