"""The search: one lever after another, each tried for real on top of those before it and kept where it saves.

The first two levers keep the container's bytes; the others rebuild it.  Every figure is the length of a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from golfbudget.codecs import Buffer
from golfbudget.filters import shuffle
from golfbudget.formats.pack import MOST_STREAMS, stream_table
from golfbudget.repacking.coding import byte_items, cheaper, coded_planes, with_coder
from golfbudget.repacking.compressors import COMPRESSORS, Compressor, quick
from golfbudget.repacking.result import Lever
from golfbudget.repacking.saved_object import SavedObject
from golfbudget.repacking.writing import (
    Arrangement,
    Stored,
    assemble,
    narrowed,
    orders,
    raw_streams,
    sorted_rows,
    width,
)

_STRIDES = (2, 4)
#: A stream of its own costs five bytes and a codec's start; smaller tensors stay together.
_OWN_STREAM = 1 << 12
#: Of longer streams only the codec that did best on the container is tried, and what a guess says may gain.
_LONG = 1 << 20
#: A guess this much worse than another, in hundredths, is not tried for real.
_HOPELESS = 101
#: Codecs this near to the best of a stream, in hundredths, may overtake it at other settings.
_NEAR = 102

_OF_PACKS = (Lever.STREAMS, Lever.SHUFFLE, Lever.DTYPE, Lever.ORDER, Lever.ROWS, Lever.CODER, Lever.SETTINGS)
_Option = tuple[str, Arrangement]


@dataclass(frozen=True, slots=True)
class LeverFile:
    """A file, and the codecs and filters that it is made with; `arrangement` where its container is a new one."""

    data: bytes
    choice: str
    lever: Lever
    codecs: tuple[str, ...]
    shuffled: bool = False
    arrangement: Arrangement | None = None


def same_container(
    container: Buffer, compressor: Compressor, levers: Iterable[Lever], *, codecs: Sequence[str], known: bool
) -> list[LeverFile]:
    """The best file of each lever that keeps the container, in the order of levers; never an empty list.

    `codecs` are those that may be used; brotli only where the container is a `known` one, as nothing else would show
    what it is.
    """
    raw = bytes(container)
    may = [codec for codec in codecs if codec != "brotli" or known]
    made = compressor.encode([(codec, raw) for codec in may], "codec")
    best = min(zip(made, may, strict=True), key=lambda pair: len(pair[0]))
    candidates = [LeverFile(data=best[0], choice=best[1], lever=Lever.CODEC, codecs=(best[1],))]
    if Lever.FILTER not in levers or not known:
        return candidates
    # A guess picks the stride of a long container, since each real trial takes as long as the codec lever.
    shuffled = {stride: shuffle(raw, stride) for stride in _STRIDES}
    strides: Sequence[int] = _STRIDES
    if len(raw) > _LONG:
        guesses = {stride: quick(shuffled[stride]) for stride in _STRIDES}
        strides = [min(_STRIDES, key=lambda stride: guesses[stride])]
        if 100 * guesses[strides[0]] > _HOPELESS * quick(raw):
            return candidates
        may = [codec for _, codec in sorted(zip(map(len, made), may, strict=True))[:1]]
    tasks = [(codec, shuffled[stride]) for stride in strides for codec in may if codec != "none"]
    labels = [(codec, stride) for stride in strides for codec in may if codec != "none"]
    if tasks:
        files = compressor.encode(tasks, "filter")
        data, (codec, stride) = min(zip(files, labels, strict=True), key=lambda pair: len(pair[0]))
        choice = f"byte shuffle by {stride}, {codec}"
        candidates.append(LeverFile(data=data, choice=choice, lever=Lever.FILTER, codecs=(codec,), shuffled=True))
    return candidates


@dataclass(slots=True)
class Rebuild:
    """The greedy search over packs: `best` is the smallest so far, `best_of_levers` that of each lever, in order.

    `long_codec` is the only one that long streams are compressed with: the best for the container as it was.
    """

    held: SavedObject
    compressor: Compressor
    codecs: Sequence[str]
    roles: Mapping[str, str]
    levers: frozenset[Lever]
    best: LeverFile | None = None
    best_of_levers: list[LeverFile] = field(default_factory=list)
    long_codec: str | None = None

    def run(self) -> list[LeverFile]:
        """Every lever in turn."""
        everything = Arrangement(streams=(tuple(range(len(self.held.items))),))
        first = [("golfbudget-pack, one stream", everything)]
        if Lever.STREAMS in self.levers:
            # Compressed beside the first lever's file, so that no thread waits.
            self._encode([arrangement for _, arrangement in first + self._streams(everything)], "container")
        self._try(Lever.CONTAINER, first)
        options = (self._streams, self._shuffles, self._dtypes, self._orders, self._rows, self._coders, self._settings)
        for lever, of_lever in zip(_OF_PACKS, options, strict=True):
            if lever in self.levers:
                self._try(lever, of_lever(self._arrangement))
        return self.best_of_levers

    def _try(self, lever: Lever, options: Sequence[_Option]) -> None:
        """Build all options; the smallest file is kept if it is smaller than the best so far."""
        self._encode([arrangement for _, arrangement in options], str(lever))
        made = [self._build(lever, choice, arrangement) for choice, arrangement in options]
        smallest = min(made, key=lambda file: len(file.data), default=None)
        if smallest is not None and (self.best is None or len(smallest.data) < len(self.best.data)):
            self.best = smallest
            self.best_of_levers.append(smallest)

    def _encode(self, arrangements: Sequence[Arrangement], label: str) -> None:
        """Compress every stream of all arrangements side by side; the compressor remembers the results."""
        streams = []
        for arrangement in arrangements:
            made = raw_streams(self.held, arrangement)
            coded = dict(arrangement.coded)
            streams += [data for number, data in enumerate(made) if number not in coded]
        self._compress(streams, label)

    def _compress(self, streams: Sequence[bytes], label: str) -> list[int]:
        """The least length of each stream under the codecs that may be tried, side by side."""
        tried = [[(codec, data) for codec in self._may(data) if codec != "none"] for data in streams]
        made = iter(self.compressor.encode([task for tasks in tried for task in tasks], label))
        return [min((len(next(made)) for _ in tasks), default=0) for tasks in tried]

    def _build(self, lever: Lever, choice: str, arrangement: Arrangement) -> LeverFile:
        chosen: list[tuple[str, bytes]] = []
        coded = dict(arrangement.coded)
        for number, data in enumerate(raw_streams(self.held, arrangement)):
            if number in coded:
                chosen.append(("rans", self.compressor.coded(data, coded[number])))
                continue
            may = [codec for codec in self._may(data) if codec != "none" or number not in arrangement.shuffled]
            files = self.compressor.encode([(codec, data) for codec in may], str(lever))
            chosen.append(min(zip(may, files, strict=True), key=lambda pair: len(pair[1])))
        data, codecs = assemble(chosen, arrangement.shuffled), tuple(codec for codec, _ in chosen)
        return LeverFile(data, choice, lever, codecs, bool(arrangement.shuffled), arrangement)

    def _may(self, data: bytes) -> Sequence[str]:
        return (self.long_codec,) if self.long_codec and len(data) > _LONG else self.codecs

    @property
    def _arrangement(self) -> Arrangement:
        if self.best is None or self.best.arrangement is None:
            raise ValueError("no container was built yet")
        return self.best.arrangement

    # Options of each lever

    def _streams(self, before: Arrangement) -> list[_Option]:
        grouped = replace(before, streams=self._grouped(before, own=False))
        options = [("a stream for each dtype", grouped)]
        each = replace(before, streams=self._grouped(before, own=True))
        if len(grouped.streams) < len(each.streams) <= MOST_STREAMS and self._hopeful(each, grouped):
            options.append(("a stream for each larger tensor", each))
        return options

    def _hopeful(self, one: Arrangement, other: Arrangement) -> bool:
        """Whether one arrangement may be smaller than another: a guess where they are long, always where not."""
        if sum(len(item.data) for item in self.held.items) <= _LONG:
            return True
        guess, rival = (sum(map(quick, raw_streams(self.held, tried))) for tried in (one, other))
        return 100 * guess < _HOPELESS * rival

    def _grouped(
        self, before: Arrangement, *, own: bool, stored: Mapping[int, Stored] | None = None
    ) -> tuple[tuple[int, ...], ...]:
        """The header alone, then the items of each stored dtype; with `own` larger items by themselves."""
        forms = stored or dict(before.stored)
        groups: dict[object, list[int]] = {}
        for number in (number for stream in before.streams for number in stream):
            item = self.held.items[number]
            piece = forms[number].piece if number in forms else item.piece
            key = (piece.dtype, number) if own and len(item.data) >= _OWN_STREAM else piece.dtype
            groups.setdefault(key, []).append(number)
        return ((), *map(tuple, groups.values()))

    def _shuffles(self, arrangement: Arrangement) -> list[_Option]:
        """Shuffle each stream of wide elements for which that is the smaller file by itself."""
        stored = dict(arrangement.stored)
        wide = []
        for number, stream in enumerate(arrangement.streams):
            pieces = [stored[n].piece if n in stored else self.held.items[n].piece for n in stream]
            if number and len({width(piece) for piece in pieces}) == 1 and width(pieces[0]) > 1:
                wide.append(number)
        plain = raw_streams(self.held, replace(arrangement, shuffled=frozenset()))
        shuffled = raw_streams(self.held, replace(arrangement, shuffled=frozenset(wide)))
        sizes = self._compress([made[number] for made in (plain, shuffled) for number in wide], "shuffle")
        good = [n for n, before, after in zip(wide, sizes, sizes[len(wide) :], strict=False) if after < before]
        choice = f"byte shuffle of {len(good)} streams" if len(good) != 1 else "byte shuffle of one stream"
        return [(choice, replace(arrangement, shuffled=frozenset(good)))] if good else []

    def _dtypes(self, before: Arrangement) -> list[_Option]:
        """All tensors that a narrower dtype holds exactly, in it; regrouped where streams follow dtypes."""
        forms = enumerate(narrowed(item, framework=self.held.framework) for item in self.held.items)
        stored = {number: form for number, form in forms if form is not None}
        if not stored:
            return []
        choice = f"{len(stored)} tensors in a narrower dtype that holds them exactly"
        narrow = tuple(stored.items())
        if len(before.streams) == 1:
            return [(choice, replace(before, stored=narrow))]
        own = len(before.streams) > len(self._grouped(before, own=False))
        streams = self._grouped(before, own=own, stored=stored)
        made = replace(before, streams=streams, stored=narrow, shuffled=frozenset())
        # The shuffle of the streams as they are now is looked for again.
        again = self._shuffles(made) if Lever.SHUFFLE in self.levers else []
        return [(choice, made), *((choice, arrangement) for _, arrangement in again)]

    def _orders(self, arrangement: Arrangement) -> list[_Option]:
        """Each order for all streams; where streams are long, the order that a guess likes best for each."""
        keys = orders(self.held.items, self.roles)
        if sum(len(item.data) for item in self.held.items) <= _LONG:
            return [(f"tensors {name}", self._ordered(arrangement, [key] * len(arrangement.streams)))
                    for name, key in keys.items()]  # fmt: skip
        chosen, names = [], []
        ordered = {name: raw_streams(self.held, self._ordered(arrangement, [key] * len(arrangement.streams)))
                   for name, key in keys.items()}  # fmt: skip
        for number, stream in enumerate(arrangement.streams):
            name = min(keys, key=lambda n: quick(ordered[n][number])) if len(stream) > 1 else "as stored"
            chosen.append(keys[name])
            names.append(name)
        told = ", ".join(dict.fromkeys(name for name in names if name != "as stored"))
        return [(f"tensors {told}", self._ordered(arrangement, chosen))] if told else []

    def _ordered(self, arrangement: Arrangement, keys: Sequence[object]) -> Arrangement:
        pairs = zip(arrangement.streams, keys, strict=True)
        streams = (tuple(sorted(stream, key=key)) if callable(key) else stream for stream, key in pairs)
        return replace(arrangement, streams=tuple(streams))

    def _rows(self, before: Arrangement) -> list[_Option]:
        """Matrices whose rows, put in another order, promise more than the order takes."""
        stored = dict(before.stored)
        count = 0
        for number, item in enumerate(self.held.items):
            form = stored.get(number) or Stored(piece=item.piece, data=item.data)
            ordered = sorted_rows(form.piece, form.data)
            if ordered is not None:
                stored[number] = ordered
                count += 1
        arrangement = replace(before, stored=tuple(sorted(stored.items(), key=lambda pair: pair[0])))
        return [(f"rows of {count} matrices in another order", arrangement)] if count else []

    def _coders(self, before: Arrangement) -> list[_Option]:
        """The tensors that take fewer bytes under rANS so, or all of them, and planes of wide ones where that helps."""
        if self.best is None:
            return []
        items = byte_items(self.held, before, self.best.data)
        one_stream = len(before.streams) == 1
        grouped = replace(before, streams=self._grouped(before, own=False)) if one_stream else before
        options = []
        for chosen in ([], cheaper(items), items):
            arrangement = with_coder(grouped, chosen) if chosen else grouped
            self._encode([arrangement], "coder")
            built = self._build(Lever.CODER, "", arrangement)
            lengths = [len(span) for _, _, span in stream_table(built.data, "repack")]
            coded = coded_planes(arrangement, self.held, lengths, self.compressor)
            wide = [
                n for number, _ in coded.coded for n in coded.streams[number] if width(self.held.items[n].piece) > 1
            ]
            if coded.coded:
                options.append((f"rans for {len(chosen) + len(wide)} of {len(self.held.items)} tensors", coded))
        return options

    def _settings(self, arrangement: Arrangement) -> list[_Option]:
        """The same streams by codecs at other settings: of each stream those codecs that come near its best one."""
        coded, near = dict(arrangement.coded), list[tuple[str, bytes]]()
        for number, data in enumerate(raw_streams(self.held, arrangement)):
            if number in coded or len(data) > _LONG:
                continue
            tasks = [(codec, data) for codec in self._may(data) if codec != "none"]
            lengths = [len(made) for made in self.compressor.encode(tasks, "settings")]
            close = (_NEAR * min(lengths, default=0)) // 100
            near += [task for task, length in zip(tasks, lengths, strict=True) if length <= close]
        shorter = self.compressor.tune(near, "settings")
        choice = f"{shorter} streams by other settings" if shorter != 1 else "one stream by other settings"
        return [(choice, arrangement)] if shorter else []


#: What stands in for a codec that this search does not write.
_STAND_INS = {"gzip": "zlib", "deflate": "zlib", "xz": "lzma", "lzma2-raw": "lzma", "bz2": "lzma"}


def allowed(levers: Iterable[Lever], current: str) -> Sequence[str]:
    """The codecs to try: all, or without the codec lever the one that the file has now."""
    return tuple(COMPRESSORS) if Lever.CODEC in levers else (_STAND_INS.get(current, current),)
