"""Follow a pickle's opcodes as they come out: where it ends, where its long strings lie, what it says of storages.

Only lengths of arguments are understood, and of values only what names a torch storage or a view of one.
Opcodes: the standard library's `pickletools`; that module is slower, and cannot stop in the middle.
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.schedule import Foresight
from golfbudget.dtypes import STORAGE_DTYPES, element_bytes
from golfbudget.formats.signatures import PICKLES

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
