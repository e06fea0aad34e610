"""The program to pack: its bytes, its text by its own encoding, and its syntax tree where this Python has one.

Trees are compared without recursion, as source may nest as deep as the parser lets it.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golfbudget.errors import UsageError, readable

#: What `ast.parse` raises for text that this Python cannot take, too deep nesting included.
UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, SystemError)

#: Statements and expressions that no setting in use adds, removes or turns into another.
_KEPT = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.AsyncFor, ast.While, ast.If,
    ast.Try, ast.TryStar, ast.ExceptHandler, ast.With, ast.AsyncWith, ast.Match, ast.Raise, ast.Assert, ast.Delete,
    ast.Yield, ast.YieldFrom, ast.Await, ast.AugAssign, ast.Global, ast.Nonlocal, ast.Break, ast.Continue,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def parse(source: str | bytes) -> ast.Module:
    """The tree of a program, as `exec` reads it: bytes by their own encoding.  Raises one of `UNPARSED`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Invalid escapes are the program's affair.
        return ast.parse(source)


def same(one: ast.AST, other: ast.AST) -> bool:
    """Whether two trees are equal, positions aside.

    >>> same(parse("x = (1,2)"), parse(b"x=1,2")), same(parse("x = 1"), parse("x = True"))
    (True, False)
    """
    todo: list[tuple[object, object]] = [(one, other)]
    while todo:
        a, b = todo.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.AST):
            todo += [(getattr(a, name, None), getattr(b, name, None)) for name in a._fields]
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            todo += zip(a, b, strict=True)
        elif a != b:
            return False
    return True


def lost(before: ast.Module, after: ast.Module, *, annotations: bool) -> str | None:
    """Something that minifying changed and never may, in words; None where there is nothing.

    Compared are the things that other code can name or that steer the program: attributes, keywords, imports, what
    modules and classes define, the shape of every parameter list, and how often each kind of statement occurs.
    `annotations` says that they stayed; with them gone, there may be fewer attributes and keywords.
    """
    old, new = Counter(_seen(before)), Counter(_seen(after))
    changed = [
        what
        for what in sorted(old.keys() | new.keys())
        if old[what] != new[what] and (annotations or new[what] > old[what] or what[0] not in ("attribute", "keyword"))
    ]
    if not changed:
        return None
    kind, name = changed[0]
    return f"{kind} {name}, {old[changed[0]]} times before and {new[changed[0]]} after"


def _seen(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute():
                yield "attribute", node.attr
            case ast.keyword():
                yield "keyword", node.arg or "**"
            case ast.Import():
                yield from (("import", alias.name) for alias in node.names)
            case ast.ImportFrom():
                yield from (("import", f"{'.' * node.level}{node.module or ''}:{alias.name}") for alias in node.names)
            case ast.arguments():
                yield "parameters", _shape(node)
            case ast.Module() | ast.ClassDef():
                for child in node.body:
                    if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                        yield "definition", child.name
            case _:
                pass
        if isinstance(node, _KEPT):
            yield "statement", type(node).__name__


def _shape(node: ast.arguments) -> str:
    """Positional-only, positional and keyword-only parameters, defaults, and whether there are `*` and `**`.

    Names of keyword-only parameters are part of it; a positional one may be bound to a shorter name.
    """
    keywords = ",".join(arg.arg for arg in node.kwonlyargs)
    stars = f"{'*' if node.vararg else ''}{'**' if node.kwarg else ''}"
    defaults = f"{len(node.defaults)}+{sum(default is not None for default in node.kw_defaults)}"
    return f"{len(node.posonlyargs)}/{len(node.args)}({keywords}){stars}={defaults}"


#: Longer source is refused: the limit of what reading the pack back takes lies beyond it.
LONGEST = 16_000_000
#: An encoding declaration, by PEP 263 a comment in one of the first two lines.
_COOKIE = re.compile(r"\A((?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))?[ \t\f]*)#[^\r\n]*?coding[:=][ \t]*[-\w.]+[^\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSource:
    """A program.  `data` is what is packed when nothing is minified: the file itself wherever it is UTF-8.

    `tree` is None where this Python cannot parse the text, and `refusal` then says why.
    """

    name: str
    original_bytes: int
    data: bytes
    text: str
    tree: ast.Module | None
    refusal: str | None = None
    notes: tuple[str, ...] = ()


def load(path: Path) -> bytes:
    """The bytes of a source file.  `UsageError` where there is none, or a longer one than is packed."""
    with readable(path):
        if not path.is_file():
            raise UsageError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
        size = path.stat().st_size
        if size > LONGEST:
            raise UsageError(f"{path}: {size} bytes; source of up to {LONGEST} bytes is packed")
        return path.read_bytes()


def read_source(data: bytes, *, name: str) -> ProgramSource:
    """Decode and parse a program.

    `UsageError` for what no Python takes: nothing at all, bytes that are not text, nulls.  Text that this Python
    cannot parse may be fine for a newer one: it has no tree.
    """
    if not data:
        raise UsageError(f"{name}: the file is empty, expected Python source")
    if len(data) > LONGEST:
        raise UsageError(f"{name}: {len(data)} bytes; source of up to {LONGEST} bytes is packed")
    if (null := data.find(b"\0")) >= 0:
        raise UsageError(f"{name}: byte {null} is null, expected Python source, which is text")
    encoding, text = _decoded(data, name)
    kept, notes = data, []
    if not _is_utf8(data, text):
        kept = _COOKIE.sub(r"\1#", text, count=1).encode()
        notes.append(f"the source is in {encoding}; what is packed is the same text in UTF-8")
    tree, refusal = None, None
    try:
        tree = parse(text)
    except UNPARSED as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        version = ".".join(map(str, sys.version_info[:3]))
        refusal = f"Python {version} cannot parse it ({what}{line}), a newer one may"
    if data.startswith(b"#!"):
        notes.append("the packed file has no #! line: start it with python")
    return ProgramSource(
        name=name, original_bytes=len(data), data=kept, text=text, tree=tree, refusal=refusal, notes=tuple(notes)
    )


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    """The encoding that Python would take, and the text."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        text.encode()  # A text with half of a surrogate pair cannot be packed.
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}: byte {error.start} is not {error.encoding} ({error.reason}), expected Python source"
        ) from None
    except (SyntaxError, UnicodeError, LookupError, ValueError) as error:
        place = _first_bad_byte(data)
        raise UsageError(f"{name}: {place or error}, expected Python source in UTF-8") from None
    return encoding, text


def _first_bad_byte(data: bytes) -> str | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} is not UTF-8 ({error.reason})"
    return None


def _is_utf8(data: bytes, text: str) -> bool:
    """Whether the bytes are the text in UTF-8, a byte order mark aside."""
    try:
        return data.decode("utf-8-sig") == text
    except UnicodeDecodeError:
        return False
