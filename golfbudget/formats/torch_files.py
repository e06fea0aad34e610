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

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from golfbudget.codecs.base import Buffer
from golfbudget.dtypes import QUANTISED_DTYPES, STORAGE_DTYPES, packing
from golfbudget.errors import AS_OPAQUE, CorruptError, UnsupportedError
from golfbudget.formats import zip_directory as zips
from golfbudget.formats.base import BYTE_ORDER, TORCH_LEGACY, Contents, Region, spelled, unmapped
from golfbudget.formats.pickle.reader import Pickle, read_pickle
from golfbudget.formats.pickle.symbols import Mapped, Sequenced
from golfbudget.formats.pickle.tensors import PickleContents, array_contents, array_tensors, pickle_regions, walk
from golfbudget.formats.pickle.torch_tensors import storage_of
from golfbudget.formats.storages import Settled, StorageView, by_storage, settled, split_storage, stored_tensors
from golfbudget.ledger import Account, Role, Span

#: The name of a value that was saved by itself, outside any dict.
ALONE = "[tensor]"
#: Folders of an archive; TorchScript's have a program and constants.
_DATA, _CODE, _CONSTANTS = "data/", "code/", "constants"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pickled:
    """A pickle of an archive, walked: `length` is the pickle's own, without what follows it in the member."""

    member: zips.ZipMember
    length: int
    walked: PickleContents


@dataclass(frozen=True, slots=True)
class _Archive:
    """An archive whose pickles have been walked; `root` is the folder all members lie in, keys are paths below it."""

    root: str
    pickles: dict[str, _Pickled]
    storages: dict[str, zips.ZipMember]
    views: dict[str, list[StorageView]]
    untyped: Mapping[str, str]


def read_archive(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive that torch.save or torch.jit.save wrote; None when it is a zip archive of another kind."""
    directory = zips.read_directory(data, where)
    members = directory.members
    found = [member for member in members if member.name.endswith("/data.pkl")]
    if len(found) != 1:
        return None
    root = found[0].name[: -len("data.pkl")]
    script = any(member.name.startswith(f"{root}{_CODE}") for member in members)
    pickles = {"data.pkl": _walked(data, found[0], where, joint="." if script else "/")}
    for member in members:
        if script and member.name == f"{root}{_CONSTANTS}.pkl":
            pickles[f"{_CONSTANTS}.pkl"] = _walked(data, member, where, under=pickles["data.pkl"].walked.names)
    folders = [name.removesuffix("pkl").replace(".", "/") for name in pickles]
    paths = ((member.name.removeprefix(root), member) for member in members if member.name.startswith(root))
    storages = {path: member for path, member in paths if path.startswith(tuple(folders))}
    placed = [
        replace(view, key=f"{folder}{view.key}")
        for folder, pickled in zip(folders, pickles.values(), strict=True)
        for view in pickled.walked.views
    ]
    _check_storages(storages, where)
    views = settled(placed, {key: member.decoded_length for key, member in storages.items()})
    held = {
        key: (f"{member.name!r} at byte {member.data.start}", member.decoded_length) for key, member in storages.items()
    }
    _check_views(views, held, lambda key: f"{key.removeprefix(_DATA)!r}, which the archive lacks", where)
    walked = pickles["data.pkl"].walked
    for member in members:
        if member.name == f"{root}byteorder" and member.decoded_length < 16:
            order = bytes(zips.member_bytes(data, member, where))
            walked.values[BYTE_ORDER] = order.decode("ascii", "backslashreplace")
    archive = _Archive(root, pickles, storages, by_storage(views.views), views.untyped)
    bundle = any(member.method != zips.STORED for member in storages.values())
    regions = [region for member in members for region in _member_regions(archive, member, bundle=bundle)]
    regions.append(Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]"))
    starts: dict[str, int | None] = {key: member.data.start for key, member in storages.items()}
    tensors = [] if bundle else list(stored_tensors(views.views, starts))
    for pickled in pickles.values():
        if not bundle and pickled.member.method == zips.STORED:
            tensors += array_tensors(pickled.walked, pickled.member.data.start)
    parts = [pickled.walked for pickled in pickles.values()]
    notes = [note for part in parts for note in part.notes]
    if script:
        notes.append("a TorchScript archive: tensors are named by the attributes they are in, its program is not read")
    return Contents(
        format="torch-zip",
        regions=tuple(zips.with_gaps(regions, len(data))),
        tensors=tuple(tensors),
        values={name: value for part in parts for name, value in part.values.items()},
        roles={region.name: Role.CODE for region in regions if region.account is Account.SOURCE and region.name},
        unpacked=sum(p.member.decoded_length for p in pickles.values() if p.member.method != zips.STORED),
        outer_shapes={name: shape for part in parts for name, shape in part.outer_shapes.items()},
        notes=(*notes, *views.notes),
    )


def _walked(
    data: Buffer, member: zips.ZipMember, where: str, *, joint: str = ".", under: dict[str, int] | None = None
) -> _Pickled:
    raw = zips.member_bytes(data, member, where)
    pickle = read_pickle(raw, where=where, offset=member.data.start)
    walked = walk(pickle, where=where, alone=ALONE if under is None else _CONSTANTS, joint=joint, under=under)
    return _Pickled(member=member, length=pickle.length, walked=walked)


def _check_storages(storages: dict[str, zips.ZipMember], where: str) -> None:
    for member in storages.values():
        if member.method not in (zips.STORED, zips.DEFLATED):
            raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")


def _check_views(
    views: Settled, held: Mapping[str, tuple[str, int]], lacking: Callable[[str], str], where: str
) -> None:
    """Every tensor lies in a storage that is there and long enough.

    `held` has each storage's place, as messages say it, and its length; `lacking` words that there is none of a key.
    """
    named = [(view.name, view.key) for view in views.views] + [(name, key) for key, name in views.untyped.items()]
    for name, key in named:
        if key not in held:
            raise CorruptError(f"{where}: tensor {name!r} lies in storage {lacking(key)}")
    for view in views.views:
        place, length = held[view.key]
        if view.extent().stop > length:
            raise CorruptError(
                f"{where}: tensor {view.name!r} {list(view.shape)} {view.dtype} needs {view.extent().stop} bytes, its "
                f"storage {place} has {length}"
            )


def _member_regions(archive: _Archive, member: zips.ZipMember, *, bundle: bool) -> list[Region]:
    """A member's header, data, descriptor and directory record."""
    path = member.name.removeprefix(archive.root)
    label = f"[{path}]"
    pickled = archive.pickles.get(path)
    if archive.storages.get(path) is member:
        return _storage_regions(archive, path, member, bundle=bundle)
    if pickled is not None and pickled.member is member:
        return _pickle_member(pickled, label, bundle=bundle)
    if member.name.startswith(f"{archive.root}{_CODE}"):
        return [
            *zips.member_overhead(member, path, label),
            Region(span=member.data, account=Account.SOURCE, name=path, label=label),
        ]
    return [
        *zips.member_overhead(member, None, label),
        Region(span=member.data, account=Account.CONTAINER, label=label),
    ]


def _storage_regions(archive: _Archive, key: str, member: zips.ZipMember, *, bundle: bool) -> list[Region]:
    views, untyped = archive.views.get(key, []), archive.untyped.get(key)
    orphan = f"[orphan storage {member.name}]"
    name = views[0].name if views else untyped
    label = orphan if name is None else ""
    overhead = zips.member_overhead(member, name, label)
    if not bundle:
        return [*overhead, *split_storage(member.data, views, orphan, untyped)]
    account = Account.WEIGHTS if views else Account.UNMAPPED

    def storage(data: Buffer, _where: str) -> Contents:
        tensors = tuple(stored_tensors(views, {key: 0}))
        regions = tuple(split_storage(Span(0, len(data)), views, orphan, untyped))
        return Contents(format="torch-storage", regions=regions, tensors=tensors)

    inner = zips.member_stream(member, storage)
    return [*overhead, Region(span=member.data, account=account, name=name, label=label, inner=inner)]


def _pickle_member(pickled: _Pickled, label: str, *, bundle: bool) -> list[Region]:
    member, walked = pickled.member, pickled.walked
    overhead = zips.member_overhead(member, None, label)

    def regions(span: Span) -> list[Region]:
        return pickle_regions(span, pickled.length, walked.claims, label, array_contents(walked))

    def explain(data: Buffer, _where: str) -> Contents:
        tensors, explained = tuple(array_tensors(walked, 0)), tuple(regions(Span(0, len(data))))
        return Contents(format="pickle", regions=explained, tensors=tensors, values=walked.values)

    if bundle:
        inner = zips.member_stream(member, explain)
        return [*overhead, Region(span=member.data, account=Account.CONTAINER, label=label, inner=inner)]
    if member.method == zips.STORED:
        return [*overhead, *regions(member.data)]
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
    typed = settled(contents.views, {storage.key: len(storage.data) for storage in storages})
    held = {one.key: (f"{one.key[:80]!r} at byte {one.data.start}", len(one.data)) for one in storages}
    listed = f"which the list at byte {pickles[_KEYS][0].start} lacks"
    _check_views(typed, held, lambda key: f"{key[:80]!r}, {listed}", where)
    views = by_storage(typed.views)
    regions: list[Region] = []
    for number, (span, pickle) in enumerate(pickles):
        claims = {_OBJECT: contents.claims, _KEYS: _key_claims(pickle, views)}.get(number, [])
        elements = array_contents(contents) if number == _OBJECT else []
        regions += pickle_regions(span, pickle.length, claims, _LABELS[number], elements)
    for storage in storages:
        mine = views.get(storage.key, [])
        orphan = f"[orphan storage {spelled(storage.key)}]"
        untyped = typed.untyped.get(storage.key)
        owner = mine[0].name if mine else untyped
        label = orphan if owner is None else "[storage length]"
        regions.append(Region(span=storage.count, account=Account.CONTAINER, name=owner, label=label))
        regions += split_storage(storage.data, mine, orphan, untyped)
        at = storage.data.stop
    regions += unmapped(at, len(data), "[after the storages]")
    starts: dict[str, int | None] = {storage.key: storage.data.start for storage in storages}
    return Contents(
        format="torch-legacy",
        regions=tuple(regions),
        tensors=(*stored_tensors(typed.views, starts), *array_tensors(contents, pickles[_OBJECT][0].start)),
        values=contents.values,
        outer_shapes=contents.outer_shapes,
        notes=(*contents.notes, *typed.notes),
    )


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
        dtype = STORAGE_DTYPES.get(kind.name) or QUANTISED_DTYPES.get(kind.name)
        if dtype is None:
            raise UnsupportedError(
                f"{where}: storage {key[:80]!r} is a {kind.spelled}, whose elements have no known width, so that the "
                f"next storage cannot be found; {AS_OPAQUE}"
            )
        width = packing(dtype)[1]  # Storages of two elements a byte count bytes.
        if widths.setdefault(key, width) != width:
            raise CorruptError(f"{where}: storage {key[:80]!r} is referred to with elements of two widths")
    return widths


def _key_claims(keys: Pickle, views: dict[str, list[StorageView]]) -> list[tuple[str, Span]]:
    """A key's bytes in the list serve the first tensor on its storage."""
    items = keys.top.value.items if isinstance(keys.top.value, Sequenced) else []
    claims = []
    for node in items:
        mine = views.get(node.value, []) if isinstance(node.value, str) else []
        if mine and keys.top.start <= node.start <= node.stop <= keys.top.stop:
            claims.append((mine[0].name, Span(node.start, node.stop)))
    return claims
