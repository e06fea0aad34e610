"""Weights that a program holds as a literal: then the code is the whole artifact."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from golfbudget.submission.sources import Program

#: Shorter literals are texts; the smallest model in a program would have as much.
_SHORTEST = 4096


def holds_weights(programs: Iterable[Program]) -> bool:
    """Whether a program that does not run its own literals as code is mostly one literal, as long as data."""
    return any(
        not _runs_code(program.tree) and _longest(program.tree) >= max(_SHORTEST, len(program.text) // 2)
        for program in programs
    )


def _runs_code(tree: ast.Module) -> bool:
    names = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(name, ast.Name) and name.id in ("exec", "eval", "compile") for name in names)


def _longest(tree: ast.Module) -> int:
    docs = {id(node.body[0].value) for node in ast.walk(tree) if _documented(node)}  # type: ignore[attr-defined]
    return max(
        (
            len(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in docs
        ),
        default=0,
    )


def _documented(node: ast.AST) -> bool:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and bool(node.body) and isinstance(node.body[0], ast.Expr)
