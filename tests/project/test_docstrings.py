"""Public functions say what they raise, of what shape arrays are, and whether sizes and costs are bits or bytes."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import golfbudget

PACKAGE = Path(golfbudget.__file__).parent
#: A shape: `[rows, columns]`, `[...]`, or words for it; `[-levels, levels]` is a range.
SHAPE = re.compile(r"\[(?!-)[^\[\]]*\]|\b(any|same|that|its|own|\w+'s) shape\b|\bscalar\b")
#: One shape that goes for all arrays of a function: "both [rows]", "all of one shape".
COMMON = re.compile(
    r"\b(both|all) (are )?(of )?((u?int|float)\d+ )?(\[|(one|any) shape\b)|\] (both|all)\b|\b(of|any) one shape\b"
)
UNIT = re.compile(r"\b(bits?|bytes?)\b", re.IGNORECASE)
#: Names of amounts that do not say in what; a vocabulary's size is in tokens.
AMOUNT = re.compile(r"(^|(?<!vocab)_)(sizes?|costs?|cap)$")
#: Where another docstring says it: "errors as of `read_json`", "shapes and errors as of `HubModel.hidden`".
ELSEWHERE = re.compile(
    r"\b((?:errors|shapes)(?: and (?:errors|shapes))?) (?:as )?of (`[\w.]+`(?:(?:, | and )`[\w.]+`)*)", re.IGNORECASE
)
#: Nobody catches these: they end the program, or say what a subclass has to fill in.
ENDS = {"Exit", "KeyboardInterrupt", "NotImplementedError", "SystemExit"}


# The package as syntax trees, read when the first test asks: every process that collects these tests would read it.


@cache
def trees() -> dict[Path, ast.Module]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@cache
def defined() -> list[ast.FunctionDef | ast.ClassDef]:
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@cache
def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for node in defined() if isinstance(node, ast.ClassDef)}


def last(node: ast.AST | None) -> str:
    """The last part of a name with dots."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@cache
def docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split())


@cache
def bases(name: str) -> tuple[str, ...]:
    """What a class inherits from, in the package and next to it."""
    found: list[str] = []
    for node in classes()[name].bases if name in classes() else ():
        base = last(node.value if isinstance(node, ast.Subscript) else node)
        if base != name:
            found += [base, *bases(base)]
    return tuple(found)


@cache
def methods(name: str) -> dict[str, ast.FunctionDef]:
    body = classes()[name].body if name in classes() else ()
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@cache
def members(name: str) -> set[str]:
    """Methods and fields of a class."""
    body = classes()[name].body if name in classes() else ()
    fields = {last(node.target) for node in body if isinstance(node, ast.AnnAssign)}
    return {*methods(name), *fields, *(last(node.targets[0]) for node in body if isinstance(node, ast.Assign))}


@cache
def protocols() -> dict[str, set[str]]:
    """Methods and fields of each protocol."""
    return {name: members(name) for name in classes() if "Protocol" in bases(name)}


@cache
def kinds(error: str) -> set[str]:
    """The names that an error is caught by; none for what is no error."""
    names = {error, *bases(error)}
    made = (getattr(builtins, name, None) for name in names)
    above = {kind.__name__ for one in made if isinstance(one, type) for kind in one.__mro__}
    return names | above if "BaseException" in above else set()


@cache
def makers() -> dict[str, set[str]]:
    """Errors that a function makes for others to raise, by the function's name."""
    returned = {node.name: node.returns for node in defined() if isinstance(node, ast.FunctionDef)}
    return {name: {last(part) for part in ast.walk(node)} for name, node in returned.items() if node is not None}


def raised(nodes: Iterable[ast.AST], caught: frozenset[str] = frozenset()) -> set[str]:
    """Errors that leave these statements by a `raise` of their own; what they raise and catch is left out."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = last(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            made = {name} if kinds(name) else makers().get(name, set())
            found |= {error for error in made if kinds(error) and not kinds(error) & caught}
        elif isinstance(node, ast.Try):
            here = {last(part) for handler in node.handlers if handler.type for part in ast.walk(handler.type)}
            found |= raised(node.body, caught | here)
            found |= raised([*node.handlers, *node.orelse, *node.finalbody], caught)
        else:
            found |= raised(ast.iter_child_nodes(node), caught)
    return found - ENDS


def is_array(annotation: ast.AST | None, aliases: set[str]) -> bool:
    """Whether this is an array or several; those of a whole state, by name, have shapes of their own."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return is_array(ast.parse(annotation.value, mode="eval").body, aliases)
    if isinstance(annotation, ast.Subscript):
        outer = last(annotation.value)
        if outer in {"Callable", "Mapping", "dict", "type"}:
            return False
        return outer in {"NDArray", "ndarray"} or is_array(annotation.slice, aliases)
    if isinstance(annotation, ast.Tuple):
        return any(is_array(part, aliases) for part in annotation.elts)
    if isinstance(annotation, ast.BinOp):
        return is_array(annotation.left, aliases) or is_array(annotation.right, aliases)
    return last(annotation) in {"NDArray", "Tensor", "ndarray", *aliases}


def is_number(annotation: ast.AST | None) -> bool:
    """Whether this is a number or several; `Size` is one of bytes, perhaps as text."""
    names = {last(part) for part in ast.walk(annotation)} if annotation is not None else set()
    return bool(names & {"int", "float", "Size", "NDArray", "Tensor"})


def own_aliases(tree: ast.Module) -> set[str]:
    """Names that a file gives to arrays."""
    return {
        last(node.targets[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and is_array(node.value, set())
    }


@cache
def aliases_of_modules() -> dict[str, set[str]]:
    return {".".join(("golfbudget", *path.with_suffix("").parts)): own_aliases(tree) for path, tree in trees().items()}


def known_aliases(tree: ast.Module) -> set[str]:
    """Those of the file itself and those that it imports."""
    found = own_aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} & aliases_of_modules().get(node.module or "", set())
    return found


@dataclass(frozen=True, kw_only=True)
class Told:
    """A public function, or a method of the class `owner`, with all docstrings that speak of it."""

    path: Path
    node: ast.FunctionDef
    owner: str | None
    aliases: set[str]

    def __str__(self) -> str:
        name = self.node.name if self.owner is None else f"{self.owner}.{self.node.name}"
        return f"{self.path}:{self.node.lineno} {name}"

    @cached_property
    def text(self) -> str:
        """Its own docstring, and of a method those of what it overrides and of the protocols that its class meets."""
        if self.owner is None:
            return docstring(self.node)
        family = [self.owner, *bases(self.owner)]
        whole = set().union(*map(members, family))
        family += [name for name, parts in protocols().items() if parts <= whole and name not in family]
        return " ".join(docstring(found) for name in family if (found := methods(name).get(self.node.name)))

    def elsewhere(self, what: str) -> str:
        """The docstrings that this one names for `errors` or `shapes`."""
        found = [match[2] for match in ELSEWHERE.finditer(self.text) if what in match[1].lower()]
        named = {name.rpartition(".")[2] for names in found for name in re.findall(r"`([\w.]+)`", names)}
        return " ".join(docstring(node) for node in defined() if node.name in named) if named else ""

    @property
    def parameters(self) -> list[ast.arg]:
        args = self.node.args
        return [arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs) if arg.arg not in {"self", "cls"}]

    def unnamed_errors(self) -> set[str]:
        """Errors that it raises and no docstring names, by their own class or one above it."""
        told = set(re.findall(r"\w+Error\b", f"{self.text} {self.elsewhere('errors')}"))
        return {error for error in raised(self.node.body) if not error.startswith("_") and not kinds(error) & told}

    def missing_shapes(self) -> int:
        """How many arrays, the returned one included, come without a shape."""
        arrays = [arg.arg for arg in self.parameters if is_array(arg.annotation, self.aliases)]
        of_class = "" if self.owner is None or not arrays else docstring(classes()[self.owner])
        wanted = sum(not re.search(rf"`{name}`[^.;]*\[", of_class) for name in arrays)
        wanted += is_array(self.node.returns, self.aliases)
        if COMMON.search(self.text) or SHAPE.search(self.elsewhere("shapes")):
            return 0
        return max(0, wanted - len(SHAPE.findall(self.text)))

    def unitless(self) -> list[str]:
        """Names of amounts, its own included, where nothing says whether they are bits or bytes."""
        amounts = {arg.arg: arg.annotation for arg in self.parameters} | {self.node.name: self.node.returns}
        found = [name for name, kind in amounts.items() if AMOUNT.search(name) and is_number(kind)]
        return [] if UNIT.search(self.text) else found


def with_owners(tree: ast.Module) -> Iterator[tuple[str | None, ast.FunctionDef]]:
    """Functions of a file, and methods with the name of their public class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((node.name, found) for found in node.body if isinstance(found, ast.FunctionDef))
        elif isinstance(node, ast.FunctionDef):
            yield None, node


def is_public(node: ast.FunctionDef, path: Path) -> bool:
    """Commands are left out, whose docstrings are their help, and what only types are for."""
    is_command = path.parts[0] == "cli" and path.stem == node.name
    only_typed = "overload" in {last(decorator) for decorator in node.decorator_list}
    return not (node.name.startswith("_") or is_command or only_typed)


@cache
def public() -> list[Told]:
    return [
        Told(path=path, node=node, owner=owner, aliases=aliases)
        for path, tree in trees().items()
        for aliases in [known_aliases(tree)]
        for owner, node in with_owners(tree)
        if is_public(node, path)
    ]


def untold(question: Callable[[Told], object]) -> dict[str, object]:
    return {str(told): found for told in public() if (found := question(told))}


def test_every_public_function_says_what_it_does() -> None:
    assert untold(lambda told: told.owner is None and not told.text) == {}


def test_errors_are_named() -> None:
    assert untold(Told.unnamed_errors) == {}


def test_arrays_have_shapes() -> None:
    assert untold(Told.missing_shapes) == {}


def test_amounts_are_bits_or_bytes() -> None:
    assert untold(Told.unitless) == {}
