"""`golfbudget fit`: the artifact of least loss under a cap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt
from golfbudget.report import ReportFormat


def fit(
    path: Annotated[
        Path, arg("PATH", "A float checkpoint, or an artifact of a known layout; or a model file, for bytes alone.")
    ],
    output: Annotated[
        Path | None, opt("--output -o FILE", "Write the artifact to FILE; without it, only say what it would be.")
    ] = None,
    decoder: Annotated[Path | None, opt("--decoder FILE", "Write the program that reads it, too.")] = None,
    cap: options.Cap = None,
    code: options.Code = None,
    recipe: Annotated[
        str | None,
        opt("--recipe NAME|FILE", "What keeps small tensors as it does, and the baseline.  [default: int8-zlib]"),
    ] = None,
    model: Annotated[
        str | None,
        opt(
            "--model FILE:OBJECT|builtin:NAME|hf",
            "Run it to measure losses; hf is what transformers makes of the folder.  FILE "
            "is run as a program with your rights: name only code that you trust.",
        ),
    ] = None,
    tokens: Annotated[
        Path | None, opt("--tokens FILE", "Text that reports (and chooses, without --calibration).")
    ] = None,
    tokenizer: options.Tokenizer = None,
    trust_remote_code: options.TrustRemoteCode = False,
    token_limit: options.TokenLimit = None,
    calibration: Annotated[
        Path | None,
        opt("--calibration FILE", "Text that chooses, in the form of --tokens; then --tokens only reports."),
    ] = None,
    counts: Annotated[
        Path | None,
        opt("--counts FILE", "Token counts for schemes that use them.  [default: of the text that chooses]"),
    ] = None,
    schemes: Annotated[
        str | None, opt("--schemes LIST", "Further schemes to try, by commas: names from `golfbudget schemes`.")
    ] = None,
    head: Annotated[
        str, opt("--head any|plain|vq|restructured", "What the head may become: all, or some ways of storing it alone.")
    ] = "any",
    effort: Annotated[
        int, opt("--effort N", "How many times neighbours of the choice are measured and it is corrected.", min=0)
    ] = 1,
    jobs: options.Jobs = None,
    executor: options.Executor = None,
    seed: options.Seed = 0,
    roles: options.Roles = None,
    max_decoded: options.MaxDecoded = "1GiB",
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    details: Annotated[bool, opt("--details", "Print every matrix, the ledger and the loader, too.")] = False,
    output_format: options.PictureFormat = ReportFormat.TABLE,
    report: Annotated[Path | None, opt("--report FILE", "Write the report to FILE instead of stdout.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the artifact of least loss that fits under the cap.

    Counted are the file, the program that reads it, and --code.  Every matrix is encoded in many ways (integers along a
    trellis, rounded, of few levels; for the head VQ-Logits and other structures, too), its loss is taken from its error
    and from one measured perturbation, and the best choice within the cap is found exactly, written, measured again
    around that choice, and scaled until the cap is used up. What chooses never reports: losses are of other text.

    \b
    Examples:
      golfbudget fit model.safetensors --cap 16MB --code train_gpt.py -o model.fit
      golfbudget fit model.safetensors --recipe int8-zlib-small --cap 600kB \\
          --model builtin:baseline --tokens text.safetensors \\
          -o model.fit --decoder decode.py
      golfbudget fit model.safetensors --cap 16MB -o model.fit \\
          --format html --report fit.html
      golfbudget fit sp8192 --cap 16MB --code 48kB
    """
    from golfbudget.api.fit import fit as fitted
    from golfbudget.cli.output import emit, note, write

    found = fitted(
        path, cap=cap, code=code, recipe=recipe, model=model, tokens=tokens, tokenizer=tokenizer,
        trust_remote_code=trust_remote_code, token_limit=token_limit, calibration=calibration, counts=counts,
        schemes=schemes, head=head, effort=effort, jobs=jobs, executor=executor, seed=seed, roles=roles,
        max_decoded=max_decoded, cache=cache, no_cache=no_cache, progress=not quiet,
    )  # fmt: skip
    if output is not None:
        write(output, found.data)
        note(f"wrote {output}: {len(found.data):,} bytes", quiet=quiet)
    if decoder is not None:
        write(decoder, found.loader.encode())
        note(f"wrote {decoder}: {len(found.loader.encode()):,} bytes", quiet=quiet)
    emit(found.document(details=details, written=output, loader=decoder), output_format, report)
