"""Which files of a repository of the Hub a path means: the folder chosen as one on a disk is, its small files read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golfbudget.artifact.files import JSON_LIMIT, parsed_json
from golfbudget.artifact.folders import MODEL_SUFFIXES, choose_listed
from golfbudget.artifact.indexes import INDEX_SUFFIX, few, listed_files, part_of, weight_map_of
from golfbudget.artifact.locating import CONFIG, Location, settings
from golfbudget.errors import CorruptError, UsageError
from golfbudget.hub import HubAddress
from golfbudget.hub.downloads import download, offline
from golfbudget.hub.listings import ListedFile, Repository, list_repository
from golfbudget.hub.ranges import RangeReader

#: What stands beside weights and says what they are, by the names under which libraries look for it.
_BESIDE = frozenset(
    {
        *(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja"),
    }
)


class RepositoryFiles:
    """A repository's files, the small ones read whole and kept; of the others their beginnings are for the taking."""

    def __init__(self, address: HubAddress) -> None:
        self.asked = address
        self.repository: Repository = list_repository(address)
        self.reader = RangeReader(self.repository)
        self._small: dict[str, bytes] = {}

    def file(self, path: Path) -> ListedFile:
        return self.repository.files[path.as_posix()]

    def where(self, path: Path) -> str:
        return self.repository.place(path.as_posix())

    def json(self, path: Path) -> object:
        """The value of a JSON file; errors as of `read_json`."""
        file, where = self.file(path), self.where(path)
        if file.size > JSON_LIMIT:
            raise CorruptError(f"{where}: {file.size} bytes, expected JSON of at most {JSON_LIMIT}")
        return parsed_json(self.small(path), where)

    def small(self, path: Path) -> bytes:
        """A whole file."""
        file = self.file(path)
        if file.name not in self._small:
            self._small[file.name] = self.reader.read(file, 0, file.size)
        return self._small[file.name]

    def weight_map(self, index: Path) -> Mapping[str, str]:
        return weight_map_of(self.json(index), self.where(index))


def locate_in(files: RepositoryFiles) -> Location:
    """The checkpoint that the address names, its paths relative to the repository; errors as of `locate_all`."""
    path = Path(files.repository.address.path)
    if path.as_posix() in files.repository.files:
        return _one(files, path)
    here, folders = _folder(files.repository, path)
    if not here and not folders:
        held = few(sorted(files.repository.files)) or "no files"
        raise UsageError(f"{files.asked}: the repository has no such file; it holds {held}")
    choice = choose_listed(str(files.repository.address), here, files.weight_map, folders)
    return Location.of(path, choice, *_config(files, here))


def _one(files: RepositoryFiles, path: Path) -> Location:
    """A file that was named, or an index and what it lists."""
    beside, _ = _folder(files.repository, path.parent)
    config, notes = _config(files, beside)
    if path.name.endswith(INDEX_SUFFIX):
        listed = listed_files(path, read=files.weight_map, there=set(beside).__contains__)
        return Location(path=path, files=listed, index=path, config=config, notes=notes)
    part = part_of(path, beside, read=files.weight_map)
    return Location(path=path, files=(path,), part_of=part, config=config, notes=notes)


def _folder(repository: Repository, folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder, and those of its folders that hold weights."""
    paths = [Path(name) for name in repository.files]
    inside = {path.relative_to(folder).parts[0] for path in paths
              if path.is_relative_to(folder) and path.parent != folder and path.suffix in MODEL_SUFFIXES}  # fmt: skip
    return sorted(path for path in paths if path.parent == folder), sorted(inside)


def _config(files: RepositoryFiles, beside: list[Path]) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
    config = next((path for path in beside if path.name == CONFIG), None)
    return (None, ()) if config is None else settings(files.where(config), lambda: files.json(config))


def fetch(address: HubAddress, *, shown: bool) -> Path:
    """Where a checkpoint lies once it is in the library's cache: weights, their index, and what stands beside them.

    Offline, what the cache has is taken for all there is.  `shown` lets the library draw its bars.  Raises the errors
    of `locate_in`, and `UsageError` where a download fails.
    """
    if offline():
        return download(address, (CONFIG,), shown=shown) / address.path
    files = RepositoryFiles(address)
    place = locate_in(files)
    beside, _ = _folder(files.repository, place.files[0].parent)
    about = [path for path in beside if path.name in _BESIDE or path.suffix == ".py"]
    index = () if place.index is None else (place.index,)
    names = [path.as_posix() for path in dict.fromkeys((*index, *place.files, *about))]
    # By the revision as it was given: the cache then knows which commit that is, should there be no network later.
    folder = download(address, names, shown=shown)
    if folder.name != files.repository.address.revision:
        raise UsageError(f"{address}: the revision moved to {folder.name[:80]} while it was read; try again")
    return folder / address.path
