"""Expressions of the parser for newer syntax, as those of the standard library's syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tree_sitter import Node

OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "//": ast.FloorDiv, "%": ast.Mod, "**": ast.Pow,
    "<<": ast.LShift, ">>": ast.RShift, "|": ast.BitOr, "&": ast.BitAnd, "^": ast.BitXor, "@": ast.MatMult,
}  # fmt: skip
_UNARY: dict[str, type[ast.unaryop]] = {"-": ast.USub, "+": ast.UAdd, "~": ast.Invert}
_WORDS = {"true": True, "false": False, "none": None, "ellipsis": ...}
#: Children of these are names that get bound.
_BINDING = {"as_pattern_target", "splat_pattern", "case_pattern"}
SKIPPED = {"comment", "line_continuation", "type", "type_conversion", "import_prefix"}
_PARAMETERS = {"default_parameter", "typed_default_parameter", "typed_parameter", "list_splat_pattern",
               "dictionary_splat_pattern", "identifier"}  # fmt: skip

_Made = TypeVar("_Made", ast.expr, ast.stmt)


def refused(node: Node) -> SyntaxError:
    """The error for a node, with its line."""
    return SyntaxError("it is not understood", ("program", node.start_point[0] + 1, node.start_point[1] + 1, None))


def text(node: Node | None) -> str:
    """The source of a node."""
    return "" if node is None or node.text is None else node.text.decode()


def placed(made: _Made, node: Node) -> _Made:
    """A node of the tree, where it stands in the source."""
    made.lineno, made.col_offset = node.start_point[0] + 1, node.start_point[1]
    made.end_lineno, made.end_col_offset = node.end_point[0] + 1, node.end_point[1]
    return made


def children(node: Node) -> list[Node]:
    """What stands in a node, but for comments and annotations."""
    return [child for child in node.named_children if child.type not in SKIPPED]


def field(node: Node, name: str) -> Node:
    """A part that a node must have; `SyntaxError` otherwise."""
    found = node.child_by_field_name(name)
    if found is None:
        raise refused(node)
    return found


def arguments(node: Node | None) -> ast.arguments:
    """Parameters by position or keyword, all as if positional: which is which tells nothing here."""
    made: list[ast.arg] = []
    defaults: list[ast.expr] = []
    for child in () if node is None else node.named_children:
        if child.type not in _PARAMETERS:
            continue
        value = child.child_by_field_name("value")
        named = child.child_by_field_name("name") or child
        name = text(named).split(":")[0].strip("* \t")
        made.append(ast.arg(arg=name, annotation=None, type_comment=None))
        made[-1].lineno, made[-1].col_offset = child.start_point[0] + 1, child.start_point[1]
        if value is not None:
            defaults.append(expression(value))
        elif defaults:
            defaults.append(placed(ast.Constant(value=None, kind=None), child))
    return ast.arguments(
        posonlyargs=[], args=made, vararg=None, kwonlyargs=[], kw_defaults=[], kwarg=None, defaults=defaults
    )


def expression(node: Node) -> ast.expr:
    """Any expression."""
    while node.type == "parenthesized_expression" and len(inside := children(node)) == 1:
        (node,) = inside
    return placed(_EXPRESSIONS.get(node.type, as_tuple)(node), node)


def as_tuple(node: Node) -> ast.expr:
    """What has no form of its own here: the expressions inside, and the names that it binds.

    `SyntaxError` for a block.
    """
    inside: list[ast.expr] = []
    for child in children(node):
        if node.type in _BINDING or (child.type == "dotted_name" and node.type == "as_pattern"):
            inside.append(target(child) if child.type in ("identifier", "dotted_name") else expression(child))
        elif child.type == "block":
            raise refused(child)
        else:
            inside.append(expression(child))
    return placed(ast.Tuple(elts=inside, ctx=ast.Load()), node)


def target(node: Node) -> ast.expr:
    """The same as an expression, but what it names is bound."""
    made = placed(ast.Name(id=text(node), ctx=ast.Load()), node) if node.type == "dotted_name" else expression(node)
    _store(made)
    return made


def _store(made: ast.expr) -> None:
    if isinstance(made, ast.Name | ast.Attribute | ast.Subscript | ast.Tuple | ast.List):
        made.ctx = ast.Store()
    for item in made.elts if isinstance(made, ast.Tuple | ast.List) else ():
        _store(item)


def _name(node: Node) -> ast.expr:
    return ast.Name(id=text(node), ctx=ast.Load())


def _number(node: Node) -> ast.expr:
    try:
        return ast.Constant(value=ast.literal_eval(text(node)), kind=None)
    except (SyntaxError, ValueError):
        raise refused(node) from None


def _attribute(node: Node) -> ast.expr:
    return ast.Attribute(value=expression(field(node, "object")), attr=text(field(node, "attribute")), ctx=ast.Load())


def _call(node: Node) -> ast.expr:
    inside = field(node, "arguments")
    given, keywords = ([expression(inside)], []) if inside.type == "generator_expression" else passed(inside)
    return ast.Call(func=expression(field(node, "function")), args=given, keywords=keywords)


def passed(node: Node) -> tuple[list[ast.expr], list[ast.keyword]]:
    """Arguments of a call, by position and by keyword."""
    given: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    for child in children(node):
        if child.type == "keyword_argument":
            value = expression(field(child, "value"))
            keywords.append(ast.keyword(arg=text(field(child, "name")), value=value))
        elif child.type == "dictionary_splat":
            keywords.append(ast.keyword(arg=None, value=expression(children(child)[0])))
        else:
            given.append(expression(child))
    return given, keywords


def _splat(node: Node) -> ast.expr:
    return ast.Starred(value=expression(children(node)[0]), ctx=ast.Load())


def _binary(node: Node) -> ast.expr:
    operator = OPERATORS[text(field(node, "operator"))]()
    return ast.BinOp(left=expression(field(node, "left")), op=operator, right=expression(field(node, "right")))


def _unary(node: Node) -> ast.expr:
    operator = _UNARY[text(field(node, "operator"))]()
    return ast.UnaryOp(op=operator, operand=expression(field(node, "argument")))


def _boolean(node: Node) -> ast.expr:
    operator = ast.Or() if text(field(node, "operator")) == "or" else ast.And()
    return ast.BoolOp(op=operator, values=[expression(field(node, side)) for side in ("left", "right")])


def _comparison(node: Node) -> ast.expr:
    # Which comparison it is matters to nobody; the grammar gives two tokens for `not in`.
    first, *rest = (expression(child) for child in children(node))
    return ast.Compare(left=first, ops=[ast.Eq() for _ in rest], comparators=rest)


def _conditional(node: Node) -> ast.expr:
    body, test, otherwise = (expression(child) for child in children(node))
    return ast.IfExp(test=test, body=body, orelse=otherwise)


def _inner(node: Node) -> ast.expr:
    inside = children(node)
    return expression(inside[0]) if len(inside) == 1 else as_tuple(node)


def _named(node: Node) -> ast.expr:
    bound = target(field(node, "name"))
    if not isinstance(bound, ast.Name):
        raise refused(node)
    return ast.NamedExpr(target=bound, value=expression(field(node, "value")))


def _list(node: Node) -> ast.expr:
    return ast.List(elts=[expression(child) for child in children(node)], ctx=ast.Load())


def _subscript(node: Node) -> ast.expr:
    indices = [expression(child) for child in node.children_by_field_name("subscript")]
    index = indices[0] if len(indices) == 1 else placed(ast.Tuple(elts=indices, ctx=ast.Load()), node)
    return ast.Subscript(value=expression(field(node, "value")), slice=index, ctx=ast.Load())


def _dictionary(node: Node) -> ast.expr:
    keys: list[ast.expr | None] = []
    values: list[ast.expr] = []
    for child in children(node):
        pair = child.type == "pair"
        keys.append(expression(field(child, "key")) if pair else None)
        values.append(expression(field(child, "value") if pair else children(child)[0]))
    return ast.Dict(keys=keys, values=values)


def _lambda(node: Node) -> ast.expr:
    parameters = arguments(node.child_by_field_name("parameters"))
    return ast.Lambda(args=parameters, body=expression(field(node, "body")))


def _comprehension(node: Node) -> ast.expr:
    loops: list[ast.comprehension] = []
    for child in children(node)[1:]:
        if child.type == "for_in_clause":
            sources = child.children_by_field_name("right")
            bound, source = target(field(child, "left")), expression(sources[0])
            loops.append(ast.comprehension(target=bound, iter=source, ifs=[], is_async=0))
        elif loops:
            loops[-1].ifs.append(_inner(child))
    return ast.GeneratorExp(elt=expression(field(node, "body")), generators=loops)


def _string(node: Node) -> ast.expr:
    interpolated = any(child.type == "interpolation" for child in node.children)
    prefix = text(node.children[0]).rstrip("\"'").lower()
    if not interpolated and not set(prefix) & set("ft"):
        return _number(node)
    return ast.JoinedStr(values=list(_pieces(node)))


def _pieces(node: Node) -> Iterator[ast.expr]:
    for child in node.children:
        if child.type == "string_content":
            piece = text(child).replace("{{", "{").replace("}}", "}")
            yield placed(ast.Constant(value=piece, kind=None), child)
        elif child.type == "interpolation":
            value = expression(field(child, "expression"))
            yield placed(ast.FormattedValue(value=value, conversion=-1, format_spec=None), child)
            specifier = child.child_by_field_name("format_specifier")
            for inner in () if specifier is None else specifier.named_children:
                if inner.type == "format_expression":
                    named = expression(field(inner, "expression"))
                    yield placed(ast.FormattedValue(value=named, conversion=-1, format_spec=None), inner)


def _joined(node: Node) -> ast.expr:
    """Strings side by side are one."""
    parts = [expression(child) for child in children(node)]
    values: list[Any] = [part.value if isinstance(part, ast.Constant) else None for part in parts]
    for kind in (str, bytes):
        if all(isinstance(value, kind) for value in values):
            return ast.Constant(value=kind().join(values), kind=None)
    return ast.JoinedStr(values=[one for part in parts for one in getattr(part, "values", [part])])


_EXPRESSIONS: dict[str, Callable[[Node], ast.expr]] = {
    **dict.fromkeys(_WORDS, lambda node: ast.Constant(value=_WORDS[node.type], kind=None)),
    **dict.fromkeys(("integer", "float"), _number),
    **dict.fromkeys(("identifier", "dotted_name", "keyword_identifier"), _name),
    **dict.fromkeys(("list_splat", "parenthesized_list_splat"), _splat),
    **dict.fromkeys(
        ("list_comprehension", "set_comprehension", "dictionary_comprehension", "generator_expression"), _comprehension
    ),
    "attribute": _attribute,
    "call": _call,
    "binary_operator": _binary,
    "unary_operator": _unary,
    "boolean_operator": _boolean,
    "comparison_operator": _comparison,
    "conditional_expression": _conditional,
    "named_expression": _named,
    "list": _list,
    "subscript": _subscript,
    "dictionary": _dictionary,
    "lambda": _lambda,
    "string": _string,
    "concatenated_string": _joined,
}
