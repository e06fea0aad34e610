"""How long many submissions take, and what packing wins on the largest modules of the standard library."""

from __future__ import annotations

import ast
import tempfile
import time
from pathlib import Path

from programs import by_hand
from standins import log_text, submission

import golfbudget as gb
from golfbudget.code_packing import pack_code

#: Folders of a batch, and the programs that are packed: bytes from, bytes to.
FOLDERS = 100
SIZES = (20_000, 160_000)


def modules() -> list[Path]:
    """The standard library's modules of the lengths that contest programs have."""
    found = sorted(Path(ast.__file__).parent.glob("*.py"))
    return [path for path in found if SIZES[0] <= path.stat().st_size <= SIZES[1]]


def batch() -> None:
    """A batch in the processes it takes by itself, as its table and with every packed length, against one folder."""
    programs = modules()
    with tempfile.TemporaryDirectory() as place:
        folders = []
        for number in range(FOLDERS):
            program = programs[number % len(programs)].read_bytes()
            files: dict[str, str | bytes] = {
                "train_gpt.py": program,
                "train.log": log_text(code=len(program), model=15_000_000),
            }
            folders.append(submission(Path(place) / f"{number:03}", files))
        start = time.perf_counter()
        gb.check(folders[0])
        one = time.perf_counter() - start
        for packed, what in ((False, "as a table"), (True, "with packed lengths, as for JSON")):
            start = time.perf_counter()
            gb.check(*folders, packed=packed)
            many = time.perf_counter() - start
            print(f"check of {FOLDERS} folders {what}: {many:.1f} s; one alone, with its packed length: {one:.2f} s")


def packing() -> None:
    """Every program against what people pack by hand around the same minified source, with and without brotli."""
    programs = modules()
    for allow in ((), ("brotli",)):
        won, larger = [], []
        for path in programs:
            packed = pack_code(path.read_bytes(), name=path.name, allow=allow)
            hand = min(map(len, by_hand(packed.source, with_brotli=bool(allow))))
            won.append(1 - packed.length / hand)
            if packed.length > hand:
                larger.append(path.name)
        told = f"{100 * sum(won) / len(won):.2f} % smaller than by hand; larger: {', '.join(larger) or 'none'}"
        print(f"pack-code of {len(programs)} programs, {'brotli' if allow else 'standard library'}: {told}")


def main() -> None:
    batch()
    packing()


if __name__ == "__main__":
    main()
