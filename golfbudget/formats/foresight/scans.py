"""Follow a container as it comes out, by a pickle's opcodes or a zip archive's local headers, to its boundaries.

Of a pickle only lengths of arguments are understood, and of values only what names a torch storage or a view of one.
Opcodes: the standard library's `pickletools`; that module is slower, and cannot stop in the middle.

torch.save writes zip headers without lengths: those of its storages stand in the pickle that comes first, the
others' are found by the descriptor that follows the data.  Specification: PKWARE APPNOTE 6.3.10, section 4.3.
"""

from __future__ import annotations

import struct

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.feeding import Foresight
from golfbudget.dtypes import STORAGE_DTYPES, element_bytes
from golfbudget.formats.base import PICKLES
from golfbudget.formats.zip_directory import CENTRAL, DESCRIPTOR, END, END64, LOCAL, STORED

#: Opcodes without an argument; those of them that put nothing down which is looked back on.
_SIMPLE = frozenset(b"(.01NRQ]})lsuaebtod\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98")
_IDLE = _SIMPLE - frozenset(b".)t\x85\x86\x87QR\x93\x94")
#: Argument bytes by opcode; lines for those that end in newlines; width of the length for those that state it.
_FIXED = {
    0x80: 1, ord("K"): 1, ord("M"): 2, ord("J"): 4, ord("G"): 8, ord("h"): 1, ord("q"): 1, ord("j"): 4, ord("r"): 4,
    0x82: 1, 0x83: 2, 0x84: 4, 0x95: 8,
}  # fmt: skip
_LINES = dict.fromkeys(b"ILFSVgpP", 1) | {ord("c"): 2, ord("i"): 2}
_SIZED = {
    ord("X"): 4, ord("B"): 4, ord("T"): 4, 0x8B: 4, ord("C"): 1, ord("U"): 1, 0x8A: 1, 0x8C: 1, 0x8D: 8, 0x8E: 8,
    0x96: 8,
}  # fmt: skip
_TUPLES = {ord(")"): 0, 0x85: 1, 0x86: 2, 0x87: 3, ord("t"): 1 << 16}

#: Longer strings are passed over in one go.
_LONG = 256
_LONGEST_LINE = 4096
#: Between two questions.
_AHEAD = 1024
#: Values kept to look back on; a persistent id has six.
_KEPT = 16
#: A tensor takes about 40 opcodes.
_MOST_OPCODES, _MOST_STORAGES = 1 << 20, 1 << 16

_WIDTHS = {kind.encode(): element_bytes(dtype) for kind, dtype in STORAGE_DTYPES.items()}


class PickleScan:
    """Scans from `start` on.  `end` is where the pickle stops, once that has come out; `lost` when it is none.

    `storages` maps the names of torch storages to their lengths, `cuts` to where views of them start and stop.
    """

    def __init__(self, start: int = 0, *, several: bool = True) -> None:
        self.end: int | None = None
        self.lost = False
        self.storages: dict[bytes, int] = {}
        self.cuts: dict[bytes, set[int]] = {}
        self._several = several
        self._at = self._from = start
        self._steps = 0
        self._memo: dict[int, object] = {}
        self._values: list[object] = []
        #: The storage that a view is being built on, with its width, and the numbers and tuples since.
        self._view: tuple[bytes, int] | None = None
        self._numbers: list[int | tuple[int, ...]] = []

    def __call__(self, prefix: Buffer) -> Foresight:
        """Every opcode may begin or end a value; the inside of a long string may not."""
        self._from = min(self._at, len(prefix))
        while not self.lost and self._step(prefix):
            if self.end is not None:
                if not self._several or bytes(prefix[self.end : self.end + 2]) not in PICKLES:
                    break
                self.end, self._memo = None, {}
        if self.lost or self.end is not None:
            last = self._at if self.end is None else self.end
            return Foresight(dense=[(self._from, last)])
        if self._at > len(prefix) + _LONG:
            return Foresight(dense=[(self._from, self._from), (self._at, self._at + _AHEAD)], horizon=self._at + _LONG)
        ahead = max(self._at, len(prefix)) + _AHEAD
        return Foresight(dense=[(self._from, ahead)], horizon=ahead)

    def _step(self, prefix: Buffer) -> bool:
        """Pass one opcode; False when more must come out first (it may lie beyond the prefix already)."""
        at = self._at
        if at >= len(prefix):
            return False
        self._steps += 1
        if self._steps > _MOST_OPCODES:
            self.lost = True
            return False
        code = prefix[at]
        if code in _SIMPLE:
            self._simple(code)
            self._at = at + 1
            return True
        if (length := _FIXED.get(code)) is not None:
            stop = at + 1 + length
            if stop > len(prefix):
                return False
            self._number(code, prefix[at + 1] if length == 1 else int.from_bytes(prefix[at + 1 : stop], "little"))
            self._at = stop
            return True
        return self._text(prefix, at + 1, code)

    def _text(self, prefix: Buffer, at: int, code: int) -> bool:
        """Pass an opcode whose argument's length is found by looking at it."""
        stop = None
        if (width := _SIZED.get(code)) is not None:
            stop = self._sized(prefix, at + width, bytes(prefix[at : at + width]), width)
        elif (lines := _LINES.get(code)) is not None:
            stop = self._lines(prefix, at, lines)
        else:
            self.lost = True
        if stop is not None:
            self._at = stop
        return stop is not None

    def _sized(self, prefix: Buffer, at: int, length: bytes, width: int) -> int | None:
        if len(length) < width:
            return None
        stop = at + int.from_bytes(length, "little")
        short = stop - at <= _LONG
        if short and stop > len(prefix):
            return None
        self._push(bytes(prefix[at:stop]) if short else None)
        return stop

    def _lines(self, prefix: Buffer, at: int, lines: int) -> int | None:
        text = bytes(prefix[at : at + _LONGEST_LINE]).split(b"\n", lines)
        if len(text) <= lines:
            self.lost = len(prefix) >= at + _LONGEST_LINE
            return None
        self._push(text[lines - 1])
        return at + sum(len(line) + 1 for line in text[:lines])

    def _push(self, value: object) -> None:
        self._values.append(value)
        if len(self._values) > 2 * _KEPT:
            del self._values[:-_KEPT]

    def _number(self, code: int, value: int) -> None:
        if code in b"qr":
            self._memo[value] = self._values[-1] if self._values else None
        elif code in b"hj":
            self._push(self._memo.get(value))
        elif code in b"KMJ":
            self._push(value)
            if self._view is not None and len(self._numbers) < 128:
                self._numbers.append(value)

    def _simple(self, code: int) -> None:
        if code in _IDLE:
            return
        if code == ord("."):
            self.end = self._at + 1
        elif code in _TUPLES:
            self._push(None)
            if self._view is not None:
                self._group(_TUPLES[code])
        elif code == 0x94:
            self._memo[len(self._memo)] = self._values[-1] if self._values else None
        elif code == 0x93:
            name = self._values[-1] if self._values else None
            self._push(name)
        elif code == ord("Q"):
            self._storage()
        elif code == ord("R") and self._view is not None:
            self._cut(*self._view)
            self._view = None

    def _group(self, count: int) -> None:
        """Make a tuple of the last numbers, all but the first of them at most: that is the view's offset."""
        items: list[int] = []
        while len(self._numbers) > 1 and len(items) < count and isinstance(last := self._numbers[-1], int):
            items.append(last)
            self._numbers.pop()
        self._numbers.append(tuple(reversed(items)))

    def _storage(self) -> None:
        """A persistent id: "storage", its type, its name, its device, its number of elements."""
        recent = self._values[-_KEPT:]
        places = [i for i, value in enumerate(recent) if value == b"storage"]
        if not places or len(recent) < places[-1] + 5 or len(self.storages) >= _MOST_STORAGES:
            return
        kind, key, _, elements = recent[places[-1] + 1 : places[-1] + 5]
        width = _WIDTHS.get(kind) if isinstance(kind, bytes) else None
        if width is not None and isinstance(key, bytes) and isinstance(elements, int):
            self.storages[key] = width * elements
            self._view, self._numbers = (key, width), []

    def _cut(self, key: bytes, width: int) -> None:
        """The view's first byte and the one after its last, unless it is the whole storage."""
        match self._numbers:
            case [int(first), tuple(shape), tuple(strides), *_] if len(shape) == len(strides) and 0 not in shape:
                last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
                cuts = {first * width, (last + 1) * width} - {0, self.storages[key]}
                if cuts:
                    self.cuts.setdefault(key, set()).update(cuts)


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
            foresight = self._header(prefix) if self._data is None else self._member(prefix, self._data)
            if foresight is not None:
                return foresight
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
