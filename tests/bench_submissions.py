"""How long many submissions take, and what packing wins on the largest modules of the standard library."""

from __future__ import annotations

import ast
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench_page import Timing
from support.programs import by_hand, by_minifier
from support.standins import log_text, submission

import golfbudget as gb
from golfbudget.code_packing import pack_code

#: Folders of a batch, and the programs that are packed: bytes from, bytes to.
FOLDERS = 100
SIZES = (20_000, 160_000)


def modules() -> list[Path]:
    """The standard library's modules of the lengths that contest programs have."""
    found = sorted(Path(ast.__file__).parent.glob("*.py"))
    return [path for path in found if SIZES[0] <= path.stat().st_size <= SIZES[1]]


def batch() -> Iterator[Timing]:
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
            if not packed:
                yield Timing(what=f"`check` of {FOLDERS} submissions", takes=f"{many:.1f} s")


def packing() -> tuple[Timing, ...]:
    """Every program against what people pack by hand: minified by python-minifier's defaults, and as it is here.

    The defaults change what programs show of themselves (`programs.by_minifier`); only printable text can lose to
    them, and by that alone.
    """
    brotli = ("brotli",)
    for title, allow, printable in (
        ("standard library", (), False),
        ("brotli", brotli, False),
        ("base 85", brotli, True),
    ):
        won: list[float] = []
        larger, beyond = [], []
        for path in modules():
            source = path.read_bytes()
            packed = pack_code(source, name=path.name, allow=allow, printable=printable)
            minified = by_minifier(source), packed.source
            hand, same = (min(map(len, by_hand(one, with_brotli=bool(allow)))) for one in minified)
            print(f"{title:16} {path.name:24} {packed.length:7,}, by hand {hand:7,}, of the same source {same:7,}")
            won.append(1 - packed.length / hand)
            beyond.append(packed.length - same)
            if packed.length > hand:
                larger.append(f"{path.name} by {packed.length - hand}")
        told = f"{100 * sum(won) / len(won):.2f} % smaller than by hand, larger: {', '.join(larger) or 'none'}"
        print(f"pack-code of {len(won)} programs, {title}: {told}; {max(beyond):+} bytes at most of the same source")
    return ()
