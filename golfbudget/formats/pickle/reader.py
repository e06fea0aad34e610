"""Read a pickle as data: a symbolic stack machine that imports nothing, calls nothing, and keeps byte spans.

Every value remembers which bytes of the pickle built it, so that a container's overhead can be charged to the
tensor it serves; a literal also remembers where its content lies, so that an array's bytes are found in the file.
Calls that would run something are refused (`symbols`).  Opcodes: the standard library's `pickletools`.

Memory: the pickle itself is never copied, the literal at hand at most twice (thrice for bytes spelled as text); one
copy of each stays until the values are read out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, cast

from golfbudget.codecs.base import Buffer
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError, UnsupportedError
from golfbudget.formats.pickle import symbols

#: A tensor takes about 50 opcodes; each opcode can cost two hundred bytes of memory, so their number is bounded.
_MOST_OPCODES = 1 << 21
#: How far a line-ended argument is searched at a time.
_LINE = 256


@dataclass(frozen=True, slots=True)
class Pickle:
    """The top value, how many bytes the pickle takes, and every persistent reference made, used or not.

    `functions` are those that loading would call and that nothing here knows.
    """

    top: symbols.Node
    length: int
    references: tuple[symbols.Persistent, ...]
    functions: tuple[str, ...] = ()


class _Mark:
    """The stack's own marker; never a value."""


_LITERALS = frozenset({
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
#: Bytes of opcode and length before the content of a literal.
_PREFIXES = {
    "SHORT_BINBYTES": 2, "BINBYTES": 5, "BINBYTES8": 9, "BYTEARRAY8": 9, "SHORT_BINSTRING": 2, "BINSTRING": 5,
    "SHORT_BINUNICODE": 2, "BINUNICODE": 5, "BINUNICODE8": 9, "UNICODE": 1,
}  # fmt: skip
_FIXED_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SIZED_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(data: Buffer, *, where: str, offset: int = 0) -> Pickle:
    """The pickle at the start of `data`.

    `offset` is where `data` lies in the file, for messages.  Raises `CorruptError` when it is no pickle and
    `UnsupportedError` when loading it would run something.
    """
    machine, place = _Machine(where, offset), f"{where}: the pickle at byte {offset}"
    try:
        with warnings.catch_warnings():
            # pickletools decodes escapes as Python source would and warns of odd ones: no concern of our users
            warnings.simplefilter("ignore", DeprecationWarning)
            for opcode, argument, start, stop in _operations(data):
                machine.step(opcode, argument, start, stop)
    except (IndexError, AttributeError, TypeError) as error:
        raise CorruptError(f"{place} is malformed near byte {offset + machine.at}: {error}") from None
    except (ValueError, OverflowError) as error:
        raise CorruptError(f"{place} cannot be read past byte {offset + machine.at}: {str(error)[:160]}") from None
    if machine.result is None:
        raise CorruptError(f"{place} ends without a value")
    top, length = machine.result
    return Pickle(top, length, tuple(machine.references), tuple(machine.functions))


class _Window:
    """As much of a file object as `pickletools` needs, over bytes that are not copied."""

    def __init__(self, data: Buffer) -> None:
        self._data, self._at = memoryview(data), 0

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        found = bytes(self._data[self._at : self._at + count])
        self._at += len(found)
        return found

    def readline(self) -> bytes:
        start, at = self._at, self._at
        while piece := bytes(self._data[at : at + _LINE]):
            newline = piece.find(b"\n")
            at += len(piece) if newline < 0 else newline + 1
            if newline >= 0:
                break
        return self.read(at - start)


def _operations(data: Buffer) -> Iterator[tuple[str, object, int, int]]:
    """(name, argument, start, stop) of each opcode; an opcode ends where the next begins."""
    import pickletools  # Costs 4 ms, and files without a pickle do not need it.

    held: tuple[str, object, int] | None = None
    # All that is asked of the file is what a window has.
    for opcode, argument, position in pickletools.genops(cast("IO[bytes]", _Window(data))):
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
        self.stack: list[symbols.Node | _Mark] = []
        self.memo: dict[int, tuple[object, symbols.ByteLiteral | None]] = {}
        self.references: list[symbols.Persistent] = []
        self.encoded: dict[str, bytes] = {}
        self.functions: dict[str, None] = {}
        self.steps = 0
        self.result: tuple[symbols.Node, int] | None = None
        self.at = 0

    def step(self, opcode: str, argument: object, start: int, stop: int) -> None:
        self.at = start
        self.steps += 1
        if self.steps > _MOST_OPCODES:
            raise LimitError(
                f"{self.where}: the pickle at byte {self.offset} has more than {_MOST_OPCODES} opcodes by byte "
                f"{self.offset + start}, which is no list of tensors ({AS_OPAQUE})"
            )
        if opcode in _LITERALS:
            self._push(_FIXED_LITERALS.get(opcode, argument), start, stop, _payload(opcode, start, stop))
        elif opcode in _SIZED_TUPLES:
            self._gather(symbols.Sequenced, _SIZED_TUPLES[opcode], start, stop)
        elif (handler := _HANDLERS.get(opcode)) is not None:
            handler(self, argument, start, stop)
        else:
            raise UnsupportedError(
                f"{self.where}: opcode {opcode} at byte {self.offset + start} is not one that tensors need; nothing "
                f"was executed ({AS_OPAQUE})"
            )

    # Stack primitives

    def _push(self, value: object, start: int, stop: int, payload: symbols.ByteLiteral | None = None) -> None:
        self.stack.append(symbols.Node(value, start, stop, payload))

    def _pop(self) -> symbols.Node:
        top = self._top()
        self.stack.pop()
        return top

    def _top(self) -> symbols.Node:
        node = self.stack[-1]
        if isinstance(node, _Mark):
            raise IndexError("a value was expected, found a mark")
        return node

    def _pop_to_mark(self) -> list[symbols.Node]:
        nodes: list[symbols.Node] = []
        while not isinstance(node := self.stack.pop(), _Mark):
            nodes.append(node)
        return nodes[::-1]

    def _gather(self, kind: type[symbols.Sequenced], count: int, start: int, stop: int) -> None:
        nodes = [self._pop() for _ in range(count)][::-1]
        self._push(kind(nodes), nodes[0].start if nodes else start, stop)

    # One method per family of opcodes

    def mark(self, _argument: object, _start: int, _stop: int) -> None:
        self.stack.append(_Mark())

    def ignore(self, _argument: object, _start: int, _stop: int) -> None:
        """PROTO and FRAME hold nothing."""

    def end(self, _argument: object, _start: int, stop: int) -> None:
        self.result = (self._pop(), stop)

    def pop(self, _argument: object, _start: int, _stop: int) -> None:
        self.stack.pop()

    def pop_mark(self, _argument: object, _start: int, _stop: int) -> None:
        self._pop_to_mark()

    def duplicate(self, _argument: object, start: int, stop: int) -> None:
        top = self._top()
        self._push(top.value, start, stop, top.payload)

    def put(self, argument: object, _start: int, stop: int) -> None:
        top = self._top()
        self.memo[argument if isinstance(argument, int) else len(self.memo)] = (top.value, top.payload)
        top.stop = stop

    def get(self, argument: object, start: int, stop: int) -> None:
        if not isinstance(argument, int) or argument not in self.memo:
            raise IndexError(f"memo {argument} is read before it is set")
        value, payload = self.memo[argument]
        self._push(value, start, stop, payload)

    def empty_dict(self, _argument: object, start: int, stop: int) -> None:
        self._push(symbols.Mapped(), start, stop)

    def empty_list(self, _argument: object, start: int, stop: int) -> None:
        self._push(symbols.Sequenced(), start, stop)

    def marked_sequence(self, _argument: object, start: int, stop: int) -> None:
        nodes = self._pop_to_mark()
        self._push(symbols.Sequenced(nodes), nodes[0].start if nodes else start, stop)

    def marked_dict(self, _argument: object, start: int, stop: int) -> None:
        nodes = self._pop_to_mark()
        self._push(symbols.Mapped(_pairs(nodes)), nodes[0].start if nodes else start, stop)

    def append(self, _argument: object, _start: int, stop: int) -> None:
        self._extend([self._pop()], stop)

    def appends(self, _argument: object, _start: int, stop: int) -> None:
        self._extend(self._pop_to_mark(), stop)

    def set_item(self, _argument: object, _start: int, stop: int) -> None:
        value = self._pop()
        self._update([self._pop(), value], stop)

    def set_items(self, _argument: object, _start: int, stop: int) -> None:
        self._update(self._pop_to_mark(), stop)

    def _extend(self, nodes: list[symbols.Node], stop: int) -> None:
        top = self._top()
        if isinstance(top.value, symbols.Sequenced):
            top.value.items.extend(nodes)
        elif isinstance(top.value, symbols.Call):
            top.value.add([(node, node) for node in nodes])
        top.stop = stop

    def _update(self, nodes: list[symbols.Node], stop: int) -> None:
        top = self._top()
        if isinstance(top.value, symbols.Mapped):
            top.value.items.extend(_pairs(nodes))
        elif isinstance(top.value, symbols.Call):
            top.value.add(list(_pairs(nodes)))
        top.stop = stop

    def name(self, argument: object, start: int, stop: int) -> None:
        module, _, name = str(argument).partition(" ")
        self._push(symbols.Global(module, name), start, stop)

    def stack_name(self, _argument: object, _start: int, stop: int) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(module.value, str) or not isinstance(name.value, str):
            raise TypeError("a global's module and name must be text")
        self._push(symbols.Global(module.value, name.value), module.start, stop)

    def persistent(self, _argument: object, _start: int, stop: int) -> None:
        node = self._pop()
        reference = symbols.Persistent(node.value.items if isinstance(node.value, symbols.Sequenced) else [node])
        self.references.append(reference)
        self._push(reference, node.start, stop)

    def reduce(self, _argument: object, start: int, stop: int) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments, start, stop, instance=False)

    def new_object(self, _argument: object, start: int, stop: int) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments, start, stop, instance=True)

    def new_object_with_keywords(self, _argument: object, start: int, stop: int) -> None:
        keywords = self._pop()
        self.new_object(None, start, stop)
        made = self._top().value
        if isinstance(made, symbols.Call):
            made.add([(None, keywords)])

    def build(self, _argument: object, _start: int, stop: int) -> None:
        state, top = self._pop(), self._top()
        if isinstance(top.value, symbols.Call):
            top.value.add([(None, state)])
        top.stop = stop

    def _call(self, function: symbols.Node, arguments: symbols.Node, start: int, stop: int, *, instance: bool) -> None:
        target, made_of = _named(function.value), arguments.value
        if target is None or not isinstance(made_of, symbols.Sequenced):
            raise TypeError("a call needs a name and a tuple of arguments")
        if (reason := symbols.refusal(target, made_of.items, instance=instance)) is not None:
            raise UnsupportedError(
                f"{self.where}: the pickle {reason}, at byte {self.offset + start}; nothing was executed ({AS_OPAQUE})"
            )
        if symbols.unfamiliar(target, instance=instance):
            self.functions[target.spelled] = None
        if str(target) in symbols.CONTAINERS:
            self._push(symbols.Mapped(), function.start, stop)
        elif str(target) in symbols.BYTES and (content := self._bytes(target, made_of.items)) is not None:
            self._push(content, function.start, stop, made_of.items[0].payload if made_of.items else None)
        else:
            self._push(symbols.Call(target, made_of.items), function.start, stop)

    def _bytes(self, target: symbols.Global, arguments: list[symbols.Node]) -> bytes | None:
        """What a call that makes bytes makes, once per text; protocol 2 stores text plus a call that encodes it."""
        content = arguments[0].value if arguments else b""
        if isinstance(content, str):
            if content not in self.encoded:
                self.encoded[content] = content.encode("latin-1")
            content = self.encoded[content]
        if isinstance(content, bytes):
            return content
        if target.name == "encode":
            raise TypeError("encode needs text")
        return None


def _payload(opcode: str, start: int, stop: int) -> symbols.ByteLiteral | None:
    """Where a literal's content lies; text is never raw, for its bytes are UTF-8 or escapes."""
    prefix = _PREFIXES.get(opcode)
    if prefix is None:
        return None
    end = stop - 1 if opcode == "UNICODE" else stop
    return symbols.ByteLiteral(start + prefix, end, raw=not opcode.endswith(("UNICODE", "UNICODE8")))


def _named(value: object) -> symbols.Global | None:
    """The name that would be called; torch before 1.6 wraps the classes of modules in references to their source."""
    if isinstance(value, symbols.Persistent) and len(value.arguments) > 1 and value.arguments[0].value == "module":
        value = value.arguments[1].value
    return value if isinstance(value, symbols.Global) else None


def _pairs(nodes: list[symbols.Node]) -> list[tuple[symbols.Node, symbols.Node]]:
    if len(nodes) % 2:
        raise ValueError("a key has no value")
    return list(zip(nodes[::2], nodes[1::2], strict=True))


#: What each opcode does; those that are no literals and no tuples of a known size.
_HANDLERS: dict[str, Callable[[_Machine, object, int, int], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Machine.ignore),
    "MARK": _Machine.mark,
    "STOP": _Machine.end,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "EMPTY_DICT": _Machine.empty_dict,
    "DICT": _Machine.marked_dict,
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), _Machine.empty_list),
    **dict.fromkeys(("LIST", "TUPLE", "FROZENSET"), _Machine.marked_sequence),
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.appends),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "BINPERSID": _Machine.persistent,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "BUILD": _Machine.build,
}
