"""Other names that a program gives to built-in functions: minifiers write `A=open` at the top, and `A(path)` below."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence

_FUNCTIONS = ("open", "exec", "eval", "compile", "__import__")
_MODULES = ("builtins", "__builtins__")


def with_own_names(nodes: Sequence[ast.AST]) -> Sequence[ast.AST]:
    """The same nodes, in which calls have the own names of these functions again.

    A name that stands for something else, too, stays as it is, but for one of `open`, which is asked for a path alone.

    >>> tree = list(ast.walk(ast.parse("A = open; B = exec; A('x'); B(1); f = lambda A: A")))
    >>> [node.func.id for node in with_own_names(tree) if isinstance(node, ast.Call)]
    ['open', 'exec']
    """
    given = {alias: function for node in nodes for alias, function in _aliases(node)}
    if given:
        bound = Counter(name for node in nodes for name in _bound(node))
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                function = given.get(node.func.id, "")
                if function == "open" or (function and bound[node.func.id] == 1):
                    node.func.id = function
    return nodes


def _aliases(node: ast.AST) -> Iterator[tuple[str, str]]:
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=False))
        for name, value in pairs:
            function = _function(value)
            if isinstance(name, ast.Name) and function in _FUNCTIONS:
                yield name.id, function


def _function(value: ast.expr) -> str:
    if isinstance(value, ast.Attribute) and getattr(value.value, "id", "") in _MODULES:
        return value.attr
    return value.id if isinstance(value, ast.Name) else ""


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a node gives to something."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
