"""`make bench`: how long things take, as ratios to something else on the same machine; nothing here can fail a build.

Start-up of `golfbudget inspect` on a safetensors file is compared with an interpreter that imports typer and
rich; opening a compressed artifact with decoding it once; attribution with plain decoding, per codec.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from golfbudget import codecs, example
from golfbudget.artifact import open_artifact

ROUNDS = 9


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratio(a: Callable[[], object], b: Callable[[], object]) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios a/b pair by pair, after one round not counted."""
    pairs = [(seconds(a), seconds(b)) for _ in range(ROUNDS + 1)][1:]
    return (
        statistics.median(x for x, _ in pairs),
        statistics.median(y for _, y in pairs),
        statistics.median(x / y for x, y in pairs),
    )


def process(*command: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    def show(label: str, against: str, found: tuple[float, float, float]) -> None:
        print(f"{label:<44} {1000 * found[0]:8.1f} ms   {found[2]:6.2f} x {against} ({1000 * found[1]:.1f} ms)")

    inspect = process("-m", "golfbudget", "inspect", str(example.CHECKPOINT))
    libraries = process("-c", "import typer, rich.console, rich.table")
    show("inspect of a safetensors file", "an interpreter importing typer and rich", ratio(inspect, libraries))
    show("inspect of a safetensors file", "a bare interpreter", ratio(inspect, process("-c", "pass")))

    payload = np.clip(np.random.default_rng(0).normal(0, 6, 2_000_000), -31, 31).astype(np.int8).tobytes()
    cuts = [*range(0, len(payload), len(payload) // 200), len(payload)]
    for name, codec in codecs.registered().items():
        if name == "none":
            continue
        stored = codec.encode(payload, min(codec.default_level, 9))

        def attribute(codec: codecs.Codec = codec, stored: bytes = stored) -> None:
            codecs.attribute(codecs.decode(codec, stored, where=codec.name), cuts)

        def decode(codec: codecs.Codec = codec, stored: bytes = stored) -> None:
            decoder = codec.decoder()
            decoder.feed(stored)
            while not decoder.finished:
                decoder.feed(b"")

        show(f"decode and attribute 2 MB of {name}", "one plain decode", ratio(attribute, decode))
    show(
        "open the example's artifact",
        "importing numpy",
        ratio(lambda: open_artifact(example.ARTIFACT), process("-c", "import numpy")),
    )


if __name__ == "__main__":
    main()
