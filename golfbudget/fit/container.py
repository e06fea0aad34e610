"""The same tensors in the container that is smallest once the program that reads it is counted."""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from golfbudget.decoding.framework import Framework
from golfbudget.decoding.run import compose, decoder
from golfbudget.repacking import repack

_NAME = "model.fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A file, and the program that reads it: its source, and its bytes as `pack-code` packs it."""

    data: bytes
    container: str
    loader: str
    loader_bytes: int

    @property
    def counted(self) -> int:
        return len(self.data) + self.loader_bytes


def as_written(data: bytes) -> Loaded:
    """The file as it is, with the shorter of its two loaders, which was run on it."""
    with tempfile.TemporaryDirectory(prefix="golfbudget-") as folder:
        path = Path(folder) / _NAME
        path.write_bytes(data)
        # Which is shorter a quick codec tells; packing a program well takes long.
        sources = {framework: compose(path, framework).source for framework in Framework}
        least = decoder(path, min(sources, key=lambda framework: len(zlib.compress(sources[framework].encode(), 9))))
    return Loaded(data=data, container=least.composed.chain[-1], loader=least.source, loader_bytes=least.packed.length)


def repacked(data: bytes, jobs: int) -> bytes | None:
    """The same tensors in fewer bytes, opened again and compared; None where there are none fewer."""
    with tempfile.TemporaryDirectory(prefix="golfbudget-") as folder:
        path = Path(folder) / _NAME
        path.write_bytes(data)
        return repack(path, jobs=jobs).data
