"""Source in syntax newer than this Python's: parsed by tree-sitter, and given as the standard library's own tree.

What matters to a reader of programs is the same as `ast.parse` gives: imports, names and what binds them, calls,
strings and numbers, operators, functions and classes, each with its place.  Everything else becomes a plain statement
or tuple of what stands in it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import tree_sitter_python
from tree_sitter import Language, Node, Parser

_OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "//": ast.FloorDiv, "%": ast.Mod, "**": ast.Pow,
    "<<": ast.LShift, ">>": ast.RShift, "|": ast.BitOr, "&": ast.BitAnd, "^": ast.BitXor, "@": ast.MatMult,
}  # fmt: skip
_UNARY: dict[str, type[ast.unaryop]] = {"-": ast.USub, "+": ast.UAdd, "~": ast.Invert}
_WORDS = {"true": True, "false": False, "none": None, "ellipsis": ...}
#: Statements of Python 2, which the grammar still knows.
_OLD = {"print_statement", "exec_statement"}
#: Children of these are names that get bound.
_BINDING = {"as_pattern_target", "splat_pattern", "case_pattern"}
_SKIPPED = {"comment", "line_continuation", "type", "type_conversion", "import_prefix"}
_PARAMETERS = {"default_parameter", "typed_default_parameter", "typed_parameter", "list_splat_pattern",
               "dictionary_splat_pattern", "identifier"}  # fmt: skip

_Made = TypeVar("_Made", ast.expr, ast.stmt)


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
            raise _refused(node)
        # Defaults of type parameters (Python 3.13) are not in the grammar; nothing in there is run.
        waiting += [child for child in node.children if child.has_error and child.type != "type_parameter"]


def _refused(node: Node) -> SyntaxError:
    return SyntaxError("it is not understood", ("program", node.start_point[0] + 1, node.start_point[1] + 1, None))


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode()


def _placed(made: _Made, node: Node) -> _Made:
    made.lineno, made.col_offset = node.start_point[0] + 1, node.start_point[1]
    made.end_lineno, made.end_col_offset = node.end_point[0] + 1, node.end_point[1]
    return made


def _children(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type not in _SKIPPED]


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    if found is None:
        raise _refused(node)
    return found


# --- statements ---


def _statements(nodes: Sequence[Node]) -> list[ast.stmt]:
    made: list[ast.stmt] = []
    for node in nodes:
        if node.type in _OLD:
            raise _refused(node)
        if node.type in _STATEMENTS:
            made.append(_placed(_STATEMENTS[node.type](node), node))
        elif node.type == "assignment":
            made += _assignment(node)
        elif node.type in _CONTAINERS or node.type.endswith(("_statement", "_clause", "_definition", "_item")):
            made += _statements(_children(node))
        elif node.type not in _SKIPPED:
            # Not an `Expr`: a string in one of those is a comment.
            made.append(_placed(ast.Return(value=_expression(node)), node))
    return made


_CONTAINERS = {"module", "block", "decorator", "pass_statement"}


def _alone(node: Node) -> ast.stmt:
    """A statement that is an expression, or an assignment."""
    inner = _children(node)
    if len(inner) == 1 and inner[0].type == "assignment":
        (made,) = _assignment(inner[0]) or [ast.Pass()]
        return made
    if len(inner) == 1 and inner[0].type == "augmented_assignment":
        return _augmented(inner[0])
    return ast.Expr(value=_expression(inner[0]) if len(inner) == 1 else _tuple(node))


def _assignment(node: Node) -> list[ast.stmt]:
    targets, value = [_target(_field(node, "left"))], node.child_by_field_name("right")
    while value is not None and value.type == "assignment":
        targets.append(_target(_field(value, "left")))
        value = value.child_by_field_name("right")
    if value is None:
        return []
    return [_placed(ast.Assign(targets=targets, value=_expression(value), type_comment=None), node)]


def _augmented(node: Node) -> ast.stmt:
    operator = _OPERATORS[_text(_field(node, "operator")).removesuffix("=")]()
    target = _target(_field(node, "left"))
    if not isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
        raise _refused(node)
    return ast.AugAssign(target=target, op=operator, value=_expression(_field(node, "right")))


def _import(node: Node) -> ast.stmt:
    return ast.Import(names=[_alias(name) for name in node.children_by_field_name("name")])


def _import_from(node: Node) -> ast.stmt:
    if node.type == "future_import_statement":
        module, level = "__future__", 0
    else:
        text = "".join(_text(_field(node, "module_name")).split())
        module = text.lstrip(".")
        level = len(text) - len(module)
    names = [_alias(name) for name in node.children_by_field_name("name")] or [ast.alias(name="*", asname=None)]
    return ast.ImportFrom(module=module or None, names=names, level=level)


def _alias(node: Node) -> ast.alias:
    if node.type == "aliased_import":
        return ast.alias(name=_text(_field(node, "name")), asname=_text(_field(node, "alias")))
    return ast.alias(name=_text(node), asname=None)


def _function(node: Node) -> ast.stmt:
    body = _statements([_field(node, "body")]) or [ast.Pass()]
    arguments = _arguments(node.child_by_field_name("parameters"))
    return ast.FunctionDef(
        name=_text(_field(node, "name")), args=arguments, body=body, decorator_list=[], returns=None, type_comment=None
    )


def _class(node: Node) -> ast.stmt:
    bases = node.child_by_field_name("superclasses")
    given, keywords = ([], []) if bases is None else _passed(bases)
    body = _statements([_field(node, "body")]) or [ast.Pass()]
    return ast.ClassDef(name=_text(_field(node, "name")), bases=given, keywords=keywords, body=body, decorator_list=[])


def _for(node: Node) -> ast.stmt:
    body = _statements([_field(node, "body")]) or [ast.Pass()]
    after = node.child_by_field_name("alternative")
    return ast.For(
        target=_target(_field(node, "left")), iter=_expression(_field(node, "right")), body=body,
        orelse=[] if after is None else _statements([after]), type_comment=None,
    )  # fmt: skip


def _return(node: Node) -> ast.stmt:
    inner = _children(node)
    return ast.Return(value=_expression(inner[0]) if inner else None)


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


def _arguments(node: Node | None) -> ast.arguments:
    """Parameters by position or keyword, all as if positional: which is which tells nothing here."""
    made: list[ast.arg] = []
    defaults: list[ast.expr] = []
    for child in () if node is None else node.named_children:
        if child.type not in _PARAMETERS:
            continue
        value = child.child_by_field_name("value")
        named = child.child_by_field_name("name") or child
        name = _text(named).split(":")[0].strip("* \t")
        made.append(ast.arg(arg=name, annotation=None, type_comment=None))
        made[-1].lineno, made[-1].col_offset = child.start_point[0] + 1, child.start_point[1]
        if value is not None:
            defaults.append(_expression(value))
        elif defaults:
            defaults.append(_placed(ast.Constant(value=None, kind=None), child))
    return ast.arguments(
        posonlyargs=[], args=made, vararg=None, kwonlyargs=[], kw_defaults=[], kwarg=None, defaults=defaults
    )


# --- expressions ---


def _expression(node: Node) -> ast.expr:
    while node.type == "parenthesized_expression" and len(inside := _children(node)) == 1:
        (node,) = inside
    return _placed(_EXPRESSIONS.get(node.type, _tuple)(node), node)


def _tuple(node: Node) -> ast.expr:
    """What has no form of its own here: the expressions inside, and the names that it binds."""
    inside: list[ast.expr] = []
    for child in _children(node):
        if node.type in _BINDING or (child.type == "dotted_name" and node.type == "as_pattern"):
            inside.append(_target(child) if child.type in ("identifier", "dotted_name") else _expression(child))
        elif child.type in _STATEMENTS or child.type == "block":
            raise _refused(child)
        else:
            inside.append(_expression(child))
    return _placed(ast.Tuple(elts=inside, ctx=ast.Load()), node)


def _target(node: Node) -> ast.expr:
    """The same as an expression, but what it names is bound."""
    made = _placed(ast.Name(id=_text(node), ctx=ast.Load()), node) if node.type == "dotted_name" else _expression(node)
    _store(made)
    return made


def _store(made: ast.expr) -> None:
    if isinstance(made, ast.Name | ast.Attribute | ast.Subscript | ast.Tuple | ast.List):
        made.ctx = ast.Store()
    for item in made.elts if isinstance(made, ast.Tuple | ast.List) else ():
        _store(item)


def _name(node: Node) -> ast.expr:
    return ast.Name(id=_text(node), ctx=ast.Load())


def _number(node: Node) -> ast.expr:
    try:
        return ast.Constant(value=ast.literal_eval(_text(node)), kind=None)
    except (SyntaxError, ValueError):
        raise _refused(node) from None


def _attribute(node: Node) -> ast.expr:
    return ast.Attribute(
        value=_expression(_field(node, "object")), attr=_text(_field(node, "attribute")), ctx=ast.Load()
    )


def _call(node: Node) -> ast.expr:
    inside = _field(node, "arguments")
    arguments, keywords = ([_expression(inside)], []) if inside.type == "generator_expression" else _passed(inside)
    return ast.Call(func=_expression(_field(node, "function")), args=arguments, keywords=keywords)


def _passed(node: Node) -> tuple[list[ast.expr], list[ast.keyword]]:
    given: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    for child in _children(node):
        if child.type == "keyword_argument":
            value = _expression(_field(child, "value"))
            keywords.append(ast.keyword(arg=_text(_field(child, "name")), value=value))
        elif child.type == "dictionary_splat":
            keywords.append(ast.keyword(arg=None, value=_expression(_children(child)[0])))
        else:
            given.append(_expression(child))
    return given, keywords


def _splat(node: Node) -> ast.expr:
    return ast.Starred(value=_expression(_children(node)[0]), ctx=ast.Load())


def _binary(node: Node) -> ast.expr:
    operator = _OPERATORS[_text(_field(node, "operator"))]()
    return ast.BinOp(left=_expression(_field(node, "left")), op=operator, right=_expression(_field(node, "right")))


def _unary(node: Node) -> ast.expr:
    operator = _UNARY[_text(_field(node, "operator"))]()
    return ast.UnaryOp(op=operator, operand=_expression(_field(node, "argument")))


def _boolean(node: Node) -> ast.expr:
    operator = ast.Or() if _text(_field(node, "operator")) == "or" else ast.And()
    return ast.BoolOp(op=operator, values=[_expression(_field(node, side)) for side in ("left", "right")])


def _comparison(node: Node) -> ast.expr:
    # Which comparison it is matters to nobody; the grammar gives two tokens for `not in`.
    first, *rest = (_expression(child) for child in _children(node))
    return ast.Compare(left=first, ops=[ast.Eq() for _ in rest], comparators=rest)


def _conditional(node: Node) -> ast.expr:
    body, test, otherwise = (_expression(child) for child in _children(node))
    return ast.IfExp(test=test, body=body, orelse=otherwise)


def _inner(node: Node) -> ast.expr:
    inside = _children(node)
    return _expression(inside[0]) if len(inside) == 1 else _tuple(node)


def _named(node: Node) -> ast.expr:
    target = _target(_field(node, "name"))
    if not isinstance(target, ast.Name):
        raise _refused(node)
    return ast.NamedExpr(target=target, value=_expression(_field(node, "value")))


def _list(node: Node) -> ast.expr:
    return ast.List(elts=[_expression(child) for child in _children(node)], ctx=ast.Load())


def _subscript(node: Node) -> ast.expr:
    indices = [_expression(child) for child in node.children_by_field_name("subscript")]
    index = indices[0] if len(indices) == 1 else _placed(ast.Tuple(elts=indices, ctx=ast.Load()), node)
    return ast.Subscript(value=_expression(_field(node, "value")), slice=index, ctx=ast.Load())


def _dictionary(node: Node) -> ast.expr:
    keys: list[ast.expr | None] = []
    values: list[ast.expr] = []
    for child in _children(node):
        pair = child.type == "pair"
        keys.append(_expression(_field(child, "key")) if pair else None)
        values.append(_expression(_field(child, "value") if pair else _children(child)[0]))
    return ast.Dict(keys=keys, values=values)


def _lambda(node: Node) -> ast.expr:
    arguments = _arguments(node.child_by_field_name("parameters"))
    return ast.Lambda(args=arguments, body=_expression(_field(node, "body")))


def _comprehension(node: Node) -> ast.expr:
    loops: list[ast.comprehension] = []
    for child in _children(node)[1:]:
        if child.type == "for_in_clause":
            sources = child.children_by_field_name("right")
            target, source = _target(_field(child, "left")), _expression(sources[0])
            loops.append(ast.comprehension(target=target, iter=source, ifs=[], is_async=0))
        elif loops:
            loops[-1].ifs.append(_inner(child))
    return ast.GeneratorExp(elt=_expression(_field(node, "body")), generators=loops)


def _string(node: Node) -> ast.expr:
    interpolated = any(child.type == "interpolation" for child in node.children)
    prefix = _text(node.children[0]).rstrip("\"'").lower()
    if not interpolated and not set(prefix) & set("ft"):
        return _number(node)
    return ast.JoinedStr(values=list(_pieces(node)))


def _pieces(node: Node) -> Iterator[ast.expr]:
    for child in node.children:
        if child.type == "string_content":
            text = _text(child).replace("{{", "{").replace("}}", "}")
            yield _placed(ast.Constant(value=text, kind=None), child)
        elif child.type == "interpolation":
            value = _expression(_field(child, "expression"))
            yield _placed(ast.FormattedValue(value=value, conversion=-1, format_spec=None), child)
            specifier = child.child_by_field_name("format_specifier")
            for inner in () if specifier is None else specifier.named_children:
                if inner.type == "format_expression":
                    named = _expression(_field(inner, "expression"))
                    yield _placed(ast.FormattedValue(value=named, conversion=-1, format_spec=None), inner)


def _joined(node: Node) -> ast.expr:
    """Strings side by side are one."""
    parts = [_expression(child) for child in _children(node)]
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
