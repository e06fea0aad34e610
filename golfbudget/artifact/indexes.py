"""Checkpoints in several files: the index that lists them, and the numbers in their names where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from golfbudget.artifact.files import is_there, read_json
from golfbudget.errors import CorruptError, GolfbudgetError

INDEX_SUFFIX = ".index.json"
#: `model-00001-of-00003.safetensors`, `m-00001-of-00002.gguf`: number, count, and what all names share.
_NUMBERED = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})(?P<suffix>\.[A-Za-z0-9]+)$")
#: `consolidated.00.pth`, counted from zero; nothing in the name says how many there are.
_PIECE = re.compile(r"^(?P<stem>consolidated)\.(?P<number>\d{2,3})(?P<suffix>\.(?:pth|pt|safetensors))$")
#: `layer_00-model_00-model_states.pt`, what DeepSpeed's pipelines write: a file for every layer.
_LAYER = re.compile(r"^layer_(?P<number>\d+)-model_(?:\d+|states)\b.*\.pt$")
#: Shares of one checkpoint that its ranks wrote: TensorRT-LLM's, FSDP's as verl keeps them, DeepSpeed's; and the folder
#: of Megatron's.
_SHARE = re.compile(
    r"^(?:model_world_size_\d+_rank_|rank|mp_rank_)(?P<number>\d+)(?:_model_states)?\.(?:pt|safetensors)$"
)
_SHARED_FOLDER = re.compile(r"^mp_rank_(?P<number>\d+)(?:_\d+)?$")
_NAMED = 4


def weight_map(index: Path) -> dict[str, str]:
    """Tensor name to file name, as an index says; `CorruptError` when it is none."""
    return weight_map_of(read_json(index), str(index))


def weight_map_of(listing: object, index: str) -> dict[str, str]:
    """The same of an index that was read, which messages call `index`; errors as of `weight_map`."""
    entries = listing.get("weight_map") if isinstance(listing, dict) else None
    if not isinstance(entries, dict) or not entries or not all(isinstance(v, str) for v in entries.values()):
        raise CorruptError(f'{index}: expected an object with a "weight_map" from tensor names to file names')
    strange = {file for file in set(entries.values()) if _outside(file)}
    for name, file in entries.items() if strange else ():
        if file in strange:
            place = f"{index}: tensor {name[:80]!r}"
            raise CorruptError(f"{place} is in {file[:80]!r}, which is no file of the same folder")
    return entries


def _outside(file: str) -> bool:
    """Whether a name is none of a file in the same folder."""
    return not file or file in (".", "..") or PurePosixPath(file).name != file or "\\" in file or "\0" in file


def listed_files(
    index: Path,
    *,
    read: Callable[[Path], Mapping[str, str]] = weight_map,
    there: Callable[[Path], bool] = is_there,
) -> tuple[Path, ...]:
    """The files that an index lists, in order of their names; `CorruptError` names those that are not there.

    `read` and `there` are for an index that lies elsewhere than on a disk.
    """
    files = tuple(index.parent / name for name in dict.fromkeys(read(index).values()))
    missing = [file.name for file in files if not there(file)]
    if missing:
        raise CorruptError(
            f"{index}: it lists {len(files)} files, {len(missing)} of them are not there ({few(missing)}); "
            "fetch the whole checkpoint"
        )
    return tuple(sorted(files))


def numbered(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Files that say in their names which of how many they are, by what those names share, sorted."""
    families: dict[str, list[Path]] = {}
    for file in sorted(files):
        found = _NUMBERED.match(file.name)
        if found is not None:
            families.setdefault(f"{found['stem']}-*-of-{found['count']}{found['suffix']}", []).append(file)
    return families


def complete(folder: Path | str, family: str, files: list[Path]) -> tuple[Path, ...]:
    """The same files of a folder where none is missing; `CorruptError` names those that are."""
    found = [match for match in (_NUMBERED.match(file.name) for file in files) if match is not None]
    have, count, width = {int(match["number"]) for match in found}, int(found[0]["count"]), len(found[0]["number"])
    missing = [number for number in range(1, min(count, len(have) + _NAMED + 1) + 1) if number not in have]
    if count > len(have) or missing:
        names = [family.replace("*", f"{number:0{width}}", 1) for number in missing]
        raise CorruptError(
            f"{folder}: the files {family} are {len(have)} of {count} ({few(names, count - len(have))} not "
            "there); fetch the whole checkpoint, or name one file"
        )
    return tuple(files)


def pieces(folder: Path | str, files: Iterable[Path], suffix: str) -> tuple[Path, ...]:
    """The `consolidated.NN` files of a suffix in a folder, counted from zero; `CorruptError` where one is missing."""
    found = {
        int(match["number"]): file
        for file in sorted(files)
        if (match := _PIECE.match(file.name)) is not None and match["suffix"] == suffix
    }
    missing = [f"consolidated.{number:02}{suffix}" for number in range(max(found, default=0)) if number not in found]
    if missing:
        raise CorruptError(
            f"{folder}: of the files consolidated.NN{suffix}, {few(missing)} not there; "
            "fetch the whole checkpoint, or name one file"
        )
    return tuple(found[number] for number in sorted(found))


def part_of(
    file: Path, beside: Iterable[Path] | None = None, *, read: Callable[[Path], Mapping[str, str]] = weight_map
) -> str | None:
    """Of what larger checkpoint a file says by its name or its neighbours that it is only a part; None for none.

    `beside` are the files of its folder, where that lies elsewhere than on a disk, and `read` reads an index there.
    """
    found = _NUMBERED.match(file.name)
    if found is not None and int(found["count"]) > 1:
        return f"file {int(found['number'])} of {int(found['count'])} of a checkpoint in shards"
    layer = _LAYER.match(file.name)
    if layer is not None:
        return f"layer {int(layer['number'])} of a checkpoint in a file for every layer"
    piece, neighbours = _PIECE.match(file.name), list(file.parent.glob("*") if beside is None else beside)
    if piece is not None:
        named = (_PIECE.match(other.name) for other in neighbours)
        others = [found for found in named if found is not None and found["suffix"] == piece["suffix"]]
        if len(others) > 1:
            return f"file {int(piece['number']) + 1} of {len(others)} of a checkpoint in model-parallel pieces"
    if beside is None:
        folders = list(file.resolve().parent.parent.glob("mp_rank_*"))
        for pattern, own, around in ((_SHARE, file, neighbours), (_SHARED_FOLDER, file.parent, folders)):
            share, ranks = pattern.match(own.name), [other for other in around if pattern.match(other.name)]
            if share is not None and len(ranks) > 1:
                return f"the share of rank {int(share['number'])} of {len(ranks)} that are here"
    for index in sorted(path for path in neighbours if path.name.endswith(INDEX_SUFFIX)):
        try:
            names = set(read(index).values())
        except GolfbudgetError:
            continue  # It is not what was asked for.
        if file.name in names and len(names) > 1:
            return f"one of {len(names)} files that {index.name} lists"
    return None


def few(names: list[str], count: int | None = None) -> str:
    """A few names and how many more there are.

    >>> few(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    more = (len(names) if count is None else count) - len(names[:_NAMED])
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
