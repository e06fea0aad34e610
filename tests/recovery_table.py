"""What a short training gives candidates back, on the embedded example: the table of docs/plan.md.

    python tests/recovery_table.py [STEPS]

splits the example's evaluation text in two, trains on the first half, measures on the second, and prints the table as
markdown.  It takes some minutes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from golfbudget import example

SUFFIX = "+recovered-"
REASON = re.compile(r"recovered: (?P<name>\S+) goes from .* which is (?P<interval>\[.*?\]) over the unchanged model")


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


def planned(folder: Path, steps: int) -> dict[str, Any]:
    """The JSON of a plan with recovery, made by the command line."""
    train, measure = halves(folder)
    options = ["--recipe", example.RECIPE, "--model", example.MODEL, "--schemes", "scalar,vq-logits"]
    texts = ["--tokens", measure, "--calibration", train, "--recover", steps, "--format", "json"]
    command = [sys.executable, "-m", "golfbudget", "plan", example.CHECKPOINT, *options, *texts, "--quiet"]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def table(plan: dict[str, Any], steps: int) -> str:
    """Markdown rows: the change in bits per byte of each trained candidate, before and after."""
    delta = {found["name"]: found["quality"]["delta"] for found in plan["candidates"] if found["quality"]}
    over = {found["name"]: found["interval"] for found in map(REASON.match, plan["verdict"]["reasons"]) if found}
    trained = sorted(name.partition(SUFFIX)[0] for name in delta if SUFFIX in name)
    lines = [
        f"| | before | after {steps} steps | over the unchanged model after {steps} steps |",
        "|---|---|---|---|",
    ]
    for name in sorted(trained, key=lambda name: (name != "baseline", name)):
        before = f"{delta[name]:+.4f}" if name in delta else "0"
        shown = "unchanged model" if name == "baseline" else name
        lines.append(f"| {shown} | {before} | {delta[f'{name}{SUFFIX}{steps}']:+.4f} | {over.get(name, '')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as made:
        print(table(planned(Path(made), wanted), wanted))
