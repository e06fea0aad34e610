"""What paths a program's expressions give, worked out from its text: joined by `/` or `join`, and so on.

A path is relative, or starts with `//` for the submission's folder, which `__file__` leads to.  `*` stands for what
only running the program would tell.  An expression can give several: a name may be assigned more than once.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from golfbudget.submission.nodes import nodes

ROOT = "//"
UNKNOWN = "*"
_DEEPEST = 12
_MOST_OPTIONS = 24
#: Expressions worked out for one program.
_MOST_STEPS = 1 << 16
_LONGEST = 400

#: Calls that give the path they are given.
_SAME = {"Path", "PurePath", "PosixPath", "PurePosixPath", "str", "fspath", "abspath", "realpath", "expanduser",
         "normpath", "expandvars", "sorted", "list", "tuple", "set", "reversed", "resolve_path", "as_posix", "resolve",
         "absolute", "strip", "rstrip", "encode", "decode"}  # fmt: skip
#: Calls that are given a package and the name of a file in it, and names of modules as `from … import` gives them.
RESOURCES = {"get_data", "read_binary", "open_binary", "open_text"}
_MODULES = {"resources", "path"}
_JOINS = {"join", "joinpath"}
_GLOBS = {"glob", "iglob", "rglob"}
_LISTINGS = {"iterdir", "listdir", "scandir", "walk"}


_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class _Each:
    """What a loop over an expression gives its name."""

    source: ast.expr


class Paths:
    """The paths of one program, which is `here` in the folder."""

    def __init__(self, program: Iterable[ast.AST], here: str) -> None:
        self._here = ROOT + here
        self._bound: dict[str, list[ast.expr | _Each]] = {}
        self._returned: dict[str, list[ast.expr]] = {}
        self._functions: dict[str, _Function] = {}
        self._modules: set[str] = set()
        self._steps = 0
        self._known: dict[tuple[ast.expr, int], tuple[str, ...]] = {}
        calls: list[ast.Call] = []
        for node in program:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions[node.name] = node
                self._defaults(node.args)
            elif isinstance(node, ast.ClassDef):
                for one in node.body:
                    if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                        self._functions[node.name] = one
            elif isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.Import):
                self._modules |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                self._modules |= {alias.asname or alias.name for alias in node.names if alias.name in _MODULES}
            else:
                self._bind_statement(node)
        for call in calls:
            self._bind_call(call, self._functions.get(called(call)))

    # --- what names stand for ---

    def _bind(self, target: ast.expr, value: ast.expr | _Each) -> None:
        if isinstance(target, ast.Name):
            self._bound.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            self._bound.setdefault(target.attr, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for item, given in zip(target.elts, value.elts, strict=False):
                self._bind(item, given)
        elif isinstance(target, ast.Tuple) and isinstance(value, _Each):
            source = value.source
            counted = isinstance(source, ast.Call) and called(source) == "enumerate" and source.args
            for item in target.elts:
                self._bind(item, _Each(source.args[0]) if counted and isinstance(source, ast.Call) else value)

    def _bind_statement(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
                if isinstance(node.value, ast.Lambda) and isinstance(target, ast.Name):
                    self._functions.setdefault(target.id, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._bind(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._bind(node.target, _Each(node.iter))

    def _defaults(self, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        for argument, value in zip(reversed(positional), reversed(arguments.defaults), strict=False):
            self._bound.setdefault(argument.arg, []).append(value)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                self._bound.setdefault(argument.arg, []).append(default)

    def _bind_call(self, call: ast.Call, function: _Function | None) -> None:
        """What a call gives the parameters of a function of the program, or an option of the command line."""
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if called(call) == "add_argument" and "default" in keywords:
            for given in call.args:
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    self._bound.setdefault(given.value.lstrip("-").replace("-", "_"), []).append(keywords["default"])
        if function is None:
            return
        parameters = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if parameters[:1] == ["self"]:
            parameters = parameters[1:]
        for name, value in (*zip(parameters, call.args, strict=False), *keywords.items()):
            if name is not None and not (isinstance(value, ast.Name) and value.id == name):
                self._bound.setdefault(name, []).append(value)

    # --- what expressions give ---

    def of(self, node: ast.expr) -> tuple[str, ...]:
        """The paths that an expression can give; `*` alone where nothing is known."""
        return self._of(node, 0)

    def _of(self, node: ast.expr, depth: int) -> tuple[str, ...]:
        known = self._known.get((node, depth))
        if known is not None:
            return known
        self._steps += 1
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            return (UNKNOWN,)
        found = dict.fromkeys(text[:_LONGEST] for text in self._options(node, depth + 1))
        known = self._known[node, depth] = tuple(found)[:_MOST_OPTIONS] or (UNKNOWN,)
        return known

    def _options(  # noqa: C901, PLR0911, PLR0912  (one way out per kind)
        self, node: ast.expr, depth: int
    ) -> Iterable[str]:
        match node:
            case ast.Constant(value=str(text)):
                return (text,) if "\0" not in text else (UNKNOWN,)
            case ast.Constant(value=bytes(raw)):
                return (raw[:_LONGEST].decode("utf-8", "replace"),) if b"\0" not in raw else (UNKNOWN,)
            case ast.Constant(value=int(number)) if type(number) is int:
                return (str(number),)
            case ast.Name(id="__file__"):
                return (self._here,)
            case ast.Name(id=name):
                return self._named(name, depth)
            case ast.Attribute(attr="parent"):
                return map(_parent, self._of(node.value, depth))
            case ast.Attribute(attr="stem"):
                return (posixpath.splitext(posixpath.basename(text))[0] for text in self._of(node.value, depth))
            case ast.Attribute(attr="name"):
                return (
                    self._named("name", depth)
                    if "name" in self._bound
                    else map(posixpath.basename, self._of(node.value, depth))
                )
            case ast.Attribute(attr=name):
                return self._named(name, depth)
            case ast.BinOp(op=ast.Div()):
                return self._pairs(_join, node.left, node.right, depth)
            case ast.BinOp(op=ast.Add()):
                return self._pairs(_concatenated, node.left, node.right, depth)
            case ast.BinOp(op=ast.Mod()):
                return map(_formatted, self._of(node.left, depth))
            case ast.JoinedStr(values=values) | ast.BoolOp(op=ast.Or(), values=values):
                return self._f_string(values, depth) if isinstance(node, ast.JoinedStr) else self._any(values, depth)
            case ast.FormattedValue() | ast.Starred() | ast.Await():
                return self._of(node.value, depth)
            case ast.IfExp():
                return self._any([node.body, node.orelse], depth)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._any(node.elts, depth)
            case ast.Dict():
                return self._any(node.values, depth)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return self._of(node.elt, depth)
            case ast.Subscript():
                return self._subscript(node, depth)
            case ast.NamedExpr():
                return self._of(node.value, depth)
            case ast.Call():
                return self._call(node, depth)
            case _:
                return (UNKNOWN,)

    def _any(self, nodes: Iterable[ast.expr], depth: int) -> Iterator[str]:
        for node in nodes:
            yield from self._of(node, depth)

    def _named(self, name: str, depth: int) -> Iterable[str]:
        bound = self._bound.get(name)
        if not bound:
            return (UNKNOWN,)
        return self._any((value.source if isinstance(value, _Each) else value for value in bound[:16]), depth)

    def _pairs(self, combine: Callable[[str, str], str], left: ast.expr, right: ast.expr, depth: int) -> Iterator[str]:
        seconds = self._of(right, depth)
        for first in self._of(left, depth):
            yield from (combine(first, second) for second in seconds)

    def _f_string(self, values: list[ast.expr], depth: int) -> Iterable[str]:
        made: list[str] = [""]
        for value in values:
            parts = self._of(value, depth)
            made = [_concatenated(text, part) for text in made for part in parts][:_MOST_OPTIONS]
        return made

    def _subscript(self, node: ast.Subscript, depth: int) -> Iterable[str]:
        inside = node.value
        if isinstance(inside, ast.Attribute) and inside.attr == "parents":
            ups = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if not isinstance(ups, int) or not 0 <= ups < _DEEPEST:
                return (UNKNOWN,)
            texts = self._of(inside.value, depth)
            for _ in range(ups + 1):
                texts = tuple(map(_parent, texts))
            return texts
        if isinstance(inside, ast.Call) and called(inside) == "splitext" and inside.args:
            return (posixpath.splitext(text)[0] for text in self._of(inside.args[0], depth))
        return self._of(inside, depth)

    def _call(  # noqa: C901, PLR0911  (one way out per kind)
        self, node: ast.Call, depth: int
    ) -> Iterable[str]:
        name, receiver = called(node), node.func.value if isinstance(node.func, ast.Attribute) else None
        module = isinstance(receiver, ast.Name) and receiver.id in self._modules
        own = receiver if receiver is not None and not module and not _is_module(receiver) else None
        first = node.args[0] if node.args else None
        if name in ("get", "getenv", "environ") and len(node.args) == 2:
            return self._of(node.args[1], depth)
        if name in ("cwd", "getcwd") or (name in ("Path", "PurePath") and first is None):
            return ("",)
        if name in _JOINS:
            parts = [*([own] if own is not None else []), *node.args]
            if name == "join" and isinstance(own, ast.Constant):
                return self._text_joined(own, first, depth)
            return self._joined(parts, depth)
        if name == "dirname" and first is not None:
            return map(_parent, self._of(first, depth))
        if name == "basename" and first is not None:
            return map(posixpath.basename, self._of(first, depth))
        if name in _GLOBS and first is not None:
            root = next((k.value for k in node.keywords if k.arg == "root_dir"), own)
            pattern = (f"*{text}" if name == "rglob" else text for text in self._of(first, depth))
            return pattern if root is None else self._products(_join, self._of(root, depth), tuple(pattern))
        if name in _LISTINGS:
            folder = own if own is not None else first
            return () if folder is None else (_join(text, UNKNOWN) for text in self._of(folder, depth))
        if name in ("with_name", "with_suffix", "with_stem") and own is not None and first is not None:
            change = {"with_name": _with_name, "with_suffix": _with_suffix, "with_stem": _with_stem}[name]
            return self._pairs(change, own, first, depth)
        if name in ("replace", "removesuffix", "removeprefix") and own is not None and first is not None:
            return self._changed(name, own, node.args, depth)
        if name == "format" and own is not None:
            return map(_formatted, self._of(own, depth))
        if name in _SAME:
            same = own if own is not None else first
            if len(node.args) > 1 and name in ("Path", "PurePath"):
                return self._joined(node.args, depth)
            return (UNKNOWN,) if same is None else self._of(same, depth)
        returned = self._returns(name)
        return self._any(returned, depth) if returned else self._resource(name, node.args, depth)

    def _text_joined(self, own: ast.Constant, given: ast.expr | None, depth: int) -> Iterable[str]:
        """`"".join(["a", ".b"])`, where each part is known."""
        parts = given.elts if isinstance(given, ast.List | ast.Tuple) else []
        texts = [self._of(part, depth) for part in parts[:_MOST_OPTIONS]]
        known = bool(texts) and all(len(text) == 1 and text[0] != UNKNOWN for text in texts)
        return (str(own.value).join(text[0] for text in texts),) if known else (UNKNOWN,)

    def _returns(self, name: str) -> list[ast.expr]:
        """What a function of the program returns, the first few."""
        if name in self._functions and name not in self._returned:
            inside = nodes(self._functions[name])
            found = (node.value for node in inside if isinstance(node, ast.Return) and node.value)
            self._returned[name] = list(islice(found, 4))
        return self._returned.get(name, [])

    def _resource(self, name: str, arguments: list[ast.expr], depth: int) -> Iterable[str]:
        """A file of a package, whose name has dots for slashes."""
        if not arguments or name not in ("files", *RESOURCES):
            return (UNKNOWN,)
        packages = tuple(text.replace(".", "/") for text in self._of(arguments[0], depth))
        return packages if name == "files" else self._products(_join, packages, self._of(arguments[-1], depth))

    def _joined(self, parts: list[ast.expr], depth: int) -> Iterable[str]:
        made: tuple[str, ...] = ("",)
        for part in parts:
            made = tuple(self._products(_join, made, self._of(part, depth)))[:_MOST_OPTIONS]
        return made

    @staticmethod
    def _products(combine: Callable[[str, str], str], left: Iterable[str], right: tuple[str, ...]) -> Iterator[str]:
        for first in left:
            yield from (combine(first, second) for second in right)

    def _changed(self, name: str, own: ast.expr, arguments: list[ast.expr], depth: int) -> Iterator[str]:
        olds = self._of(arguments[0], depth)
        news = self._of(arguments[1], depth) if name == "replace" and len(arguments) > 1 else ("",)
        for text in self._of(own, depth):
            for old in olds:
                if old == UNKNOWN or not old:
                    yield UNKNOWN
                elif name == "removesuffix":
                    yield text.removesuffix(old)
                elif name == "removeprefix":
                    yield text.removeprefix(old)
                else:
                    yield from (text.replace(old, new) for new in news)


def called(node: ast.Call) -> str:
    """The last name of what is called: `load` of `torch.utils.cpp_extension.load`."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_module(node: ast.expr) -> bool:
    """`os.path` and the like."""
    return isinstance(node, ast.Attribute) and node.attr in ("path", "environ", "utils", "cpp_extension")


def _join(left: str, right: str) -> str:
    if right.startswith(ROOT) or (right.startswith("/") and left):
        return right
    return left + right if not left or left.endswith("/") else f"{left}/{right}"


def _concatenated(left: str, right: str) -> str:
    # `folder + "/name"`, where the folder is the submission's own.
    return ROOT + right.lstrip("/") if left == ROOT else left + right


def _parent(text: str) -> str:
    if text == ROOT:
        return ROOT + ".."
    if text.startswith(ROOT) and text.endswith("/.."):
        return f"{text}/.."  # Above the folder, of which nothing is known.
    head = posixpath.dirname(text.rstrip("/"))
    return ROOT if text.startswith(ROOT) and head in ("/", ROOT, "") else head


def _with_name(text: str, name: str) -> str:
    return _join(_parent(text), name)


def _with_suffix(text: str, suffix: str) -> str:
    return posixpath.splitext(text)[0] + suffix


def _with_stem(text: str, stem: str) -> str:
    return _join(_parent(text), stem + posixpath.splitext(text)[1])


def _formatted(text: str) -> str:
    """A template, with what is filled in unknown."""
    made, inside = [], False
    for part in text.replace("%s", "{}").replace("%d", "{}").replace("{", "\0{").split("\0"):
        head, brace, tail = part.partition("}")
        inside = part.startswith("{") and bool(brace)
        made.append(UNKNOWN + tail if inside else head + brace + tail)
    return "".join(made)
