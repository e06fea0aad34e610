"""What the text of a program says it needs: modules that it imports, files that it reads, writes or names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from golfbudget.submission.executed import with_literals
from golfbudget.submission.nodes import nodes as all_nodes
from golfbudget.submission.paths import RESOURCES, UNKNOWN, Paths, called

_IMPORTERS = {"import_module", "__import__", "run_module"}
#: Calls that read the file they are given, or that they are a method of.
_READERS = {
    "open", "load", "fromfile", "memmap", "open_memmap", "loadtxt", "genfromtxt", "read_text", "read_bytes",
    "load_file", "safe_open", "load_library", "LoadLibrary", "CDLL", "PyDLL", "cdll", "run_path", "from_file",
    "spec_from_file_location", "read_csv", "read_parquet", "ZipFile", "is_zipfile", "TarFile", "from_pretrained",
    "load_from_disk", "load_inline", "CUDAExtension", "CppExtension", "Extension", "BZ2File", "GzipFile", "LZMAFile",
    "load_module", "unpack_archive", "from_buffer", "read_image", "load_state_dict", "SourceFileLoader", "read",
    "read_json", "read_table", "parse", "read_pickle", "read_feather", "read_fwf", "FileIO", "getlines",
}  # fmt: skip
#: Readers that programs hand to `map` and `partial`.
_HANDED = {"open", "fromfile", "memmap", "loadtxt", "read_text", "read_bytes"}
_LISTERS = RESOURCES | {"glob", "iglob", "rglob", "iterdir", "listdir", "scandir", "walk", "copytree"}
RUNNERS = {"run", "Popen", "call", "check_call", "check_output", "system", "getoutput", "execv", "execvp", "spawn"}
#: Calls that write a file, with the number of the argument that names it.
_WRITERS = {
    "save": None, "savez": 0, "savez_compressed": 0, "savetxt": 0, "save_file": 1, "write_text": None,
    "write_bytes": None, "tofile": 0, "to_csv": 0, "copy": 1, "copy2": 1, "copyfile": 1, "move": 1, "rename": 1,
    "FileHandler": 0, "unlink": None, "remove": 0, "savefig": 0, "to_json": 0, "to_parquet": 0, "to_pickle": 0,
    "export_chrome_trace": 0,
}  # fmt: skip
_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "open", "unlink", "iterdir"}
_COMPOSERS = {"join", "joinpath", "with_name", "with_suffix", "with_stem", "replace", "format"}
_PATH_INSERTERS = {"insert", "append", "extend", "addsitedir"}
#: What a command writes into: the file behind it is none that it needs.
_INTO = re.compile(r"(?:\d|&)?>{1,2}|tee|-a|-o|--out(?:put)?")
_INSTALLS = re.compile(r"\bpip3? +install\b")
_MODULE = re.compile(r"[A-Za-z_][\w.]{0,200}")
#: What a module is run by: a package has a module of its own for that.
_ENDS = ("", ".__main__")
_PATTERN = re.compile(r"[A-Za-z_][\w.*]{0,200}")
_RUN_MODULE = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]{0,200})")
_MODE = re.compile(r"[rwaxbtU+]{1,4}")


class How(StrEnum):
    """Ways to speak of a file."""

    IMPORTED = "imported"
    NAMED = "named"
    READ = "read"
    RUN = "run"
    WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Need:
    """A file that a program speaks of, by a path as `Paths` gives it; `level` of a relative import."""

    how: How
    path: str
    line: int
    level: int = 0


def needs(nodes: Sequence[ast.AST], here: str) -> tuple[list[Need], list[str]]:
    """What a program that is `here` speaks of, and the folders that it adds to where that is looked for."""
    nodes = with_literals(nodes)
    paths = Paths(nodes, here)
    found: list[Need] = []
    folders: list[str] = []
    # A string that is a statement of its own is a comment.
    comments = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        for level, module in _modules(node, paths):
            found.append(Need(How.IMPORTED, module, node.lineno, level))  # type: ignore[attr-defined]
        if here.endswith("__init__.py"):
            found += _offered(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in comments:
                found.append(Need(How.NAMED, node.value, node.lineno))
        elif isinstance(node, ast.Call):
            found += _of_call(node, paths)
            if called(node) in _PATH_INSERTERS and _is_path_list(node):
                folders += [text for argument in node.args[-1:] for text in paths.of(argument)]
            elif called(node) == "chdir":
                folders += [text for argument in node.args[:1] for text in paths.of(argument)]
        elif isinstance(node, ast.Assign | ast.AugAssign) and any(map(_is_search_path, _targets(node))):
            lists = (one for one in all_nodes(node.value) if isinstance(one, ast.List | ast.Tuple))
            folders += [text for one in lists for item in one.elts for text in paths.of(item)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
            # Sums of strings are mostly messages: they count only where all of it is known.
            known = paths.of(node)
            found += [Need(How.NAMED, text, node.lineno) for text in known if isinstance(node.op, ast.Div) or
                      "*" not in text]  # fmt: skip
        elif isinstance(node, ast.JoinedStr):
            found += [Need(How.NAMED, text, node.lineno) for text in paths.of(node) if "*" not in text]
    return found, folders


def _modules(node: ast.AST, paths: Paths) -> Iterator[tuple[int, str]]:
    """Dotted module names that a node imports, each with the level of a relative import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield 0, alias.name
    elif isinstance(node, ast.ImportFrom):
        yield node.level, node.module or ""
        for alias in node.names:
            yield node.level, f"{node.module}.{alias.name}" if node.module else alias.name
    elif isinstance(node, ast.Call) and node.args:
        if called(node) in _IMPORTERS:
            named = [text for text in paths.of(node.args[0]) if text == UNKNOWN or _MODULE.fullmatch(text)]
            yield from ((0, text + end) for text in named for end in _ENDS if not end or called(node) == "run_module")
        elif called(node) in RUNNERS:
            said = " ".join(_said(argument, paths) for argument in node.args)
            yield from ((0, match[1] + end) for match in _RUN_MODULE.finditer(said) for end in _ENDS)


def _offered(node: ast.AST) -> Iterator[Need]:
    """What `from package import *` takes, by the package's own `__all__`: names, which may be those of modules."""
    if not isinstance(node, ast.Assign | ast.AugAssign) or not isinstance(node.value, ast.List | ast.Tuple):
        return
    if any(isinstance(target, ast.Name) and target.id == "__all__" for target in _targets(node)):
        for item in node.value.elts:
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                yield Need(How.IMPORTED, item.value, node.lineno, 1)


def _targets(node: ast.Assign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_search_path(node: ast.expr) -> bool:
    """`sys.path`, whole or a part of it."""
    inside = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(inside, ast.Attribute) and inside.attr == "path" and getattr(inside.value, "id", "") == "sys"


def _imported_by_pattern(node: ast.Call, paths: Paths) -> Iterator[str]:
    """Files of the modules that an import of `"models." + name` may mean."""
    for text in paths.of(node.args[0]):
        if UNKNOWN in text and _PATTERN.fullmatch(text):
            stem = text.replace(".", "/")
            yield from (f"{stem}.py", f"{stem}/__init__.py")


def _said(node: ast.expr, paths: Paths) -> str:
    """A command as far as it is known, its words in a row."""
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return " ".join(paths.of(item)[0] for item in items)


def _is_path_list(node: ast.Call) -> bool:
    """`sys.path.insert(…)`, `site.addsitedir(…)`."""
    function = node.func
    inside = function.value if isinstance(function, ast.Attribute) else None
    return called(node) == "addsitedir" or (isinstance(inside, ast.Attribute) and inside.attr == "path")


def _of_call(node: ast.Call, paths: Paths) -> Iterator[Need]:
    name = called(node)
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    if name in _WRITERS or (name in _READERS and _mode(node) in ("w", "a", "x")):
        for target in _written(node, name, receiver):
            yield from (Need(How.WRITTEN, text, node.lineno) for text in paths.of(target))
        return
    if name in _LISTERS:
        yield from (Need(How.READ, text, node.lineno) for text in paths.of(node))
    elif name in _READERS or any(map(_is_reader, node.args)):
        method = [receiver] if receiver is not None and name in _METHODS else []
        yield from _read([*method, *arguments], node.lineno, paths)
    elif name in _IMPORTERS:
        if node.args:
            yield from (Need(How.READ, text, node.lineno) for text in _imported_by_pattern(node, paths))
    elif name in RUNNERS:
        for argument in arguments:
            yield from _of_command(argument, node.lineno, paths)
    elif name in _COMPOSERS:
        yield from (Need(How.NAMED, text, node.lineno) for text in paths.of(node))


def _read(arguments: Sequence[ast.expr], line: int, paths: Paths) -> Iterator[Need]:
    for argument in arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int):
            continue  # How much is read.
        yield from (Need(How.READ, text, line) for text in paths.of(argument))


def _is_reader(argument: ast.expr) -> bool:
    """Whether a call is given what reads files: `map(open, names)`."""
    name = argument.attr if isinstance(argument, ast.Attribute) else getattr(argument, "id", "")
    return name in _HANDED


def _of_command(argument: ast.expr, line: int, paths: Paths) -> Iterator[Need]:
    """The words of a command: it runs or reads the files they name, but for those that it writes into."""
    before = ""
    installs = bool(_INSTALLS.search(_said(argument, paths)))
    for item in argument.elts if isinstance(argument, ast.List | ast.Tuple) else (argument,):
        for text in paths.of(item):
            for word in dict.fromkeys([text, *text.split()]):
                into = _INTO.fullmatch(before) or ">" in word[:2]
                # What is installed from a folder is all that is in it.
                run = How.READ if installs and "/" in word and " " not in word else How.RUN
                yield Need(How.NAMED if into else run, word, line)
                before = word


def _mode(node: ast.Call) -> str:
    """The first letter of the mode that a file is opened in."""
    given = [*node.args[:2], *(keyword.value for keyword in node.keywords if keyword.arg in ("mode", "flags"))]
    for value in reversed(given):
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and _MODE.fullmatch(value.value):
            return value.value[0]
    return "r"


def _written(node: ast.Call, name: str, receiver: ast.expr | None) -> Iterator[ast.expr]:
    at = _WRITERS.get(name, 0)
    if at is not None and len(node.args) > at:
        yield node.args[at]
    if at is None:
        # `torch.save(x, path)`, `np.save(path, x)`, `image.save(path)`: the one that is a path.
        yield from node.args[:2]
        yield from (keyword.value for keyword in node.keywords if keyword.arg in ("f", "file", "path"))
    # `image.save(path)` writes no image's name: what a method that is no method of a path is of counts by name only.
    if receiver is not None and (name in _METHODS or (at is None and not isinstance(receiver, ast.Call))):
        yield receiver


_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]{1,200})"', re.MULTILINE)
_WORD = re.compile(rb"[\w./\-]{3,200}")
_C = {".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
_SHELL = {".sh", ".bash"}
_LONGEST_TEXT = 1 << 22


def needs_of_text(path: str, data: bytes) -> list[Need]:
    """What a C source includes, and a shell script names."""
    suffix = PurePosixPath(path).suffix.lower()
    pattern = _INCLUDE if suffix in _C else _WORD if suffix in _SHELL else None
    if pattern is None or len(data) > _LONGEST_TEXT:
        return []
    return [
        Need(How.NAMED, match[match.re.groups].decode("utf-8", "replace"), data.count(b"\n", 0, match.start()) + 1)
        for match in pattern.finditer(data)
    ]
