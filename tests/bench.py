"""`make bench`: how long things take, as ratios to something else on the same machine; nothing here can fail a build.

    python tests/bench.py [--page docs/speed.md] [--only PART]…

Start-up of `golfbudget inspect` on a safetensors file is compared with an interpreter that imports typer and
rich, both with their byte code kept; the demo beside two busy processes with the demo alone; opening the
example's artifact with importing numpy; decoding and attributing an artifact of 23 MB, per codec, with one plain
decode by the codec's own library; and the memory that opening such an artifact takes.  Then `bench_schemes`:
seconds to encode a head by every scheme, and the search of `repack`; `bench_submissions`; and `bench_executors`: a
sweep of 100 estimates by workers of an executor.  With --page the rows of that page's table are made again, those of
the parts that ran.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import lzma
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench_executors
import bench_schemes
import bench_submissions
import brotli
import numpy as np
import safetensors.torch
import torch
import zstandard
from bench_page import Timing, rewritten

from golfbudget import codecs, example, formats
from golfbudget.artifact import open_artifact
from golfbudget.formats.foresight.foreseer import Foreseer

ROUNDS = 9
#: Matrices of int6 values in int8, each with a scale per row; with their names about 16 MB in every codec.
MATRICES, ROWS, COLUMNS = 90, 512, 496

#: Run by a small process of its own: what a process inherits from a large parent counts as its own peak.
LAUNCH = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
OPEN = """
import importlib, resource, sys
from pathlib import Path
from golfbudget import codecs
from golfbudget.artifact import open_artifact
importlib.import_module(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_artifact(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratio(
    a: Callable[[], object], b: Callable[[], object], rounds: int = ROUNDS, *, unmeasured: int = 1
) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios a/b pair by pair, after a round not counted."""
    pairs = [(seconds(a), seconds(b)) for _ in range(rounds + unmeasured)][unmeasured:]
    return (
        statistics.median(x for x, _ in pairs),
        statistics.median(y for _, y in pairs),
        statistics.median(x / y for x, y in pairs),
    )


def process(*command: str) -> Callable[[], object]:
    # Whatever is set here, byte code is written in a first run and read in the others.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True, env=environment)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes beside what is measured, each with a core's worth of work."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.wait()


def demo() -> Iterator[Timing]:
    """The whole demo, nothing kept from before: alone, and beside two processes that never rest."""
    run = process("-m", "golfbudget", "demo", "--no-cache", "--quiet")
    alone = seconds(run)
    yield Timing(what="the demo, nothing kept", takes=f"{alone:.0f} s")
    with busy(2):
        crowded = seconds(run)
    show("the demo beside two busy processes", "the demo alone", (crowded, alone, crowded / alone))
    yield Timing(what="the demo beside two busy processes", takes=f"{crowded / alone:.2f} x", against="the demo alone")


def show(label: str, against: str, found: tuple[float, float, float], more: str = "") -> None:
    print(f"{label:<44} {1000 * found[0]:8.1f} ms   {found[2]:6.2f} x {against} ({1000 * found[1]:.1f} ms){more}")


def weights() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    made: dict[str, torch.Tensor] = {}
    for i in range(MATRICES):
        values = np.clip(rng.normal(0, 10, (ROWS, COLUMNS)), -31, 31).astype(np.int8)
        made[f"blocks.{i}.mlp.fc.weight.q"] = torch.from_numpy(values)
        made[f"blocks.{i}.mlp.fc.weight.scale"] = torch.from_numpy(rng.uniform(0.01, 0.02, ROWS).astype(np.float16))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One codec: how the artifact is stored, the library's one-shot decoder, and how often it is measured."""

    codec: str
    settings: str
    encode: Callable[[bytes], bytes]
    plain: Callable[[bytes], bytes]
    library: str
    rounds: int = 9


def cases() -> list[Case]:
    def deflated(data: bytes) -> bytes:
        return codecs.get("deflate").encode(data, 6)

    return [
        Case(
            codec="zlib",
            settings="level 6",
            encode=lambda d: zlib.compress(d, 6),
            plain=zlib.decompress,
            library="zlib",
        ),
        Case(
            codec="gzip",
            settings="level 6",
            encode=lambda d: codecs.get("gzip").encode(d, 6),
            plain=gzip.decompress,
            library="gzip",
        ),
        Case(
            codec="deflate",
            settings="level 6",
            encode=deflated,
            plain=lambda d: zlib.decompress(d, -zlib.MAX_WBITS),
            library="zlib",
        ),
        Case(
            codec="brotli",
            settings="quality 5, as 11 takes minutes; window 2^24",
            encode=lambda d: brotli.compress(d, quality=5, lgwin=24),
            plain=brotli.decompress,
            library="brotli",
        ),
        Case(
            codec="zstd",
            settings="level 19",
            encode=lambda d: zstandard.ZstdCompressor(level=19).compress(d),
            plain=lambda d: zstandard.ZstdDecompressor().decompress(d),
            library="zstandard",
            rounds=3,
        ),
        Case(
            codec="xz",
            settings="preset 6",
            encode=lambda d: lzma.compress(d, preset=6),
            plain=lzma.decompress,
            library="lzma",
            rounds=3,
        ),
        Case(
            codec="lzma",
            settings="preset 1",
            encode=lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE, preset=1),
            plain=lzma.decompress,
            library="lzma",
            rounds=3,
        ),
        Case(codec="bz2", settings="level 9", encode=bz2.compress, plain=bz2.decompress, library="bz2", rounds=3),
    ]


def peak(path: Path, library: str) -> float:
    """Megabytes that opening adds to a process which has imported what it needs; the mapped file counts, too."""
    command = [sys.executable, "-c", LAUNCH, OPEN, str(path), library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1000


def measure(case: Case, container: str, data: bytes, cuts: list[int], folder: Path) -> tuple[float, float, float]:
    """Seconds to decode and attribute, those of one plain decode, and their ratio."""
    stored = case.encode(data)
    path = folder / f"{case.codec}.ptz"
    path.write_bytes(stored)
    codec = codecs.get(case.codec)

    def attribute() -> None:
        stream = codecs.decode(codec, stored, where=case.codec, foresee=Foreseer())
        codecs.attribute(stream, cuts)

    found = ratio(attribute, lambda: case.plain(stored), case.rounds, unmeasured=int(case.rounds > 3))
    show(
        f"decode and attribute {container} in {case.codec}",
        "one plain decode",
        found,
        f"; {len(stored) / 1e6:.1f} MB ({case.settings}); opening takes {peak(path, case.library):.0f} MB",
    )
    return found


def start_up() -> Iterator[Timing]:
    """A reading command, against what it cannot do without."""
    inspect = process("-m", "golfbudget", "inspect", str(example.CHECKPOINT))
    libraries = process("-c", "import typer, rich.console, rich.table")
    found = ratio(inspect, libraries)
    show("inspect of a safetensors file", "an interpreter importing typer and rich", found)
    against = "an interpreter that imports typer and rich"
    yield Timing(what="`inspect` of a small safetensors file", takes=f"{found[2]:.2f} x", against=against)
    show("inspect of a safetensors file", "a bare interpreter", ratio(inspect, process("-c", "pass")))
    show(
        "open the example's artifact",
        "importing numpy",
        ratio(lambda: open_artifact(example.ARTIFACT), process("-c", "import numpy")),
    )


def attribution() -> Iterator[Timing]:
    """Every codec, over a container of many tensors."""
    state = weights()
    out = io.BytesIO()
    torch.save({"w": state, "m": {name: {"type": "int6"} for name in state}}, out)
    containers = {"torch-zip": out.getvalue(), "safetensors": safetensors.torch.save(state)}
    with tempfile.TemporaryDirectory() as folder:
        for container, data in containers.items():
            contents = formats.get(container).read(data, where=container)
            regions = contents.regions if contents else ()
            cuts = sorted({0, len(data), *(region.span.stop for region in regions)})
            print(f"{container}: {len(data) / 1e6:.1f} MB decoded, {len(state)} tensors, {len(cuts) - 1} ranges")
            for case in cases() if container == "torch-zip" else cases()[:1]:
                found = measure(case, container, data, cuts, Path(folder))
                if container == "torch-zip" and case.codec not in ("lzma", "bz2"):
                    what = f"decode and attribute {len(data) / 1e6:.0f} MB in {case.codec}"
                    against = f"one plain decode, {found[1]:.2f} s"
                    yield Timing(what=what, takes=f"{found[2]:.2f} x, {found[0] - found[1]:+.2f} s", against=against)


#: What each prints, and its rows of the page.
PARTS: dict[str, Callable[[], Iterable[Timing]]] = {
    "start-up": start_up,
    "attribution": attribution,
    "submissions": bench_submissions.batch,
    "executors": bench_executors.sweep,
    "repack": bench_schemes.repacking,
    "demo": demo,
    "schemes": bench_schemes.encoding,
    "packing": bench_submissions.packing,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="How long things take, as ratios.")
    parser.add_argument("--page", type=Path, help="page whose table is made again")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="parts to run; default: all")
    given = parser.parse_args()
    for name, part in PARTS.items():
        if given.only and name not in given.only:
            continue
        timings = list(part())
        if given.page is not None and timings:
            given.page.write_text(rewritten(given.page.read_text(encoding="utf-8"), timings), encoding="utf-8")


if __name__ == "__main__":
    main()
