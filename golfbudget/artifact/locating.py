"""Which file or files a path means: a file, a folder opened as the libraries would, or a checkpoint in shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, structs

from golfbudget.artifact.files import is_there, read_json
from golfbudget.artifact.folders import FolderChoice, choose
from golfbudget.artifact.indexes import INDEX_SUFFIX, listed_files, part_of
from golfbudget.errors import GolfbudgetError, UsageError, readable
from golfbudget.hub import refuse_hub_path

CONFIG = "config.json"


class Location(Struct, frozen=True, kw_only=True):
    """Where an artifact lies: its files in order, the index that lists them, the configuration beside them.

    With `pieces` the files may each hold a piece of every tensor.  `part_of` says of what larger checkpoint a file is
    only a part, `notes` what was chosen and what was found wrong beside it.
    """

    path: Path
    files: tuple[Path, ...]
    index: Path | None = None
    pieces: bool = False
    part_of: str | None = None
    config: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, folder: Path, choice: FolderChoice, config: Mapping[str, object] | None, notes: tuple[str, ...]
    ) -> Location:
        """What was chosen of a folder; `config` is what stands beside it, with the `notes` on that."""
        whole = choice.index is not None or len(choice.files) > 1
        return cls(
            path=folder if whole else choice.files[0],
            files=choice.files,
            index=choice.index,
            pieces=choice.pieces,
            config=config,
            notes=(choice.note, *notes) if choice.note else notes,
        )


def locate(path: Path) -> Path:
    """The one file that a path means; `UsageError` where it means none or several."""
    place = locate_all(path)
    if len(place.files) > 1 or place.index is not None:
        raise UsageError(f"{path}: {len(place.files)} files make up this checkpoint, expected one file; name it")
    return place.files[0]


def locate_all(path: Path) -> Location:
    """The files behind a path; `UsageError` when it means none or several, `CorruptError` for a bad index."""
    refuse_hub_path(path, "this takes files that are here; {download}, and name DIR")
    with readable(path):
        return _located(path)


def _located(path: Path) -> Location:
    if path.is_dir():
        choice = choose(path)
        place = Location.of(path, choice, *_config(choice.files[0].parent))
        return place if place.path == path else structs.replace(place, part_of=part_of(place.path))
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    if not path.is_file():
        raise UsageError(f"{path}: not a regular file")
    config, notes = _config(path.parent)
    if path.name.endswith(INDEX_SUFFIX):
        return Location(path=path, files=listed_files(path), index=path, config=config, notes=notes)
    return Location(path=path, files=(path,), part_of=part_of(path), config=config, notes=notes)


def _config(folder: Path) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
    """The settings of a folder's `config.json`, None where there is none that is an object, and what is wrong with it.

    A file is not refused for what stands beside it.
    """
    config = folder / CONFIG
    return settings(str(config), lambda: read_json(config)) if is_there(config) else (None, ())


def settings(where: str, read: Callable[[], object]) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
    """The same of a `config.json` that is there, which messages call `where` and `read` gives the value of."""
    try:
        value = read()
    except GolfbudgetError as error:
        return None, (f"{CONFIG} was not used: {str(error).removeprefix(f'{where}: ')}",)
    if not isinstance(value, dict):
        return None, (f"{CONFIG} was not used: it holds no JSON object",)
    return value, ()
