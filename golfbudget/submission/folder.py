"""The files of a submission folder, and what each of them is by the rules' patterns.  No file is read here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from golfbudget.errors import LimitError, UsageError, readable
from golfbudget.hub import refuse_hub_path
from golfbudget.rules import Files

#: Public folders have at most a few dozen files; a whole disk given by mistake is refused.
_MOST_FILES = 20_000
#: Folders that programs leave behind, and hidden ones: no part of a submission.
_SKIPPED = re.compile(r"\..*|__pycache__|.*\.egg-info|node_modules")
#: What a Mac puts beside a file of the same name on other disks and in archives.
_APPLE = "._"
#: `final_model_seed42.ptz`, `model.s42.ptz`, `seed_42/final_model.ptz`.
_SEED = re.compile(r"(?:^|[^a-z])(?:seed[_\-=]?|s)(\d{1,10})(?!\d)", re.IGNORECASE)


#: Text for people and for installers, whatever reads it.
_FOR_PEOPLE = re.compile(r"(?:readme|licen[cs]e|notice|requirements|changelog|citation)[^/]*", re.IGNORECASE)


class FileKind(StrEnum):
    """What a file is, in the order in which the rules' patterns are asked; `other` is what no pattern knows."""

    CLAIMS = "claims"
    CODE = "code"
    DATA = "data"
    TOKENIZER = "tokenizer"
    MODEL = "model"
    CHECKPOINT = "checkpoint"
    LOG = "log"
    SIDE = "side"
    OTHER = "other"


#: Kinds of files that say what is counted: where one cannot be read, the rest is no answer.
_READ = (FileKind.CLAIMS, FileKind.CODE, FileKind.MODEL, FileKind.LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFile:
    """One file: its path from the folder with forward slashes, its length, and whether the rules never count it."""

    path: str
    size: int
    kind: FileKind
    side: bool = False

    @property
    def seed(self) -> int | None:
        """The seed that the path names, its last one."""
        seeds = _SEED.findall(self.path)
        return int(seeds[-1]) if seeds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A submission folder; `files` are sorted by path.  `real`: the same by where they are, if folders are linked."""

    root: Path
    files: tuple[SubmissionFile, ...]
    by_path: Mapping[str, SubmissionFile]
    patterns: Files
    real: Mapping[Path, SubmissionFile] = field(default_factory=dict)

    def of(self, *kinds: FileKind) -> list[SubmissionFile]:
        return [file for file in self.files if file.kind in kinds]

    def get(self, path: str) -> SubmissionFile | None:
        """A file by its path; one of a folder that is not listed, too, as a program may still read it."""
        listed, parts = self.by_path.get(path), PurePosixPath(path).parts
        unlisted = any(map(_SKIPPED.fullmatch, parts[:-1]))
        if listed is not None or not (unlisted or self.real):
            return listed
        place = self.root / path
        try:
            if ".." in parts or not place.is_file():
                return None
            return self.real.get(place.resolve()) or _file(path, place.stat().st_size, self.patterns)
        except (OSError, ValueError):
            return None

    def place(self, file: SubmissionFile) -> Path:
        """Where the file is on disk; a file named by an option may lie elsewhere."""
        return self.root / file.path

    def named(self, given: Path, option: str, kind: FileKind) -> SubmissionFile:
        """A file that an option names: as the shell sees it, or else inside the folder.  `UsageError` otherwise."""
        for path in (given, self.root / given):
            try:
                if path.is_file():
                    return self._as(path, kind)
            except (OSError, ValueError):
                continue
        held = ", ".join(file.path for file in self.files[:8])
        raise UsageError(f"{option} {given}: no such file, here or in {self.root} (which holds {held or 'no files'})")

    def all_named(self, given: Sequence[Path], option: str, kind: FileKind) -> list[SubmissionFile]:
        """The files that an option names, in order; one that is named twice, however spelled, is one file."""
        return list(dict.fromkeys(self.named(path, option, kind) for path in given))

    def _as(self, path: Path, kind: FileKind) -> SubmissionFile:
        resolved, root = path.resolve(), self.root.resolve()
        place = Path(os.path.relpath(resolved, root)).as_posix()
        return SubmissionFile(path=place, size=path.stat().st_size, kind=kind)


def for_people(path: str) -> bool:
    """Whether a text is prose or a list of packages by its name: no log, and nothing that a program needs."""
    return bool(_FOR_PEOPLE.fullmatch(PurePosixPath(path).name))


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path fits a pattern: by its name, or whole where the pattern has a slash; letter case does not count.

    >>> matches("logs/train.LOG", ["*.log"]), matches("tokenizers/a.model", ["tokenizers/*"]), matches("a.py", ["b.py"])
    (True, True, False)
    """
    path = path.lower()
    name = PurePosixPath(path).name
    return any(fnmatchcase(path if "/" in pattern else name, pattern.lower()) for pattern in patterns)


def open_folder(root: Path, patterns: Files) -> Folder:
    """List a folder.  Raises `UsageError` for a path that is none, `LimitError` for one with too many files."""
    refuse_hub_path(root, "this takes folders that are here; {download}, and name DIR")
    with readable(root):
        if not root.is_dir():
            what = "a file" if root.exists() else "nothing"
            raise UsageError(f"{root}: expected a submission folder, found {what}")
    files: list[SubmissionFile] = []
    links: list[Path] = []
    for path in _walked(root, links):
        name = path.relative_to(root).as_posix()
        with readable(path):
            size = path.stat().st_size if path.is_file() else None
        if size is not None:
            files.append(_file(name, size, patterns))
        elif _file(name, 0, patterns).kind in _READ:
            what = "a link to nothing" if path.is_symlink() and not path.exists() else "no regular file"
            raise UsageError(f"{path}: {what}, expected a file; put the file itself there, or remove it")
        if len(files) > _MOST_FILES:
            raise LimitError(f"{root}: more than {_MOST_FILES} files; expected the folder of one submission")
    files.sort(key=lambda file: file.path)
    real = {(root / file.path).resolve(): file for file in files} if links else {}
    by_path = {file.path: file for file in files}
    return Folder(root=root, files=tuple(files), by_path=by_path, patterns=patterns, real=real)


def _walked(root: Path, links: list[Path]) -> Iterator[Path]:
    """All files, and in `links` the folders that are linked: what lies elsewhere is theirs, once."""
    top = root.resolve()
    targets = [top]
    for place, folders, names in os.walk(root, onerror=_unlisted, followlinks=True):
        kept = sorted(name for name in folders if not _SKIPPED.fullmatch(name))
        folders.clear()
        for path in (Path(place) / name for name in kept):
            if path.is_symlink():
                links.append(path)
                target = path.resolve()
                if any(target.is_relative_to(other) for other in targets) or top.is_relative_to(target):
                    continue  # It is listed already, or is the folder around this one.
                targets.append(target)
            folders.append(path.name)
        yield from (Path(place) / name for name in names)


def _unlisted(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be listed: {error.strerror}") from None


def _file(path: str, size: int, patterns: Files) -> SubmissionFile:
    # The values of these kinds are the names of the rules' patterns; the first that fits says what a file is.
    known = [kind for kind in FileKind if kind is not FileKind.OTHER]
    kind = next((kind for kind in known if matches(path, getattr(patterns, kind))), FileKind.OTHER)
    if PurePosixPath(path).name.startswith(_APPLE):
        kind = FileKind.SIDE
    return SubmissionFile(path=path, size=size, kind=kind, side=matches(path, patterns.side))
