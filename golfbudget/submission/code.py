"""The program of a submission: its entry file, and the local files that it needs.

Everything is found by parsing; nothing is imported or executed.  A stub such as
`exec(open(__file__.replace("train_gpt.py", "train_gpt_decode.py")).read())` is seen through because the other file is
named in it, a packed program because its packed text is decoded and parsed too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from golfbudget.errors import UsageError
from golfbudget.hashing import file_hashes
from golfbudget.rules import Rules
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile, matches, open_folder
from golfbudget.submission.places import Place
from golfbudget.submission.reach import Counted, Reached, reach
from golfbudget.submission.sources import Problem, Program

#: A program this short that names another file is a stub for it.
_STUB = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of a submission, and the data that it reads.

    `candidates` are files named like models that the program reads and does not write: `without_models` counts those
    that are none.  `problems` says why what a file needs is not known; `written` where the program writes a file;
    `unfollowed` where it runs or imports what only running it tells; `missing` what it needs that is not there;
    `again` what it writes and reads again, `whole` the files that it reads by their whole names,
    `named` the texts that it names, and may read, `fetching` where it fetches files from the net.
    With none or several programs to choose from, `undecided` says so, `briefly` in three words, and nothing is counted.
    """

    counted: tuple[Counted, ...] = ()
    uncounted: tuple[SubmissionFile, ...] = ()
    candidates: tuple[Counted, ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    written: Mapping[str, Place] = field(default_factory=dict)
    unfollowed: tuple[Place, ...] = ()
    missing: Mapping[str, Place] = field(default_factory=dict)
    again: tuple[Counted, ...] = ()
    whole: frozenset[str] = frozenset()
    named: Mapping[str, Place] = field(default_factory=dict)
    fetching: tuple[Place, ...] = ()
    programs: tuple[Program, ...] = ()
    undecided: str = ""
    briefly: str = ""

    @property
    def length(self) -> int:
        return sum(counted.file.size for counted in self.counted)

    @property
    def files(self) -> tuple[SubmissionFile, ...]:
        return tuple(counted.file for counted in self.counted)

    @property
    def entries(self) -> tuple[SubmissionFile, ...]:
        return tuple(counted.file for counted in self.counted if counted.how == "entry")

    @property
    def stub(self) -> SubmissionFile | None:
        """The entry, if it is a stub that leaves the work to a program it names."""
        if len(self.entries) != 1 or self.entries[0].size > _STUB:
            return None
        entry = self.entries[0]
        named = any(one.how == "named" and one.program and one.by == entry.path for one in self.counted)
        return entry if named else None

    @property
    def behind(self) -> tuple[Counted, ...]:
        """The programs that the stub names."""
        stub = self.stub
        return tuple(one for one in self.counted if stub and one.by == stub.path and one.program)

    @property
    def helpers(self) -> tuple[Counted, ...]:
        """Files that the program needs beside its entry and what a stub leaves the work to."""
        behind = self.behind
        return tuple(one for one in self.counted if one.how in ("imported", "named", "read") and one not in behind)

    def without_models(self, models: Iterable[SubmissionFile]) -> Code:
        """The same once the models are known: what else the program reads counts with it."""
        chosen = {file.path for file in models}
        kept = [one for one in self.counted if one.how == "entry" or one.file.path not in chosen]
        kept += [one for one in self.candidates if one.file.path not in chosen]
        return replace(self, counted=tuple(kept), candidates=())


def find_code(folder: Folder, rules: Rules, given: Sequence[Path] = ()) -> Code:
    """The code of a folder, by the rules or by the files that `--code` names.

    Raises `UsageError` where there is none.
    """
    chosen = folder.all_named(given, "--code", FileKind.CODE)
    present = folder.of(FileKind.CODE)
    if rules.count.code == "all" and not chosen:
        if not present:
            raise UsageError(f"{folder.root}: {_nothing(folder, rules)}")
        entries = [file for file in present if "/" not in file.path and matches(file.path, rules.files.entry[:1])]
        counted = [Counted(file=file, how="entry" if file in entries else "counted") for file in present]
        found = reach(folder, [item.file for item in counted])
    else:
        entries = chosen or _entries(folder, rules)
        if not entries:
            # What logs and claims say needs no program.
            if not folder.of(FileKind.LOG, FileKind.CLAIMS):
                raise UsageError(f"{folder.root}: {_nothing(folder, rules)}")
            return Code(uncounted=tuple(present), undecided=_nothing(folder, rules), briefly="no program found")
        if len(entries) > 1 and not chosen:
            return _undecided([(file, ()) for file in entries], present)
        found = reach(folder, entries)
        rivals = [] if chosen else _rivals(folder, entries[0], found)
        if rivals:
            return _undecided([(entries[0], found.counted), *rivals], present)
        counted = [Counted(file=file, how="entry", program=True) for file in entries]
        if rules.count.code == "reached":
            counted += found.counted
    inside = {item.file.path for item in counted}
    return Code(
        counted=tuple(counted),
        uncounted=tuple(file for file in present if file.path not in inside),
        candidates=tuple(found.candidates) if rules.count.code == "reached" else (),
        problems=found.problems,
        written=found.written,
        unfollowed=tuple(found.unfollowed),
        missing=found.missing,
        again=tuple(found.again),
        whole=frozenset(found.whole),
        named=found.named,
        fetching=tuple(found.fetching),
        programs=tuple(found.programs),
    )


def _undecided(entries: Sequence[tuple[SubmissionFile, Sequence[Counted]]], present: Sequence[SubmissionFile]) -> Code:
    """No choice: each file that could be the program is named, with what it needs."""
    names = []
    for file, needed in entries[:6]:
        length = file.size + sum(one.file.size for one in needed)
        names.append(f"{file.path} ({length:,} bytes{' with what it needs' if needed else ''})")
    more = f" and {len(entries) - 6} more" if len(entries) > 6 else ""
    reason = f"{len(entries)} files could be the program ({', '.join(names)}{more}); say which with --code FILE"
    return Code(uncounted=tuple(present), undecided=reason, briefly=f"{len(entries)} possible programs")


def _entries(folder: Folder, rules: Rules) -> list[SubmissionFile]:
    """What the rules' names leave as the program: one file, several to choose from, or none."""
    top = [file for file in folder.of(FileKind.CODE) if "/" not in file.path]
    for pattern in rules.files.entry:
        matching = [file for file in top if matches(file.path, [pattern])]
        if matching:
            # Of names that differ in letter case alone, the one that is as the rules have it.
            return [file for file in matching if file.path == pattern] or matching
    programs = [file for file in top if file.path.lower().endswith(".py")]
    return programs if len(programs) == 1 else []


def _rivals(folder: Folder, entry: SubmissionFile, found: Reached) -> list[tuple[SubmissionFile, Sequence[Counted]]]:
    """Other files beside the entry that unpack a program and run it, with what they need.

    Those that the entry needs, or that need it, are no rivals.
    """
    inside = {entry.path, *(one.file.path for one in found.counted)}
    rivals: list[tuple[SubmissionFile, Sequence[Counted]]] = []
    for file in folder.of(FileKind.CODE):
        if "/" in file.path or not file.path.lower().endswith((".py", ".pyz")) or file.path in inside:
            continue
        other = reach(folder, [file])
        if other.unpacks and entry.path not in {one.file.path for one in other.counted}:
            rivals.append((file, other.counted))
    return rivals


def _nothing(folder: Folder, rules: Rules) -> str:
    present = ", ".join(file.path for file in folder.of(FileKind.CODE)[:6])
    held = f"code of other names ({present})" if present else "no code at all"
    below = {str(PurePosixPath(file.path).parent) for file in folder.of(FileKind.CODE) if "/" in file.path and
             matches(PurePosixPath(file.path).name, rules.files.entry)}  # fmt: skip
    if len(below) > 1:
        held = (
            f"programs in {len(below)} folders below ({', '.join(sorted(below)[:4])}, …), which are checked one by one"
        )
    return (
        f"expected the program under a name such as {', '.join(rules.files.entry[:3])}, found {held}; "
        "say which file it is with --code FILE"
    )


def code_beside(path: Path, rules: Rules) -> tuple[int, str] | None:
    """Bytes of the code of a submission folder as shipped, and the SHA-256 of its files one after another.

    None for a file, and for a folder with no program by the rules' names.  Raises `UsageError` where several files
    could be the program.
    """
    if not path.is_dir():
        return None
    folder = open_folder(path, rules.files)
    top = [file.path for file in folder.of(FileKind.CODE) if "/" not in file.path]
    if not any(matches(name, rules.files.entry) for name in top):
        return None
    code = find_code(folder, rules)
    if code.undecided:
        raise UsageError(f"{folder.root}: {code.undecided}")
    return code.length, file_hashes([folder.place(file) for file in code.files])[0]
