"""Walk what a pickle holds: tensors, plain values, and whose bytes of the pickle are whose.

One walk serves every container that is built around a pickle.  Objects of unknown classes are looked into for
tensors but never made.

A pickle by itself is a dict of numpy arrays, packed bytes and plain values.  The elements of an array are a literal
inside the pickle; the bytes around it that describe the array are its overhead.  Protocol 2 spells elements as text,
which then are no bytes that could be read in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from golfbudget.codecs.base import Buffer
from golfbudget.dtypes import STORAGE_DTYPES, has_whole_bytes
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError, UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents, Region, spelled, unique
from golfbudget.formats.pickle import arrays, symbols
from golfbudget.formats.pickle.reader import Pickle, read_pickle
from golfbudget.formats.storages import StorageView, by_storage, stored_tensors
from golfbudget.ledger import Account, Span

_MOST_NESTED = 64
_MOST_ARGUMENTS = 16
#: Characters of all names together, and what each item counts besides: 200,000 items, which take 200 MB.
_MOST_NAMING, _ITEM = 1 << 24, 64

_PLAIN = (type(None), bool, int, float, str, bytes)
#: (key's name, first node, last node) of something inside a container; a list's items are first and last at once.
_Child = tuple[str, symbols.Node, symbols.Node]


@dataclass(slots=True)
class PickleContents:
    """What a walk over the pickle gives.  `payloads` says where the content of each array's storage lies."""

    views: list[StorageView] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    #: (path, bytes of the pickle); outer items come before the items inside them.
    claims: list[tuple[str, Span]] = field(default_factory=list)
    payloads: dict[str, symbols.ByteLiteral | None] = field(default_factory=dict)
    big_endian: bool = False


def walk(pickle: Pickle, *, where: str, alone: str, arrays: bool = False) -> PickleContents:
    """Everything of a pickle by its path; a value that was saved by itself is called `alone`.

    With `arrays` numpy's arrays are tensors and its scalars values; without, both are only bytes of their item.
    """
    walker = _Walker(where=where, arrays=arrays)
    walker.visit(pickle.top, alone, 0, Span(0, pickle.length))
    return walker.contents


@dataclass(slots=True, kw_only=True)
class _Walker:
    where: str
    arrays: bool
    contents: PickleContents = field(default_factory=PickleContents)
    #: Containers that were entered; shared ones are entered once.
    seen: set[int] = field(default_factory=set)
    #: Byte arrays as bytes, copied once however often they are referred to.
    copies: dict[int, bytes] = field(default_factory=dict)
    naming: int = 0

    def visit(self, node: symbols.Node, name: str, depth: int, bound: Span | None) -> None:
        """`bound` is where the item stands: items reached through the memo stand elsewhere and claim nothing."""
        value = node.value
        if isinstance(value, _PLAIN):
            self.contents.values[name] = value
        elif isinstance(value, bytearray):
            if id(value) not in self.copies:
                self.copies[id(value)] = bytes(value)
            self.contents.values[name] = self.copies[id(value)]
        elif not self._tensor(value, name):
            self._enter(value, name, depth, bound)

    def _tensor(self, value: object, name: str) -> bool:
        """Whether the value is a tensor, an array or a number, and was taken as one."""
        view = torch_view(value, name, self.where)
        if view is None and self.arrays and isinstance(value, symbols.Call):
            array = arrays.array(value, name, self.where)
            if array is None:
                number = arrays.scalar(value)
                if number is not None:
                    self.contents.values[name] = number
                return number is not None
            view = array.view
            self.contents.payloads[view.key] = array.payload
            self.contents.big_endian |= array.big
        if view is not None:
            self.contents.views.append(view)
        return view is not None

    def _enter(self, value: object, name: str, depth: int, bound: Span | None) -> None:
        if isinstance(value, symbols.Call) and str(value.function) == "torch Size" and value.arguments:
            value = value.arguments[0].value
        if isinstance(value, symbols.Call):
            if str(value.function) in symbols.KNOWN_CALLS and str(value.function) not in symbols.OBJECTS:
                return
            self.contents.values[name] = value.kind
        elif not isinstance(value, (symbols.Mapped, symbols.Sequenced)):
            return
        if id(value) in self.seen:
            return
        if depth >= _MOST_NESTED:
            raise CorruptError(f"{self.where}: the pickle nests more than {_MOST_NESTED} deep at {name[:80]!r}")
        self.seen.add(id(value))
        for key, first, last in self._children(value):
            inner = unique(f"{name}/{key}" if depth else key, self.contents.names)
            self.naming += _ITEM + len(inner)
            if self.naming > _MOST_NAMING:
                raise LimitError(
                    f"{self.where}: the pickle holds more than {len(self.contents.names)} items, which is no list of "
                    f"tensors ({AS_OPAQUE})"
                )
            start, stop = first.start, last.stop
            own = Span(start, stop) if bound and bound.start <= start <= stop <= bound.stop else None
            if own is not None:
                self.contents.claims.append((inner, own))
            self.visit(last, inner, depth + 1, own)

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
        """A state is a dict of attributes, or a pair of that and the slots', or anything else."""
        value = state.value
        parts = value.items if isinstance(value, symbols.Sequenced) and len(value.items) == 2 else [state]
        if not all(isinstance(part.value, symbols.Mapped) or part.value is None for part in parts):
            yield "[state]", state, state
            return
        for part in parts:
            if isinstance(part.value, symbols.Mapped) and id(part.value) not in self.seen:
                self.seen.add(id(part.value))
                yield from _pairs(part.value)


def _pairs(value: symbols.Mapped) -> Iterator[_Child]:
    for key, child in value.items:
        yield spelled(key.value), key, child


def _numbered(items: list[symbols.Node]) -> Iterator[_Child]:
    for number, child in enumerate(items):
        yield str(number), child, child


# torch's tensors


def storage_of(reference: symbols.Persistent) -> tuple[str, symbols.Global, int | None]:
    """(key, storage class, offset in elements of the view torch once wrote) of a reference to a storage.

    `TypeError` or `IndexError` when it is none.
    """
    kind, key = reference.arguments[1].value, reference.arguments[2].value
    if not isinstance(kind, symbols.Global) or not isinstance(key, str):
        raise TypeError("its storage has no type and name")
    if len(reference.arguments) > 5 and isinstance(reference.arguments[5].value, symbols.Sequenced):
        offset = reference.arguments[5].value.items[1].value
        if not isinstance(offset, int) or not 0 <= offset < symbols.MOST_ELEMENTS:
            raise TypeError("its storage is a view at no offset")
        return key, kind, offset
    return key, kind, None


def torch_view(value: object, name: str, where: str) -> StorageView | None:
    """The tensor that a call would rebuild, or None when the value is no tensor."""
    try:
        call = _unwrapped(value)
        if call is None or not call.function.name.startswith("_rebuild_tensor"):
            return None
        function, arguments = call.function.name, [node.value for node in call.arguments[:_MOST_ARGUMENTS]]
        storage, first, shape, strides = arguments[0], arguments[1], _sizes(arguments[2]), _sizes(arguments[3])
        if (
            not isinstance(storage, symbols.Persistent)
            or not isinstance(first, int)
            or not 0 <= first < symbols.MOST_ELEMENTS
        ):
            raise TypeError("its storage or offset is not one")
        key, kind, base = storage_of(storage)
        dtype = STORAGE_DTYPES.get(kind.name)
        if function == "_rebuild_tensor_v3" and isinstance(arguments[6], symbols.Global):
            dtype = arguments[6].name
        if dtype is None or not has_whole_bytes(dtype):
            raise UnsupportedError(f"{where}: tensor {name!r} has dtype {dtype or kind.name}, which is not read yet")
        if len(shape) != len(strides):
            raise TypeError("it has as many strides as dimensions")
        if math.prod(shape) >= symbols.MOST_ELEMENTS:
            raise TypeError(f"it has at most {symbols.MOST_ELEMENTS - 1} elements")
        return StorageView(name=name, key=key, dtype=dtype, shape=shape, strides=strides, first=first + (base or 0))
    except (IndexError, TypeError) as error:
        raise CorruptError(f"{where}: tensor {name!r} is not described as torch describes tensors: {error}") from None


def _unwrapped(value: object) -> symbols.Call | None:
    """The call inside parameters and tensor subclasses; they can be wrapped in one another, and in themselves."""
    for _ in range(_MOST_NESTED):
        if not isinstance(value, symbols.Call) or str(value.function) not in symbols.KNOWN_CALLS:
            return None
        function, arguments = value.function.name, value.arguments
        if function in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            value = arguments[0].value
        elif function == "_rebuild_from_type_v2":
            target, inner = arguments[0].value, arguments[2].value
            if not isinstance(target, symbols.Global) or not isinstance(inner, symbols.Sequenced):
                return None
            value = symbols.Call(target, inner.items)
        else:
            return value
    raise TypeError(f"it is wrapped more than {_MOST_NESTED} times")


def _sizes(value: object) -> tuple[int, ...]:
    if isinstance(value, symbols.Call) and value.function.name == "Size" and value.arguments:
        value = value.arguments[0].value
    return symbols.whole_numbers(value)


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
    views = by_storage(walked.views)
    contents = [(views[key][0].name, Span(p.start, p.stop)) for key, p in walked.payloads.items() if p is not None]
    # An array without elements has no bytes; any place in the file will do.
    starts = {key: 0 if p is None else p.start if p.raw else None for key, p in walked.payloads.items()}
    if walked.big_endian:
        walked.values[BYTE_ORDER] = "big"
    regions = pickle_regions(Span(0, len(data)), pickle.length, walked.claims, "[pickle]", contents)
    tensors = tuple(stored_tensors(walked.views, starts))
    return Contents(format="pickle", regions=tuple(regions), tensors=tensors, values=walked.values)
