"""The programs in a file: its own text, what is packed inside it, and the members of a zip that runs."""

from __future__ import annotations

import ast
import base64
import io
import re
import zipfile
import zlib
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from golfbudget.errors import GolfbudgetError, readable
from golfbudget.formats.python.reader import code_length
from golfbudget.formats.python.syntax import parse
from golfbudget.submission.aliases import with_own_names
from golfbudget.submission.nodes import nodes
from golfbudget.submission.paths import called
from golfbudget.submission.places import Place

#: Longer sources are data in disguise; their imports are not looked for.
_LONGEST = 1 << 24
#: Characters outside of strings and comments: a syntax tree takes some 700 bytes for each.
_MOST_CODE = 1 << 19
_MOST_MEMBERS = 1000
_UNPACKERS = re.compile(r"decompress|b85decode|b64decode|a85decode|b32decode|unhexlify|fromhex|LZMAFile|GzipFile")
_OPENERS = ("open", "read_text", "read_bytes", "run_path")
_DECODERS = (base64.b85decode, base64.b64decode, base64.a85decode, base64.b32decode)
#: Fewer are a word.
_FEWEST_DIGITS = 16
_DIGITS = re.compile(rb"[!-~\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that stands in the file `path`, with the nodes of its tree, the root first.

    `unpacked`: it is packed in there.
    """

    path: str
    text: str
    nodes: tuple[ast.AST, ...]
    unpacked: bool = False

    def place(self, line: int | None) -> Place:
        """One of its lines."""
        return Place(file=self.path, line=line, inside=self.unpacked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why what a file needs is not known, in whole or in part, and where."""

    what: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Programs of a file, and what is wrong with it."""

    programs: tuple[Program, ...] = ()
    problem: Problem | None = None


def read_sources(place: Path, path: str) -> Sources:
    """The programs in a file; raises `UsageError` where it cannot be read."""
    with readable(place), place.open("rb") as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        return Sources(problem=Problem(what=f"it is longer than {_LONGEST:,} bytes", place=Place(file=path)))
    try:
        outer = _parsed(data, path, unpacked=False)
    except SyntaxError as error:
        wrong = Problem(what=f"it is no valid Python: {error.msg}", place=Place(file=path, line=error.lineno or None))
        found, inside = _unpacked(data, path)
        return Sources(programs=found, problem=inside if found else wrong)
    if not _UNPACKERS.search(outer.text):
        return Sources(programs=(outer,))
    found, problem = _unpacked(data, path)
    if not found and problem is None:
        found = tuple(_encoded(outer))
    return Sources(programs=(outer, *(one for one in found if one.text != outer.text)), problem=problem)


def executes(program: Program) -> bool:
    """Whether a program runs text that it reads or unpacks."""
    return any(True for _ in _executed(program.nodes))


def executing_line(program: Program) -> int | None:
    """The first line that runs text."""
    return next((node.lineno for node in _executed(program.nodes)), None)


def _executed(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """What `exec` and `eval` are given, but for literals, and calls of `runpy.run_path`."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args:
            plain = isinstance(node.func, ast.Name) and called(node) in ("exec", "eval")
            if called(node) == "run_path":
                yield node
            elif plain and not isinstance(node.args[0], ast.Constant):
                yield node.args[0]


def runs_hidden(program: Program) -> bool:
    """Whether what a program executes comes out of a decompressor, a decoder or a file."""
    return any(
        isinstance(node, ast.Call) and (called(node) in _OPENERS or bool(_UNPACKERS.search(called(node))))
        for node in executed_parts(program)
    )


def executed_parts(program: Program) -> Iterator[ast.AST]:
    """The nodes of what a program gives `exec` and `eval`, and of what the names in there are assigned."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in program.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
    waiting, seen = list(_executed(program.nodes)), set[str]()
    while waiting:
        for node in nodes(waiting.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting += assigned.get(node.id, [])


def _parsed(data: bytes, path: str, *, unpacked: bool) -> Program:
    text = data.decode("utf-8-sig", "surrogateescape")
    if code_length(text) > _MOST_CODE:
        raise SyntaxError(f"it has more than {_MOST_CODE:,} characters of code")
    return Program(path=path, text=text, nodes=tuple(with_own_names(nodes(parse(data)))), unpacked=unpacked)


def _unpacked(data: bytes, path: str) -> tuple[tuple[Program, ...], Problem | None]:
    """Programs packed in a file, and why one of them is not understood."""
    found: list[Program] = []
    problem: Problem | None = None
    for inner in _leaves(data, path):
        if inner == data or not inner.strip():
            continue
        try:
            found.append(_parsed(inner, path, unpacked=True))
        except SyntaxError as error:
            if _is_program(inner):
                place = Place(file=path, line=error.lineno or None, inside=True)
                problem = Problem(what=f"what it unpacks to is not understood: {error.msg}", place=place)
    return tuple(found), problem


def _encoded(program: Program) -> Iterator[Program]:
    """Programs that a program runs, and holds as digits of some base that no compressor made."""
    for node in executed_parts(program):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str | bytes) and len(value) >= _FEWEST_DIGITS:
            digits = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
            for decode in (*_DECODERS, unhexlify):
                try:
                    inner = _parsed(decode(digits), program.path, unpacked=True)
                except (ValueError, SyntaxError):
                    continue
                if any(isinstance(one, ast.stmt) and not isinstance(one, ast.Expr) for one in inner.nodes):
                    yield inner
                    break


def _is_program(data: bytes) -> bool:
    """Whether data that does not parse is meant as a program, not as weights."""
    return b"\0" not in data and b"import" in data


def _parses(data: bytes) -> bool:
    try:
        parse(data)
    except SyntaxError:
        return False
    return True


def _leaves(data: bytes, path: str) -> Iterator[bytes]:
    if data[:2] == b"PK" or zipfile.is_zipfile(io.BytesIO(data)):
        for member in _members(data):
            yield from (member, *_opened(member, path))  # A member may be a stub.
        return
    opened = _opened(data, path)
    if not opened and _DIGITS.fullmatch(data):
        # Digits alone: what a stub beside it decodes.
        for decode in _DECODERS:
            try:
                decoded = decode(b"".join(data.split()))
                opened = _opened(decoded, path) or ([decoded] if _is_program(decoded) and _parses(decoded) else [])
            except ValueError:
                continue
            if opened:
                break
    yield from opened


def _opened(data: bytes, path: str) -> list[bytes]:
    from golfbudget.artifact import open_bytes

    try:
        opened = open_bytes(data, name=path, limit=_LONGEST)
    except GolfbudgetError:
        return []
    return [bytes(leaf.data) for leaf in opened.leaves if bytes(leaf.data) != data]


def _members(data: bytes) -> Iterator[bytes]:
    """Python members of a zip, none of them longer than a source may be, nor all together."""
    left = _LONGEST
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist()[:_MOST_MEMBERS]:
                if member.filename.endswith(".py") and member.file_size <= left:
                    with archive.open(member) as file:
                        text = file.read(left)
                    left -= len(text)
                    yield text
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError):
        return
