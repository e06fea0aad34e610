"""What a short training gives candidates back, on the embedded example: the table of docs/plan.md.

    python tests/recovery_table.py [STEPS [CANDIDATE...]]

trains on a part of the example's own training text (every third file of the running interpreter's standard library,
which must be the one that the example was made from), measures on its evaluation text, and prints the table as
markdown, a row at a time.  A hundred steps take some minutes for each candidate.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golfbudget import example
from golfbudget.example.train import encode, is_held_out, library_files, read
from golfbudget.plan.building import baseline_file, build
from golfbudget.plan.candidates import again, baseline, candidates
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.quality.evaluate import Evaluator, Losses
from golfbudget.recipe.decoded import read_back
from golfbudget.schemes.threads import one_thread

ONE_FILE_IN = 3
CANDIDATES = ("head-int4", "head-vq-int-k256-b8-shared", "head-vq-int-k512-b8-shared", "trunk-int5")


def training_text(folder: Path) -> Path:
    """A part of the text that the example was trained on, in the form of `--calibration`."""
    files = [path for path in library_files() if not is_held_out(path)][::ONE_FILE_IN]
    tokens, lengths = encode(read(files), example.FOLDER / "tokenizer.model")
    with safe_open(example.EVALUATION, "pt") as file:
        metadata = file.metadata()
    path = folder / "train.safetensors"
    save_file(
        {"tokens": torch.from_numpy(tokens.astype("int32")), "token_bytes": torch.from_numpy(lengths)}, path, metadata
    )
    return path


def rows(steps: int, names: tuple[str, ...]) -> Iterator[str]:
    """Markdown rows: bytes saved, and the change in bits per byte before and after training."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(
            PlanRequest(
                path=example.CHECKPOINT,
                cap=16_000_000,
                recipe=example.RECIPE,
                model=example.MODEL,
                tokens=example.EVALUATION,
                counts=example.COUNTS,
                calibration=training_text(Path(folder)),
                recover=steps,
            )
        )
    source, evaluator = prepared.source, prepared.evaluator
    if not isinstance(evaluator, Evaluator):
        raise SystemExit("there is no text to measure on")
    known = {candidate.name: candidate for candidate in candidates(source, ("scalar", "vq-logits-int")).candidates}

    own = baseline_file(source)

    def lost(data: bytes) -> Losses:
        decoded = read_back(data, "table")
        return evaluator.losses(decoded.state, bias=decoded.bias_of(source.head_owner, source.head))

    before = lost(own)
    control = lost(build(source, baseline(steps), prepared.encoders).data)

    def change(losses: Losses) -> str:
        return f"{evaluator.bits_per_byte(losses - before):+.4f}"

    yield f"| | saved bytes | before | after {steps} steps | over the unchanged model after {steps} steps |"
    yield "|---|---|---|---|---|"
    yield f"| unchanged model | 0 | 0 | {change(control)} | |"
    for name in names:
        plain, trained = (
            build(source, one, prepared.encoders).data for one in (known[name], again(known[name], steps))
        )
        first, last = lost(plain), lost(trained)
        interval = evaluator.compare(control, last, prepared.request.seed)
        yield row(name, len(own) - len(trained), change(first), change(last), (interval.low, interval.high))


def row(name: str, saved: int, before: str, after: str, over: tuple[float, float]) -> str:
    """A candidate's row; `over` is the interval of its change against the trained unchanged model."""
    return f"| {name} | {saved:,} | {before} | {after} | [{over[0]:+.4f}, {over[1]:+.4f}] |"


if __name__ == "__main__":
    with one_thread():
        for line in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 100, tuple(sys.argv[2:]) or CANDIDATES):
            print(line, flush=True)
