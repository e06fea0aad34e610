"""The files behind a source: one, or the shards of a folder; known together by one hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from golfbudget.artifact.locating import locate_all
from golfbudget.errors import UsageError
from golfbudget.hashing import file_hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """`path` is what opens them all: the one file, or the folder (or index) of shards.  `folder` is where they lie."""

    path: Path
    files: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        return self.files[0].parent

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def sha256(self) -> str:
        """Of the bytes of all files one after another, an index first: what `inspect` prints."""
        return file_hashes(self.files)[0]


def source_files(path: Path) -> SourceFiles:
    """What a path means; `UsageError` for none, for several models, and for files that hold pieces of each tensor."""
    place = locate_all(path)
    if place.pieces:
        raise UsageError(
            f"{path}: its {len(place.files)} files each hold a piece of every tensor; planning takes whole tensors: "
            "join them first"
        )
    index = () if place.index is None else (place.index,)
    return SourceFiles(path=place.path, files=(*index, *place.files))
