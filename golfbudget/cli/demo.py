"""`golfbudget demo`: the whole job on the embedded example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli.options import CapOption, Format, FormatOption, OutputOption, QuietOption, SeedOption


def demo(
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Only copy the example's files to DIR, to try other commands on."),
    ] = None,
    cap: CapOption = None,
    seed: SeedOption = 0,
    output_format: FormatOption = Format.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Inspect and plan the embedded example, a small language model, and print the verdict.

    It takes about a minute on two cores.

    \b
    Examples:
      golfbudget demo
      golfbudget demo --save example && golfbudget inspect example/checkpoint.safetensors
    """
    if save is not None:
        _save(save, quiet=quiet)
        return

    from golfbudget import example
    from golfbudget.artifact import open_artifact
    from golfbudget.budget import Budget, parse_size
    from golfbudget.cli.output import emit_json, emit_table
    from golfbudget.cli.progress import progress_bar
    from golfbudget.inspection import Inspection
    from golfbudget.plan.run import make_plan
    from golfbudget.plan.setup import Choices, prepare
    from golfbudget.roles import assign, load_roles
    from golfbudget.rules import load_rules

    limit = load_rules().cap if cap is None else parse_size(cap)
    artifact = open_artifact(example.ARTIFACT)
    inspection = Inspection(
        artifact=artifact,
        assignment=assign(artifact, load_roles()),
        budget=Budget(cap=limit, stored=artifact.size, code=None),
    )
    source, settings = prepare(
        Choices(path=example.CHECKPOINT, recipe=example.RECIPE, model=example.MODEL, seed=seed, cap=limit)
    )
    with progress_bar("demo", quiet=quiet) as progress:
        plan = make_plan(source, settings, progress)
    if output_format is Format.JSON:
        from golfbudget.report.inspect_json import inspect_json
        from golfbudget.report.plan_json import plan_json

        document = {"schema": "golfbudget/demo/1", "inspect": inspect_json(inspection), "plan": plan_json(plan)}
        emit_json(document, output)
    else:
        from golfbudget.report.inspect_table import inspect_table
        from golfbudget.report.plan_table import plan_table

        title = "== golfbudget inspect: the example's int8 artifact =="
        second = "\n== golfbudget plan: the example's checkpoint =="
        emit_table([title, *inspect_table(inspection, "role"), second, *plan_table(plan)], output)


def _save(folder: Path, *, quiet: bool) -> None:
    from golfbudget import example
    from golfbudget.cli.output import note, write
    from golfbudget.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from None
    for file in example.FILES:
        write(folder / file.name, file.read_bytes())
    note(f"wrote {', '.join(file.name for file in example.FILES)} to {folder}", quiet=quiet)
