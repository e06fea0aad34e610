"""The files of a folder that programs need, found from their text: what they import, read, name and write."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from golfbudget.submission.executed import unfollowed_line
from golfbudget.submission.fetching import fetching_line
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile, for_people
from golfbudget.submission.lacking import lacking
from golfbudget.submission.logs import named_like_log
from golfbudget.submission.needs import How, Need, needs, needs_of_text
from golfbudget.submission.paths import ROOT, UNKNOWN
from golfbudget.submission.places import Place
from golfbudget.submission.sources import Problem, Program, Sources, executes, executing_line, read_sources, runs_hidden

_WILD = re.compile(r"[*?\[]")
#: Longer files beside a stub are data.
_LONGEST_PACKED = 1 << 22
#: Letters and digits of a pattern that tells by itself.
_FEWEST_LETTERS = 4
_MODELS = (FileKind.MODEL, FileKind.CHECKPOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A file that counts as shipped: `how` is `entry`, `imported`, `named` or `read` (`by` whom), or `counted`.

    `place` is what needs it; `program` says that the file holds Python.
    """

    file: SubmissionFile
    how: str
    by: str | None = None
    place: Place | None = None
    program: bool = False


@dataclass(slots=True)
class Reached:
    """What programs lead to.  `unpacks` says that one of the entries runs what it or a file beside it packs.

    `unfollowed`: where they run or import what only running them tells.  `missing`: what they need and the folder does
    not hold, and where.  `again`: what they write and read again; `whole`: files that they read by their whole names;
    `named`: texts that the rules leave out, where they are named, and nothing tells whether they are read; `fetching`:
    where they fetch files from the net.  `texts`: the names of such texts in the folder.
    """

    counted: list[Counted] = field(default_factory=list)
    candidates: list[Counted] = field(default_factory=list)
    problems: dict[str, Problem] = field(default_factory=dict)
    written: dict[str, Place] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)
    unpacks: bool = False
    unfollowed: list[Place] = field(default_factory=list)
    missing: dict[str, Place] = field(default_factory=dict)
    again: list[Counted] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)
    named: dict[str, Place] = field(default_factory=dict)
    fetching: list[Place] = field(default_factory=list)
    texts: frozenset[str] = frozenset()


def reach(folder: Folder, entries: Sequence[SubmissionFile]) -> Reached:
    """Everything that the entries lead to."""
    found = Reached(texts=frozenset(posixpath.basename(one.path) for one in folder.files if _may_be_read(one)))
    seen: dict[str, Counted] = {file.path: Counted(file=file, how="entry") for file in entries}
    waiting = [(file, True) for file in entries]
    runners: list[Program] = []
    outputs: set[str] = set()
    while waiting:
        file, meant = waiting.pop(0)
        sources = _sources(folder, file, meant=meant)
        found.programs += sources.programs
        if file.path in seen and sources.programs and seen[file.path].how != "entry":
            seen[file.path] = _as_program(seen[file.path])
        is_entry = seen[file.path].how == "entry"
        if sources.problem and (is_entry or ".py" in file.path.lower()):
            found.problems[file.path] = sources.problem
        packed = any(program.unpacked for program in sources.programs)
        by = seen[file.path].by
        found.unpacks |= packed and (
            is_entry or (by in seen and seen[by].how == "entry" and not file.path.lower().endswith(".py"))
        )
        if not packed and not sources.problem and any(runs_hidden(program) for program in sources.programs):
            runners.append(sources.programs[0])
        elif not packed:
            lines = ((program, unfollowed_line(program.nodes)) for program in sources.programs)
            found.unfollowed += [program.place(line) for program, line in lines if line is not None]
        fetched = ((program, fetching_line(program.nodes)) for program in sources.programs)
        found.fetching += [program.place(line) for program, line in fetched if line is not None]
        runs = any(executes(program) for program in sources.programs)
        for need, place, folders in _needs(folder, file, sources):
            if need.how is How.IMPORTED and need.path == UNKNOWN:
                found.unfollowed.append(place)
                continue
            outputs |= {posixpath.basename(need.path)} if need.how is How.WRITTEN else set()
            targets = list(_targets(need, file, folder, folders))
            if not targets:
                _miss(found, need, place, folder, folders)
            for target in targets:
                found.whole |= {target.path} if need.how is How.READ and not _WILD.search(need.path) else set()
                if need.how is How.WRITTEN:
                    found.written.setdefault(target.path, place)
                elif target.path not in seen:
                    seen[target.path] = _counted(need, target, file, place)
                    waiting.append((target, runs))
    _finish(found, list(seen.values()), runners)
    # What programs write they read as well, wherever that is.
    found.missing = {path: at for path, at in found.missing.items() if posixpath.basename(path) not in outputs}
    outputs |= {posixpath.basename(path) for path in seen}
    found.named = {path: at for path, at in found.named.items() if posixpath.basename(path) not in outputs}
    return found


def _finish(found: Reached, seen: Sequence[Counted], runners: Sequence[Program]) -> None:
    for counted in seen:
        if counted.how != "entry":
            _settle(found, counted)
    for program in runners:
        if not any(one.by == program.path and one.program for one in seen):
            what, line = "it runs text that it reads or unpacks, and that is not found", executing_line(program)
            found.problems.setdefault(program.path, Problem(what=what, place=program.place(line)))


def _counted(need: Need, target: SubmissionFile, file: SubmissionFile, place: Place) -> Counted:
    code = need.how is How.READ and target.kind is FileKind.CODE
    how = "named" if code or need.how is How.RUN else str(need.how)
    return Counted(file=target, how=how, by=file.path, place=place)


def _as_program(counted: Counted) -> Counted:
    how = "named" if counted.how == "read" else counted.how
    return Counted(file=counted.file, how=how, by=counted.by, place=counted.place, program=True)


def _settle(found: Reached, counted: Counted) -> None:
    """Code counts; data counts unless the program writes it itself; what may be the model waits."""
    file = counted.file
    if file.kind is FileKind.CODE or counted.program:
        found.counted.append(counted)
    elif file.path not in found.written:
        (found.candidates if file.kind in _MODELS else found.counted).append(counted)
    elif counted.how == "read" and not file.side and file.kind is not FileKind.LOG:
        found.again.append(counted)


def _sources(folder: Folder, file: SubmissionFile, *, meant: bool) -> Sources:
    """The programs in a file; data is looked into only where a program `meant` to run it names it."""
    suffix = PurePosixPath(file.path).suffix.lower()
    if file.kind is FileKind.CODE and ".py" in file.path.lower():
        return read_sources(folder.place(file), file.path)
    if not meant or file.size > _LONGEST_PACKED or suffix in (".so", ".pyd", ".dylib", ".cu", ".h"):
        return Sources()
    return read_sources(folder.place(file), file.path)


def _needs(
    folder: Folder, file: SubmissionFile, sources: Sources
) -> Iterator[tuple[Need, Place, tuple[PurePosixPath, ...]]]:
    """What a file speaks of, where, and the folders in which that may lie."""
    here = (PurePosixPath(file.path).parent, PurePosixPath())
    for program in sources.programs:
        spoken, added = needs(program.nodes, file.path)
        more = [PurePosixPath(text.removeprefix(ROOT)) for text in added if not _WILD.search(text)]
        folders = tuple(dict.fromkeys([*here, *more]))
        for need in spoken:
            yield need, program.place(need.line), folders
    if not sources.programs and file.size <= _LONGEST_PACKED:
        for need in needs_of_text(file.path, folder.place(file).read_bytes()):
            yield need, Place(file=file.path, line=need.line), here


def _miss(found: Reached, need: Need, place: Place, folder: Folder, folders: Sequence[PurePosixPath]) -> None:
    """Note what is needed and not there, and what is there, does not count by that, and may be needed."""
    if need.how is How.NAMED and posixpath.basename(need.path) in found.texts:
        left = (one for one, _ in _matching(need, folder, folders) if _may_be_read(one))
        found.named |= {one.path: place for one in left if one.path not in found.named}
    elif need.how not in (How.NAMED, How.WRITTEN):
        absent = lacking(need, folders, folder.patterns)
        if absent is not None and absent not in found.missing and not _is_there(need, folder, folders):
            found.missing[absent] = place


def _may_be_read(file: SubmissionFile) -> bool:
    """Whether a file is a text that the rules leave out, and neither a log nor meant for people."""
    text = (file.side and file.kind in (FileKind.SIDE, FileKind.OTHER)) or file.kind is FileKind.LOG
    return text and not for_people(file.path) and not named_like_log(file.path)


def _is_there(need: Need, folder: Folder, folders: Sequence[PurePosixPath]) -> bool:
    """Whether the folder holds what is needed and does not count by that: a package of no files, a text for people."""
    if need.how is How.IMPORTED:
        first = need.path.partition(".")[0]
        inside = (base for base in folders if ".." not in base.parts and not base.is_absolute())
        return any((folder.root / base / first).is_dir() for base in inside)
    return any(True for _ in _matching(need, folder, folders))


def _targets(
    need: Need, file: SubmissionFile, folder: Folder, folders: Sequence[PurePosixPath]
) -> Iterator[SubmissionFile]:
    if need.how is How.IMPORTED:
        yield from _module_files(need, file, folder, folders)
        return
    for found, exact in _matching(need, folder, folders):
        if need.how is How.WRITTEN or _takes(need, found, exact=exact):
            yield found


def _takes(need: Need, file: SubmissionFile, *, exact: bool) -> bool:
    """Whether a mention of a file of this kind means that the program needs it."""
    if file.kind is FileKind.CODE:
        return True
    if file.kind in (FileKind.CLAIMS, FileKind.TOKENIZER, FileKind.DATA):
        return False
    if file.side or file.kind is FileKind.LOG:
        if for_people(file.path) or (need.how is How.RUN and named_like_log(file.path)):
            return False
        by_pattern = _tells(need.path) and not named_like_log(file.path)
        return need.how in (How.READ, How.RUN) and (exact or "/" in file.path or by_pattern)
    # A word without a dot is a file's name by chance.
    return need.how is How.READ or "." in need.path or "/" in need.path


def _tells(pattern: str) -> bool:
    """Whether a pattern's own letters say which files are meant: `chunk_*.txt`, and not `*.txt`."""
    stem = posixpath.splitext(posixpath.basename(pattern))[0]
    return sum(map(str.isalnum, _WILD.sub("", stem))) >= _FEWEST_LETTERS


def _module_files(
    need: Need, file: SubmissionFile, folder: Folder, folders: Sequence[PurePosixPath]
) -> Iterator[SubmissionFile]:
    if need.level:
        here = PurePosixPath(file.path).parent
        for _ in range(min(need.level, len(here.parts) + 1) - 1):
            here = here.parent
        folders = [here]
    parts = [part for part in need.path.split(".") if part]
    for base in folders:
        for stop in range(1, len(parts) + 1):
            stem = base.joinpath(*parts[:stop])
            names = [f"{stem}.py", f"{stem}/__init__.py", f"{stem}.so", f"{stem}.pyd", f"{stem}.pyx"]
            if folder.get(names[0]) is None:
                names.append(f"{stem}.pyc")  # Python takes it where there is no source.
            for built in (f"{stem}.*.so", f"{stem}.*.pyd"):
                names += [one.path for one in folder.of(FileKind.CODE) if fnmatchcase(one.path, built)]
            for name in names:
                present = folder.get(name)
                if present is not None and present.kind is FileKind.CODE:
                    yield present


def _matching(need: Need, folder: Folder, folders: Sequence[PurePosixPath]) -> Iterator[tuple[SubmissionFile, bool]]:
    """Files that a path can mean, and whether it names them in full."""
    text = need.path
    if not 3 <= len(text) <= 400 or "\n" in text or "\0" in text:
        return
    if _WILD.search(text):
        pattern = _pattern(text, folder)
        if need.how not in (How.NAMED, How.RUN) or text.startswith(ROOT):
            for file in folder.files if pattern else ():
                if any(fnmatchcase(file.path, one) for one in pattern):
                    yield file, False
        return
    for base in [PurePosixPath()] if text.startswith(ROOT) else folders:
        path = posixpath.normpath(str(base / _inside(text, folder).lstrip("/")))
        present = folder.get(path)
        if present is not None:
            yield present, True
            return
        if need.how is How.READ and path != ".":
            yield from ((file, False) for file in folder.files if file.path.startswith(f"{path}/"))


def _inside(text: str, folder: Folder) -> str:
    """A path from the folder; it may be given from further up, with the folder's own name in it."""
    _, name, rest = text.rpartition(f"{folder.root.resolve().name}/")
    return rest if name and rest else text


def _pattern(text: str, folder: Folder) -> list[str]:
    """Patterns of paths of the folder, none where they would tell too little."""
    inside = _inside(text, folder)
    pattern = posixpath.normpath(inside.lstrip("/"))
    place, name = posixpath.split(pattern)
    stem = _WILD.sub("", name.rpartition(".")[0] or name)
    if pattern.startswith(".."):
        return []
    if _WILD.search(place):
        # An unknown folder: the name has to tell.
        return [name, f"*/{name}"] if sum(map(str.isalnum, stem)) >= _FEWEST_LETTERS else []
    if place or sum(map(str.isalnum, _WILD.sub("", name))) >= 2:
        return [pattern]
    return []
