"""Inside torch.save's zip layout: a pickle that names tensors, and one member per storage.

Read without torch and without unpickling.  The archive's central directory and the pickle's own opcodes say
where everything lies: a tensor owns its storage's bytes, local header, alignment padding, descriptor and
directory record, and the pickle bytes that describe it.

An archive whose storages are all stored as they are is one container.  When any was compressed (by a zip tool;
torch does not), it is a bundle: the pickle and each storage are streams of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats.base import BYTE_ORDER, Contents, Inner, Region
from golfbudget.formats.pickle.reader import read_pickle
from golfbudget.formats.pickle.tensors import PickleContents, pickle_regions, walk
from golfbudget.formats.storages import StorageView, by_storage, split_storage, stored_tensors
from golfbudget.formats.zip_directory import (
    DEFLATED,
    METHOD_CODECS,
    STORED,
    ZipDirectory,
    ZipMember,
    check_member,
    member_bytes,
    member_overhead,
    read_directory,
    with_gaps,
)
from golfbudget.ledger import Account, Span

#: The name of a value that was saved by itself, outside any dict.
ALONE = "[tensor]"
_PICKLE_LABEL = "[data.pkl]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """An archive whose pickle has been walked; `length` is the pickle's, `root` the folder all members lie in."""

    directory: ZipDirectory
    root: str
    pickle: ZipMember
    length: int
    found: PickleContents
    storages: dict[str, ZipMember]
    views: dict[str, list[StorageView]]


def read_archive(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive that torch.save wrote; None when it is a zip archive of another kind."""
    directory = read_directory(data, where)
    pickles = [member for member in directory.members if member.name.endswith("/data.pkl")]
    if len(pickles) != 1:
        return None
    root = pickles[0].name[: -len("data.pkl")]
    raw = member_bytes(data, pickles[0], where)
    pickle = read_pickle(raw, where=where, offset=pickles[0].data.start)
    found = walk(pickle, where=where, alone=ALONE)
    storages = {m.name.removeprefix(f"{root}data/"): m for m in directory.members if m.name.startswith(f"{root}data/")}
    _check_views(found.views, storages, where)
    for member in directory.members:
        if member.name == f"{root}byteorder" and member.decoded_length < 16:
            order = bytes(member_bytes(data, member, where))
            found.values[BYTE_ORDER] = order.decode("ascii", "backslashreplace")
    archive = _Archive(
        directory=directory,
        root=root,
        pickle=pickles[0],
        length=pickle.length,
        found=found,
        storages=storages,
        views=by_storage(found.views),
    )
    bundle = any(member.method != STORED for member in storages.values())
    regions = [region for member in directory.members for region in _member_regions(archive, member, bundle=bundle)]
    regions.append(Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]"))
    starts: dict[str, int | None] = {key: member.data.start for key, member in storages.items()}
    return Contents(
        format="torch-zip",
        regions=tuple(with_gaps(regions, len(data))),
        tensors=() if bundle else tuple(stored_tensors(found.views, starts)),
        values=found.values,
        unpacked=0 if pickles[0].method == STORED else len(raw),
    )


def _check_views(views: list[StorageView], storages: dict[str, ZipMember], where: str) -> None:
    for member in storages.values():
        if member.method not in (STORED, DEFLATED):
            raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")
    for view in views:
        found = storages.get(view.key)
        if found is None:
            raise CorruptError(f"{where}: tensor {view.name!r} lies in storage {view.key!r}, which the archive lacks")
        if view.extent().stop > found.decoded_length:
            raise CorruptError(
                f"{where}: tensor {view.name!r} {list(view.shape)} {view.dtype} needs {view.extent().stop} bytes, its "
                f"storage {found.name!r} at byte {found.data.start} has {found.decoded_length}"
            )


def _member_regions(archive: _Archive, member: ZipMember, *, bundle: bool) -> list[Region]:
    """A member's header, data, descriptor and directory record."""
    key = member.name.removeprefix(f"{archive.root}data/")
    if archive.storages.get(key) is member:
        views = archive.views.get(key, [])
        orphan = f"[orphan storage {member.name}]"
        name, label = (views[0].name, "") if views else (None, orphan)
        overhead = member_overhead(member, name, label)
        if not bundle:
            return [*overhead, *split_storage(member.data, views, orphan)]
        account = Account.WEIGHTS if views else Account.UNMAPPED
        inner = _inner(member, _storage_reader(key, member, views))
        return [*overhead, Region(span=member.data, account=account, name=name, label=label, inner=inner)]
    label = f"[{member.name.removeprefix(archive.root)}]"
    overhead = member_overhead(member, None, label)
    if member is archive.pickle and bundle:
        inner = _inner(member, _pickle_reader(archive))
        return [*overhead, Region(span=member.data, account=Account.CONTAINER, label=label, inner=inner)]
    if member is archive.pickle and member.method == STORED:
        return [*overhead, *pickle_regions(member.data, archive.length, archive.found.claims, _PICKLE_LABEL)]
    return [*overhead, Region(span=member.data, account=Account.CONTAINER, label=label)]


def _inner(member: ZipMember, read: Callable[[Buffer, str], Contents]) -> Inner:
    return Inner(name=member.name, codec=METHOD_CODECS[member.method], read=read)


def _storage_reader(key: str, member: ZipMember, views: list[StorageView]) -> Callable[[Buffer, str], Contents]:
    """Explain a storage as a stream of its own: offsets count from its first byte."""

    def read(data: Buffer, where: str) -> Contents:
        check_member(data, member, where)
        return Contents(
            format="torch-storage",
            regions=tuple(split_storage(Span(0, len(data)), views, f"[orphan storage {member.name}]")),
            tensors=tuple(stored_tensors(views, {key: 0})),
        )

    return read


def _pickle_reader(archive: _Archive) -> Callable[[Buffer, str], Contents]:
    """Explain the pickle as a stream of its own; its values are the archive's."""

    def read(data: Buffer, where: str) -> Contents:
        check_member(data, archive.pickle, where)
        regions = pickle_regions(Span(0, len(data)), archive.length, archive.found.claims, _PICKLE_LABEL)
        return Contents(format="pickle", regions=tuple(regions), values=archive.found.values)

    return read
