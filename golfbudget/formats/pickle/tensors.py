"""Walk what a pickle holds: tensors, plain values, and whose bytes of the pickle are whose.

One walk serves every container that is built around a pickle.  Objects of unknown classes are looked into for
tensors but never made.

A pickle by itself is a dict of numpy arrays, packed bytes and plain values.  The elements of an array are a literal
inside the pickle; the bytes around it that describe the array are its overhead.  Protocol 2 spells elements as text,
which then are no bytes that could be read in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from golfbudget.codecs.base import Buffer
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError, UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents, Region, StoredTensor, spelled, unique
from golfbudget.formats.pickle import arrays, symbols
from golfbudget.formats.pickle.reader import Pickle, read_pickle
from golfbudget.formats.pickle.torch_tensors import TorchTensor, torch_tensor
from golfbudget.formats.storages import StorageView, by_storage, stored_tensors
from golfbudget.ledger import Account, Span

_MOST_NESTED = 64
#: Characters of all names together, and what each item counts besides: 200,000 items, which take 200 MB.
_MOST_NAMING, _ITEM = 1 << 24, 64

_PLAIN = (type(None), bool, int, float, str, bytes)
#: (key's name, first node, last node) of something inside a container; a list's items are first and last at once.
_Child = tuple[str, symbols.Node, symbols.Node]


@dataclass(slots=True)
class PickleContents:
    """What a walk over the pickle gives.  `payloads` says where the content of each array's storage lies."""

    views: list[StorageView] = field(default_factory=list)
    arrays: list[StorageView] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    #: (path, bytes of the pickle); outer items come before the items inside them.
    claims: list[tuple[str, Span]] = field(default_factory=list)
    payloads: dict[str, symbols.ByteLiteral | None] = field(default_factory=dict)
    big_endian: bool = False
    outer_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def walk(
    pickle: Pickle,
    *,
    where: str,
    alone: str,
    arrays: bool = False,
    joint: str = "/",
    under: dict[str, int] | None = None,
) -> PickleContents:
    """Everything of a pickle by its path; a value that was saved by itself is called `alone`.

    With `arrays` numpy's arrays are tensors and its scalars values; without, both are only bytes of their item.
    `joint` stands between the names of a path; parts of a tensor have a slash before them whatever it is.  With
    `under`, names that are taken already, every path begins with `alone`.
    """
    walker = _Walker(where=where, arrays=arrays, joint=joint, contents=PickleContents(names=under or {}))
    walker.visit(pickle.top, alone, 0 if under is None else 1, Span(0, pickle.length))
    if pickle.functions:
        first, more = pickle.functions[0], len(pickle.functions) - 1
        others = f" and {more} more functions" if more else ""
        walker.contents.notes.append(
            f"the pickle calls {first!r}{others}, not known here: kept as data, nothing was run"
        )
    walker.say_absent()
    return walker.contents


@dataclass(slots=True, kw_only=True)
class _Walker:
    where: str
    arrays: bool
    joint: str
    contents: PickleContents = field(default_factory=PickleContents)
    #: Containers that were entered; shared ones are entered once.
    seen: set[int] = field(default_factory=set)
    #: Byte arrays as bytes, copied once however often they are referred to.
    copies: dict[int, bytes] = field(default_factory=dict)
    naming: int = 0
    absent: list[str] = field(default_factory=list)

    def visit(self, node: symbols.Node, name: str, depth: int, bound: Span | None) -> None:
        """`bound` is where the item stands: items reached through the memo stand elsewhere and claim nothing."""
        value = node.value
        if isinstance(value, _PLAIN):
            self.contents.values[name] = value
        elif isinstance(value, bytearray):
            if id(value) not in self.copies:
                self.copies[id(value)] = bytes(value)
            self.contents.values[name] = self.copies[id(value)]
        elif (tensor := torch_tensor(value, name, self.where)) is not None:
            self._tensor(tensor, name, depth, bound)
        elif not (self.arrays and isinstance(value, symbols.Call) and self._numpy(value, name)):
            self._enter(value, name, depth, bound)

    def _tensor(self, tensor: TorchTensor, name: str, depth: int, bound: Span | None) -> None:
        """A tensor's window, and what else it is made of: values under its name and a slash."""
        if tensor.view is not None:
            self.contents.views.append(tensor.view)
        if tensor.array is not None:
            self._numpy(tensor.array, name)
        if tensor.shape is not None:
            self.contents.outer_shapes[name] = tensor.shape
        if tensor.kind is not None and tensor.view is None:
            self.contents.values[name] = tensor.kind
        if tensor.absent:
            self.absent.append(name)
        for part, node in tensor.parts:
            self._visit_inside(f"{name}/{part}", (node, node), depth, bound)

    def say_absent(self) -> None:
        """Note the tensors whose data was not saved."""
        if self.absent:
            many = f"{len(self.absent)} tensors have" if len(self.absent) > 1 else f"tensor {self.absent[0][:80]!r} has"
            self.contents.notes.append(f"{many} no data in the file, only a shape (torch's device meta)")

    def _numpy(self, call: symbols.Call, name: str) -> bool:
        """Whether the call makes an array or a number of numpy's, and it was taken as one."""
        try:
            array = arrays.array(call, name, self.where)
        except UnsupportedError as error:
            self.contents.notes.append(str(error).removeprefix(f"{self.where}: "))
            return True
        if array is None:
            number = arrays.scalar(call)
            if number is not None:
                self.contents.values[name] = number
            return number is not None
        self.contents.arrays.append(array.view)
        self.contents.payloads[array.view.key] = array.payload
        self.contents.big_endian |= array.big
        return True

    def _enter(self, value: object, name: str, depth: int, bound: Span | None) -> None:
        for _ in range(_MOST_NESTED):
            if not isinstance(value, symbols.Call) or str(value.function) not in symbols.PASSED or not value.arguments:
                break
            value = value.arguments[0].value
        if isinstance(value, symbols.Call):
            if str(value.function) in symbols.KNOWN_CALLS and str(value.function) not in symbols.OBJECTS:
                return
            self.contents.values[name] = value.kind
        elif not isinstance(value, (symbols.Mapped, symbols.Sequenced)):
            return
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        for key, first, last in self._children(value):
            self._visit_inside(f"{name}{self.joint}{key}" if depth else key, (first, last), depth, bound)

    def _visit_inside(
        self, path: str, nodes: tuple[symbols.Node, symbols.Node], depth: int, bound: Span | None
    ) -> None:
        """Visit what an item holds, unless it nests or goes on without an end."""
        if depth >= _MOST_NESTED:
            raise CorruptError(f"{self.where}: the pickle nests more than {_MOST_NESTED} deep at {path[:80]!r}")
        inner = unique(path, self.contents.names)
        self.naming += _ITEM + len(inner)
        if self.naming > _MOST_NAMING:
            raise LimitError(
                f"{self.where}: the pickle holds more than {len(self.contents.names)} items, which is no list of "
                f"tensors ({AS_OPAQUE})"
            )
        start, stop = nodes[0].start, nodes[1].stop
        own = Span(start, stop) if bound and bound.start <= start <= stop <= bound.stop else None
        if own is not None:
            self.contents.claims.append((inner, own))
        self.visit(nodes[1], inner, depth + 1, own)

    def _children(self, value: symbols.Mapped | symbols.Sequenced | symbols.Call) -> Iterator[_Child]:
        if isinstance(value, symbols.Mapped):
            yield from _pairs(value)
        elif isinstance(value, symbols.Sequenced):
            yield from _numbered(value.items)
        else:
            yield from self._parts(value)

    def _parts(self, call: symbols.Call) -> Iterator[_Child]:
        """What an object of an unknown class holds: what it is made from, what is put in it, its attributes."""
        if str(call.function) not in symbols.OBJECTS and id(call.arguments) not in self.seen:
            self.seen.add(id(call.arguments))
            yield from _numbered(call.arguments)
        elif call.kind is not call.function and len(call.arguments) > 2:
            yield from self._attributes(call.arguments[2])
        for number, (key, value) in enumerate(call.added or []):
            if key is None:
                yield from self._attributes(value)
            elif key is value:
                yield str(number), value, value
            else:
                yield spelled(key.value), key, value

    def _attributes(self, state: symbols.Node) -> Iterator[_Child]:
        dicts = symbols.state_dicts(state)
        if dicts is None:
            yield "[state]", state, state
            return
        for one in dicts:
            if id(one) not in self.seen:
                self.seen.add(id(one))
                yield from _pairs(one)


def _pairs(value: symbols.Mapped) -> Iterator[_Child]:
    for key, child in value.items:
        yield spelled(key.value), key, child


def _numbered(items: list[symbols.Node]) -> Iterator[_Child]:
    for number, child in enumerate(items):
        yield str(number), child, child


# Whose bytes of the pickle are whose


def pickle_regions(
    data: Span, length: int, claims: list[tuple[str, Span]], label: str, contents: list[tuple[str, Span]] | None = None
) -> list[Region]:
    """Give each byte of the pickle to the innermost named item that holds it, the rest to the whole file.

    `data` is where the pickle and what follows it lie, `length` how much is the pickle.  `contents` are the bytes
    of the pickle that are elements of a tensor; a literal's content never straddles a claim's edge.
    """
    owner: list[tuple[str | None, bool]] = [(None, False)]
    edges: list[tuple[int, int, int, str, bool]] = []
    inner = [(path, span, False) for path, span in claims] + [(path, span, True) for path, span in contents or ()]
    for depth, (path, span, tensor) in enumerate(inner):
        if len(span):
            edges.append((span.start, 1, depth, path, tensor))
            edges.append((span.stop, 0, -depth, path, tensor))
    regions: list[Region] = []
    cursor = 0
    for at, opens, _, path, tensor in sorted(edges):
        if at > cursor:
            regions.append(_region(Span(data.start + cursor, data.start + at), *owner[-1], label))
            cursor = at
        if opens:
            owner.append((path, tensor))
        else:
            owner.pop()
    for start, stop, account in ((cursor, length, Account.CONTAINER), (length, len(data), Account.UNMAPPED)):
        if stop > start:
            regions.append(Region(span=Span(data.start + start, data.start + stop), account=account, label=label))
    return regions


def _region(span: Span, name: str | None, tensor: bool, label: str) -> Region:  # noqa: FBT001  (a pair unpacked)
    if tensor:
        return Region(span=span, account=Account.WEIGHTS, name=name, tensor=True)
    return Region(span=span, account=Account.CONTAINER, name=name, label=label)


def array_contents(walked: PickleContents) -> list[tuple[str, Span]]:
    """The bytes of the pickle that are elements of arrays, each with the name of the first on them."""
    views = by_storage(walked.arrays)
    return [(views[key][0].name, Span(p.start, p.stop)) for key, p in walked.payloads.items() if p is not None]


def array_tensors(walked: PickleContents, start: int) -> Iterator[StoredTensor]:
    """The arrays of a pickle that lies at byte `start` of its container."""
    # An array without elements has no bytes; any place in the file will do.
    starts = {key: start if p is None else start + p.start if p.raw else None for key, p in walked.payloads.items()}
    return stored_tensors(walked.arrays, starts)


#: The name of an array that was saved by itself.
_ALONE_ARRAY = "[array]"


def read_bare(data: Buffer, *, where: str) -> Contents:
    """Explain one pickle; whatever follows it is unmapped.  Raises `CorruptError` or `UnsupportedError`."""
    pickle = read_pickle(data, where=where)
    if pickle.references:
        raise UnsupportedError(
            f"{where}: the pickle refers to data outside it (as torch's pickles do), and the file holds none; "
            f"{AS_OPAQUE}"
        )
    walked = walk(pickle, where=where, alone=_ALONE_ARRAY, arrays=True)
    if walked.big_endian:
        walked.values[BYTE_ORDER] = "big"
    regions = pickle_regions(Span(0, len(data)), pickle.length, walked.claims, "[pickle]", array_contents(walked))
    return Contents(
        format="pickle",
        regions=tuple(regions),
        tensors=tuple(array_tensors(walked, 0)),
        values=walked.values,
        notes=tuple(walked.notes),
    )
