"""Follow a zip archive's local headers as they come out, each to the next, up to its directory.

torch.save writes headers without lengths: those of its storages stand in the pickle that comes first, the
others' are found by the descriptor that follows the data.  Specification: PKWARE APPNOTE 6.3.10, section 4.3.
"""

from __future__ import annotations

import struct

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.schedule import Foresight
from golfbudget.formats.foresight.pickles import PickleScan
from golfbudget.formats.zip_directory import CENTRAL, DESCRIPTOR, END, END64, LOCAL, STORED

_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
_STREAMED, _FULL, _ZIP64_EXTRA = 0x8, 0xFFFFFFFF, 0x0001
_DESCRIPTOR, _DESCRIPTOR64 = struct.Struct("<4sLLL"), struct.Struct("<4sLQQ")
#: A descriptor and the next header, aligned as torch aligns it; a header that needs more is waited for again.
_NEXT_HEADER = 80
#: numpy pads the header of its arrays to a multiple of 64 bytes, nearly always 128 in all.
_NPY_HEADER = 128
#: Members of unknown length are expected to be a few bytes; a descriptor found further on is welcome, too.
_SHORT = 64
#: Signatures inside a member's data that turn out to be none; more than this is no accident.
_MOST_FALSE = 1 << 10
_FOREVER = 1 << 62


class ZipScan:
    """The archive starts at the stream's first byte.  Holds where the next record starts, and what is known of it."""

    def __init__(self) -> None:
        #: Where the next header must stand, or, once a header has been read, its data's start and stop.
        self._record = 0
        self._data: int | None = None
        self._stop: int | None = None
        self._search = 0
        self._false = 0
        self._pickle: PickleScan | None = None
        self._points: list[tuple[int, int]] = []
        self._storages: dict[bytes, int] = {}
        self._cuts: dict[bytes, set[int]] = {}
        self._final: Foresight | None = None

    def __call__(self, prefix: Buffer) -> Foresight:
        while self._final is None:
            found = self._header(prefix) if self._data is None else self._member(prefix, self._data)
            if found is not None:
                return found
        return self._final

    def _header(self, prefix: Buffer) -> Foresight | None:
        """Read the header at `_record`; None when that is done, else what to wait for."""
        at = self._record
        signature = bytes(prefix[at : at + 4])
        if len(signature) == 4 and signature != LOCAL:
            known = signature in (CENTRAL, END, END64)
            self._final = Foresight(dense=[(at, _FOREVER)] if known else [(at, at)])
            return None
        need = at + _LOCAL_FIELDS.size
        if len(prefix) >= need:
            _, _, flags, method, *_, stored, _, name, extra = _LOCAL_FIELDS.unpack_from(prefix, at)
            need += name + extra
            if len(prefix) >= need:
                raw = bytes(prefix[need - extra - name : need - extra])
                self._open(need, raw, method, _stored(flags, stored, bytes(prefix[need - extra : need])))
                return None
        return Foresight(dense=[(at, need)], horizon=need)

    def _open(self, data: int, name: bytes, method: int, stored: int | None) -> None:
        self._data = self._search = data
        key = name.rpartition(b"/data/")[2] if b"/data/" in name else b""
        self._stop = None
        self._points = [(data, data)]
        if name.endswith(b"/data.pkl") and method == STORED:
            self._pickle = PickleScan(data, several=False)
        if name.endswith(b".npy"):
            self._points.append((data, data + _NPY_HEADER))
        if stored is None and method == STORED:
            stored = self._storages.get(key)
        if stored is not None:
            self._stop = data + stored
            self._points += [(data + cut, data + cut) for cut in self._cuts.pop(key, ()) if cut < stored]

    def _member(self, prefix: Buffer, data: int) -> Foresight | None:
        """Wait for the end of the data, then pass its descriptor; None when that is done."""
        if self._pickle is not None:
            waiting = self._pickle(prefix)
            if waiting.horizon is not None:
                return waiting
            self._stop = self._pickle.end if self._stop is None else self._stop
            self._storages, self._cuts = self._pickle.storages, self._pickle.cuts
            self._points += waiting.dense
            self._pickle = None
        if self._stop is not None:
            after = self._stop + _NEXT_HEADER
            if len(prefix) < after:
                return Foresight(dense=[*self._points, (self._stop, after)], horizon=after)
            if (record := _past_descriptor(prefix, data, self._stop)) is not None:
                self._record, self._data = record, None
                return None
            self._stop = None  # What said where the data ends was wrong.
        return self._find_end(prefix, data)

    def _find_end(self, prefix: Buffer, data: int) -> Foresight | None:
        """Search for a descriptor that states the length before it."""
        text = prefix if isinstance(prefix, bytes | bytearray) else bytes(prefix)
        while (at := text.find(DESCRIPTOR, self._search)) >= 0:
            if len(prefix) < at + _DESCRIPTOR64.size:
                return Foresight(dense=[(data, at + _DESCRIPTOR64.size)], horizon=at + _DESCRIPTOR64.size)
            if (record := _past_descriptor(prefix, data, at)) is not None:
                self._record, self._data = record, None
                return None
            self._search = at + 1
            self._false += 1
            if self._false > _MOST_FALSE:
                self._final = Foresight(dense=())
                return None
        self._search = max(self._search, len(prefix) - len(DESCRIPTOR) + 1)
        ahead = 2 * len(prefix) - data + _SHORT
        return Foresight(dense=[(data, data + _SHORT)], horizon=ahead)


def _stored(flags: int, stored: int, extra: bytes) -> int | None:
    """The length of the data that a local header states, if it does."""
    if flags & _STREAMED and stored == 0:
        return None
    if stored != _FULL:
        return stored
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64_EXTRA and length >= 16 and len(extra) >= 20:
            return int.from_bytes(extra[12:20], "little")
        extra = extra[4 + length :]
    return None


def _past_descriptor(prefix: Buffer, data: int, stop: int) -> int | None:
    """Where the next record starts if the data's end is `stop`; None if nothing that belongs there stands there."""
    signature = bytes(prefix[stop : stop + 4])
    if signature in (LOCAL, CENTRAL):
        return stop
    if signature != DESCRIPTOR:
        return None
    if _DESCRIPTOR64.unpack_from(prefix, stop)[2] == stop - data:
        return stop + _DESCRIPTOR64.size
    if _DESCRIPTOR.unpack_from(prefix, stop)[2] == stop - data & _FULL:
        return stop + _DESCRIPTOR.size
    return None
