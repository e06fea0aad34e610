"""`golfbudget pack` writes a file that a plan counted; `golfbudget unpack` reads one back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golfbudget.cli import options
from golfbudget.cli.options import arg, opt

_Output = Annotated[Path, opt("--output -o FILE", "The file to write.")]
_OutputOrFolder = Annotated[
    Path,
    opt(
        "--output -o FILE|FOLDER",
        "The file to write; or a folder, which gets the config.json for transformers, too.",
    ),
]


def pack(
    plan: Annotated[Path, arg("PLAN", "A plan saved with --format json.")],
    candidate: Annotated[str, opt("--candidate NAME", "Which candidate, or baseline.")],
    output: _OutputOrFolder,
    quiet: options.Quiet = False,
) -> None:
    """Write the artifact that a plan counted, byte for byte.

    \b
    Examples:
      golfbudget pack plan.json --candidate head-int6 -o final_model.ptz
      mkdir folder
      golfbudget pack plan.json --candidate trunk-packed-int-b4-g32 -o folder
    """
    from golfbudget.cli.output import note, write
    from golfbudget.hub import refuse_hub_path
    from golfbudget.plan.rewrite import write_candidate

    refuse_hub_path(
        plan, "this takes a saved plan; type: golfbudget plan {address} --format json -o FILE, and name FILE"
    )
    data = write_candidate(plan, candidate)
    if output.is_dir():
        from golfbudget.artifact import open_bytes
        from golfbudget.plan.plan_json import load_plan
        from golfbudget.recipe.beside import folder_files

        named = Path(load_plan(plan).source.path)
        source = named if named.exists() else plan.parent / named
        files = folder_files(open_bytes(data, name=candidate, priced=False), data, source)
        for name, content in files.items():
            write(output / name, content)
        note(
            f"wrote {' and '.join(str(output / name) for name in files)}: {len(data):,} bytes, as counted", quiet=quiet
        )
        return
    write(output, data)
    note(f"wrote {output}: {len(data):,} bytes, as counted", quiet=quiet)


def unpack(
    path: Annotated[Path, arg("FILE", "An artifact of any layout that recipes write.")],
    output: _Output,
    quiet: options.Quiet = False,
) -> None:
    """Decode an artifact to the float tensors that a model loads.

    They are written as safetensors.  Matrices encoded by any scheme are decoded; a bias that a head adds to its logits
    stands beside its matrix, under the matrix's name with `bias` in place of `weight`.

    \b
    Example:
      golfbudget unpack final_model.ptz -o decoded.safetensors
    """
    from safetensors.torch import save

    from golfbudget.artifact import open_artifact
    from golfbudget.cli.output import note, write
    from golfbudget.recipe.artifacts import read_export
    from golfbudget.recipe.decoded import decoded

    state = decoded(read_export(open_artifact(path)), str(path)).tensors()
    # Copies, because safetensors refuses tensors that are stored once.
    write(output, save({name: tensor.contiguous().clone() for name, tensor in state.items()}))
    note(f"wrote {output}: {len(state)} tensors", quiet=quiet)
