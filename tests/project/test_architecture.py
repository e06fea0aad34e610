"""Imports run downward only and never in a circle, a class has a name of its own, and files stay small."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import golfbudget

PACKAGE = Path(golfbudget.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def layers(page: str, named: str = "layers") -> list[dict[str, str]]:
    """Rooms and what the page says of them, from the bottom layer up; a blank line separates layers."""
    picture = re.search(rf"```{named}\n(.*?)\n```", page, re.DOTALL)
    assert picture is not None
    groups = [group.splitlines() for group in reversed(picture[1].split("\n\n"))]
    return [dict(line.split(maxsplit=1) for line in group) for group in groups]


#: A module may import its own layer and those before it.
LAYERS = layers(PAGE.read_text(encoding="utf-8"))
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES
}


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree, read when a test asks: every process that collects these tests would read them all."""
    return ast.parse(path.read_text(encoding="utf-8"))


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imported(path: Path) -> set[str]:
    """First components below `golfbudget` of every import in a file, lazy ones included."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = node.module.split(".")
            if parts[0] == "golfbudget":
                names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return names - {"__version__"}


def dependencies(module: str) -> set[str]:
    """Modules that a file imports from, lazily or not.

    That Python runs a package's `__init__` before any file in it is left out: it only gathers what its files define,
    and they need nothing of it.  A file that does import from its own package's `__init__` closes a circle.
    """
    modules: set[str] = set()
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {name if name in MODULES else node.module for name in names}
    return modules - {module}


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
    for path in FILES:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        for name in imported(path):
            assert layer(name) <= layer(parts[0]), f"{path} imports {name}"


def test_no_two_files_import_each_other() -> None:
    TopologicalSorter({module: dependencies(module) for module in MODULES}).prepare()


def test_the_page_shows_every_room_once() -> None:
    tops = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    rooms = [room for group in LAYERS for room in group]
    assert sorted(rooms) == sorted(tops - {"__init__", "__main__", "__pycache__"})


def test_the_page_shows_every_room_of_tests() -> None:
    rooms = [room for group in layers(PAGE.read_text(encoding="utf-8"), "rooms") for room in group]
    tests = {path.parent.name for path in Path(__file__).parents[1].rglob("test_*.py")}
    assert sorted(rooms) == sorted(tests)
    # Two of one name would be one module.
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("*.py") if path.name != "__init__.py")
    assert max(names.values()) == 1, names.most_common(3)


def test_no_public_class_is_defined_twice() -> None:
    places: dict[str, list[Path]] = {}
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_reading_commands_do_not_reach_torch() -> None:
    """Only the rooms that the page marks import torch and its kind, or numpy before they need it."""
    never = {"torch", "sklearn", "faiss", "scipy"}
    rooms = {room: what for group in LAYERS for room, what in group.items()}
    for path in FILES:
        what = rooms.get(path.relative_to(PACKAGE).with_suffix("").parts[0], "")
        if not what.endswith("(torch)"):
            assert not outside(ast.walk(tree(path))) & never, path
            assert what.endswith("(numpy)") or "numpy" not in outside(tree(path).body), path


def test_files_stay_small() -> None:
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, f"{path} has {len(lines)} lines"
