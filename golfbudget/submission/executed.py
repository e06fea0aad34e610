"""What a program gives to be run as code: literals that can be read here, and what only running it would tell."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from golfbudget.formats.python.syntax import parse
from golfbudget.submission.nodes import nodes as all_nodes
from golfbudget.submission.paths import called

#: Calls that run the text that they are given, or make it ready for that.
_RUNNERS = ("exec", "eval", "compile")
#: A syntax tree takes some 700 bytes for each character.
_LONGEST = 1 << 19


def with_literals(program: Sequence[ast.AST]) -> tuple[ast.AST, ...]:
    """The nodes, and those of the literals that the program runs, all of which stand where the literal is run."""
    more: list[ast.AST] = []
    for call, text in _literals(program):
        for one in _tree(text):
            if hasattr(one, "lineno"):
                one.lineno = call.lineno
            more.append(one)
    return (*program, *more)


def unfollowed_line(program: Sequence[ast.AST]) -> int | None:
    """The first line with an `exec` of what is worked out and holds no literal that is code; None without one."""
    followed = {id(call) for call, text in _literals(program) if _does(_tree(text))}
    for node in program:
        if isinstance(node, ast.Call) and called(node) == "exec" and node.args and _plain(node):
            given = node.args[0]
            inner = (
                given.args[0] if isinstance(given, ast.Call) and called(given) == "compile" and given.args else given
            )
            # An empty literal is run for nothing.
            if id(node) not in followed and not isinstance(inner, ast.Constant):
                return node.lineno
    return None


def _does(tree: Sequence[ast.AST]) -> bool:
    """Whether code does anything: a word by itself is a name or a setting."""
    return any(isinstance(node, ast.Call | ast.stmt) and not isinstance(node, ast.Expr) for node in tree)


def _plain(node: ast.Call) -> bool:
    """`exec(…)` and `builtins.exec(…)`, and no method of something else."""
    function = node.func
    return isinstance(function, ast.Name) or (
        isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in ("builtins", "__builtins__")
    )


def _literals(program: Sequence[ast.AST]) -> Iterator[tuple[ast.Call, str | bytes]]:
    """Literals in what is run, and in what the names in there are assigned, each with the call."""
    assigned: dict[str, list[ast.expr]] = {}
    calls: list[ast.Call] = []
    for node in program:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.Call) and called(node) in _RUNNERS and node.args and _plain(node):
            calls.append(node)
    for call in calls:
        waiting, seen = [call.args[0]], set[str]()
        while waiting:
            for node in all_nodes(waiting.pop()):
                if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node.value:
                    yield call, node.value
                elif isinstance(node, ast.Name) and node.id not in seen:
                    seen.add(node.id)
                    waiting += assigned.get(node.id, [])


def _tree(text: str | bytes) -> tuple[ast.AST, ...]:
    """The nodes of a text that is code; none of one that is not, or too long."""
    if len(text) > _LONGEST:
        return ()
    try:
        return all_nodes(parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")))
    except SyntaxError:
        return ()
