"""Part of `make bench`: encoding a head of 8192 x 512 by each scheme, bits a weight by coder, the search of `repack`.

Seconds on one core; each scheme is timed once, with options from the middle of what a plan tries, or cheaper ones where
k-means would take minutes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from bench_page import Timing

from golfbudget import codecs, example, schemes
from golfbudget.codecs.rans import encoding as rans
from golfbudget.plan.grids import HEAD, TRUNK, grid, label
from golfbudget.repacking import repack
from golfbudget.schemes import Context, Options
from golfbudget.schemes.threads import one_thread

ROWS, COLUMNS = 8192, 512
#: Codebooks of a size at which one run of k-means takes seconds.
_CHEAPER: dict[str, Options] = {
    "vq-logits": {"codes": 256},
    "vq-logits-int": {"codes": 256, "bits": 8},
    "vq-logits-bias": {"codes": 256, "bits": 8, "bias_bits": 8},
    "vq-logits-explicit": {"codes": 256, "explicit": 512, "bits": 8},
    "vq-logits-residual": {"codes": 256, "rank": 128, "bits": 8},
    "product": {"groups": 128, "codes": 256, "bits": 8},
    "residual": {"stages": 4, "codes": 256, "bits": 8},
    "grouped": {"groups": 64, "bits": 8},
}


def head(generator: torch.Generator) -> torch.Tensor:
    """Rows around some hundred directions, of sizes that fall with the token's number, as trained ones are."""
    directions = torch.randn(300, COLUMNS, generator=generator)
    mixed = torch.randn(ROWS, 300, generator=generator) @ directions / 300**0.5
    sizes = (torch.arange(ROWS)[:, None] + 3.0).log().mul(-0.1).exp()
    return torch.add(mixed, torch.randn(ROWS, COLUMNS, generator=generator), alpha=0.5).mul(sizes)


def bits_by_coder(context: Context) -> None:
    """Gaussian rows at the error of int6 with k = 12.85: what scalars and a trellis take under brotli and rANS.

    A process's peak of memory never falls, so what is said of a scheme is what it adds to those before.
    """
    matrix = torch.randn(ROWS // 4, COLUMNS, generator=torch.Generator().manual_seed(1))
    weights, first = matrix.numel(), None
    print(f"bits a weight at equal error, {ROWS // 4} x {COLUMNS}, one thread")
    tried: list[tuple[str, Options, Context]] = [
        ("clipped", {"bits": 6, "clip": 12.85}, Context()),
        ("trellis", {"step": 0.232}, Context()),
        ("trellis", {"step": 0.232}, context),
        ("trellis-gptq", {"step": 0.232}, context),
    ]
    for name, options, known in tried:
        scheme, before = schemes.get(name), _peak()
        with one_thread():
            start = time.perf_counter()
            encoded = scheme.encode(matrix, options, known)
            took = time.perf_counter() - start
        values = encoded.tensor("values").numpy().tobytes()
        states = 8 if name.startswith("trellis") else None
        brotli_bits = 8 * len(codecs.get("brotli").encode(values, 11)) / weights
        rans_bits = 8 * len(rans.encode(values, rows=ROWS // 4, states=states)) / weights
        first = first or (took, brotli_bits)
        moment = ", second moments" if known.covariance is not None else ""
        print(
            f"  {label(scheme, options) + moment:<34} {took:6.2f} s ({took / first[0]:.1f} x) "
            f"brotli {brotli_bits:.3f} ({100 * brotli_bits / first[1] - 100:+.1f} %) rANS {rans_bits:.3f} "
            f"({100 * rans_bits / first[1] - 100:+.1f} %), {_peak() - before:+.0f} MiB",
            flush=True,
        )


def _peak() -> float:
    """MiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def encoding() -> tuple[Timing, ...]:
    """Every scheme on one head, and what coders make of Gaussian rows."""
    generator = torch.Generator().manual_seed(0)
    matrix = head(generator)
    inputs = torch.randn(2048, COLUMNS, generator=generator)
    counts = (1e7 / (torch.arange(ROWS) + 2.7)).long()
    context = Context(counts=counts, covariance=(inputs.T @ inputs / len(inputs)).double())
    print(f"encode a head of {ROWS} x {COLUMNS}, one thread")
    for name, scheme in schemes.registered().items():
        tried = grid(HEAD if name in HEAD else TRUNK, scheme, ROWS, COLUMNS)
        if not tried:
            continue
        options = _CHEAPER.get(name, tried[len(tried) // 2])
        with one_thread():
            start = time.perf_counter()
            encoded = scheme.encode(matrix, options, context)
            took = time.perf_counter() - start
            decoded = scheme.decode(encoded)
        error = float((decoded - matrix).square().sum() / matrix.square().sum())
        text = label(scheme, options)
        print(f"  {text:<40} {took:8.2f} s  {encoded.raw_bytes:>12,} raw bytes  error {100 * error:7.3f} %", flush=True)
    bits_by_coder(context)
    return ()


def repacking() -> Iterator[Timing]:
    """The whole search, on one and on two threads."""
    for jobs in (1, 2):
        start = time.perf_counter()
        packed = repack(Path(example.ARTIFACT), jobs=jobs)
        took = time.perf_counter() - start
        kept = packed.original_bytes if packed.data is None else len(packed.data)
        sizes = f"{packed.original_bytes:,} to {kept:,} bytes"
        print(f"repack the example's artifact, {jobs} at a time: {took:.1f} s, {sizes}")
    yield Timing(what="`repack` of the example's artifact", takes=f"{took:.1f} s")
