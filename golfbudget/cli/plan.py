"""`golfbudget plan`: whether a VQ head beats squeezing the trunk once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat


def plan(
    path: Annotated[
        Path,
        arg(
            "PATH|CONFIG",
            "A float checkpoint or a folder of its shards, a GGUF file, or an int8 artifact; or a model file or the "
            "name of a shipped one, for bytes before there are any weights.",
        ),
    ],
    set_: Annotated[
        list[str] | None, opt("--set NAME=VALUE", "Change a model file's variable or recipe field; may be repeated.")
    ] = None,
    recipe: Annotated[
        str | None, opt("--recipe NAME|FILE", "How a checkpoint becomes an artifact.  [default: int8-zlib]")
    ] = None,
    preview: Annotated[
        str | None,
        opt(
            "--preview CODEC-LEVEL",
            "Write every file by this codec, zstd-3 for instance, not the recipe's own: fast, not real bytes.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        opt(
            "--model FILE:OBJECT|builtin:NAME|hf",
            "Run it to measure quality: builtin:baseline, builtin:example, hf for what transformers makes of the "
            "folder (hf:FOLDER of another), or your own module.  FILE is run as a program with your rights: name only "
            "code that you trust.",
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        opt(
            "--tokens FILE",
            "Evaluation text: safetensors with `tokens` and `token_bytes`; or, with --tokenizer, an .npy array, "
            "a .bin shard, or UTF-8 text.",
        ),
    ] = None,
    fresh: Annotated[
        Path | None,
        opt(
            "--fresh FILE",
            "Another text, in the form of --tokens: the best candidates, chosen on --tokens, are measured on it again.",
        ),
    ] = None,
    tokenizer: options.Tokenizer = None,
    trust_remote_code: options.TrustRemoteCode = False,
    token_limit: options.TokenLimit = None,
    counts: Annotated[
        Path | None,
        opt(
            "--counts FILE",
            "Token counts: an .npy array, or safetensors with `counts`.  [default: of --calibration, or of the first "
            "tenth of --tokens]",
        ),
    ] = None,
    schemes: Annotated[
        str | None,
        opt(
            "--schemes LIST",
            "What to try, by commas: names from `golfbudget schemes`, repack, default (what is tried without "
            "this option), or all.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        opt(
            "--calibration FILE",
            "Text to run the model on for scheme gptq, and to train on with --recover, in the form of --tokens.",
        ),
    ] = None,
    vocab: Annotated[
        list[str] | None,
        opt(
            "--vocab FILE|V:BYTES",
            "Compare vocabularies instead: a SentencePiece .model measured on the text of --tokens, or a size and "
            "its bytes per token; may be repeated.  PATH may be a model file or a shipped one's name.",
        ),
    ] = None,
    price: Annotated[
        float | None,
        opt(
            "--price µBPB/KB",
            "What a kilobyte is worth, in micro bits per byte, where none was measured.  [default: 4]",
        ),
    ] = None,
    recover: Annotated[
        int | None,
        opt(
            "--recover STEPS",
            "Try the best candidates of each side, and the unchanged model, again after STEPS of training on "
            "--calibration.",
        ),
    ] = None,
    no_fits: Annotated[
        bool, opt("--no-fits", "Fit no files to the same bytes: single candidates decide, in less time.")
    ] = False,
    budgets: Annotated[
        str | None,
        opt("--budgets LIST", "Compare the best files at these bytes, too, by commas, such as 700kB,400kB."),
    ] = None,
    jobs: options.Jobs = None,
    executor: options.Executor = None,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    cap: options.Cap = None,
    code: options.Code = None,
    seed: options.Seed = 0,
    roles: options.Roles = None,
    max_decoded: options.MaxDecoded = "1GiB",
    details: options.Details = False,
    output_format: options.PictureFormat = ReportFormat.TABLE,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Say whether to restructure the head or to squeeze the trunk.

    The answer comes first: the verdict, whether VQ-Logits wins (a head whose tokens share rows), what to type next, and
    the candidates that matter; --details prints all.

    A candidate is a way to store the head or the trunk in fewer bytes.  Each is written through the recipe's own
    container and codec.  With --model and --tokens the change in bits per byte is measured; without, a candidate counts
    as free only where its squared error is at most 1.05 times the recipe's own (equal error).  Files and measurements
    are kept by content, so that a second plan is fast.

    A model file (sp8192, or FILE.toml) is planned before it is trained, on weights drawn from the distributions that it
    states: what is free by the equal-error rule, and what structure there is, is then that of independent Gaussians.

    \b
    Examples:
      golfbudget plan model.safetensors
      golfbudget plan final_model.int8.ptz --cap 16MB --code train_gpt.py
      golfbudget plan model.safetensors --schemes all --counts counts.npy --jobs 4
      golfbudget plan model.safetensors --schemes default,lqer,product,low-rank
      golfbudget plan model.safetensors --recipe int8-zlib-small \\
          --model builtin:baseline --tokens text.safetensors \\
          --format json -o plan.json
      golfbudget plan sp8192 --vocab 1024:2.44 --vocab 8192:3.72
      golfbudget plan sp8192 --vocab sp1024.model --vocab sp8192.model \\
          --tokens text.txt
      golfbudget plan sp8192 --set vocabulary=16384 --preview zstd-3
      golfbudget plan model.safetensors --model model.py:Model \\
          --tokens val.bin --tokenizer sp.model
      golfbudget plan SmolLM2-135M --recipe gguf-q8_0 --model hf \\
          --tokens text.txt --token-limit 8192
    """
    from golfbudget.cli.output import emit

    if vocab:
        from golfbudget.api.base import cap_size, code_bytes, size, watched
        from golfbudget.api.plan import chosen_schemes
        from golfbudget.plan.vocabulary import VocabularyRequest, plan_vocabularies
        from golfbudget.report.vocabulary import document
        from golfbudget.workers import LOCAL

        tried = chosen_schemes(schemes)
        runs_model = {
            "--model": model, "--calibration": calibration, "--tokenizer": tokenizer, "--token-limit": token_limit,
            "--fresh": fresh, "--budgets": budgets,
        }  # fmt: skip
        if executor not in (None, LOCAL):
            raise UsageError(f"--executor {executor} does nothing with --vocab, which is done in seconds; leave it out")
        for option, value in runs_model.items():
            if value is not None:
                raise UsageError(
                    f"{option} does nothing with --vocab, which runs no model and cuts up a text itself; leave it out"
                )
        request = VocabularyRequest(
            path=str(path), vocabularies=tuple(vocab), recipe=recipe, text=tokens, counts=counts, roles=roles,
            schemes=tried, cap=cap_size(cap), code_bytes=code_bytes(code), price=price, seed=seed, jobs=jobs,
            limit=size(max_decoded),
        )  # fmt: skip
        with watched(not quiet, "plan") as progress:
            made = plan_vocabularies(request, progress)
        emit(document(made, details=details), output_format, output)
        return
    from golfbudget.api.plan import plan as plan_file
    from golfbudget.estimate.settings import parse_settings

    found = plan_file(
        path,
        set=parse_settings(set_ or ()),
        recipe=recipe,
        preview=preview,
        model=model,
        tokens=tokens,
        fresh=fresh,
        tokenizer=tokenizer,
        trust_remote_code=trust_remote_code,
        token_limit=token_limit,
        counts=counts,
        schemes=schemes,
        calibration=calibration,
        price=price,
        recover=recover,
        no_fits=no_fits,
        budgets=budgets,
        jobs=jobs,
        executor=executor,
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
