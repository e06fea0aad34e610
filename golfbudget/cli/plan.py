"""`golfbudget plan`: whether a VQ head beats squeezing the trunk once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfbudget.cli.options import (
    CacheOption,
    CapOption,
    CodeOption,
    DetailsOption,
    FormatOption,
    JobsOption,
    MaxDecodedOption,
    NoCacheOption,
    OutputOption,
    QuietOption,
    RolesOption,
    SeedOption,
)
from golfbudget.report.formats import ReportFormat


def plan(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH|CONFIG",
            help="A float checkpoint, or an int8 artifact; or a model file or a shipped one's name, as for estimate.",
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a model file's variable or recipe field; may be repeated."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="NAME|FILE", help="How a checkpoint becomes an artifact.  [default: int8-zlib]"
        ),
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option(
            "--preview",
            metavar="CODEC-LEVEL",
            help="Write every file by this codec, zstd-3 for instance, not the recipe's own: fast, not real bytes.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE:OBJECT|builtin:NAME",
            help="Run it to measure quality: builtin:baseline, builtin:example, or your own module.  FILE is run as a "
            "program with your rights: name only code that you trust.",
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            help="Evaluation text: safetensors with `tokens` and `token_bytes`; or, with --tokenizer, an .npy array, "
            "a .bin shard, or UTF-8 text.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", metavar="FILE", help="The SentencePiece .model that the tokens are made with."),
    ] = None,
    token_limit: Annotated[
        int | None,
        typer.Option("--token-limit", metavar="N", min=2, help="Take no more than the text's first N tokens."),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            "--counts",
            metavar="FILE",
            help="Token counts: an .npy array, or safetensors with `counts`.  [default: of --tokens]",
        ),
    ] = None,
    schemes: Annotated[
        str | None,
        typer.Option(
            "--schemes",
            metavar="LIST",
            help="What to try, by commas: names from `golfbudget schemes`, repack, default (what is tried without "
            "this option), or all.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="FILE",
            help="Text to run the model on for scheme gptq, and to train on with --recover, in the form of --tokens.",
        ),
    ] = None,
    vocab: Annotated[
        list[str] | None,
        typer.Option(
            "--vocab",
            metavar="FILE|V:BYTES",
            help="Compare vocabularies instead: a SentencePiece .model measured on the text of --tokens, or a size and "
            "its bytes per token; may be repeated.  PATH may be a model file or a shipped one's name.",
        ),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(
            "--price",
            metavar="µBPB/KB",
            help="What a kilobyte is worth, in micro bits per byte, where none was measured.  [default: 4]",
        ),
    ] = None,
    recover: Annotated[
        int | None,
        typer.Option(
            "--recover",
            metavar="STEPS",
            help="Try the best candidates of each side, and the unchanged model, again after STEPS of training on "
            "--calibration.",
        ),
    ] = None,
    jobs: JobsOption = None,
    cache: CacheOption = None,
    no_cache: NoCacheOption = False,
    cap: CapOption = None,
    code: CodeOption = None,
    seed: SeedOption = 0,
    roles: RolesOption = None,
    max_decoded: MaxDecodedOption = "1GiB",
    details: DetailsOption = False,
    output_format: FormatOption = ReportFormat.TABLE,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Encode head and trunk candidates for real, count each whole file, and say who wins.

    The answer comes first: verdict, VQ answer, what to type next, and the candidates that matter; --details prints all.

    Every candidate is written through the recipe's own container and codec.  With --model and --tokens the
    change in bits per byte is measured; without, a candidate counts as free only under the equal-error rule.
    Files and measurements are kept by content, so that a second plan is fast.

    A model file (sp8192, or FILE.toml) is planned before it is trained, on weights drawn from the distributions that it
    states: what is free by the equal-error rule, and what structure there is, is then that of independent Gaussians.

    \b
    Examples:
      golfbudget plan model.safetensors
      golfbudget plan final_model.int8.ptz --cap 16MB --code train_gpt.py
      golfbudget plan model.safetensors --schemes all --counts counts.safetensors --jobs 4
      golfbudget plan model.safetensors --schemes default,lqer,product,low-rank
      golfbudget plan model.safetensors --recipe int8-zlib-small \\
          --model builtin:baseline --tokens text.safetensors --format json -o plan.json
      golfbudget plan sp8192 --vocab 1024:2.44 --vocab 8192:3.72
      golfbudget plan sp8192 --vocab sp1024.model --vocab sp8192.model --tokens text.txt
      golfbudget plan sp8192 --set vocabulary=16384 --preview zstd-3
      golfbudget plan model.safetensors --model model.py:Model --tokens val.bin --tokenizer sp.model
    """
    if vocab:
        from golfbudget.api.plan import chosen_schemes
        from golfbudget.cli.plan_vocabulary import plan_vocabulary

        plan_vocabulary(
            path, vocab, recipe=recipe, tokens=tokens, counts=counts, schemes=chosen_schemes(schemes), roles=roles,
            cap=cap, code=code, seed=seed, jobs=jobs, max_decoded=max_decoded, output_format=output_format,
            output=output, quiet=quiet, price=price,
            unused={
                "--model": model, "--calibration": calibration, "--tokenizer": tokenizer, "--token-limit": token_limit,
            },
        )  # fmt: skip
        return
    from golfbudget.api.plan import plan as plan_file
    from golfbudget.cli.output import emit
    from golfbudget.estimate.settings import parse_settings

    found = plan_file(
        path,
        set=parse_settings(set_ or ()),
        recipe=recipe,
        preview=preview,
        model=model,
        tokens=tokens,
        tokenizer=tokenizer,
        token_limit=token_limit,
        counts=counts,
        schemes=schemes,
        calibration=calibration,
        price=price,
        recover=recover,
        jobs=jobs,
        cache=cache,
        no_cache=no_cache,
        cap=cap,
        code=code,
        seed=seed,
        roles=roles,
        max_decoded=max_decoded,
        progress=not quiet,
    )
    emit(found.document(details=details), output_format, output)
