"""Train, write, measure and tell: `python -m golfbudget.study --out DIR`; what is done already stays as it is."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from golfbudget.example.heads.arms import ARMS
from golfbudget.example.heads.runs import REFERENCE, StudyRun, checkpoint_path, chosen
from golfbudget.study.comparing import Study
from golfbudget.study.figure import drawn
from golfbudget.study.measuring import measured
from golfbudget.study.page import rewrite
from golfbudget.study.results import load, write


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m golfbudget.study", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, tokenizers and tokens")
    parser.add_argument("--results", type=Path, help="folder of results, one JSON a run; default: results in --out")
    parser.add_argument("--page", type=Path, help="page whose marked parts are made again, and its figure beside it")
    parser.add_argument("--smoke", action="store_true", help="tiny models, a few steps: a trial of the pipeline")
    names = [*(arm.name for arm in ARMS), REFERENCE]
    parser.add_argument("--only", action="append", default=[], choices=names, metavar="ARM", help=", ".join(names))
    parser.add_argument("--seeds", default="", help="seeds in place of the study's own, as 1,2")
    parser.add_argument("--minutes", type=float, help="start no further run after so long")
    parser.add_argument("--trained", action="store_true", help="measure what is trained, train nothing")
    parser.add_argument("--effort", type=int, default=1, help="rounds of measured neighbours of each file's choices")
    return parser.parse_args(arguments)


def _told(what: str, _steps: int) -> None:
    print(what, flush=True)


def _run(options: argparse.Namespace, results: Path, wanted: Sequence[StudyRun]) -> None:
    started = time.monotonic()
    for run in wanted:
        if options.minutes is not None and time.monotonic() - started > 60 * options.minutes:
            return
        if (results / f"{run.name}.json").exists():
            continue
        if options.trained and not checkpoint_path(options.out, run).exists():
            continue
        found = measured(options.out, run, effort=options.effort, progress=_told)
        write(results, found)
        print(f"{run.name}: {found.bits_per_byte:.4f} bits per byte, {len(found.files)} files", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command-line entry."""
    options = _options(arguments)
    results = options.results or options.out / "results"
    seeds = [int(seed) for seed in options.seeds.split(",") if seed]
    _run(options, results, chosen(options.only, seeds, smoke=options.smoke))
    if options.page is not None:
        study = Study(results=load(results))
        rewrite(options.page, study)
        options.page.with_suffix(".svg").write_text(drawn(study), encoding="utf-8")


if __name__ == "__main__":
    main()
