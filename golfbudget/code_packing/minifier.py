"""Minification by the python-minifier package, with the settings that change nothing a program can observe.

What may still differ: docstrings where nothing in the source reads any, names of local variables, line numbers.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from golfbudget.code_packing.source import ProgramSource, lost, parse
from golfbudget.errors import UsageError

PACKAGE = "python-minifier"
#: The settings that never vary, in the minifier's words, each with its reason.
SETTINGS: dict[str, tuple[bool, str]] = {
    "combine_imports": (True, "adjacent imports run in the same order on one line"),
    "constant_folding": (False, "Python folds them itself, and annotations kept as text would show it"),
    "convert_posargs_to_args": (False, "without its slash a parameter clashes with a keyword of its name"),
    "hoist_literals": (False, "adds module globals, and repeated literals cost a compressor next to nothing"),
    "prefer_single_line": (True, "semicolons for line ends; compresses slightly better"),
    "preserve_shebang": (False, "a comment inside of exec"),
    "remove_asserts": (False, "an assertion that fails is behaviour"),
    "remove_builtin_exception_brackets": (True, "raise makes the instance"),
    "remove_dead_branches": (False, "next to nothing to win, and scopes to get wrong"),
    "remove_debug": (False, "__debug__ is true unless the program is started with -O"),
    "remove_explicit_return_none": (True, "a function returns None without it"),
    "remove_object_base": (False, "object could be rebound, and a few bytes are all there is to win"),
    "remove_pass": (True, "pass does nothing"),
    "rename_globals": (False, "other modules, pickles and globals() know them by name"),
}
#: Modules that read the docstrings of their callers, and functions that read any.
_READ_DOCSTRINGS = frozenset(("click", "cmd", "docopt", "doctest", "fire", "pydoc", "typer"))
_DOCSTRING_NAMES = frozenset(("__doc__", "getdoc", "getcomments"))
#: Names and attributes by which a program sees its own or another function's local variables.
_FRAMES = frozenset(("f_locals", "co_varnames"))
#: Functions of tables that look names in a string up among the caller's local variables.
_LOOKUPS = frozenset(("query", "eval", "evaluate"))


class MinifierError(Exception):
    """The minifier cannot take this source, for the reason that the message gives; the source is packed as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minified:
    """A minified program in UTF-8, its tree, and what there is to say about how it was made."""

    data: bytes
    tree: ast.Module
    notes: tuple[str, ...]


def minifier_version() -> str:
    """Version of the package.  `UsageError` where it is missing: a count must not silently be another."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        raise UsageError(
            f"the package {PACKAGE} is not installed, so nothing can be minified; --no-minify packs the source as it is"
        ) from None


def minify(source: ProgramSource, *, unannotated: bool = False) -> Minified:
    """The program, shorter.  `unannotated` removes annotations of parameters, results and variables.

    Annotations of class attributes always stay: dataclasses and typed dictionaries are made of them.
    Raises `MinifierError`.
    """
    if source.tree is None:
        raise MinifierError(source.refusal)
    minifier_version()
    from python_minifier import RemoveAnnotationsOptions
    from python_minifier import minify as shorten

    names = _mentioned(source.tree)
    docstrings = sorted(names & (_DOCSTRING_NAMES | {f"import {module}" for module in _READ_DOCSTRINGS}))
    frames = sorted(names & _FRAMES) or sorted(_lookups(source.tree))
    options: dict[str, Any] = {name: value for name, (value, _) in SETTINGS.items()}
    annotations = RemoveAnnotationsOptions(
        remove_variable_annotations=unannotated,
        remove_return_annotations=unannotated,
        remove_argument_annotations=unannotated,
        remove_class_attribute_annotations=False,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = shorten(
                source.text,
                source.name,
                remove_annotations=annotations,
                remove_literal_statements=not docstrings,
                rename_locals=not frames,
                preserve_locals=_inner_definitions(source.tree),
                **options,
            )
        data = text.encode()
        tree = parse(text)
    except Exception as error:  # noqa: BLE001  # Another package's code: whatever it raises, the source can be packed.
        what = " ".join(str(error).split())[:200]
        raise MinifierError(f"{PACKAGE} fails on it: {type(error).__name__}{': ' if what else ''}{what}") from None
    difference = lost(source.tree, tree, annotations=not unannotated)
    if difference is not None:
        raise MinifierError(f"{PACKAGE} changes what it must keep: {difference}")
    notes = []
    if docstrings:
        notes.append(f"docstrings are kept, as the source mentions {docstrings[0].removeprefix('import ')}")
    if frames:
        notes.append(f"local names are kept, as the source mentions {frames[0]}")
    return Minified(data=data, tree=tree, notes=tuple(notes))


def _mentioned(tree: ast.Module) -> set[str]:
    """Names, attributes and short strings of a program, and the packages it imports as `import NAME`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name():
                names.add(node.id)
            case ast.Attribute():
                names.add(node.attr)
            case ast.Constant(value=str(text)) if len(text) < 16:
                names.add(text)
            case ast.Import():
                names |= {f"import {alias.name.partition('.')[0]}" for alias in node.names}
            case ast.ImportFrom():
                names |= {f"import {(node.module or '').partition('.')[0]}", *(alias.name for alias in node.names)}
            case _:
                pass
    return names


def _inner_definitions(tree: ast.Module) -> list[str]:
    """Functions and classes inside of functions: their names are local, but stay with them as `__name__`."""
    names: set[str] = set()
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if inside and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        inside |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        todo += [(child, inside) for child in ast.iter_child_nodes(node)]
    return sorted(names)


def _lookups(tree: ast.Module) -> set[str]:
    """Methods called with a string that may name local variables: `table.query("size > @limit")`."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _LOOKUPS
        and node.args
        and isinstance(node.args[0], (ast.Constant, ast.JoinedStr))
    }
