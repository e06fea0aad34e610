"""Which file or files a path means: a file, a folder with one model file, or a checkpoint in shards."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from msgspec import Struct

from golfbudget.codecs import Buffer
from golfbudget.errors import CorruptError, UsageError

#: Suffixes under which people ship models, for finding the one artifact of a folder.
MODEL_SUFFIXES = (".safetensors", ".ptz", ".pt", ".pth", ".bin", ".npz", ".gguf")
INDEX_SUFFIX = ".index.json"
_CONFIG = "config.json"
#: An index of a hundred thousand tensors takes 10 MB.
_JSON_LIMIT = 1 << 27


class Location(Struct, frozen=True, kw_only=True):
    """Where an artifact lies: its files in order, the index that lists them, the configuration beside them."""

    path: Path
    files: tuple[Path, ...]
    index: Path | None = None
    config: Path | None = None


def locate(path: Path) -> Path:
    """The file to open: `path` itself, or the only model file of a folder.  `UsageError` otherwise."""
    try:
        return _one_file(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def locate_all(path: Path) -> Location:
    """The files behind a path; `UsageError` when it means none or several, `CorruptError` for a bad index."""
    try:
        index = _index(path)
        if index is not None:
            return Location(path=path, files=_shards(index), index=index, config=_beside(index))
        file = _one_file(path)
        return Location(path=file, files=(file,), config=_beside(file) if path.is_dir() else None)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def read_file(path: Path) -> Buffer:
    """A file's bytes, mapped."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise CorruptError(f"{path}: the file is empty, expected a model artifact")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def read_config(config: Path | None) -> Mapping[str, object] | None:
    """The settings of a `config.json`; None where there is none, or none that is an object."""
    settings = None if config is None else _json(config)
    return settings if isinstance(settings, dict) else None


def weight_map(index: Path) -> dict[str, str]:
    """Tensor name to file name, as an index says; `CorruptError` when it is none."""
    listing = _json(index)
    entries = listing.get("weight_map") if isinstance(listing, dict) else None
    if not isinstance(entries, dict) or not entries or not all(isinstance(v, str) for v in entries.values()):
        raise CorruptError(f'{index}: expected an object with a "weight_map" from tensor names to file names')
    for name, file in entries.items():
        if not file or file in (".", "..") or PurePosixPath(file).name != file or "\\" in file or "\0" in file:
            place = f"{index}: tensor {name[:80]!r}"
            raise CorruptError(f"{place} is in {file[:80]!r}, which is no file of the same folder")
    return entries


def _index(path: Path) -> Path | None:
    if path.is_dir():
        indexes = sorted(p for p in path.iterdir() if p.is_file() and p.name.endswith(INDEX_SUFFIX))
        if len(indexes) > 1:
            names = ", ".join(p.name for p in indexes[:6])
            raise UsageError(f"{path}: the folder holds {len(indexes)} indexes ({names}); name one")
        return indexes[0] if indexes else None
    return path if path.name.endswith(INDEX_SUFFIX) and path.is_file() else None


def _shards(index: Path) -> tuple[Path, ...]:
    files = tuple(index.parent / name for name in dict.fromkeys(weight_map(index).values()))
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CorruptError(
            f"{index}: it lists {len(files)} files, {len(missing)} of them are not there ({', '.join(missing[:4])}); "
            "fetch the whole checkpoint"
        )
    return tuple(sorted(files))


def _beside(file: Path) -> Path | None:
    config = file.parent / _CONFIG
    return config if config.is_file() else None


def _json(path: Path) -> object:
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise CorruptError(f"{path}: {path.stat().st_size} bytes, expected JSON of at most {_JSON_LIMIT}")
        value: object = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: not valid JSON: {error}") from None
    return value


def _one_file(path: Path) -> Path:
    if path.is_dir():
        models = sorted(p for p in path.iterdir() if p.is_file() and p.suffix in MODEL_SUFFIXES)
        if len(models) == 1:
            return models[0]
        what = "no model file" if not models else f"{len(models)} model files ({', '.join(p.name for p in models[:6])})"
        raise UsageError(
            f"{path}: the folder holds {what}, expected one named *{', *'.join(MODEL_SUFFIXES)}, or shards with an "
            f"index (*{INDEX_SUFFIX}); name the file itself"
        )
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    if not path.is_file():
        raise UsageError(f"{path}: not a regular file")
    return path
