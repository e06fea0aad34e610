"""What a pickle's opcodes make, as data: values with their byte spans, and which calls are data at all.

Nothing here is ever called.  The question about a call is only what may honestly be said of the file: that it
holds values, or that loading it would run something.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ByteLiteral:
    """Where a literal's content lies in the pickle, without its opcode and length: `[start, stop)`.

    `raw` says that those bytes are the value; otherwise they spell it, as text spells the bytes of protocol 2.
    """

    start: int
    stop: int
    raw: bool


@dataclass(slots=True)
class Node:
    """A value and the half-open byte range `[start, stop)` of the opcodes that put it on the stack."""

    value: object
    start: int
    stop: int
    payload: ByteLiteral | None = None


@dataclass(slots=True)
class Mapped:
    """A dict, as the pairs set on it, in order."""

    items: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass(slots=True)
class Sequenced:
    """A list, set or tuple."""

    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Global:
    """A name that unpickling would import; here only its spelling."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module} {self.name}"

    @property
    def spelled(self) -> str:
        """The dotted name, cut where it is longer than any name is."""
        return f"{self.module[:200]}.{self.name[:200]}"


@dataclass(slots=True)
class Call:
    """A call that unpickling would make, and what would then be set on its result, in order.

    `added` holds (key, value) for a pair set on it, (item, item) for an item, (None, state) for a state.
    """

    function: Global
    arguments: list[Node]
    added: list[tuple[Node | None, Node]] | None = None

    def add(self, more: list[tuple[Node | None, Node]]) -> None:
        if self.added is None:
            self.added = []
        self.added += more

    @property
    def state(self) -> object:
        """The state set on it last of all, None where the last thing done was another."""
        return self.added[-1][1].value if self.added and self.added[-1][0] is None else None

    @property
    def kind(self) -> Global:
        """The class of what is made: the function, or the class that it is asked to make."""
        if self.function.name == "_reconstructor" and self.arguments:
            made = self.arguments[0].value
            return made if isinstance(made, Global) else self.function
        return self.function


@dataclass(slots=True)
class Persistent:
    """A reference to something outside the pickle; torch puts storages there."""

    arguments: list[Node]


#: Bounds that libraries themselves keep or no model comes near; without them a hostile file could cost hours.
MOST_DIMENSIONS, MOST_ELEMENTS = 64, 1 << 63


def whole_numbers(value: object) -> tuple[int, ...]:
    """A shape or strides; `TypeError` when it is none."""
    items = value.items if isinstance(value, Sequenced) else [Node(None, 0, 0)]
    numbers = [node.value for node in items[: MOST_DIMENSIONS + 1]]
    if len(numbers) > MOST_DIMENSIONS or not all(type(n) is int and 0 <= n < MOST_ELEMENTS for n in numbers):
        raise TypeError(f"shape and strides are at most {MOST_DIMENSIONS} whole numbers")
    return tuple(n for n in numbers if isinstance(n, int))


def _names(modules: tuple[str, ...], *names: str) -> frozenset[str]:
    """Every name in every module; modules moved over time, and both spellings are listed."""
    return frozenset(f"{module} {name}" for module in modules for name in names)


_BUILTINS = ("builtins", "__builtin__")
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
#: Callables whose calls are understood as data.
CONTAINERS = _names(("collections",), "OrderedDict", "defaultdict", "Counter") | _names(_BUILTINS, "dict")
#: Calls that make bytes, from text or from bytes.
BYTES = _names(("_codecs",), "encode") | _names(_BUILTINS, "bytes", "bytearray")
_RECONSTRUCTORS = _names(("copyreg", "copy_reg"), "_reconstructor")
#: Known calls that make an object whose attributes are worth looking at.
OBJECTS = _RECONSTRUCTORS | {"argparse Namespace", "types SimpleNamespace", "collections deque"}
#: What makes tensors of other classes: (function, class, its arguments, state).
REBUILT_BY_TYPE = "torch._tensor _rebuild_from_type_v2"
_REBUILT = (
    "parameter", "parameter_with_state", "tensor", "tensor_v2", "tensor_v3", "qtensor", "sparse_tensor",
    "nested_tensor", "meta_tensor_no_storage", "wrapper_subclass", "device_tensor_from_numpy", "xla_tensor",
    "device_tensor_from_cpu_tensor",
)  # fmt: skip
#: Calls that give back their first argument, under another type.
PASSED = frozenset({"torch Size"}) | _names(
    ("torch.jit._pickle",), "build_boollist", "build_doublelist", "build_intlist", "build_tensorlist",
    "restore_type_tag",
)  # fmt: skip
KNOWN_CALLS = frozenset({"numpy dtype", REBUILT_BY_TYPE, "torch.serialization _get_layout"}).union(
    CONTAINERS,
    BYTES,
    OBJECTS,
    PASSED,
    _names(_BUILTINS, "complex", "frozenset", "list", "range", "set", "slice", "tuple", "xrange"),
    _names(("datetime",), "date", "datetime", "time", "timedelta", "timezone"),
    _names(("numpy.core.numeric", "numpy._core.numeric"), "_frombuffer"),
    _names(_NUMPY, "_reconstruct", "scalar"),
    _names(("pathlib",), "PosixPath", "WindowsPath"),
    _names(("torch",), "device", "dtype"),
    _names(("torch._utils",), *(f"_rebuild_{kind}" for kind in _REBUILT)),
)
#: Builtin types that classes derive from; making one of them runs nothing.
_BASES = frozenset({
    "object", "dict", "list", "tuple", "set", "frozenset", "int", "float", "complex", "str", "unicode", "bytes",
    "bytearray", "Exception",
})  # fmt: skip
#: Modules from which a pickle takes what runs code, reaches other code, or touches files and the network.
_RUNNERS = frozenset({
    "os", "posix", "nt", "posixpath", "ntpath", "subprocess", "_posixsubprocess", "sys", "builtins", "__builtin__",
    "__builtins__", "__main__.__builtins__", "importlib", "_frozen_importlib", "imp", "zipimport", "pkgutil", "runpy",
    "site", "socket", "_socket", "ssl", "shutil", "pty", "tty", "webbrowser", "antigravity", "pickle", "_pickle",
    "cPickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codes", "codeop",
    "_codecs", "codecs", "ctypes", "_ctypes", "cffi", "operator", "_operator", "functools", "_functools", "itertools",
    "types", "copyreg", "copy_reg", "inspect", "gc", "atexit", "signal", "threading", "_thread", "multiprocessing",
    "concurrent", "asyncio", "sched", "io", "_io", "tempfile", "fileinput", "glob", "pathlib", "urllib", "urllib2",
    "urllib3", "requests", "http", "httplib", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "xmlrpc",
    "socketserver", "commands", "popen2", "platform", "pip", "ensurepip", "venv", "distutils", "setuptools",
    "pkg_resources", "pydoc", "doctest", "unittest", "pdb", "bdb", "cProfile", "profile", "timeit", "trace",
    "linecache", "logging", "nturl2path", "compileall", "py_compile", "ast", "dis", "tracemalloc", "faulthandler",
    "mmap", "sqlite3", "dbm", "tarfile", "zipfile", "bz2", "gzip", "lzma", "tkinter", "idlelib", "turtle", "cgi",
})  # fmt: skip
#: Functions that run, load or fetch what they are given, in whatever module.
_VERBS = frozenset({
    "eval", "exec", "execfile", "compile", "system", "popen", "run", "call", "check_call", "check_output", "spawn",
    "getoutput", "open", "load", "loads", "load_library", "import_module", "getattr", "setattr", "apply", "download",
    "urlopen", "urlretrieve", "fromfile", "memmap", "genfromtxt", "loadtxt", "read_pickle", "f2py",
})  # fmt: skip


def refusal(target: Global, arguments: list[Node], *, instance: bool) -> str | None:
    """Why a call cannot be kept as data, as a phrase about the pickle; None when it can.

    `instance` says that the opcode makes an instance of a class and calls no plain function.
    """
    spelling = str(target)
    if spelling in _RECONSTRUCTORS:
        return _reconstructed(arguments)
    if spelling == REBUILT_BY_TYPE:
        inner = arguments[0].value if arguments else None
        return refusal(inner, [], instance=False) if isinstance(inner, Global) else None
    if spelling in KNOWN_CALLS:
        return None
    parts = target.name.split(".")
    runner = target.module.split(".")[0] in _RUNNERS or not _RUNNERS.isdisjoint(parts[:-1])
    if runner or (not instance and parts[-1].strip("_") in _VERBS):
        return f"would run {target.spelled}"
    return None


def unfamiliar(target: Global, *, instance: bool) -> bool:
    """Whether a call that is kept as data is of a plain function that nothing here knows."""
    return not (instance or str(target) in KNOWN_CALLS or target.name.split(".")[-1].lstrip("_")[:1].isupper())


def _reconstructed(arguments: list[Node]) -> str | None:
    """The class and the base that `copyreg._reconstructor` is given: both can be made to run."""
    for node in arguments[:2]:
        made = node.value
        if not isinstance(made, Global):
            return "asks copyreg for an instance of what is no class"
        if made.module in _BUILTINS and made.name in _BASES:
            continue
        if (reason := refusal(made, [], instance=True)) is not None:
            return reason
    return None


def state_dicts(state: Node) -> list[Mapped] | None:
    """The dicts of a state: one of attributes, or a pair of that and the slots'; None of a state that is another."""
    value = state.value
    parts = value.items if isinstance(value, Sequenced) and len(value.items) == 2 else [state]
    dicts = [part.value for part in parts if isinstance(part.value, Mapped)]
    return dicts if all(isinstance(part.value, Mapped) or part.value is None for part in parts) else None
