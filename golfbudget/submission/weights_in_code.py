"""Weights that a program holds as literals, one or many: then the code is the whole artifact."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from golfbudget.submission.paths import called
from golfbudget.submission.sources import Program, executed_parts, executes

#: Less data is a table or a key; the smallest model in a program would have as much.
_LEAST = 4096
#: Shorter literals are words, and shorter rows of numbers settings.
_SHORTEST = 32
_FEWEST = 64
#: Prose and source have more white space than this share, data has lines of 76 digits at the most.
_SPACES = 0.05
#: Calls that take code.
_RUNNERS = ("exec", "eval")


def holds_weights(programs: Iterable[Program]) -> bool:
    """Whether a program is for the most part data, what it runs as code left out."""
    return any(sum(_data(program)) >= max(_LEAST, len(program.text) // 2) for program in programs)


def _data(program: Program) -> Iterator[int]:
    """Characters of every literal that is neither text for people nor run, and of long rows of numbers, as source.

    Nothing of a program that runs what cannot be followed to a literal: any literal may be that.
    """
    run = {id(node) for node in executed_parts(program) if isinstance(node, ast.Constant)}
    if executes(program) and not run:
        return
    plain = (node for node in program.nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    run |= {id(item) for call in plain if called(call) in _RUNNERS for item in call.args}
    for node in program.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            if len(node.value) >= _SHORTEST and id(node) not in run and not _is_text(node.value):
                yield len(repr(node.value))
        elif isinstance(node, ast.List | ast.Tuple) and len(node.elts) >= _FEWEST:
            yield sum(map(_digits, node.elts))


def _is_text(value: str | bytes) -> bool:
    spaces = sum(map(value.count, " \n") if isinstance(value, str) else map(value.count, (b" ", b"\n")))
    return spaces > _SPACES * len(value)


def _digits(node: ast.expr) -> int:
    """Characters of a number and its comma; none of anything else."""
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    if not isinstance(inner, ast.Constant) or not isinstance(inner.value, int | float):
        return 0
    return len(repr(inner.value)) + (1 if inner is node else 2)
