"""Imports run downward only, and the package stays in small files."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import golfbudget

PACKAGE = Path(golfbudget.__file__).parent

#: From the bottom up; a module may import its own layer and those before it.
LAYERS = [
    {"errors"},
    {"ledger", "hashing", "configs", "plugins", "cache", "extras", "progress"},
    {"models"},
    {"codecs"},
    {"filters"},
    {"formats"},
    {"artifact"},
    {"roles", "rollup", "budget", "rules"},
    {"inspection", "entropy", "content"},
    {"compare", "gates", "baseline"},
    {"schemes", "code_packing", "repacking"},
    {"recipe", "submission"},
    {"certificates"},
    {"quality", "example", "estimate"},
    {"plan"},
    {"report"},
    {"api"},
    {"cli"},
]


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imported(path: Path) -> set[str]:
    """First components below `golfbudget` of every import in a file, lazy ones included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = node.module.split(".")
            if parts[0] == "golfbudget":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"__version__"}


def outside(nodes: Iterable[ast.AST]) -> set[str]:
    """First components of what the import statements among `nodes` import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def test_imports_run_downward() -> None:
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        for name in imported(path):
            assert layer(name) <= layer(parts[0]), f"{path} imports {name}"


def test_every_module_has_a_layer() -> None:
    tops = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert tops - {"__init__", "__main__", "__pycache__"} == set().union(*LAYERS)


def test_reading_commands_do_not_reach_torch() -> None:
    never = {"torch", "sklearn", "faiss", "scipy"}
    lazily = never | {"numpy"}
    for top in (
        "errors",
        "ledger",
        "codecs",
        "filters",
        "formats",
        "artifact",
        "roles",
        "rollup",
        "budget",
        "rules",
        "inspection",
        "entropy",
        "content",
        "compare",
        "gates",
        "baseline",
        "repacking",
        "submission",
    ):
        place = PACKAGE / top
        for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not outside(ast.walk(tree)) & never, path
            assert not outside(tree.body) & lazily, path


def test_files_stay_small() -> None:
    for path in PACKAGE.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, f"{path} has {len(lines)} lines"
