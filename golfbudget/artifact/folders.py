"""Which of a folder's files are the checkpoint: chosen in the order in which the libraries look.

`transformers` and `peft` take the index of safetensors shards before one file, safetensors before pickles, and an
adapter where there is nothing else; Meta's and Mistral's own names come after theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from golfbudget.artifact.files import is_there
from golfbudget.artifact.indexes import INDEX_SUFFIX, complete, few, listed_files, numbered, pieces, weight_map
from golfbudget.artifact.telling import artifacts_among, compressed
from golfbudget.errors import UsageError
from golfbudget.formats import unread_as

#: Suffixes under which people ship models, for finding the one artifact of a folder.
MODEL_SUFFIXES = (".safetensors", ".ptz", ".pt", ".pth", ".bin", ".npz", ".gguf")
#: What trainers leave beside the weights: their own state, as large as the model two times over.
_NEVER = re.compile(
    r"^(?:optimizer|scheduler|scaler|training_args|trainer_state|rng_state|random_states|tokenizer)\b.*$"
    r"|^(?:rng_state|random_states|tokenizer)_.*$"
)
_NEVER_SUFFIXES = (*MODEL_SUFFIXES, ".pkl")
#: In the order in which they are looked for.
_FIRST = (
    "model.safetensors.index.json",
    "model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "adapter_model.bin",
)
#: Folders of a folder that are looked into for a message.
_MOST_FOLDERS = 200


class FolderChoice(Struct, frozen=True, kw_only=True):
    """The files of a checkpoint in order, the index that lists them, and a line on what was chosen and what was not.

    `joined` says what several files without an index are; with `pieces` each may hold a piece of every tensor.
    """

    files: tuple[Path, ...]
    index: Path | None = None
    joined: str = ""
    pieces: bool = False
    note: str = ""


def choose(folder: Path) -> FolderChoice:
    """A folder's checkpoint.  `UsageError` when there is none or several, `CorruptError` when a file is missing."""
    here, revision = _snapshot(folder)
    files = sorted(path for path in here.iterdir() if is_there(path))
    choice = _first(here, files, weight_map) or _several(here, files) or _alone(here, files)
    return _told(choice, files, [revision] if revision else [])


def choose_listed(
    folder: str, files: Sequence[Path], read: Callable[[Path], Mapping[str, str]], folders: Sequence[str] = ()
) -> FolderChoice:
    """The same of a folder of which only the names are known, its own `files` and its `folders`; `read` reads an index.

    Where names leave several, none is chosen, and that is a `UsageError`: what is inside does not tell.  Other errors
    as of `choose`.
    """
    files = sorted(files)
    choice = _first(folder, files, read) or _several(folder, files)
    if choice is None:
        models = _models(files)
        if len(models) != 1:
            inside = [f"{name}/" for name in folders]
            raise _none_alone(folder, models, "name the file itself" if models else _beside(files, inside, inside))
        choice = FolderChoice(files=(models[0],))
    return _told(choice, files, [])


def _told(choice: FolderChoice, files: Sequence[Path], told: list[str]) -> FolderChoice:
    """The choice with a line on what else there was."""
    if choice.joined:
        told.append(f"{len(choice.files)} files joined, {choice.joined}")
    chosen = {choice.index, *choice.files}
    rest = [path.name for path in files if path not in chosen and _is_weights(path)]
    if rest:
        what = choice.index or choice.files[0]
        opened = what.name if len(choice.files) == 1 or choice.index else f"{what.name} and those after it"
        told.append(f"of this folder {opened} counts, and not {few(rest)}")
    return structs.replace(choice, note="; ".join(told))


def _snapshot(folder: Path) -> tuple[Path, str]:
    """A revision inside the Hugging Face cache's folder of a repository (`models--org--name`), and which it is."""
    snapshots = folder / "snapshots"
    if not folder.name.startswith(("models--", "datasets--")) or not snapshots.is_dir():
        return folder, ""
    revisions = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    named = snapshots / main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else None
    if named is not None and named in revisions:
        return named, f"snapshot {named.name[:12]}, which refs/main names"
    if len(revisions) == 1:
        return revisions[0], f"snapshot {revisions[0].name[:12]}, the only one"
    held = few([path.name for path in revisions]) or "none"
    raise UsageError(f"{folder}: refs/main names none of its snapshots ({held}); name one: {snapshots}/…")


def _first(folder: Path | str, files: Sequence[Path], read: Callable[[Path], Mapping[str, str]]) -> FolderChoice | None:
    """What the libraries would load by its name."""
    by_name = {path.name: path for path in files}
    found = next((by_name[name] for name in _FIRST if name in by_name), None)
    if found is None:
        indexes = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
        if len(indexes) > 1:
            raise UsageError(
                f"{folder}: the folder holds {len(indexes)} indexes ({few([path.name for path in indexes])}); name one"
            )
        found = indexes[0] if indexes else None
    if found is None:
        return None
    if found.name.endswith(INDEX_SUFFIX):
        return FolderChoice(files=listed_files(found, read=read, there=set(files).__contains__), index=found)
    return FolderChoice(files=(found,))


def _several(folder: Path | str, files: Sequence[Path]) -> FolderChoice | None:
    """Files that belong together by their names alone."""
    plain = next((path for path in files if path.name == "consolidated.safetensors"), None)
    if plain is not None:
        return FolderChoice(files=(plain,))
    families = numbered(_models(files))
    consolidated = [family for family in families if family.startswith("consolidated")]
    if len(consolidated) == 1:
        families = {consolidated[0]: families[consolidated[0]]}
    elif not consolidated:
        for suffix in (".safetensors", ".pth", ".pt"):
            found = pieces(folder, files, suffix)
            if found:
                many = len(found) > 1
                return FolderChoice(
                    files=found, joined="model-parallel pieces by their names" if many else "", pieces=many
                )
    if len(families) > 1:
        raise UsageError(
            f"{folder}: the folder holds {len(families)} checkpoints in several files ({few(list(families))}); name "
            "one file, which is then counted alone, or put each in a folder of its own"
        )
    for family, members in families.items():
        own = complete(folder, family, members)
        return FolderChoice(files=own, joined=f"{family}, which no index lists" if len(own) > 1 else "")
    return None


def _models(files: Sequence[Path]) -> list[Path]:
    """The files that are called as models are."""
    return [path for path in files if path.suffix in MODEL_SUFFIXES and not _NEVER.match(path.name)]


def _alone(folder: Path, files: Sequence[Path]) -> FolderChoice:
    """The only model file."""
    models = _models(files)
    if len(models) != 1:
        # A raw checkpoint beside its export, copies, or an export under a name of its own: content tells.
        told = artifacts_among([path for path in files if not _NEVER.match(path.name) and path.suffix != ".py"])
        models = told if len(told) == 1 and (models or compressed(told[0])) else models
    if len(models) == 1:
        return FolderChoice(files=(models[0],))
    raise _none_alone(folder, models, _hint(folder, files, models))


def _none_alone(folder: Path | str, models: Sequence[Path], hint: str) -> UsageError:
    """The refusal of a folder whose names leave none or several."""
    suffixes = ", *".join(MODEL_SUFFIXES)
    if models:
        what = f"{len(models)} model files ({few([path.name for path in models])}), expected one"
    else:
        what = "no model file, expected one"
    return UsageError(
        f"{folder}: the folder holds {what} named *{suffixes}, or shards with an index (*{INDEX_SUFFIX}); {hint}"
    )


def _hint(folder: Path, files: Sequence[Path], models: Sequence[Path]) -> str:
    """What is there instead, and what to do about it."""
    if models:
        return "name the file itself"
    folders = sorted(path for path in folder.iterdir() if path.is_dir())[:_MOST_FOLDERS]
    if not files and not folders and any(folder.iterdir()):
        return "what it holds is no regular file"
    inside = [f"{path.name}/" for path in folders if _holds_weights(path)]
    return _beside(files, inside, [f"{path.name}/" for path in folders])


def _beside(files: Sequence[Path], inside: list[str], folders: list[str]) -> str:
    """The same by names: `inside` are those of the folders that hold weights."""
    for path in files:
        unread = unread_as(path.suffix)
        if unread is not None:
            return f"it holds {path.name}: {unread.sentence}"
    state = [path.name for path in files if path.suffix in _NEVER_SUFFIXES]
    if state:
        return f"{few(state)} {'is' if len(state) == 1 else 'are'} no weights; name the file itself to count it"
    if inside:
        return f"there are such files in {few(inside)}: name one of these folders"
    held = [*folders, *(path.name for path in files)]
    return f"it holds {few(held)}; name the file itself" if held else "it is empty"


def _holds_weights(folder: Path) -> bool:
    try:
        return any(path.suffix in MODEL_SUFFIXES or path.name == "snapshots" for path in folder.iterdir())
    except OSError:
        return False  # Not ours to read; only a message would name it.


def _is_weights(path: Path) -> bool:
    """Whether a file that was not chosen is worth a word."""
    return path.suffix in _NEVER_SUFFIXES or unread_as(path.suffix) is not None or path.name.endswith(INDEX_SUFFIX)
