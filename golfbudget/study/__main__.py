"""Train, write, measure and tell: `python -m golfbudget.study --out DIR`; what is done already stays as it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from golfbudget.errors import GolfbudgetError
from golfbudget.example.heads.options import parser
from golfbudget.example.heads.runs import StudyRun, checkpoint_path, chosen
from golfbudget.study.comparing import Study
from golfbudget.study.figure import drawn
from golfbudget.study.measuring import measured
from golfbudget.study.page import rewrite
from golfbudget.study.results import load, write


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    known = parser("golfbudget.study", __doc__)
    known.add_argument("--results", type=Path, help="folder of results, one JSON a run; default: results in --out")
    known.add_argument("--page", type=Path, help="page whose marked parts are made again, and its figure beside it")
    known.add_argument("--trained", action="store_true", help="measure what is trained, train nothing")
    known.add_argument("--effort", type=int, default=1, help="rounds of measured neighbours of each file's choices")
    return known.parse_args(arguments)


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
    try:
        _run(options, results, chosen(options.only, options.seeds, smoke=options.smoke))
        if options.page is not None:
            study = Study(results=load(results))
            rewrite(options.page, study)
            options.page.with_suffix(".svg").write_text(drawn(study), encoding="utf-8")
    except (GolfbudgetError, OSError) as error:
        print(f"golfbudget.study: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
