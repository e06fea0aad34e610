"""Syntax trees compared: whether two are the same, and whether one is the other minified.

Nothing here recurses, as source may nest as deep as the parser lets it.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator

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
