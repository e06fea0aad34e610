"""Inside torch.save's two layouts, read without torch and without unpickling.

The zip layout holds a pickle that names tensors, and one member per storage.  The archive's central directory and the
pickle's own opcodes say where everything lies: a tensor owns its storage's bytes, local header, alignment padding,
descriptor and directory record, and the pickle bytes that describe it.  An archive whose storages are all stored as
they are is one container.  When any was compressed (by a zip tool; torch does not), it is a bundle: the pickle and
each storage are streams of their own.

The layout before 1.6 is five pickles, then for each storage a count of elements and its bytes.  The pickles are a magic
number, the layout's version, what the writer's system was like, the object, and the list of storage keys, in whose
order the storages follow.  Layout as torch itself writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.dtypes import STORAGE_DTYPES, element_bytes
from golfbudget.errors import AS_OPAQUE, CorruptError, UnsupportedError
from golfbudget.formats import zip_directory as zips
from golfbudget.formats.base import BYTE_ORDER, TORCH_LEGACY, Contents, Region, spelled, unmapped
from golfbudget.formats.pickle.reader import Pickle, read_pickle
from golfbudget.formats.pickle.symbols import Mapped, Sequenced
from golfbudget.formats.pickle.tensors import PickleContents, pickle_regions, storage_of, walk
from golfbudget.formats.storages import StorageView, by_storage, split_storage, stored_tensors
from golfbudget.ledger import Account, Span

#: The name of a value that was saved by itself, outside any dict.
ALONE = "[tensor]"
_PICKLE_LABEL = "[data.pkl]"


@dataclass(frozen=True, slots=True)
class _Archive:
    """An archive whose pickle has been walked; `length` is the pickle's, `root` the folder all members lie in."""

    root: str
    pickle: zips.ZipMember
    length: int
    walked: PickleContents
    storages: dict[str, zips.ZipMember]
    views: dict[str, list[StorageView]]


def read_archive(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive that torch.save wrote; None when it is a zip archive of another kind."""
    directory = zips.read_directory(data, where)
    pickles = [member for member in directory.members if member.name.endswith("/data.pkl")]
    if len(pickles) != 1:
        return None
    root = pickles[0].name[: -len("data.pkl")]
    raw = zips.member_bytes(data, pickles[0], where)
    pickle = read_pickle(raw, where=where, offset=pickles[0].data.start)
    walked = walk(pickle, where=where, alone=ALONE)
    storages = {m.name.removeprefix(f"{root}data/"): m for m in directory.members if m.name.startswith(f"{root}data/")}
    _check_views(walked.views, storages, where)
    for member in directory.members:
        if member.name == f"{root}byteorder" and member.decoded_length < 16:
            order = bytes(zips.member_bytes(data, member, where))
            walked.values[BYTE_ORDER] = order.decode("ascii", "backslashreplace")
    archive = _Archive(root, pickles[0], pickle.length, walked, storages, by_storage(walked.views))
    bundle = any(member.method != zips.STORED for member in storages.values())
    regions = [region for member in directory.members for region in _member_regions(archive, member, bundle=bundle)]
    regions.append(Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]"))
    starts: dict[str, int | None] = {key: member.data.start for key, member in storages.items()}
    explained = tuple(zips.with_gaps(regions, len(data)))
    tensors = () if bundle else tuple(stored_tensors(walked.views, starts))
    unpacked = 0 if pickles[0].method == zips.STORED else len(raw)
    return Contents(format="torch-zip", regions=explained, tensors=tensors, values=walked.values, unpacked=unpacked)


def _check_views(views: list[StorageView], storages: dict[str, zips.ZipMember], where: str) -> None:
    for member in storages.values():
        if member.method not in (zips.STORED, zips.DEFLATED):
            raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")
    for view in views:
        storage = storages.get(view.key)
        if storage is None:
            raise CorruptError(f"{where}: tensor {view.name!r} lies in storage {view.key!r}, which the archive lacks")
        if view.extent().stop > storage.decoded_length:
            raise CorruptError(
                f"{where}: tensor {view.name!r} {list(view.shape)} {view.dtype} needs {view.extent().stop} bytes, its "
                f"storage {storage.name!r} at byte {storage.data.start} has {storage.decoded_length}"
            )


def _member_regions(archive: _Archive, member: zips.ZipMember, *, bundle: bool) -> list[Region]:
    """A member's header, data, descriptor and directory record."""
    key = member.name.removeprefix(f"{archive.root}data/")
    if archive.storages.get(key) is member:
        views = archive.views.get(key, [])
        orphan = f"[orphan storage {member.name}]"
        name, label = (views[0].name, "") if views else (None, orphan)
        overhead = zips.member_overhead(member, name, label)
        if not bundle:
            return [*overhead, *split_storage(member.data, views, orphan)]
        account = Account.WEIGHTS if views else Account.UNMAPPED

        def storage(data: Buffer, _where: str) -> Contents:
            tensors = tuple(stored_tensors(views, {key: 0}))
            regions = tuple(split_storage(Span(0, len(data)), views, orphan))
            return Contents(format="torch-storage", regions=regions, tensors=tensors)

        inner = zips.member_stream(member, storage)
        return [*overhead, Region(span=member.data, account=account, name=name, label=label, inner=inner)]
    label = f"[{member.name.removeprefix(archive.root)}]"
    overhead = zips.member_overhead(member, None, label)

    def pickled(span: Span) -> list[Region]:
        return pickle_regions(span, archive.length, archive.walked.claims, _PICKLE_LABEL)

    def pickle(data: Buffer, _where: str) -> Contents:
        return Contents(format="pickle", regions=tuple(pickled(Span(0, len(data)))), values=archive.walked.values)

    if member is archive.pickle and bundle:
        inner = zips.member_stream(member, pickle)
        return [*overhead, Region(span=member.data, account=Account.CONTAINER, label=label, inner=inner)]
    if member is archive.pickle and member.method == zips.STORED:
        return [*overhead, *pickled(member.data)]
    return [*overhead, Region(span=member.data, account=Account.CONTAINER, label=label)]


# The layout before 1.6


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
    contents = walk(pickles[_OBJECT][1], where=where, alone=ALONE)
    contents.values[BYTE_ORDER] = _byte_order(pickles[2][1])
    storages = list(_storages(view, at, pickles, where))
    _check_legacy_views(contents.views, storages, pickles, where)
    views = by_storage(contents.views)
    regions: list[Region] = []
    for number, (span, pickle) in enumerate(pickles):
        claims = {_OBJECT: contents.claims, _KEYS: _key_claims(pickle, views)}.get(number, [])
        regions += pickle_regions(span, pickle.length, claims, _LABELS[number])
    for storage in storages:
        mine = views.get(storage.key, [])
        orphan = f"[orphan storage {spelled(storage.key)}]"
        owner, label = (mine[0].name, "[storage length]") if mine else (None, orphan)
        regions.append(Region(span=storage.count, account=Account.CONTAINER, name=owner, label=label))
        regions += split_storage(storage.data, mine, orphan)
        at = storage.data.stop
    regions += unmapped(at, len(data), "[after the storages]")
    starts: dict[str, int | None] = {storage.key: storage.data.start for storage in storages}
    tensors = tuple(stored_tensors(contents.views, starts))
    return Contents(format="torch-legacy", regions=tuple(regions), tensors=tensors, values=contents.values)


def _check_preamble(pickles: list[tuple[Span, Pickle]], where: str) -> None:
    magic, version = (pickle.top.value for _, pickle in pickles[:2])
    if magic != TORCH_LEGACY:
        raise CorruptError(f"{where}: the pickle at byte 0 is not torch's magic number")
    if version != _VERSION:
        shown = version if isinstance(version, int) and 0 <= version < 1 << 32 else "no version"
        raise UnsupportedError(
            f"{where}: the pickle at byte {pickles[1][0].start} says torch layout {shown}, known: {_VERSION}; "
            f"{AS_OPAQUE}"
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
        dtype = STORAGE_DTYPES.get(kind.name)
        if dtype is None:
            raise UnsupportedError(f"{where}: storage {key[:80]!r} is a {kind.spelled}, which is not read yet")
        width = element_bytes(dtype)
        if widths.setdefault(key, width) != width:
            raise CorruptError(f"{where}: storage {key[:80]!r} is referred to with elements of two widths")
    return widths


def _check_legacy_views(
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
