"""`golfbudget estimate`: the bytes of an artifact before its model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


def estimate(
    config: Annotated[str, arg("CONFIG", "A model file, or a shipped one's name.")],
    recipe: Annotated[
        str | None, opt("--recipe NAME|FILE", "How it is exported, instead of what the model file names.")
    ] = None,
    seed: Annotated[int, opt("--seed", "Seed of the synthetic weights.", min=0, max=2**32 - 1)] = 0,
    repeat: Annotated[
        int, opt("--repeat", "Artifacts to write, of as many seeds; gives the spread.", min=1, max=100)
    ] = 1,
    fast: Annotated[
        bool, opt("--fast", "The entropy formula alone, in a second: nothing is built or compressed.")
    ] = False,
    set_: Annotated[
        list[str] | None, opt("--set NAME=VALUE", "Change a variable or a recipe field; may be repeated.")
    ] = None,
    sweep: Annotated[
        list[str] | None, opt("--sweep NAME=A,B,C", "A table over these values; may be repeated (all combinations).")
    ] = None,
    cap: options.Cap = None,
    code: options.Code = None,
    roles: options.Roles = None,
    executor: options.Executor = None,
    save: Annotated[Path | None, opt("--save FILE", "Keep the first seed's artifact.")] = None,
    output_format: options.PictureFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Say what an artifact will weigh before its model is trained.

    The container is built and counted exactly.  The artifact is measured on weights drawn from a Gaussian, through the
    recipe's own quantisers, filter and codec, and checked against an entropy formula.  Where size depends on training
    (scales from a quantile, a maximum or a floor) there is a range instead of a number.

    NAME in --set and --sweep is a variable of the model file (vocabulary, width, layers …), codec or level, or
    RULE.FIELD of the recipe (embedding.bits, *.clip_deviations …).

    \b
    Examples:
      golfbudget estimate baseline
      golfbudget estimate sp8192 --code 30kB --repeat 3
      golfbudget estimate sp8192 --fast --sweep vocabulary=4096,8192,16384 \\
          --sweep embedding.bits=8,7
      golfbudget estimate my-model.toml --recipe int8-zlib --set layers=10
      golfbudget estimate baseline --save synthetic.ptz
    """
    from golfbudget.api.estimate import EstimateResult
    from golfbudget.api.estimate import estimate as estimate_config
    from golfbudget.cli.output import emit, note, write
    from golfbudget.estimate.settings import parse_settings, parse_sweep

    if fast and (save is not None or repeat != 1):
        raise UsageError("--fast writes no artifact, so there is nothing to --save and no seed to --repeat")
    if sweep and save is not None:
        raise UsageError("--sweep makes many artifacts; leave out --save")
    found = estimate_config(
        config,
        recipe=recipe,
        seed=seed,
        repeat=repeat,
        fast=fast,
        set=parse_settings(set_ or ()),
        sweep=parse_sweep(sweep) if sweep else None,
        cap=cap,
        code=code,
        roles=roles,
        executor=executor,
        progress=not quiet,
    )
    if save is not None and isinstance(found, EstimateResult) and found.data is not None:
        write(save, found.data)
        note(f"wrote {save}: {len(found.data):,} bytes", quiet=quiet)
    emit(found.document(), output_format, output)
