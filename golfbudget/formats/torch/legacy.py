"""Inside torch.save's layout before 1.6: five pickles, then for each storage a count of elements and its bytes.

The pickles are a magic number, the layout's version, what the writer's system was like, the object, and the list
of storage keys, in whose order the storages follow.  Layout as torch itself writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents, Region
from golfbudget.formats.naming import spelled
from golfbudget.formats.pickle.reader import Pickle, read_pickle
from golfbudget.formats.pickle.tensors import pickle_regions, storage_of, storage_width, walk
from golfbudget.formats.pickle.values import Mapped, Sequenced
from golfbudget.formats.signatures import TORCH_LEGACY
from golfbudget.formats.storages import StorageView, by_storage, split_storage, stored_tensors
from golfbudget.formats.torch.archive import ALONE
from golfbudget.ledger import Account, Span

_VERSION = 1001
#: An int64 before each storage.
_COUNT = 8
_LABELS = ("[torch magic]", "[torch version]", "[torch system]", "[pickle]", "[storage keys]")
_OBJECT, _KEYS = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Storage:
    """A storage: its count's bytes and its own."""

    key: str
    count: Span
    data: Span


def read_pickles(data: Buffer, *, where: str) -> Contents:
    """Explain a file of torch's old layout."""
    view = memoryview(data)
    pickles: list[tuple[Span, Pickle]] = []
    at = 0
    for _ in _LABELS:
        pickle = read_pickle(view[at:], where=where, offset=at)
        pickles.append((Span(at, at + pickle.length), pickle))
        at += pickle.length
    _check_preamble(pickles, where)
    found = walk(pickles[_OBJECT][1], where=where, alone=ALONE)
    found.values[BYTE_ORDER] = _byte_order(pickles[2][1])
    storages = list(_storages(view, at, pickles, where))
    _check_views(found.views, storages, pickles, where)
    views = by_storage(found.views)
    regions: list[Region] = []
    for number, (span, pickle) in enumerate(pickles):
        claims = {_OBJECT: found.claims, _KEYS: _key_claims(pickle, views)}.get(number, [])
        regions += pickle_regions(span, pickle.length, claims, _LABELS[number])
    for storage in storages:
        mine = views.get(storage.key, [])
        orphan = f"[orphan storage {spelled(storage.key)}]"
        owner, label = (mine[0].name, "[storage length]") if mine else (None, orphan)
        regions.append(Region(span=storage.count, account=Account.CONTAINER, name=owner, label=label))
        regions += split_storage(storage.data, mine, orphan)
        at = storage.data.stop
    if at < len(data):
        regions.append(Region(span=Span(at, len(data)), account=Account.UNMAPPED, label="[after the storages]"))
    starts: dict[str, int | None] = {storage.key: storage.data.start for storage in storages}
    return Contents(
        format="torch-legacy",
        regions=tuple(regions),
        tensors=tuple(stored_tensors(found.views, starts)),
        values=found.values,
    )


def _check_preamble(pickles: list[tuple[Span, Pickle]], where: str) -> None:
    magic, version = (pickle.top.value for _, pickle in pickles[:2])
    if magic != TORCH_LEGACY:
        raise CorruptError(f"{where}: the pickle at byte 0 is not torch's magic number")
    if version != _VERSION:
        shown = version if isinstance(version, int) and 0 <= version < 1 << 32 else "no version"
        raise UnsupportedError(
            f"{where}: the pickle at byte {pickles[1][0].start} says torch layout {shown}, known: {_VERSION}; --as "
            "opaque counts the file as a whole"
        )


def _byte_order(system: Pickle) -> str:
    """What the writer's system says of itself; little-endian where it says nothing."""
    pairs = system.top.value.items if isinstance(system.top.value, Mapped) else []
    return "big" if any(key.value == "little_endian" and value.value is False for key, value in pairs) else "little"


def _storages(data: memoryview, at: int, pickles: list[tuple[Span, Pickle]], where: str) -> Iterator[_Storage]:
    """The storages, in the order of their keys; the references of the object say how wide their elements are."""
    widths, (span, keys) = _widths(pickles[_OBJECT][1], where), pickles[_KEYS]
    if not isinstance(keys.top.value, Sequenced):
        raise CorruptError(f"{where}: the pickle at byte {span.start} is no list of storage keys")
    seen: set[str] = set()
    for node in keys.top.value.items:
        key = node.value
        if not isinstance(key, str) or key not in widths or key in seen:
            raise CorruptError(
                f"{where}: the storage keys at byte {span.start + node.start} name {spelled(key)[:80]!r}, which is "
                "listed twice or which no tensor refers to"
            )
        seen.add(key)
        if at + _COUNT > len(data):
            raise CorruptError(f"{where}: storage {key[:80]!r} should start at byte {at}, the file ends at {len(data)}")
        count = int.from_bytes(data[at : at + _COUNT], "little", signed=True)
        start = at + _COUNT
        if not 0 <= count * widths[key] <= len(data) - start:
            raise CorruptError(
                f"{where}: storage {key[:80]!r} at byte {at} says {count} elements of {widths[key]} bytes, the file "
                f"has {len(data) - start} bytes left; it is truncated or corrupt"
            )
        at = start + count * widths[key]
        yield _Storage(key=key, count=Span(start - _COUNT, start), data=Span(start, at))


def _widths(pickle: Pickle, where: str) -> dict[str, int]:
    """Bytes of an element of every storage that the object refers to."""
    widths: dict[str, int] = {}
    for reference in pickle.references:
        if reference.arguments and reference.arguments[0].value == "module":
            continue
        try:
            key, kind, _ = storage_of(reference)
        except (IndexError, TypeError) as error:
            raise CorruptError(f"{where}: a reference of the pickle is no storage of torch: {error}") from None
        width = storage_width(kind)
        if width is None:
            raise UnsupportedError(f"{where}: storage {key[:80]!r} is a {kind.spelled}, which is not read yet")
        if widths.setdefault(key, width) != width:
            raise CorruptError(f"{where}: storage {key[:80]!r} is referred to with elements of two widths")
    return widths


def _check_views(
    views: list[StorageView], storages: list[_Storage], pickles: list[tuple[Span, Pickle]], where: str
) -> None:
    by_key = {storage.key: storage for storage in storages}
    for view in views:
        storage = by_key.get(view.key)
        if storage is None:
            raise CorruptError(
                f"{where}: tensor {view.name!r} lies in storage {view.key[:80]!r}, which the list at byte "
                f"{pickles[_KEYS][0].start} lacks"
            )
        if view.extent().stop > len(storage.data):
            raise CorruptError(
                f"{where}: tensor {view.name!r} {list(view.shape)} {view.dtype} needs {view.extent().stop} bytes, its "
                f"storage {view.key[:80]!r} at byte {storage.data.start} has {len(storage.data)}"
            )


def _key_claims(keys: Pickle, views: dict[str, list[StorageView]]) -> list[tuple[str, Span]]:
    """A key's bytes in the list serve the first tensor on its storage."""
    items = keys.top.value.items if isinstance(keys.top.value, Sequenced) else []
    claims = []
    for node in items:
        mine = views.get(node.value, []) if isinstance(node.value, str) else []
        if mine and keys.top.start <= node.start <= node.stop <= keys.top.stop:
            claims.append((mine[0].name, Span(node.start, node.stop)))
    return claims
