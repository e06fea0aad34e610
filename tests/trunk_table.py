"""What the example's trunk takes under each scheme and coder at equal measured loss: the table of docs/schemes.md.

    python tests/trunk_table.py [JOBS]

encodes all trunk matrices at a few steps, measures losses on one half of the example's text (second moments are taken
on the other), and writes whole files at the steps around each loss asked for; between two, bytes are linear in the
logarithm of the loss.  A rounding error also changes the loss to first order, up or down by chance and far more than
schemes differ where errors are small; so each encoding is measured with its errors and with their opposites, and the
mean is taken, in which that cancels.  It takes some 25 minutes of one core.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from golfbudget import example, schemes
from golfbudget.artifact import open_artifact
from golfbudget.plan.source import source_of
from golfbudget.quality.evaluate import Evaluator, input_covariances
from golfbudget.quality.text import open_text
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Recipe, load_recipe, recipe_from
from golfbudget.recipe.export import Export, quantise
from golfbudget.recipe.state import checkpoint_state
from golfbudget.roles import load_roles
from golfbudget.schemes import Context, Encoded, Options
from golfbudget.schemes.threads import one_thread
from golfbudget.workers import Processes

#: Changes in bits per byte at which bytes are compared; integers of a byte reach little less than the first.
LOSSES = (0.0006, 0.0025, 0.0125, 0.05)
#: How the whole file is written: integers one a byte for the codec, or each matrix as the coder's stream.
FILES: dict[str, dict[str, str | int]] = {
    "brotli": {"layout": "w-m", "codec": "brotli", "level": 11},
    "rANS": {"layout": "packed", "codec": "brotli", "level": 11, "coder": "rans"},
}
_LEVELS, _STEPS = 127, 7


def halves(folder: Path) -> tuple[Path, Path]:
    """The text to train on and the text to measure on: each a token more than half, for the first is not predicted."""
    with safe_open(example.EVALUATION, "pt") as file:
        tokens, token_bytes, metadata = file.get_tensor("tokens"), file.get_tensor("token_bytes"), file.metadata()
    half = (len(tokens) - 1) // 2
    made = folder / "train.safetensors", folder / "measure.safetensors"
    for path, start in zip(made, (0, half), strict=True):
        part = {"tokens": tokens[start : start + half + 1].clone(), "token_bytes": token_bytes}
        save_file(part, path, metadata)
    return made


def _scalar(step: float) -> Options:
    """As many levels as a byte has, so that next to none is clipped."""
    return {"bits": 8, "clip": _LEVELS * step}


def _rounded(step: float) -> Options:
    return {**_scalar(step), "rd": 0.1}


def _trellis(step: float) -> Options:
    return {"step": step}


#: Rows of the table: the scheme, its options for a step over a row's deviation, and the range of steps.
ROWS: dict[str, tuple[str, Callable[[float], Options], tuple[float, float]]] = {
    "scalar": ("clipped", _scalar, (0.034, 0.42)),
    "scalar, `rd` 0.1": ("clipped", _rounded, (0.034, 0.42)),
    "`gptq`": ("gptq", _scalar, (0.045, 0.63)),
    "`gptq`, `rd` 0.1": ("gptq", _rounded, (0.045, 0.63)),
    "`trellis`": ("trellis", _trellis, (0.018, 0.25)),
    "`trellis-gptq`": ("trellis-gptq", _trellis, (0.027, 0.36)),
}
#: A row and one of its steps.
Task = tuple[str, float]


def steps(row: str) -> list[float]:
    return [float(step) for step in np.geomspace(*ROWS[row][2], _STEPS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The example, with what all files share: `rest` are the bytes of each file without a trunk."""

    reference: Mapping[str, Tensor]
    export: Export
    trunk: tuple[str, ...]
    contexts: Mapping[str, Context]
    evaluator: Evaluator
    loss: float
    rest: Mapping[str, int]

    @property
    def weights(self) -> int:
        return sum(self.reference[name].numel() for name in self.trunk)

    def encoded(self, task: Task) -> dict[str, Encoded]:
        (name, options, _), step = ROWS[task[0]], task[1]
        scheme = schemes.get(name)
        return {n: scheme.encode(self.reference[n], options(step), self.contexts[n]) for n in self.trunk}


def recipe_of(file: str) -> Recipe:
    rules = [{"name": "all", "match": ["*"], "quantizer": "keep", "dtype": "float16"}]
    return recipe_from({"name": file, "tensors": rules, **FILES[file]}, file)


def subject(folder: Path) -> Subject:
    """The example's checkpoint, its text in halves."""
    reference, own = checkpoint_state(open_artifact(example.CHECKPOINT)), load_recipe(example.RECIPE)
    export = quantise(reference, own)
    trunk = source_of(reference, export, own, roles=load_roles(), where="example").trunk
    calibration, measured = (
        open_text(half, vocabulary=1024, tokenizer=None, limit=None) for half in halves(folder)
    )  # fmt: skip
    covariances, evaluator, bare = input_covariances(reference, calibration), Evaluator(measured), export
    for name in trunk:
        bare = bare.without(name)
    return Subject(
        reference=reference,
        export=export,
        trunk=trunk,
        contexts={name: Context(covariance=covariances[name]) for name in trunk},
        evaluator=evaluator,
        loss=evaluator.bits_per_byte(evaluator.losses(reference)),
        rest={file: len(artifact_bytes(bare, recipe_of(file))) for file in FILES},
    )


def change(about: Subject, task: Task) -> float:
    """The change in bits per byte, the mean of the errors' and of their opposites'."""
    with one_thread():
        decoded = {n: schemes.get(e.scheme).decode(e) for n, e in about.encoded(task).items()}
    opposite = {name: 2 * about.reference[name] - matrix for name, matrix in decoded.items()}
    losses = [about.evaluator.losses({**about.reference, **trunk}) for trunk in (decoded, opposite)]
    return sum(about.evaluator.bits_per_byte(loss) for loss in losses) / 2 - about.loss


def files(about: Subject, task: Task) -> dict[str, int]:
    """Bytes of the files, written whole."""
    export = about.export
    with one_thread():
        for name, encoded in about.encoded(task).items():
            export = export.with_encoded(name, encoded, "float32")
        return {file: len(artifact_bytes(export, recipe_of(file))) for file in FILES}


def around(changes: Sequence[float], loss: float) -> tuple[int, float]:
    """The step before a loss, and how far from it to the next the loss lies, by logarithms."""
    for number, (low, high) in enumerate(pairwise(changes)):
        if low <= loss <= high:
            return number, math.log(loss / low) / math.log(high / low)
    raise SystemExit(f"steps reach changes of {changes[0]:.5f} to {changes[-1]:.5f} bits per byte, not {loss}")


def table(
    about: Subject, places: Mapping[tuple[str, float], tuple[int, float]], sizes: Mapping[Task, Mapping[str, int]]
) -> str:
    """Markdown: bits a weight of the trunk (scales and its part of the container included) and bytes of the file."""
    lines = ["| | coder | " + " | ".join(f"+{loss:g}" for loss in LOSSES) + " |", "|---|---|" + "---|" * len(LOSSES)]
    for row in ROWS:
        for file in FILES:
            cells = []
            for loss in LOSSES:
                number, share = places[row, loss]
                low, high = (sizes[row, step][file] for step in steps(row)[number : number + 2])
                size = low + share * (high - low)
                cells.append(f"{8 * (size - about.rest[file]) / about.weights:.2f} ({size / 1000:,.0f} kB)")
            lines.append(f"| {row} | {file} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        about = subject(Path(made))
    with Processes(about, jobs) as processes:
        tasks = [(row, step) for row in ROWS for step in steps(row)]
        changes = dict[Task, float]()
        for number, found in processes.results(change, tasks):
            changes[tasks[number]] = found
            print(f"{tasks[number][0]}, step {tasks[number][1]:.4f}: {found:+.5f}", file=sys.stderr, flush=True)
        places = {
            (row, loss): around([changes[row, step] for step in steps(row)], loss) for row in ROWS for loss in LOSSES
        }
        needed = {(row, steps(row)[at + more]) for (row, _), (at, _) in places.items() for more in (0, 1)}
        tasks, sizes = sorted(needed), dict[Task, dict[str, int]]()
        for number, size in processes.results(files, tasks):
            sizes[tasks[number]] = size
            print(f"{tasks[number][0]}, step {tasks[number][1]:.4f}: {size}", file=sys.stderr, flush=True)
    print(table(about, places, sizes))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
