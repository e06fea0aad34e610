"""Read a pickle as data: a symbolic stack machine that imports nothing, calls nothing, and keeps byte spans.

Every value remembers which bytes of the pickle built it, so that a container's overhead can be charged to the
tensor it serves.  A call to anything outside a short list of tensor and container constructors is refused.
Opcodes: the standard library's `pickletools`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from golfbudget.errors import CorruptError, LimitError, UnsupportedError

#: A tensor takes about 50 opcodes; each opcode can cost a hundred bytes of memory, so their number is bounded.
_MOST_OPCODES = 1 << 22

#: Callables whose calls are understood as data.  Modules moved over time; both spellings are listed.
_CONTAINERS = frozenset(
    {"collections OrderedDict", "collections defaultdict", "collections Counter", "builtins dict", "__builtin__ dict"}
)
_KNOWN_CALLS = _CONTAINERS | {
    "_codecs encode",
    "argparse Namespace",
    "copyreg _reconstructor",
    "copy_reg _reconstructor",
    "numpy dtype",
    "pathlib PosixPath",
    "pathlib WindowsPath",
    "torch Size",
    "torch device",
    "torch dtype",
    "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "types SimpleNamespace",
    *(
        f"{module} {name}"
        for module in ("builtins", "__builtin__")
        for name in ("bytearray", "bytes", "complex", "frozenset", "list", "range", "set", "slice", "tuple")
    ),
    *(
        f"{module} {name}"
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("_reconstruct", "scalar")
    ),
}


@dataclass(slots=True)
class Node:
    """A value and the half-open byte range `[start, stop)` of the opcodes that put it on the stack."""

    value: object
    start: int
    stop: int


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


@dataclass(slots=True)
class Call:
    """A call that unpickling would make."""

    function: Global
    arguments: list[Node]


@dataclass(slots=True)
class Persistent:
    """A reference to something outside the pickle; torch puts storages there."""

    arguments: list[Node]


class _Mark:
    """The stack's own marker; never a value."""


_MARK = _Mark()

_LITERALS = frozenset({
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_FIXED_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SIZED_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(data: bytes, *, where: str, offset: int = 0) -> tuple[Node, int]:
    """The top value of the pickle at the start of `data`, and how many bytes the pickle takes.

    `offset` is where `data` lies in the file, for messages.  Raises `CorruptError` when it is no pickle and
    `UnsupportedError` when it would call something that is not a tensor or plain container.
    """
    machine = _Machine(where, offset)
    try:
        for opcode, argument, start, stop in _operations(data):
            machine.step(opcode, argument, start, stop)
    except (IndexError, AttributeError, TypeError) as error:
        raise CorruptError(
            f"{where}: the pickle at byte {offset} is malformed near byte {offset + machine.at}: {error}"
        ) from None
    except (ValueError, OverflowError) as error:
        raise CorruptError(
            f"{where}: the pickle at byte {offset} cannot be read past byte {offset + machine.at}: {str(error)[:160]}"
        ) from None
    if machine.result is None:
        raise CorruptError(f"{where}: the pickle at byte {offset} ends without a value")
    return machine.result


def _operations(data: bytes) -> Iterator[tuple[str, object, int, int]]:
    """(name, argument, start, stop) of each opcode; an opcode ends where the next begins."""
    import pickletools  # Costs 4 ms, and files without a pickle do not need it.

    held: tuple[str, object, int] | None = None
    for opcode, argument, position in pickletools.genops(data):
        start = position or 0
        if held is not None:
            yield (*held, start)
        held = (opcode.name, argument, start)
    if held is not None:
        yield (*held, held[2] + 1)


class _Machine:
    """The unpickling stack, on nodes instead of objects."""

    def __init__(self, where: str, offset: int) -> None:
        self.where, self.offset = where, offset
        self.stack: list[Node | _Mark] = []
        self.memo: dict[int, object] = {}
        self.encoded: dict[str, bytes] = {}
        self.steps = 0
        self.result: tuple[Node, int] | None = None
        self.at = 0

    def step(self, opcode: str, argument: object, start: int, stop: int) -> None:
        self.at = start
        self.steps += 1
        if self.steps > _MOST_OPCODES:
            raise LimitError(
                f"{self.where}: the pickle at byte {self.offset} has more than {_MOST_OPCODES} opcodes by byte "
                f"{self.offset + start}, which is no list of tensors (--as opaque counts the file as a whole)"
            )
        if opcode in _LITERALS:
            self._push(_FIXED_LITERALS.get(opcode, argument), start, stop)
        elif opcode in _SIZED_TUPLES:
            self._gather(Sequenced, _SIZED_TUPLES[opcode], start, stop)
        elif (handler := _HANDLERS.get(opcode)) is not None:
            handler(self, argument, start, stop)
        else:
            raise UnsupportedError(
                f"{self.where}: opcode {opcode} at byte {self.offset + start} is not one that tensors need; nothing "
                "was executed (--as opaque counts the file as a whole)"
            )

    # Stack primitives

    def _push(self, value: object, start: int, stop: int) -> None:
        self.stack.append(Node(value, start, stop))

    def _pop(self) -> Node:
        node = self.stack.pop()
        if isinstance(node, _Mark):
            raise IndexError("a value was expected, found a mark")
        return node

    def _top(self) -> Node:
        node = self.stack[-1]
        if isinstance(node, _Mark):
            raise IndexError("a value was expected, found a mark")
        return node

    def _pop_to_mark(self) -> list[Node]:
        nodes: list[Node] = []
        while not isinstance(node := self.stack.pop(), _Mark):
            nodes.append(node)
        return nodes[::-1]

    def _gather(self, kind: type[Sequenced], count: int, start: int, stop: int) -> None:
        nodes = [self._pop() for _ in range(count)][::-1]
        self._push(kind(nodes), nodes[0].start if nodes else start, stop)

    # One method per family of opcodes

    def mark(self, _argument: object, _start: int, _stop: int) -> None:
        self.stack.append(_MARK)

    def ignore(self, _argument: object, _start: int, _stop: int) -> None:
        """PROTO and FRAME hold nothing."""

    def end(self, _argument: object, _start: int, stop: int) -> None:
        self.result = (self._pop(), stop)

    def pop(self, _argument: object, _start: int, _stop: int) -> None:
        self.stack.pop()

    def pop_mark(self, _argument: object, _start: int, _stop: int) -> None:
        self._pop_to_mark()

    def duplicate(self, _argument: object, start: int, stop: int) -> None:
        self._push(self._top().value, start, stop)

    def put(self, argument: object, _start: int, stop: int) -> None:
        top = self._top()
        self.memo[argument if isinstance(argument, int) else len(self.memo)] = top.value
        top.stop = stop

    def get(self, argument: object, start: int, stop: int) -> None:
        if argument not in self.memo:
            raise IndexError(f"memo {argument} is read before it is set")
        self._push(self.memo[argument], start, stop)

    def empty_dict(self, _argument: object, start: int, stop: int) -> None:
        self._push(Mapped(), start, stop)

    def empty_list(self, _argument: object, start: int, stop: int) -> None:
        self._push(Sequenced(), start, stop)

    def marked_sequence(self, _argument: object, start: int, stop: int) -> None:
        nodes = self._pop_to_mark()
        self._push(Sequenced(nodes), nodes[0].start if nodes else start, stop)

    def marked_dict(self, _argument: object, start: int, stop: int) -> None:
        nodes = self._pop_to_mark()
        self._push(Mapped(_pairs(nodes)), nodes[0].start if nodes else start, stop)

    def append(self, _argument: object, _start: int, stop: int) -> None:
        self._extend([self._pop()], stop)

    def appends(self, _argument: object, _start: int, stop: int) -> None:
        self._extend(self._pop_to_mark(), stop)

    def set_item(self, _argument: object, _start: int, stop: int) -> None:
        value = self._pop()
        self._update([self._pop(), value], stop)

    def set_items(self, _argument: object, _start: int, stop: int) -> None:
        self._update(self._pop_to_mark(), stop)

    def _extend(self, nodes: list[Node], stop: int) -> None:
        top = self._top()
        if isinstance(top.value, Sequenced):
            top.value.items.extend(nodes)
        top.stop = stop

    def _update(self, nodes: list[Node], stop: int) -> None:
        top = self._top()
        if isinstance(top.value, Mapped):
            top.value.items.extend(_pairs(nodes))
        top.stop = stop

    def name(self, argument: object, start: int, stop: int) -> None:
        module, _, name = str(argument).partition(" ")
        self._push(Global(module, name), start, stop)

    def stack_name(self, _argument: object, _start: int, stop: int) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(module.value, str) or not isinstance(name.value, str):
            raise TypeError("a global's module and name must be text")
        self._push(Global(module.value, name.value), module.start, stop)

    def persistent(self, _argument: object, _start: int, stop: int) -> None:
        node = self._pop()
        arguments = node.value.items if isinstance(node.value, Sequenced) else [node]
        self._push(Persistent(arguments), node.start, stop)

    def reduce(self, _argument: object, start: int, stop: int) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments, start, stop)

    def new_object_with_keywords(self, _argument: object, start: int, stop: int) -> None:
        self._pop()
        self.reduce(None, start, stop)

    def build(self, _argument: object, _start: int, stop: int) -> None:
        self._pop()
        self._top().stop = stop

    def _call(self, function: Node, arguments: Node, start: int, stop: int) -> None:
        target = function.value
        if not isinstance(target, Global) or not isinstance(arguments.value, Sequenced):
            raise TypeError("a call needs a name and a tuple of arguments")
        if str(target) not in _KNOWN_CALLS:
            raise UnsupportedError(
                f"{self.where}: the pickle calls {target.module}.{target.name} at byte {self.offset + start}, which "
                "builds no tensor; nothing was executed (--as opaque counts the file as a whole)"
            )
        value: object = Call(target, arguments.value.items)
        if str(target) in _CONTAINERS:
            value = Mapped()
        elif target.name == "encode":
            value = self._encode(arguments.value.items)
        self._push(value, function.start, stop)

    def _encode(self, arguments: list[Node]) -> bytes:
        """Protocol 2 stores bytes as text plus a call that encodes it; give the bytes back, once per text."""
        text = arguments[0].value if arguments else ""
        if not isinstance(text, str):
            raise TypeError("encode needs text")
        if text not in self.encoded:
            self.encoded[text] = text.encode("latin-1")
        return self.encoded[text]


def _pairs(nodes: list[Node]) -> list[tuple[Node, Node]]:
    if len(nodes) % 2:
        raise ValueError("a key has no value")
    return list(zip(nodes[::2], nodes[1::2], strict=True))


_Handler = Callable[[_Machine, object, int, int], None]

_HANDLERS: dict[str, _Handler] = {
    "PROTO": _Machine.ignore,
    "FRAME": _Machine.ignore,
    "MARK": _Machine.mark,
    "STOP": _Machine.end,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "EMPTY_DICT": _Machine.empty_dict,
    "DICT": _Machine.marked_dict,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_SET": _Machine.empty_list,
    "LIST": _Machine.marked_sequence,
    "TUPLE": _Machine.marked_sequence,
    "FROZENSET": _Machine.marked_sequence,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "BINPERSID": _Machine.persistent,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "BUILD": _Machine.build,
}
