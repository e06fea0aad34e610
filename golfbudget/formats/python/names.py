"""What the names of a Python module stand for, as far as the text tells.  Nothing is executed or imported.

A name counts only when every binding of it in the whole module, in whatever scope, says the same.
"""

from __future__ import annotations

import ast
import lzma
import zlib
from collections.abc import Iterator

#: Names standing for names standing for names; attributes of attributes.
_DEEPEST = 8
#: Entries of a list or dictionary of constants.
_LONGEST = 8
#: Constants worked out for one module: a list can name a list that names a list, eight times each.
_MOST_CONSTANTS = 1 << 16
#: What `from m import *` brings, of the names that matter here.
_STARS: dict[str, frozenset[str]] = {
    "base64": frozenset(
        ("b85decode", "a85decode", "b64decode", "b32decode", "b16decode", "standard_b64decode", "urlsafe_b64decode")
    ),
    "binascii": frozenset(("a2b_base64", "a2b_hex", "unhexlify")),
    "lzma": frozenset(
        ("decompress", "LZMADecompressor", "FILTER_LZMA2", "FORMAT_AUTO", "FORMAT_XZ", "FORMAT_ALONE", "FORMAT_RAW")
    ),
    "zlib": frozenset(("decompress", "decompressobj", "MAX_WBITS")),
    "bz2": frozenset(("decompress", "BZ2Decompressor")),
    "gzip": frozenset(("decompress",)),
    "brotli": frozenset(("decompress",)),
    "zstandard": frozenset(("decompress", "ZstdDecompressor")),
}  # fmt: skip


class NotStaticError(ValueError):
    """The value can be known only by running the program."""


class Names:
    """Bindings of a parsed module: modules and functions by dotted name, and expressions assigned once."""

    def __init__(self, tree: ast.Module) -> None:
        self._bound: dict[str, list[str | ast.expr | None]] = {}
        self._stars: list[str] = []
        self._constants = 0
        assigned = dict(_assignments(tree))
        for node in ast.walk(tree):
            for name, meaning in self._bindings(node, assigned):
                self._bound.setdefault(name, []).append(meaning)

    def _bindings(
        self, node: ast.AST, assigned: dict[ast.Name, ast.expr]
    ) -> Iterator[tuple[str, str | ast.expr | None]]:
        match node:
            case ast.Import():
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    yield (alias.asname, alias.name) if alias.asname else (first, first)
            case ast.ImportFrom():
                for alias in node.names:
                    if alias.name == "*":
                        self._stars.append(_plain(node.module or ""))
                    else:
                        yield alias.asname or alias.name, f"{'.' * node.level}{node.module or ''}.{alias.name}"
            case ast.Name(ctx=ast.Store() | ast.Del()):
                yield node.id, assigned.get(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, None
            case ast.arg():
                yield node.arg, None
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, None
            case ast.MatchMapping(rest=str(name)):
                yield name, None
            case _:
                pass

    def _meaning(self, name: str) -> str | ast.expr | None:
        """A dotted name, the only expression assigned to the name, or None where neither is certain."""
        found = self._bound.get(name)
        if found is None:
            stars = [module for module in self._stars if name in _STARS.get(module, ())]
            return f"{stars[-1]}.{name}" if stars else name
        first = found[0]
        if isinstance(first, str):
            return first if all(other == first for other in found) else None
        return first if len(found) == 1 else None

    def expression(self, node: ast.expr) -> ast.expr:
        """The expression that a name stands for; the node itself where it is no name, or not a certain one."""
        for _ in range(_DEEPEST):
            meaning = self._meaning(node.id) if isinstance(node, ast.Name) else None
            if not isinstance(meaning, ast.expr):
                break
            node = meaning
        return node

    def dotted(self, node: ast.expr, depth: int = 0) -> str | None:
        """`module.attribute` of an imported or built-in thing: `B.b85decode` is `base64.b85decode`."""
        tail: list[str] = []
        node = self.expression(node)
        while isinstance(node, ast.Attribute) and len(tail) < _DEEPEST:
            tail.append(node.attr)
            node = self.expression(node.value)
        base: str | None = None
        if isinstance(node, ast.Name):
            meaning = self._meaning(node.id)
            base = meaning if isinstance(meaning, str) else None
        elif isinstance(node, ast.Call) and depth < _DEEPEST and len(node.args) >= 1:
            importer = self.dotted(node.func, depth + 1) in ("__import__", "importlib.import_module")
            name = self.expression(node.args[0])
            if importer and isinstance(name, ast.Constant) and isinstance(name.value, str):
                base = name.value
        return None if base is None else _plain(".".join((base, *reversed(tail))))

    def constant(self, node: ast.expr, depth: int = 0) -> object:
        """The value of a literal or a constant of lzma or zlib, or of `|`, `+` and lists of them.

        Raises `NotStaticError`.
        """
        node = self.expression(node)
        self._constants += 1
        if depth > _DEEPEST or self._constants > _MOST_CONSTANTS:
            raise NotStaticError
        match node:
            case ast.Constant():
                return node.value
            case ast.UnaryOp(op=ast.USub()):
                return -self._integer(node.operand, depth)
            case ast.BinOp(op=ast.BitOr() | ast.Add()):
                left, right = self._integer(node.left, depth), self._integer(node.right, depth)
                return left | right if isinstance(node.op, ast.BitOr) else left + right
            case ast.List() | ast.Tuple() if len(node.elts) <= _LONGEST:
                return [self.constant(item, depth + 1) for item in node.elts]
            case ast.Dict() if len(node.keys) <= _LONGEST:
                keys = [None if key is None else self.constant(key, depth + 1) for key in node.keys]
                if not all(isinstance(key, str) for key in keys):
                    raise NotStaticError
                return dict(zip(keys, (self.constant(value, depth + 1) for value in node.values), strict=True))
            case _:
                return self._named_constant(node)

    def _integer(self, node: ast.expr, depth: int) -> int:
        value = self.constant(node, depth + 1)
        if not isinstance(value, int):
            raise NotStaticError
        return value

    def _named_constant(self, node: ast.expr) -> int:
        module, _, name = (self.dotted(node) or "").rpartition(".")
        value = getattr({"lzma": lzma, "zlib": zlib}.get(module), name, None) if name.isupper() else None
        if not isinstance(value, int):
            raise NotStaticError
        return value


def _assignments(tree: ast.Module) -> Iterator[tuple[ast.Name, ast.expr]]:
    """The names that plain assignments of the module's own level bind, with what they are given."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target, statement.value


def _plain(dotted: str) -> str:
    """One name for a thing that has several: Python 3.14 keeps its codecs in `compression` too."""
    return dotted.removeprefix("builtins.").removeprefix("compression.").replace("brotlicffi", "brotli", 1)
