"""Train the study's models: `python -m golfbudget.example.heads --out DIR`; what is trained already stays."""

from __future__ import annotations

import argparse
from pathlib import Path

from golfbudget.example.heads.arms import ARMS
from golfbudget.example.heads.runs import REFERENCE, chosen, train_all


def main() -> None:
    """Command-line entry."""
    parser = argparse.ArgumentParser(prog="python -m golfbudget.example.heads", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, tokenizers and tokens")
    parser.add_argument("--smoke", action="store_true", help="tiny models, a few steps: a trial of the pipeline")
    names = [*(arm.name for arm in ARMS), REFERENCE]
    parser.add_argument("--only", action="append", default=[], choices=names, metavar="ARM", help=", ".join(names))
    parser.add_argument("--seeds", default="", help="seeds in place of the study's own, as 1,2")
    parser.add_argument("--minutes", type=float, help="start no further run after so long")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",") if seed]
    wanted = chosen(options.only, seeds, smoke=options.smoke)

    def told(what: str, _steps: int) -> None:
        print(what, flush=True)

    for done in train_all(options.out, wanted, options.minutes, told):
        print(f"{done.run.name}: {done.facts['training_seconds']} seconds", flush=True)


if __name__ == "__main__":
    main()
