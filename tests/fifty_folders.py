"""Fifty record folders as a maintainer has them, each with a program, a log and claims; four have something wrong.

Run it as `python tests/fifty_folders.py records`.  No folder has a model file, as in public repositories of records:
its bytes are those that the log prints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.standins import log_text, submission

CODE, MODEL = 47_642, 15_815_847
#: What is wrong with which: over the cap, a claim that is none of the figures, no log, nothing to count at all.
OVER, WRONG, CLAIMED, EMPTY = 7, 18, 29, 41


def program(number: int) -> str:
    """A program of `CODE` bytes."""
    text = f'"""Run {number}."""\nimport zlib\n\nMODEL = zlib.decompress(open("final_model.int8.ptz", "rb").read())\n'
    rates = (f"    0.{step * step * (number + 3) % 99_991:05}," for step in range(CODE // 13))
    whole = "\n".join([text, "RATES = [", *rates])[: CODE - 2].rpartition("\n")[0] + "\n]"
    return whole + "\n" * (CODE - len(whole))


def write(root: Path) -> None:
    """Write the folders `00` to `49`."""
    for number in range(50):
        model = MODEL + 997 * number + (200_000 if number == OVER else 0)
        total = CODE + model - (4_096 if number == WRONG else 0)
        claims = {"name": f"Run {number}", "bytes_total": total, "bytes_code": CODE}
        files: dict[str, str | bytes] = {"README.md": f"Run {number}.\n"}
        if number != EMPTY:
            files["train_gpt.py"] = program(number)
            files["submission.json"] = json.dumps(claims, indent=2) + "\n"
        if number not in (EMPTY, CLAIMED):
            files["train.log"] = log_text(seed=number, code=CODE, model=model)
        submission(root / f"{number:02}", files)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
