"""The same tensors in the container that is smallest once the program that reads it is counted."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from golfbudget.decoding.framework import Framework
from golfbudget.decoding.run import Composed, compose, proved
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


@contextmanager
def shorter_loader(data: bytes) -> Iterator[Composed]:
    """The shorter of the two loaders of a file, which a quick codec tells: packing a program well takes long."""
    with _laid_down(data) as path:
        both = [compose(path, framework) for framework in Framework]
        yield min(both, key=lambda one: len(zlib.compress(one.source.encode(), 9)))


def as_written(data: bytes) -> Loaded:
    """The file as it is, with the shorter of its two loaders, which was run on it."""
    with shorter_loader(data) as composed:
        least = proved(composed)
    return Loaded(data=data, container=composed.chain[-1], loader=least.source, loader_bytes=least.packed.length)


def repacked(data: bytes, jobs: int) -> bytes | None:
    """The same tensors in fewer bytes, opened again and compared; None where there are none fewer."""
    with _laid_down(data) as path:
        return repack(path, jobs=jobs).data


@contextmanager
def _laid_down(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="golfbudget-") as folder:
        path = Path(folder) / _NAME
        path.write_bytes(data)
        yield path
