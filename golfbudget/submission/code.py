"""The program of a submission: its entry file, and the local files that it imports or names.

Everything is found by parsing; nothing is imported or executed.  A stub such as
`exec(open(__file__.replace("train_gpt.py", "train_gpt_decode.py")).read())` is seen through because the other file's
name stands in it, a packed program because its packed text is decoded and parsed too.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from golfbudget.code_packing import pack_code
from golfbudget.errors import GolfbudgetError, UsageError
from golfbudget.hashing import file_hashes
from golfbudget.rules import Rules
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile, matches, open_folder

#: Longer sources are data in disguise; their imports are not looked for.
_LONGEST = 1 << 24
#: A program this short that names another file is a stub for it.
_STUB = 4096
_IMPORTERS = {"import_module", "__import__", "run_module"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A code file that counts as shipped: `how` is `entry`, `imported` or `named` (`by` whom), or `counted`."""

    file: SubmissionFile
    how: str
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of a submission.  `unparsed` files may import what nobody sees."""

    counted: tuple[Counted, ...] = ()
    uncounted: tuple[SubmissionFile, ...] = ()
    unparsed: tuple[str, ...] = ()
    trees: tuple[ast.Module, ...] = ()

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
        """The entry, if it is a stub that leaves the work to a file it names."""
        named = any(counted.how == "named" for counted in self.counted)
        return self.entries[0] if len(self.entries) == 1 and named and self.entries[0].size <= _STUB else None

    @property
    def helpers(self) -> tuple[Counted, ...]:
        """Files that the program needs beside its entry and what a stub leaves the work to."""
        behind = self.stub.path if self.stub else None
        reached = (counted for counted in self.counted if counted.how in ("imported", "named"))
        return tuple(counted for counted in reached if behind is None or counted.by != behind)


def find_code(folder: Folder, rules: Rules, given: Sequence[Path] = ()) -> Code:
    """The code of a folder, by the rules or by the files that `--code` names.

    Raises `UsageError` where the entry cannot be told.
    """
    chosen = [folder.named(path, "--code", FileKind.CODE) for path in given]
    present = folder.of(FileKind.CODE)
    if rules.count.code == "all" and not chosen:
        if not present:
            raise UsageError(_nothing(folder, rules))
        entries = [file for file in present if "/" not in file.path and matches(file.path, rules.files.entry[:1])]
        counted = [Counted(file=file, how="entry" if file in entries else "counted") for file in present]
        _, unparsed, trees = _reached(folder, [item.file for item in counted])
    else:
        entries = chosen or [_entry(folder, rules)]
        reached, unparsed, trees = _reached(folder, entries)
        counted = [Counted(file=file, how="entry") for file in entries]
        if rules.count.code == "reached":
            counted += reached
    inside = {item.file.path for item in counted}
    return Code(
        counted=tuple(counted),
        uncounted=tuple(file for file in present if file.path not in inside),
        unparsed=tuple(unparsed),
        trees=tuple(trees),
    )


def _entry(folder: Folder, rules: Rules) -> SubmissionFile:
    top = [file for file in folder.of(FileKind.CODE) if "/" not in file.path]
    for pattern in rules.files.entry:
        matching = [file for file in top if matches(file.path, [pattern])]
        if len(matching) == 1:
            return matching[0]
        if matching:
            names = ", ".join(file.path for file in matching[:6])
            several = f"{len(matching)} files could be the program ({names})"
            raise UsageError(f"{folder.root}: {several}; say which with --code FILE")
    programs = [file for file in top if file.path.endswith(".py")]
    if len(programs) == 1:
        return programs[0]
    raise UsageError(_nothing(folder, rules))


def _nothing(folder: Folder, rules: Rules) -> str:
    present = ", ".join(file.path for file in folder.of(FileKind.CODE)[:6])
    held = f"code of other names ({present})" if present else "no code at all"
    return (
        f"{folder.root}: expected the program under a name such as {', '.join(rules.files.entry[:3])}, found {held}; "
        "say which file it is with --code FILE"
    )


def _reached(folder: Folder, entries: Sequence[SubmissionFile]) -> tuple[list[Counted], list[str], list[ast.Module]]:
    """Files reached from the entries, those that could not be parsed, and all programs read."""
    seen = {file.path for file in entries}
    waiting = list(entries)
    reached: list[Counted] = []
    unparsed: list[str] = []
    trees: list[ast.Module] = []
    while waiting:
        file = waiting.pop(0)
        texts = _sources(folder.place(file))
        if texts is None and file.path.endswith(".py"):
            unparsed.append(file.path)
        for _, tree in texts or ():
            trees.append(tree)
            for target, how in _references(tree, file, folder):
                if target.path not in seen:
                    seen.add(target.path)
                    waiting.append(target)
                    reached.append(Counted(file=target, how=how, by=file.path))
    return reached, unparsed, trees


def _sources(path: Path) -> list[tuple[str, ast.Module]] | None:
    """The program in a file, and the programs packed inside it; None where it is no Python."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    trees = _parsed(data)
    return None if not trees and not (trees := _unpacked(data, path)) else [*trees, *_inside(trees, data, path)]


def _inside(found: list[tuple[str, ast.Module]], data: bytes, path: Path) -> list[tuple[str, ast.Module]]:
    """What a program unpacks, where it seems to unpack anything."""
    packed = any(word in found[0][0] for word in ("decompress", "b85decode", "b64decode", "a85decode"))
    return [pair for pair in _unpacked(data, path) if pair[0] != found[0][0]] if packed else []


def _parsed(data: bytes) -> list[tuple[str, ast.Module]]:
    if len(data) > _LONGEST:
        return []
    try:
        with warnings.catch_warnings():
            # Escapes that Python will refuse one day are the author's business.
            warnings.simplefilter("ignore")
            return [(data.decode("utf-8-sig"), ast.parse(data))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _unpacked(data: bytes, path: Path) -> list[tuple[str, ast.Module]]:
    from golfbudget.artifact import open_bytes

    try:
        opened = open_bytes(data, name=str(path), limit=_LONGEST)
    except GolfbudgetError:
        return []
    return [pair for leaf in opened.leaves for pair in _parsed(bytes(leaf.data))]


def _references(tree: ast.Module, file: SubmissionFile, folder: Folder) -> Iterator[tuple[SubmissionFile, str]]:
    """Files of the folder that a program imports, or whose name stands in it as a string of its own."""
    folders = dict.fromkeys([PurePosixPath(file.path).parent, PurePosixPath()])
    # A string that is a statement of its own is a comment.
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for level, module in _modules(node):
            for module_file in _module_files(module, level, file, folder, list(folders)):
                yield module_file, "imported"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments:
            named = _named(node.value, folder, list(folders))
            if named is not None:
                yield named, "named"


def _modules(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Dotted module names that a node imports, each with the level of a relative import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield 0, alias.name
    elif isinstance(node, ast.ImportFrom):
        yield node.level, node.module or ""
        for alias in node.names:
            yield node.level, f"{node.module}.{alias.name}" if node.module else alias.name
    elif isinstance(node, ast.Call) and node.args:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if called in _IMPORTERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield 0, first.value


def _module_files(
    module: str, level: int, file: SubmissionFile, folder: Folder, folders: Sequence[PurePosixPath]
) -> Iterator[SubmissionFile]:
    if level:
        here = PurePosixPath(file.path).parent
        for _ in range(min(level, len(here.parts) + 1) - 1):
            here = here.parent
        folders = [here]
    parts = [part for part in module.split(".") if part]
    for base in folders:
        for stop in range(1, len(parts) + 1):
            stem = base.joinpath(*parts[:stop])
            for name in (f"{stem}.py", f"{stem}/__init__.py", f"{stem}.so"):
                present = folder.get(name)
                if present is not None and present.kind is FileKind.CODE:
                    yield present


def _named(text: str, folder: Folder, folders: Sequence[PurePosixPath]) -> SubmissionFile | None:
    """The file of code, or of no known kind, that a string is the name of."""
    if not 3 <= len(text) <= 200 or "." not in text or "\n" in text or "\0" in text:
        return None
    for base in folders:
        present = folder.get(str(base / text.removeprefix("./").removeprefix("/")))
        if present is not None and present.kind in (FileKind.CODE, FileKind.OTHER) and not present.side:
            return present
    return None


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
    return code.length, file_hashes([folder.place(file) for file in code.files])[0]


_PYTHON = ".py"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCode:
    """Bytes of all code files, each packed by itself and kept as it is where packing gains nothing.

    `tools` are the packers and their versions: the length depends on them.
    """

    length: int
    tools: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def packed_code_bytes(files: Sequence[Path]) -> PackedCode:
    """Pack every file of code; one that cannot be packed counts as it is, and a note says so."""
    length = 0
    tools: dict[str, str] = {}
    notes: list[str] = []
    for path in files:
        source = path.read_bytes()
        shortest = len(source)
        if path.suffix == _PYTHON:
            try:
                packed = pack_code(source, name=path.name)
            except GolfbudgetError as error:
                notes.append(f"{path.name} counts as it is in `packed`: {error}")
            else:
                shortest = min(shortest, packed.length)
                tools |= dict(packed.tools)
                if packed.refusal is not None:
                    notes.append(f"{path.name} is packed without minifying: {packed.refusal}")
                if packed.length < len(source):
                    notes += [f"{path.name}, packed: {note}" for note in packed.notes]
        length += shortest
    return PackedCode(length=length, tools=tuple(tools.items()), notes=tuple(notes))
