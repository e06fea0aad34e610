"""`golfbudget demo`: the whole job on the embedded example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


def demo(
    save: Annotated[
        Path | None, opt("--save DIR", "Copy the example's files to DIR first, and leave the plan there too.")
    ] = None,
    cap: options.Cap = None,
    seed: options.Seed = 0,
    no_cache: options.NoCache = False,
    details: options.Details = False,
    output_format: options.PageFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Inspect and plan the embedded example, a small trained model.

    The first time takes minutes, four to six on two slow cores; results are kept, so that the next takes seconds.  With
    --save the files stay for trying other commands on.

    \b
    Examples:
      golfbudget demo
      golfbudget demo --save example
      golfbudget pack example/plan.json --candidate head-int6 -o head-int6.ptz
    """
    from golfbudget import example
    from golfbudget.api.base import cache_folder, cap_size, watched
    from golfbudget.cli.output import emit
    from golfbudget.inspection import inspect_file
    from golfbudget.plan.request import PlanRequest
    from golfbudget.plan.run import make_plan
    from golfbudget.report.plan import demo_document
    from golfbudget.report.plan import document as plan_document

    folder = example.FOLDER if save is None else _copy(save)
    limit = cap_size(cap)
    inspection = inspect_file(folder / example.ARTIFACT.name, cap=limit)
    request = PlanRequest(
        path=folder / example.CHECKPOINT.name,
        recipe=example.RECIPE,
        model=example.MODEL,
        tokens=folder / example.EVALUATION.name,
        counts=folder / example.COUNTS.name,
        seed=seed,
        cap=limit,
        cache=cache_folder(None, off=no_cache),
    )
    with watched(not quiet, "demo") as progress:
        plan = make_plan(request, progress)
    saved = None if save is None else str(save / "plan.json")
    if saved is not None:
        emit(plan_document(plan), ReportFormat.JSON, Path(saved))
    emit(demo_document(inspection, plan, details=details, saved=saved), output_format, output)


def _copy(folder: Path) -> Path:
    from golfbudget import example
    from golfbudget.cli.output import write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from None
    for file in example.FILES:
        write(folder / file.name, file.read_bytes())
    return folder
