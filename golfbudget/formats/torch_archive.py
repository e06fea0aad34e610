"""Inside torch.save's zip layout: a pickle that names tensors, and one member per storage.

Read without torch and without unpickling.  The archive's central directory and the pickle's own opcodes say
where everything lies: a tensor owns its storage's bytes, local header, alignment padding, descriptor and
directory record, and the pickle bytes that describe it.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, LimitError, UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, DTYPE_BITS, Contents, Region, StoredTensor
from golfbudget.formats.pickle_reader import Call, Global, Mapped, Node, Persistent, Sequenced, read_pickle
from golfbudget.formats.zip_directory import DEFLATED, STORED, ZipMember, read_directory
from golfbudget.ledger import Account, Span

#: A pickle of a model's names is kilobytes; packed weights inside it, megabytes.
_PICKLE_LIMIT = 1 << 28
_MOST_NESTED = 64
#: Bounds that torch itself keeps or no model comes near; without them a hostile file could cost hours.
_MOST_DIMENSIONS, _MOST_ELEMENTS, _MOST_ARGUMENTS, _LONGEST_NAME = 64, 1 << 63, 16, 512

_STORAGE_DTYPES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "CharStorage": "int8", "ByteStorage": "uint8", "ShortStorage": "int16", "IntStorage": "int32",
    "LongStorage": "int64", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip

#: The name of a value that was saved by itself, outside any dict.
_ALONE = "[tensor]"
PLAIN = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A tensor of the pickle: a window on a storage."""

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int

    def extent(self) -> Span:
        """Bytes of the storage between the view's first and last element."""
        width = DTYPE_BITS[self.dtype] // 8
        if 0 in self.shape:
            return Span(self.first * width, self.first * width)
        last = self.first + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return Span(self.first * width, (last + 1) * width)


@dataclass(slots=True)
class _Found:
    """What a walk over the pickle gives."""

    views: list[_View] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    #: (path, bytes of the pickle); outer items come before the items inside them.
    claims: list[tuple[str, Span]] = field(default_factory=list)


def read_archive(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive that torch.save wrote; None when it is a zip archive of another kind."""
    directory = read_directory(data, where)
    pickles = [member for member in directory.members if member.name.endswith("/data.pkl")]
    if len(pickles) != 1:
        return None
    root = pickles[0].name[: -len("data.pkl")]
    raw = _member_bytes(data, pickles[0], where)
    top, length = read_pickle(raw, where=where, offset=pickles[0].data.start)
    found = _Found()
    _walk(top, _ALONE, 0, found, set(), where, Span(0, length))
    storages = {m.name.removeprefix(f"{root}data/"): m for m in directory.members if m.name.startswith(f"{root}data/")}
    _check_views(found.views, storages, where)
    views_of: dict[str, list[_View]] = {}
    for view in found.views:
        views_of.setdefault(view.key, []).append(view)
    regions: list[Region] = []
    for member in directory.members:
        if member.name == f"{root}byteorder" and member.decoded_length < 16:
            found.values[BYTE_ORDER] = _member_bytes(data, member, where).decode("ascii", "backslashreplace")
        key = member.name.removeprefix(f"{root}data/")
        if storages.get(key) is member:
            regions += _storage_regions(member, views_of.get(key, []))
            continue
        label = f"[{member.name.removeprefix(root)}]"
        regions += _overhead(member, None, label)
        if member is pickles[0] and member.method == STORED:
            regions += _pickle_regions(member.data, found.claims, length)
        else:
            regions.append(Region(span=member.data, account=Account.CONTAINER, label=label))
    regions.append(Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]"))
    return Contents(
        format="torch-zip",
        regions=tuple(_with_gaps(regions, len(data))),
        tensors=tuple(_tensors(found.views, storages)),
        values=found.values,
    )


def _member_bytes(data: Buffer, member: ZipMember, where: str) -> bytes:
    if member.decoded_length > _PICKLE_LIMIT:
        raise LimitError(
            f"{where}: {member.name!r} at byte {member.data.start} claims {member.decoded_length} bytes, at most "
            f"{_PICKLE_LIMIT} are read as a pickle (--as opaque counts the file as a whole)"
        )
    raw = bytes(data[member.data.start : member.data.stop])
    if member.method == DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = inflate.decompress(raw, member.decoded_length + 1)
        except zlib.error as error:
            raise CorruptError(
                f"{where}: {member.name!r} at byte {member.data.start} does not inflate: {error}"
            ) from None
    elif member.method != STORED:
        raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")
    if len(raw) != member.decoded_length:
        raise CorruptError(
            f"{where}: {member.name!r} at byte {member.data.start} holds {len(raw)} bytes, its directory record says "
            f"{member.decoded_length}"
        )
    if zlib.crc32(raw) != member.crc:
        raise CorruptError(f"{where}: {member.name!r} at byte {member.data.start} does not match its checksum")
    return raw


def _walk(node: Node, name: str, depth: int, found: _Found, seen: set[int], where: str, bound: Span | None) -> None:
    """Collect tensors, plain values and the pickle bytes of every named item; shared containers are entered once.

    `bound` is where the container itself stands: items reached through the memo stand elsewhere and claim nothing.
    """
    value = node.value
    if isinstance(value, PLAIN):
        found.values[name] = value
        return
    view = _view(value, name, where)
    if view is not None:
        found.views.append(view)
        return
    if not isinstance(value, (Mapped, Sequenced)) or id(value) in seen:
        return
    if depth >= _MOST_NESTED:
        raise CorruptError(f"{where}: the pickle nests more than {_MOST_NESTED} deep at {name[:80]!r}")
    seen.add(id(value))
    for key, child in _children(value):
        inner = _unique(f"{name}/{key}" if depth else key, found.names)
        start, stop = child[0].start, child[1].stop
        own = Span(start, stop) if bound and bound.start <= start <= stop <= bound.stop else None
        if own is not None:
            found.claims.append((inner, own))
        _walk(child[1], inner, depth + 1, found, seen, where, own)


def _children(value: Mapped | Sequenced) -> Iterator[tuple[str, tuple[Node, Node]]]:
    if isinstance(value, Mapped):
        for key, child in value.items:
            yield _spelled(key.value), (key, child)
    else:
        for number, child in enumerate(value.items):
            yield str(number), (child, child)


def _spelled(key: object) -> str:
    """A dict's key as part of a name: always printable as UTF-8, and "?" for what has no short spelling."""
    if isinstance(key, (str, bytes)):
        key = key[: _LONGEST_NAME + 1]
    elif not isinstance(key, PLAIN) or (isinstance(key, int) and abs(key) >= _MOST_ELEMENTS):
        return "?"
    return str(key).encode("utf-8", errors="backslashreplace").decode("utf-8")


def _unique(name: str, taken: dict[str, int]) -> str:
    """The name, cut if no tensor's is as long, numbered if taken (keys 1 and "1"): no tensor hides another."""
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}…"
    made = name
    while made in taken:
        taken[name] += 1
        made = f"{name}#{taken[name]}"
    taken[made] = 1
    return made


def _view(value: object, name: str, where: str) -> _View | None:
    """The tensor that a call would rebuild, or None when the value is no tensor."""
    try:
        call = _unwrapped(value)
        if call is None or not call.function.name.startswith("_rebuild_tensor"):
            return None
        function, arguments = call.function.name, [node.value for node in call.arguments[:_MOST_ARGUMENTS]]
        storage, first, shape, strides = arguments[0], arguments[1], _numbers(arguments[2]), _numbers(arguments[3])
        if not isinstance(storage, Persistent) or not isinstance(first, int) or not 0 <= first < _MOST_ELEMENTS:
            raise TypeError("its storage or offset is not one")
        kind, key = storage.arguments[1].value, storage.arguments[2].value
        if not isinstance(kind, Global) or not isinstance(key, str):
            raise TypeError("its storage has no type and name")
        dtype = _STORAGE_DTYPES.get(kind.name)
        if function == "_rebuild_tensor_v3" and isinstance(arguments[6], Global):
            dtype = arguments[6].name
        if dtype is None or DTYPE_BITS.get(dtype, 1) % 8:
            raise UnsupportedError(f"{where}: tensor {name!r} has dtype {dtype or kind.name}, which is not read yet")
        if len(shape) != len(strides):
            raise TypeError("it has as many strides as dimensions")
        if math.prod(shape) >= _MOST_ELEMENTS:
            raise TypeError(f"it has at most {_MOST_ELEMENTS - 1} elements")
        return _View(name=name, key=key, dtype=dtype, shape=shape, strides=strides, first=first)
    except (IndexError, TypeError) as error:
        raise CorruptError(f"{where}: tensor {name!r} is not described as torch describes tensors: {error}") from None


def _unwrapped(value: object) -> Call | None:
    """The call inside parameters and tensor subclasses; they can be wrapped in one another, and in themselves."""
    for _ in range(_MOST_NESTED):
        if not isinstance(value, Call):
            return None
        function, arguments = value.function.name, value.arguments
        if function in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            value = arguments[0].value
        elif function == "_rebuild_from_type_v2":
            target, inner = arguments[0].value, arguments[2].value
            if not isinstance(target, Global) or not isinstance(inner, Sequenced):
                return None
            value = Call(target, inner.items)
        else:
            return value
    raise TypeError(f"it is wrapped more than {_MOST_NESTED} times")


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, Call) and value.function.name == "Size" and value.arguments:
        value = value.arguments[0].value
    items = value.items if isinstance(value, Sequenced) else [Node(None, 0, 0)]
    numbers = [node.value for node in items[: _MOST_DIMENSIONS + 1]]
    if len(numbers) > _MOST_DIMENSIONS or not all(type(n) is int and 0 <= n < _MOST_ELEMENTS for n in numbers):
        raise TypeError(f"shape and strides are at most {_MOST_DIMENSIONS} whole numbers")
    return tuple(n for n in numbers if isinstance(n, int))


def _check_views(views: list[_View], storages: dict[str, ZipMember], where: str) -> None:
    for view in views:
        member = storages.get(view.key)
        if member is None:
            raise CorruptError(f"{where}: tensor {view.name!r} lies in storage {view.key!r}, which the archive lacks")
        if member.method not in (STORED, DEFLATED):
            raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")
        if view.extent().stop > member.decoded_length:
            raise CorruptError(
                f"{where}: tensor {view.name!r} {list(view.shape)} {view.dtype} needs {view.extent().stop} bytes, its "
                f"storage {member.name!r} at byte {member.data.start} has {member.decoded_length}"
            )


def _overhead(member: ZipMember, name: str | None, label: str) -> list[Region]:
    """Local header with padding, descriptor and directory record, all for `name`."""
    spans = [member.header, member.record, member.descriptor]
    return [Region(span=s, account=Account.CONTAINER, name=name, label=label) for s in spans if len(s)]


def _storage_regions(member: ZipMember, views: list[_View]) -> list[Region]:
    """Cut a storage among its views: bytes of one view are its own, slack and padding go to the first."""
    if not views:
        label = f"[orphan storage {member.name}]"
        return [*_overhead(member, None, label), Region(span=member.data, account=Account.UNMAPPED, label=label)]
    regions = _overhead(member, views[0].name, "")
    if member.method == DEFLATED:
        return [*regions, Region(span=member.data, account=Account.WEIGHTS, name=views[0].name, tensor=True)]
    extents = sorted({view.extent(): view.name for view in reversed(views)}.items(), reverse=True)
    cuts = sorted({0, len(member.data), *(edge for extent, _ in extents for edge in (extent.start, extent.stop))})
    # The views that started before the cut, the earliest on top; those that have ended leave when they get there.
    open_views: list[tuple[Span, str]] = []
    for start, stop in pairwise(cuts):
        while extents and extents[-1][0].start <= start:
            heapq.heappush(open_views, extents.pop())
        while open_views and open_views[0][0].stop <= start:
            heapq.heappop(open_views)
        span = Span(member.data.start + start, member.data.start + stop)
        if open_views:
            owner = open_views[0][1]
            regions.append(Region(span=span, account=Account.WEIGHTS, name=owner, tensor=True))
        else:
            regions.append(Region(span=span, account=Account.CONTAINER, name=views[0].name, label="[slack]"))
    if not len(member.data):
        regions.append(Region(span=member.data, account=Account.WEIGHTS, name=views[0].name, tensor=True))
    return regions


def _pickle_regions(data: Span, claims: list[tuple[str, Span]], length: int) -> list[Region]:
    """Give each byte of the pickle to the innermost named item that holds it, the rest to the whole file."""
    label = "[data.pkl]"
    owner: list[str | None] = [None]
    edges: list[tuple[int, int, int, str]] = []
    for depth, (path, span) in enumerate(claims):
        if len(span):
            edges.append((span.start, 1, depth, path))
            edges.append((span.stop, 0, -depth, path))
    regions: list[Region] = []
    cursor = 0
    for at, opens, _, path in sorted(edges):
        if at > cursor:
            span = Span(data.start + cursor, data.start + at)
            regions.append(Region(span=span, account=Account.CONTAINER, name=owner[-1], label=label))
            cursor = at
        if opens:
            owner.append(path)
        else:
            owner.pop()
    for start, stop, account in ((cursor, length, Account.CONTAINER), (length, len(data), Account.UNMAPPED)):
        if stop > start:
            regions.append(Region(span=Span(data.start + start, data.start + stop), account=account, label=label))
    return regions


def _tensors(views: list[_View], storages: dict[str, ZipMember]) -> Iterator[StoredTensor]:
    """One tensor per distinct window; further names of the same window are its aliases."""
    groups: dict[tuple[object, ...], list[_View]] = {}
    for view in views:
        # An empty window shares nothing: every empty tensor stays a tensor of its own.
        own = view.name if 0 in view.shape else None
        groups.setdefault((view.key, view.dtype, view.shape, view.strides, view.first, own), []).append(view)
    for first, *others in groups.values():
        member = storages[first.key]
        width = DTYPE_BITS[first.dtype] // 8
        yield StoredTensor(
            name=first.name,
            dtype=first.dtype,
            shape=first.shape,
            strides=first.strides,
            offset=member.data.start + first.first * width if member.method == STORED else None,
            aliases=tuple(view.name for view in others),
        )


def _with_gaps(regions: list[Region], length: int) -> Iterator[Region]:
    """The regions in file order; bytes that no zip record explains become unmapped, never dropped."""
    cursor = 0
    for region in sorted(regions, key=lambda r: r.span):
        if region.span.start > cursor:
            yield Region(span=Span(cursor, region.span.start), account=Account.UNMAPPED, label="[zip gap]")
        yield region
        cursor = max(cursor, region.span.stop)
    if cursor < length:
        yield Region(span=Span(cursor, length), account=Account.UNMAPPED, label="[zip gap]")
