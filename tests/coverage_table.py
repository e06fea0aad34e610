"""How often 95 % intervals hold on other text, on the embedded example: the table of docs/plan.md.

    python tests/coverage_table.py

measures the candidates of a default plan on all of the text that was held out from the example's training, of which
the evaluation text is the first half, and cuts it into parts.  A candidate's true change is one and the same on all of
them, so the 95 % interval of the difference of two parts should hold zero in 95 of 100 pairs.  The text is that of one
version of Python, which has to run this; it takes some minutes.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import golfbudget as gb
from golfbudget import example
from golfbudget.example.train import encode, is_held_out, library_files, read
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.intervals import Interval, Values, ratio_interval
from golfbudget.quality.text import load_text
from golfbudget.recipe.decoded import read_back

Bootstrap = Callable[[Values, Values], Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Bits lost to the baseline on each window by every candidate, and the windows' bytes, all [windows]."""

    changes: Sequence[Values]
    bytes: Values


def held_out(path: Path) -> None:
    """Write all tokens that the example's training left out; those of the evaluation text come first."""
    with safe_open(example.EVALUATION, "pt") as file:
        own, token_bytes, metadata = file.get_tensor("tokens"), file.get_tensor("token_bytes"), file.metadata()
    text = read([path for path in library_files() if is_held_out(path)])
    tokens = torch.from_numpy(encode(text, example.FOLDER / "tokenizer.model")[0].astype(np.int64))
    if not torch.equal(tokens[: len(own)], own.long()):
        raise SystemExit(f"Python {sys.version.split()[0]} has another standard library than the example's text is of")
    save_file({"tokens": tokens.int(), "token_bytes": token_bytes}, path, metadata)


def measured(text: Path) -> Measured:
    """Every candidate of the default plan whose loss is measured; of those that decode to the same, one."""
    found = gb.plan(
        example.CHECKPOINT, recipe=example.RECIPE, model=example.MODEL, tokens=text, counts=example.COUNTS, no_fits=True
    )
    evaluator = Evaluator(load_text(text))
    base = evaluator.losses(read_back(found.pack("baseline"), "baseline").state)
    losses = {trial.content: trial.window_nats for trial in found.trials if trial.window_nats is not None}
    changes = [(nats - base) / math.log(2) for nats in losses.values()]
    return Measured(changes=changes, bytes=evaluator.text.bytes_per_window.double().numpy())


def blocks(amounts: Values, weights: Values) -> Interval:
    """The plan's own interval."""
    return ratio_interval(amounts, weights, seed=0)


def single(amounts: Values, weights: Values) -> Interval:
    """The same from windows taken for independent: in another order, they are."""
    order = np.random.default_rng(0).permutation(len(amounts))
    return ratio_interval(amounts[order], weights[order], seed=0)


def coverage(found: Measured, cuts: Sequence[int], bootstrap: Bootstrap) -> tuple[int, int]:
    """Pairs of parts whose difference has zero in its interval, and all pairs; parts lie between the cuts.

    Parts are independent, so on either side half-widths add as squares do.
    """
    hits = pairs = 0
    for change in found.changes:
        parts = [bootstrap(change[start:end], found.bytes[start:end]) for start, end in pairwise(cuts)]
        for one, other in combinations(parts, 2):
            apart = one.delta - other.delta
            below = math.hypot(one.delta - one.low, other.high - other.delta)
            above = math.hypot(one.high - one.delta, other.delta - other.low)
            hits += apart - below <= 0 <= apart + above
            pairs += 1
    return hits, pairs


def table(found: Measured, own: int) -> str:
    """Markdown rows; the first `own` windows are those of the evaluation text."""
    windows = len(found.bytes)
    cuts = {
        f"its evaluation text and {windows - own} other windows": [0, own, windows],
        "two halves of the evaluation text": [0, own // 2, own],
        "quarters of all": [windows * part // 4 for part in range(5)],
    }
    lines = ["| parts | pairs | blocks | single windows |", "|---|---|---|---|"]
    for name, parts in cuts.items():
        shares = []
        for bootstrap in (blocks, single):
            hits, pairs = coverage(found, parts, bootstrap)
            shares.append(f"{100 * hits / pairs:.0f} %")
        lines.append(f"| {name} | {pairs} | {' | '.join(shares)} |")
    wider = [
        (ours.high - ours.low) / (plain.high - plain.low)
        for change in found.changes
        for ours, plain in [(blocks(change[:own], found.bytes[:own]), single(change[:own], found.bytes[:own]))]
    ]
    ends = f"{min(wider):.1f} to {max(wider):.1f} times as wide, {np.median(wider):.1f} in the middle"
    return "\n".join([*lines, "", f"Intervals on the evaluation text are {ends}."])


def main() -> None:
    """Measure, and print the table."""
    own = len(load_text(example.EVALUATION).windows)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "held-out.safetensors"
        held_out(text)
        print(table(measured(text), own))


if __name__ == "__main__":
    main()
