"""`golfbudget estimate`: the bytes of an artifact before its model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfbudget.cli.options import (
    CapOption,
    CodeOption,
    FormatOption,
    OutputOption,
    QuietOption,
    RolesOption,
)
from golfbudget.report.formats import ReportFormat

if TYPE_CHECKING:
    from golfbudget.estimate.request import Request
    from golfbudget.estimate.results import Estimate
    from golfbudget.estimate.run import Terms


def estimate(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="A model file, or a shipped one's name."),
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME|FILE", help="How it is exported, instead of what the model file names."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the synthetic weights.")] = 0,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=100, help="Artifacts to write, of as many seeds; gives the spread.")
    ] = 1,
    fast: Annotated[
        bool, typer.Option("--fast", help="The entropy formula alone, in a second: nothing is built or compressed.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a variable or a recipe field; may be repeated."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="NAME=A,B,C", help="A table over these values; may be repeated (all combinations)."
        ),
    ] = None,
    cap: CapOption = None,
    code: CodeOption = None,
    roles: RolesOption = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep the first seed's artifact.")] = None,
    output_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say what an artifact will weigh before its model is trained.

    The container is built and counted exactly.  The artifact is measured on weights drawn from a Gaussian, through the
    recipe's own quantisers, filter and codec, and checked against an entropy formula.  Where size depends on training
    (scales from a quantile, a maximum or a floor) there is a range instead of a number.

    \b
    NAME in --set and --sweep is a variable of the model file (vocabulary, width, layers …), codec or level, or
    RULE.FIELD of the recipe (embedding.bits, *.clip_deviations …).

    \b
    Examples:
      golfbudget estimate baseline
      golfbudget estimate sp8192 --code 30kB --repeat 3
      golfbudget estimate sp8192 --fast --sweep vocabulary=4096,8192,16384 --sweep embedding.bits=8,7
      golfbudget estimate my-model.toml --recipe int8-zlib --set layers=10 --format json
      golfbudget estimate baseline --save synthetic.ptz
    """
    from golfbudget.budget import code_size, parse_size
    from golfbudget.cli.output import emit, note, write
    from golfbudget.errors import UsageError
    from golfbudget.estimate.run import Terms, modelled_estimate
    from golfbudget.estimate.settings import make_request, merged, parse_setting
    from golfbudget.estimate.sweep import sweep as sweep_all
    from golfbudget.report.estimate import document, sweep_document
    from golfbudget.roles import load_roles
    from golfbudget.rules import load_rules

    if fast and (save is not None or repeat != 1):
        raise UsageError("--fast writes no artifact, so there is nothing to --save and no seed to --repeat")
    if sweep and save is not None:
        raise UsageError("--sweep makes many artifacts; leave out --save")
    rules = load_rules()
    terms = Terms(
        cap=rules.cap if cap is None else parse_size(cap),
        code_bytes=None if code is None else code_size(code),
        spread=rules.seed_spread,
        roles=load_roles(roles),
    )
    fixed = merged(parse_setting(text, "--set") for text in set_ or [])
    if sweep:
        points = sweep_all(
            [parse_setting(text, "--sweep") for text in sweep],
            lambda settings: make_request(config, recipe, {**fixed, **settings}),
            lambda request: (
                modelled_estimate(request, terms) if fast else _measured(request, terms, seed, repeat, quiet)[0]
            ),
        )
        emit(sweep_document(points), output_format, output)
        return
    request = make_request(config, recipe, fixed)
    if fast:
        found = modelled_estimate(request, terms)
    else:
        found, artifact = _measured(request, terms, seed, repeat, quiet)
        if save is not None:
            write(save, artifact)
            note(f"wrote {save}: {len(artifact):,} bytes", quiet=quiet)
    emit(document(found), output_format, output)


def _measured(request: Request, terms: Terms, seed: int, repeat: int, quiet: bool) -> tuple[Estimate, bytes]:
    from golfbudget.cli.progress import progress_bar
    from golfbudget.estimate.run import measured_estimate

    with progress_bar(request.model.name, quiet=quiet) as progress:
        return measured_estimate(request, terms, seed=seed, repeat=repeat, progress=progress)
