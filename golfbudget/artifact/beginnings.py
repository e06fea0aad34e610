"""A checkpoint on the Hub, opened from the headers of its files: every byte placed, and no value read.

Lengths are the server's, headers say the rest; what takes values raises `NotAtHandError` or says that it is not known.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from golfbudget import formats
from golfbudget.artifact.locating import Location
from golfbudget.artifact.model import Artifact, Remote, RemoteFile
from golfbudget.artifact.opening import OPAQUE, HeldFile, HeldIndex, open_held
from golfbudget.artifact.repositories import RepositoryFiles, locate_in
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import CorruptError, LimitError, NotAtHandError
from golfbudget.formats import Beginning, Format
from golfbudget.formats.base import GGUF
from golfbudget.hashing import bytes_hash
from golfbudget.hub import HubAddress

#: A header of unknown length is fetched in steps that double from here.
_STEP = 1 << 15
#: Longer headers are no headers; a vocabulary with its merges takes ten megabytes.
_LONGEST_HEADER = 1 << 28


def open_beginnings(address: HubAddress, *, as_format: str | None = None, limit: int = DECODED_LIMIT) -> Artifact:
    """Open a checkpoint of the Hub by ranges.  Raises the errors of `open_artifact`, and of `hub`."""
    files = RepositoryFiles(address)
    place = locate_in(files)
    forced = None if as_format is None else formats.get(as_format)
    held = [_held(files, path, forced) for path in place.files]
    remote = Remote(received=lambda: files.reader.received, way=_way(files.repository.address))
    path = files.repository.place(place.path.as_posix() if place.path.name else "")
    return open_held(place, path, held, index=_index(files, place, forced), forced=forced, limit=limit, remote=remote)


def _held(files: RepositoryFiles, path: Path, forced: Format | None) -> HeldFile:
    """A file's header, fetched as far as it goes."""
    file, where = files.file(path), files.where(path)
    if not file.size:
        raise CorruptError(f"{where}: the file is empty, expected a model artifact")
    missing = f"{where}: its values were not downloaded; {_way(files.repository.address)}"
    held = b""
    while True:
        data = Beginning(held, size=file.size, missing=missing, fetch=partial(files.reader.read, file))
        try:
            formats.read_beginning(data, where=where, name=path.name, forced=forced)
            break
        except NotAtHandError as unread:
            if unread.needed > _LONGEST_HEADER:
                raise LimitError(f"{where}: its header takes more than {_LONGEST_HEADER} bytes") from None
            held += files.reader.read(file, len(held), min(_step(held, unread.needed), file.size))
    opened = RemoteFile(address=where, size=file.size, sha256=file.sha256)
    return HeldFile(where=where, name=path.name, data=data, opened=opened)


def _step(held: bytes, needed: int) -> int:
    """How far to read: to where it is sure to be needed, and further where a header does not say how long it is."""
    return max(needed, _STEP, 2 * len(held)) if held.startswith(GGUF) else needed


def _index(files: RepositoryFiles, place: Location, forced: Format | None) -> HeldIndex | None:
    if place.index is None:
        return None
    data, opaque = files.small(place.index), forced is not None and forced.name == OPAQUE
    opened = RemoteFile(address=files.where(place.index), size=len(data), sha256=bytes_hash(data))
    listed = {} if opaque else files.weight_map(place.index)
    return HeldIndex(name=place.index.name, opened=opened, listed=listed)


def _way(address: HubAddress) -> str:
    return f"type: {address.download_command}, then: golfbudget inspect DIR"
