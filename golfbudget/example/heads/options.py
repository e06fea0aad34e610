"""What both programs of the study are told: where their files are, and which runs are wanted."""

from __future__ import annotations

import argparse
from pathlib import Path

from golfbudget.example.heads.arms import ARMS
from golfbudget.example.heads.runs import REFERENCE


def parser(program: str, purpose: str | None) -> argparse.ArgumentParser:
    """The options that training and measuring share."""
    found = argparse.ArgumentParser(prog=f"python -m {program}", description=purpose)
    found.add_argument("--out", type=Path, required=True, help="folder of checkpoints, tokenizers and tokens")
    found.add_argument("--smoke", action="store_true", help="tiny models, a few steps: a trial of the pipeline")
    names = [*(arm.name for arm in ARMS), REFERENCE]
    found.add_argument("--only", action="append", default=[], choices=names, metavar="ARM", help=", ".join(names))
    found.add_argument("--seeds", type=_seeds, default=(), help="seeds in place of the study's own, as 1,2")
    found.add_argument("--minutes", type=float, help="start no further run after so long")
    return found


def _seeds(text: str) -> tuple[int, ...]:
    if not all(seed.isdecimal() for seed in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, as 1,2; found {text!r}")
    return tuple(int(seed) for seed in text.split(","))
