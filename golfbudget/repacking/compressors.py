"""Each codec at the best settings that a plain call of its library decodes again, many at a time."""

from __future__ import annotations

import hashlib
import platform
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from golfbudget.codecs.rans.encoding import SymbolRun, encode_runs
from golfbudget.progress import Progress
from golfbudget.repacking.settings import TUNED, brotli_stream, lzma_file, tuned
from golfbudget.workers import in_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForm:
    """A run of a stream under rANS: its bytes, and for a trellis-coded matrix its rows and the machine's states."""

    length: int
    rows: int = 1
    states: int | None = None


#: Longer data is tried with LZMA's own defaults only: each further setting takes as long as the first.
_LONGEST_SEARCHED = 1 << 18
#: Literal-context, literal-position and position bits of LZMA: its defaults, bytes without context, wide numbers.
_CONTEXTS = ((3, 0, 2), (0, 0, 0), (0, 2, 2), (1, 1, 1))
#: zstd decoders accept windows up to this without being asked to.
_WINDOW_LOG = range(10, 28)
#: From here on matches may lie further apart than zstd's ordinary search looks.
_LONG = 1 << 23


def _zlib(data: bytes) -> bytes:
    ways = (zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, memory) for memory in (9, 8))
    return min((deflate.compress(data) + deflate.flush() for deflate in ways), key=len)


def _lzma(data: bytes) -> bytes:
    contexts = _CONTEXTS if len(data) <= _LONGEST_SEARCHED else _CONTEXTS[:1]
    return min((lzma_file(data, settings) for settings in contexts), key=len)


def _zstd(data: bytes) -> bytes:
    import zstandard

    window = min(_WINDOW_LOG[-1], max(_WINDOW_LOG[0], (max(1, len(data)) - 1).bit_length()))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        22, source_size=len(data), window_log=window, enable_ldm=len(data) >= _LONG, write_checksum=False
    )
    return bytes(zstandard.ZstdCompressor(compression_params=parameters).compress(data))


def _brotli(data: bytes) -> bytes:
    return brotli_stream(data, (0, 24, 0))


def quick(data: bytes) -> int:
    """Bytes by brotli at level 5: a guess at what brotli at level 11 makes of it, forty times as fast."""
    import brotli

    return len(brotli.compress(data, quality=5, lgwin=24))


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "zlib": _zlib, "lzma": _lzma, "zstd": _zstd}
COMPRESSORS["brotli"] = _brotli


def tools() -> Iterator[tuple[str, str]]:
    """Every compressor's library and version: the sizes depend on them."""
    import brotli
    import zstandard

    yield "brotli", brotli.__version__
    yield "lzma", f"python {platform.python_version()}"
    yield "zlib", zlib.ZLIB_RUNTIME_VERSION
    yield "zstd", ".".join(map(str, zstandard.ZSTD_VERSION))


@dataclass(slots=True)
class Compressor:
    """Compresses side by side in so many threads, and never the same bytes twice."""

    jobs: int
    progress: Progress
    known: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    steps: int = 0

    def encode(self, tasks: Sequence[tuple[str, bytes]], label: str) -> list[bytes]:
        """What each (codec, data) compresses to, in the order given."""
        keys = [_key(codec, data) for codec, data in tasks]
        missing = {key: task for key, task in zip(keys, tasks, strict=True) if key not in self.known}
        # The longest first, so that no thread is left alone with it at the end.
        order = sorted(missing, key=lambda key: -len(missing[key][1]))
        for key, made in zip(order, self._run(_compressed, [missing[key] for key in order], label), strict=True):
            self.known[key] = made
        return [self.known[key] for key in keys]

    def tune(self, tasks: Sequence[tuple[str, bytes]], label: str) -> int:
        """Try (codec, data) at other settings of their codecs; what comes out shorter is remembered and counted."""
        able = [task for task in dict.fromkeys(tasks) if task[0] in TUNED]
        before = self.encode(able, label)
        after = self._run(tuned, able, label)
        shorter = [(task, new) for task, old, new in zip(able, before, after, strict=True) if len(new) < len(old)]
        self.known.update({_key(codec, data): new for (codec, data), new in shorter})
        return len({data for (_, data), _ in shorter})

    def coded(self, data: bytes, forms: Sequence[RunForm]) -> bytes:
        """A stream under rANS, in these runs."""
        key = ("rans", hashlib.sha256(repr(forms).encode() + data).digest())
        if key not in self.known:
            self.steps += 1
            self.progress("coder", self.steps)
            stops = list(accumulate(form.length for form in forms))
            runs = [
                SymbolRun(symbols=data[stop - form.length : stop], rows=form.rows, states=form.states)
                for form, stop in zip(forms, stops, strict=True)
            ]
            self.known[key] = encode_runs(runs)
        return self.known[key]

    def _run(
        self, compress: Callable[[str, bytes], bytes], tasks: Sequence[tuple[str, bytes]], label: str
    ) -> list[bytes]:
        self.steps += len(tasks)
        compressed, made = in_threads(lambda task: compress(*task), tasks, self.jobs), dict[int, bytes]()
        for _ in tasks:
            self.progress(label, self.steps)
            made.update([next(compressed)])
        return [made[number] for number in range(len(tasks))]


def _compressed(codec: str, data: bytes) -> bytes:
    return COMPRESSORS[codec](data)


def _key(codec: str, data: bytes) -> tuple[str, bytes]:
    return codec, hashlib.sha256(data).digest()
