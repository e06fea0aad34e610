"""The layer tree: peel a stream, read the container left over, and do the same for every stream inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from golfbudget import formats
from golfbudget.artifact import peel as peeling
from golfbudget.artifact.files import read_file, refuse_pointer
from golfbudget.artifact.indexes import few, weight_map
from golfbudget.artifact.joining import Mark, repeated, told_apart, unfinished
from golfbudget.artifact.locating import Location, locate_all
from golfbudget.artifact.model import Artifact, Layer, Leaf, OpenedFile, Part, Remote, RemoteFile
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError, UnsupportedError
from golfbudget.formats import Beginning, Contents, Format, Inner, Region, Unread
from golfbudget.ledger import Account, apportion

OPAQUE = "opaque"
#: Formats of programs: what is theirs is code.
PROGRAMS = ("python-source", "python-zip")
#: Containers inside one another; a program that unpacks a program that unpacks weights needs three.
_DEEPEST = 6
#: Streams inside one file, so that a directory of a million empty members costs seconds, not hours.
_MOST_STREAMS = 1 << 14
#: Parts of all streams together; each takes about a kilobyte of memory by the time it is reported.
_MOST_PARTS = 1 << 20


def open_artifact(
    path: Path, *, as_format: str | None = None, layout: Format | None = None, limit: int = DECODED_LIMIT
) -> Artifact:
    """Open a file of any kind, or a folder of shards.  What is understood is explained; the rest is never dropped.

    `as_format` forces the innermost format (`opaque`: do not even decode), `layout` gives one of the user's own.
    Raises `CorruptError`, `UnsupportedError` or `LimitError` for bytes that break what they claim to be,
    `UsageError` for a bad path.
    """
    place = locate_all(path)
    forced = layout if as_format is None else formats.get(as_format)
    held = [_checked(file, forced) for file in place.files]
    index = None
    if place.index is not None:
        listed = {} if forced is not None and forced.name == OPAQUE else weight_map(place.index)
        opened = OpenedFile(path=place.index, size=place.index.stat().st_size)
        index = HeldIndex(name=place.index.name, opened=opened, listed=listed)
    return open_held(place, str(place.path), held, index=index, forced=forced, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """One file to open: `where` messages say it lies, its name, its bytes or their beginning, and what was opened."""

    where: str
    name: str
    data: Buffer | Beginning
    opened: OpenedFile | RemoteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldIndex:
    """The index of the files: its name, what was opened, and the file of each tensor as it lists them."""

    name: str
    opened: OpenedFile | RemoteFile
    listed: Mapping[str, str]


def open_held(
    place: Location,
    path: str,
    held: Sequence[HeldFile],
    *,
    index: HeldIndex | None,
    forced: Format | None,
    limit: int = DECODED_LIMIT,
    remote: Remote | None = None,
) -> Artifact:
    """Open the files of a place, which messages call `path`, in order; errors as of `open_artifact`."""
    opening = _Opening(peeling.Allowance(limit))
    with _way_out(forced):
        if index is not None or len(held) > 1:
            made = opening.files(place, path, held, index, forced)
        else:
            made = opening.artifact(held[0].data, name=held[0].where, forced=forced, place=place, file=held[0].opened)
    return replace(made, remote=remote)


def open_bytes(
    data: Buffer, *, name: str, as_format: str | None = None, limit: int = DECODED_LIMIT, priced: bool = True
) -> Artifact:
    """As `open_artifact`, for bytes already at hand; `name` is used in messages and for its suffix.

    Without `priced` the artifact has no parts: for reading what is inside, which takes a small share of the time.
    """
    forced = None if as_format is None else formats.get(as_format)
    with _way_out(forced):
        return _Opening(peeling.Allowance(limit), priced=priced).artifact(data, name=name, forced=forced)


def _checked(file: Path, forced: Format | None) -> HeldFile:
    """A file's bytes; a Git LFS pointer is refused, unless it is to be counted as it is."""
    data = read_file(file)
    if forced is None or forced.name != OPAQUE:
        refuse_pointer(data, file)
    return HeldFile(where=str(file), name=file.name, data=data, opened=OpenedFile(path=file, size=len(data)))


def _with_unlisted(place: Location, index: HeldIndex, leaves: Sequence[Leaf]) -> Location:
    """A note on tensors that the files hold and their index does not list: a loader may leave them out."""
    found = (tensor.name for leaf in leaves for tensor in leaf.contents.tensors)
    unlisted = [name for name in found if name not in index.listed]
    if not unlisted:
        return place
    told = f"{index.name} lists {len(unlisted)} of the tensors in its files not ({few(unlisted)[:200]}); they count"
    return structs.replace(place, notes=(*place.notes, told))


@contextmanager
def _way_out(forced: Format | None) -> Iterator[None]:
    """Every refusal of a file's bytes says once how they can be counted all the same."""
    try:
        yield
    except (CorruptError, LimitError, UnsupportedError) as error:
        if AS_OPAQUE not in str(error) and (forced is None or forced.name != OPAQUE):
            error.args = (f"{error}; {AS_OPAQUE}",)
        raise


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stream stands: how messages call it, the member it is, and the streams around it."""

    where: str
    member: str | None = None
    inner: Inner | None = None
    depth: int = 0
    around: tuple[Stream, ...] = ()


@dataclass(slots=True)
class _Opening:
    """One run over a layer tree, collecting what it finds in file order."""

    allowance: peeling.Allowance
    priced: bool = True
    layers: list[Layer] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    bundles: list[Contents] = field(default_factory=list)
    streams: int = 0

    def artifact(
        self,
        data: Buffer | Beginning,
        *,
        name: str,
        forced: Format | None,
        place: Location | None = None,
        file: OpenedFile | RemoteFile | None = None,
    ) -> Artifact:
        """Open one file."""
        contents = self._open(data, 8 * len(data), _Place(name), forced, claim=name)
        return self._made(name, len(data), contents.format, () if file is None else (file,), place)

    def files(
        self, place: Location, path: str, held: Sequence[HeldFile], index: HeldIndex | None, forced: Format | None
    ) -> Artifact:
        """Open a checkpoint in several files as one artifact, the index that lists them included."""
        files: list[OpenedFile | RemoteFile] = []
        expected: dict[str, list[str]] = {}
        if index is not None:
            files.append(index.opened)
            self._index(index)
            for name, holder in index.listed.items():
                expected.setdefault(holder, []).append(name)
        outermost, marks = OPAQUE, [self._mark()]
        for file in held:
            at = _Place(file.where, member=file.name)
            outermost = self._open(file.data, 8 * len(file.data), at, forced, claim=file.name).format
            found = {tensor.name for leaf in self.leaves[marks[-1].leaves :] for tensor in leaf.contents.tensors}
            missing = [tensor for tensor in expected.get(file.name, ()) if tensor not in found]
            if missing and index is not None:
                shown = f"{missing[0][:80]!r} there ({len(missing)} such)"
                raise CorruptError(f"{file.where}: {index.name} lists {shown}, and it is not")
            files.append(file.opened)
            marks.append(self._mark())
        if index is not None and index.listed:
            place = _with_unlisted(place, index, self.leaves)
        if place.pieces and repeated(self.leaves, marks):
            place = self._told_apart(place, marks)
        return self._made(path, sum(file.size for file in files), outermost, tuple(files), place)

    def _index(self, index: HeldIndex) -> None:
        size = index.opened.size
        self.layers.append(Layer(kind="container", name="index", decoded_bytes=size, member=index.name))
        self.parts.append(Part(account=Account.CONTAINER, label=f"[{index.name}]", stored_bits=8 * size))

    def _mark(self) -> Mark:
        return Mark(leaves=len(self.leaves), parts=len(self.parts), bundles=len(self.bundles))

    def _told_apart(self, place: Location, marks: Sequence[Mark]) -> Location:
        """Pieces of one matrix have its name in every file: each is called by its file as well."""
        stems = [file.stem for file in place.files]
        self.leaves, self.parts, self.bundles = told_apart(self.leaves, self.parts, self.bundles, marks, stems)
        note = f"tensors are cut across the files, or repeated in them, and called {stems[0]}/… by their file"
        return structs.replace(place, notes=(*place.notes, note))

    def _made(
        self,
        path: str,
        size: int,
        outermost: str,
        files: tuple[OpenedFile | RemoteFile, ...],
        place: Location | None,
    ) -> Artifact:
        seen: set[str] = set()
        for name in (tensor.name for leaf in self.leaves for tensor in leaf.contents.tensors):
            if name in seen:
                raise CorruptError(f"{path}: two streams hold a tensor called {name[:80]!r}")
            seen.add(name)
        containers = (*self.bundles, *(leaf.contents for leaf in self.leaves))
        located = () if place is None else place.notes
        part_of = None if place is None else unfinished(containers, len(place.files)) or place.part_of
        partial = () if part_of is None else (f"{part_of}; the rest is not counted",)
        return Artifact(
            path=path,
            size=size,
            format=outermost,
            layers=tuple(self.layers),
            leaves=tuple(self.leaves),
            parts=tuple(self.parts) if self.priced else (),
            files=files,
            config=None if place is None else place.config,
            part_of=part_of,
            notes=(*located, *partial, *(note for contents in containers for note in contents.notes)),
            bundle=tuple(self.bundles),
        )

    def _open(
        self, data: Buffer | Beginning, bits: int, at: _Place, forced: Format | None = None, claim: str = ""
    ) -> Contents:
        """Open one stream that costs `bits` on disk: a file (with the name that may claim a format) or an inner one."""
        self.streams += 1
        if at.depth > _DEEPEST or self.streams > _MOST_STREAMS:
            raise LimitError(
                f"{at.where}: more than {_MOST_STREAMS} streams, or containers nested more than {_DEEPEST} deep"
            )
        rest: Buffer | Beginning
        if isinstance(data, Beginning):
            steps, what, rest = list[peeling.PeeledStep](), at.where, data
            contents = formats.read_beginning(data, where=what, name=claim, forced=forced)
        else:
            steps, what = self._steps(data, at, forced)
            rest = peeling.innermost(data, steps)
            contents = _read(rest, what, forced=forced, claim="" if steps else claim, inner=at.inner)
        self.allowance.spend(contents.unpacked, at.where)
        self._add_layers(steps, contents, len(rest), at.member)
        regions = sorted(contents.regions, key=lambda region: region.span)
        split: Sequence[int] = [0] * (len(regions) + 2)
        if self.priced:
            cuts = [0, *(region.span.stop for region in regions)]
            costs = peeling.attribute_through(steps, cuts, at.where)
            split = apportion(bits, [*costs.ranges, costs.framing, costs.trailing])
        streams = (*at.around, *(step for step in steps if isinstance(step, Stream)))
        self._add_regions(
            contents, rest, zip(regions, split[:-2], strict=True), replace(at, where=what, around=streams)
        )
        self._add_framing(steps, split[-2], split[-1], contents, at.inner)
        return contents

    def _add_framing(
        self, steps: Sequence[peeling.PeeledStep], framing: int, trailing: int, contents: Contents, inner: Inner | None
    ) -> None:
        """Bits that decode to nothing: headers, tables and checksums, and what lies after a stream."""
        if steps:
            label = f"[{' + '.join(map(peeling.step_name, steps))} framing]"
            name, code = None if inner is None else inner.name, contents.format in PROGRAMS
            self.parts.append(Part(account=Account.CODEC, stored_bits=framing, label=label, name=name, code=code))
        if trailing:
            label = f"[after the {next(step.codec.name for step in steps if isinstance(step, Stream))} stream]"
            self.parts.append(Part(account=Account.UNMAPPED, stored_bits=trailing, label=label))

    def _steps(self, data: Buffer, at: _Place, forced: Format | None) -> tuple[list[peeling.PeeledStep], str]:
        where, inner = at.where, at.inner
        if forced is not None and forced.name == OPAQUE:
            return [], where
        if inner is None:
            return peeling.peel(data, where=where, allowance=self.allowance, codec=getattr(forced, "codec", None))
        steps: list[peeling.PeeledStep] = []
        if inner.text is not None:
            spelling, decoded = inner.text
            steps.append(peeling.TextEncoded(name=spelling, data=data, decoded=decoded))
            data = decoded
        if inner.codec == "none":
            return steps, where
        most = {} if inner.read is None else {"most": inner.steps}
        more, where = peeling.peel(data, where=where, allowance=self.allowance, codec=inner.codec, **most)
        return [*steps, *more], where

    def _add_layers(
        self, steps: Sequence[peeling.PeeledStep], contents: Contents, length: int, member: str | None
    ) -> None:
        for step, method in zip(steps, peeling.methods(steps), strict=True):
            coded = isinstance(step, Stream)
            layer = Layer(
                kind="codec" if coded else "filter",
                name=peeling.step_name(step),
                stored_bytes=len(step.data) if coded else None,
                decoded_bytes=len(step.decoded),
                attribution=method,
                member=member,
            )
            self.layers.append(layer)
        self.layers.append(Layer(kind="container", name=contents.format, decoded_bytes=length, member=member))

    def _add_regions(
        self, contents: Contents, data: Buffer | Beginning, priced: Iterable[tuple[Region, int]], at: _Place
    ) -> None:
        """Post the regions of a leaf, or go into the streams of a bundle, which takes the whole file."""
        bundled = any(region.inner is not None for region in contents.regions)
        number = None if bundled else len(self.leaves)
        if bundled:
            self.bundles.append(contents)
        else:
            self.leaves.append(Leaf(name=at.member or "", held=data, contents=contents, streams=at.around))
        if len(self.parts) + len(contents.regions) > _MOST_PARTS:
            raise LimitError(f"{at.where}: more than {_MOST_PARTS} parts in all streams together")
        for region, cost in priced:
            if region.inner is None or isinstance(data, Beginning):
                part = Part(
                    account=region.account,
                    stored_bits=cost,
                    name=region.name,
                    label=region.label,
                    tensor=region.tensor,
                    leaf=number,
                    span=None if bundled else region.span,
                    code=contents.format in PROGRAMS,
                )
                self.parts.append(part)
                continue
            where, name = f"{at.where}: {region.inner.name}", region.inner.name
            member = f"{at.member}/{name}" if at.member else name
            stream = memoryview(data)[region.span.start : region.span.stop]
            self._open(stream, cost, _Place(where, member, region.inner, at.depth + 1, at.around))


def _read(data: Buffer, where: str, *, forced: Format | None, claim: str, inner: Inner | None) -> Contents:
    """What a format makes of the peeling.innermost bytes; `opaque` when none does."""
    if inner is not None and inner.read is not None:
        return inner.read(data, where)
    for known in _readers(data, forced, claim, inner):
        contents = known.read(data, where=where)
        if contents is not None:
            return contents
    raise CorruptError(f"{where}: no reader could make anything of it")


def _readers(data: Buffer, forced: Format | None, claim: str, inner: Inner | None) -> Iterator[Format | Unread]:
    """The formats to try, in order; asking other packages' readers comes last, since it costs time."""
    opaque = formats.get(OPAQUE)
    if forced is not None:
        yield from (forced, opaque)
        return
    unread = formats.unread(data, claim)
    if unread is not None and unread.by_name:
        yield unread
    known = formats.candidates(data)
    yield from known
    claimed = formats.claimed_by(claim)
    if not known and claimed is not None:
        yield claimed
    yield from formats.others(data)
    if inner is not None:
        yield formats.get(inner.fallback)
    if unread is not None:
        yield unread
    yield opaque
