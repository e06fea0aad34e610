"""Source in syntax newer than this Python's: parsed by tree-sitter, and given as the standard library's own tree.

What matters to a reader of programs is the same as `ast.parse` gives: imports, names and what binds them, calls,
strings and numbers, operators, functions and classes, each with its place.  Everything else becomes a plain statement
or tuple of what stands in it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

import tree_sitter_python
from tree_sitter import Language, Node, Parser

from golfbudget.formats.python.newer_expressions import (
    OPERATORS,
    SKIPPED,
    arguments,
    as_tuple,
    children,
    expression,
    field,
    passed,
    placed,
    refused,
    target,
    text,
)

#: Statements of Python 2, which the grammar still knows.
_OLD = {"print_statement", "exec_statement"}


def parse_newer(data: bytes) -> ast.Module:
    """The syntax tree of source in UTF-8.  Raises `SyntaxError` with the line, and `RecursionError` as `ast` does."""
    root = Parser(Language(tree_sitter_python.language())).parse(data).root_node
    _check(root)
    return ast.Module(body=_statements([root]), type_ignores=[])


def _check(root: Node) -> None:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_missing or node.type == "ERROR":
            raise refused(node)
        # Defaults of type parameters (Python 3.13) are not in the grammar; nothing in there is run.
        waiting += [child for child in node.children if child.has_error and child.type != "type_parameter"]


def _statements(nodes: Sequence[Node]) -> list[ast.stmt]:
    made: list[ast.stmt] = []
    for node in nodes:
        if node.type in _OLD:
            raise refused(node)
        if node.type in _STATEMENTS:
            made.append(placed(_STATEMENTS[node.type](node), node))
        elif node.type == "assignment":
            made += _assignment(node)
        elif node.type in _CONTAINERS or node.type.endswith(("_statement", "_clause", "_definition", "_item")):
            made += _statements(children(node))
        elif node.type not in SKIPPED:
            # Not an `Expr`: a string in one of those is a comment.
            made.append(placed(ast.Return(value=expression(node)), node))
    return made


_CONTAINERS = {"module", "block", "decorator", "pass_statement"}


def _alone(node: Node) -> ast.stmt:
    """A statement that is an expression, or an assignment."""
    inner = children(node)
    if len(inner) == 1 and inner[0].type == "assignment":
        (made,) = _assignment(inner[0]) or [ast.Pass()]
        return made
    if len(inner) == 1 and inner[0].type == "augmented_assignment":
        return _augmented(inner[0])
    return ast.Expr(value=expression(inner[0]) if len(inner) == 1 else as_tuple(node))


def _assignment(node: Node) -> list[ast.stmt]:
    targets, value = [target(field(node, "left"))], node.child_by_field_name("right")
    while value is not None and value.type == "assignment":
        targets.append(target(field(value, "left")))
        value = value.child_by_field_name("right")
    if value is None:
        return []
    return [placed(ast.Assign(targets=targets, value=expression(value), type_comment=None), node)]


def _augmented(node: Node) -> ast.stmt:
    operator = OPERATORS[text(field(node, "operator")).removesuffix("=")]()
    bound = target(field(node, "left"))
    if not isinstance(bound, ast.Name | ast.Attribute | ast.Subscript):
        raise refused(node)
    return ast.AugAssign(target=bound, op=operator, value=expression(field(node, "right")))


def _import(node: Node) -> ast.stmt:
    return ast.Import(names=[_alias(name) for name in node.children_by_field_name("name")])


def _import_from(node: Node) -> ast.stmt:
    if node.type == "future_import_statement":
        module, level = "__future__", 0
    else:
        dotted = "".join(text(field(node, "module_name")).split())
        module = dotted.lstrip(".")
        level = len(dotted) - len(module)
    names = [_alias(name) for name in node.children_by_field_name("name")] or [ast.alias(name="*", asname=None)]
    return ast.ImportFrom(module=module or None, names=names, level=level)


def _alias(node: Node) -> ast.alias:
    if node.type == "aliased_import":
        return ast.alias(name=text(field(node, "name")), asname=text(field(node, "alias")))
    return ast.alias(name=text(node), asname=None)


def _function(node: Node) -> ast.stmt:
    body = _statements([field(node, "body")]) or [ast.Pass()]
    parameters = arguments(node.child_by_field_name("parameters"))
    return ast.FunctionDef(
        name=text(field(node, "name")), args=parameters, body=body, decorator_list=[], returns=None, type_comment=None
    )


def _class(node: Node) -> ast.stmt:
    bases = node.child_by_field_name("superclasses")
    given, keywords = ([], []) if bases is None else passed(bases)
    body = _statements([field(node, "body")]) or [ast.Pass()]
    return ast.ClassDef(name=text(field(node, "name")), bases=given, keywords=keywords, body=body, decorator_list=[])


def _for(node: Node) -> ast.stmt:
    body = _statements([field(node, "body")]) or [ast.Pass()]
    after = node.child_by_field_name("alternative")
    return ast.For(
        target=target(field(node, "left")), iter=expression(field(node, "right")), body=body,
        orelse=[] if after is None else _statements([after]), type_comment=None,
    )  # fmt: skip


def _return(node: Node) -> ast.stmt:
    inner = children(node)
    return ast.Return(value=expression(inner[0]) if inner else None)


_STATEMENTS: dict[str, Callable[[Node], ast.stmt]] = {
    "expression_statement": _alone,
    "augmented_assignment": _augmented,
    "import_statement": _import,
    "import_from_statement": _import_from,
    "future_import_statement": _import_from,
    "function_definition": _function,
    "class_definition": _class,
    "for_statement": _for,
    "return_statement": _return,
}
