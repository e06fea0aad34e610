"""Open a file: peel its codecs, let a format explain what is inside, and price every region in stored bits.

The only place that recurses, and the only one that touches the disk for reading.  It knows no tensor names:
`roles` turns what is found here into a ledger.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from golfbudget import codecs, formats
from golfbudget.codecs import DECODED_LIMIT, Buffer, Method, Sniff
from golfbudget.errors import CorruptError, UsageError
from golfbudget.formats import Contents, Region
from golfbudget.ledger import Account, apportion

#: Suffixes under which people ship models, for finding the one artifact of a folder.
MODEL_SUFFIXES = (".safetensors", ".ptz", ".pt", ".pth", ".bin", ".npz")
_DEEPEST = 4
#: A weak signature whose stream yields this much before it fails was no coincidence.
_CONVINCING = 64
#: Decoded bytes by which a container is recognised where the codec has no signature.
_HEAD = 16
OPAQUE = "opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One step of the nesting, outermost first.  `stored_bytes` and `attribution` are a codec's only."""

    kind: str
    name: str
    decoded_bytes: int
    stored_bytes: int | None = None
    attribution: Method | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """Stored bits that decode to nothing: codec headers and checksums, or bytes after a stream."""

    label: str
    account: Account
    stored_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An opened file.  `stored_bits[i]` is what `contents.regions[i]` costs on disk; with framing they sum to it."""

    path: str
    size: int
    layers: tuple[Layer, ...]
    contents: Contents
    stored_bits: tuple[int, ...]
    framing: tuple[Framing, ...]
    data: Buffer

    @property
    def length(self) -> int:
        """Bytes of the innermost decoded stream."""
        return len(self.data)


def locate(path: Path) -> Path:
    """The file to open: `path` itself, or the only model file of a folder.  `UsageError` otherwise."""
    try:
        return _locate(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _locate(path: Path) -> Path:
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix in MODEL_SUFFIXES)
        if len(found) == 1:
            return found[0]
        what = "no model file" if not found else f"{len(found)} model files ({', '.join(p.name for p in found[:6])})"
        raise UsageError(
            f"{path}: the folder holds {what}, expected one named *{', *'.join(MODEL_SUFFIXES)}; name the file itself"
        )
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    if not path.is_file():
        raise UsageError(f"{path}: not a regular file")
    return path


def open_artifact(path: Path, *, as_format: str | None = None, limit: int = DECODED_LIMIT) -> Artifact:
    """Open a file of any kind.  What is understood is explained; the rest is `opaque`, never dropped.

    `as_format` forces the innermost format (`opaque`: do not even decode).  Raises `CorruptError`,
    `UnsupportedError` or `LimitError` for bytes that break what they claim to be, `UsageError` for a bad path.
    """
    path = locate(path)
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise CorruptError(f"{path}: the file is empty, expected a model artifact")
            data: Buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return open_bytes(data, name=str(path), as_format=as_format, limit=limit)


def open_bytes(data: Buffer, *, name: str, as_format: str | None = None, limit: int = DECODED_LIMIT) -> Artifact:
    """As `open_artifact`, for bytes already at hand; `name` is used in messages and for its suffix."""
    forced = None if as_format is None else formats.get(as_format)
    streams: list[codecs.Stream] = []
    inner, where = data, name
    contents: Contents | None = None
    while contents is None:
        contents = _contents(inner, where=where, forced=forced)
        if contents is None and (forced is None or forced.name != OPAQUE) and len(streams) < _DEEPEST:
            # The limit is on all layers together: every decoded one is held at once.
            left = limit - sum(len(stream.decoded) for stream in streams)
            stream = _decode(inner, where=where, limit=left)
            if stream is not None:
                streams.append(stream)
                inner, where = stream.decoded, f"{where} (inside {stream.codec.name})"
                continue
        if contents is None:
            contents = (forced or _claiming(name, streams) or formats.get(OPAQUE)).read(inner, where=where)
            contents = contents or formats.get(OPAQUE).read(inner, where=where)
    bits, framing = _price(streams, contents.regions)
    return Artifact(
        path=name,
        size=len(data),
        layers=(*_codec_layers(streams), Layer(kind="container", name=contents.format, decoded_bytes=len(inner))),
        contents=contents,
        stored_bits=bits,
        framing=framing,
        data=inner,
    )


def _contents(data: Buffer, *, where: str, forced: formats.Format | None) -> Contents | None:
    """What the first format whose signature matches makes of the data, or None when none matches."""
    if forced is not None:
        return forced.read(data, where=where) if forced.sniff(data) is Sniff.SURE else None
    for known in formats.registered().values():
        if known.sniff(data) is Sniff.SURE:
            return known.read(data, where=where) or formats.get(OPAQUE).read(data, where=where)
    return None


def _claiming(name: str, streams: list[codecs.Stream]) -> formats.Format | None:
    """The format that the file's suffix claims; a suffix says nothing about what lies inside a codec."""
    if streams:
        return None
    suffix = Path(name).suffix
    return next((f for f in formats.registered().values() if suffix in f.suffixes), None)


def _decode(data: Buffer, *, where: str, limit: int) -> codecs.Stream | None:
    """Decode by the codec whose signature matches, or by a weaker candidate that works; None when there is none."""
    head = bytes(data[:32])
    claims = {codec: codec.sniff(head) for codec in codecs.registered().values()}
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.SURE):
        return codecs.decode(codec, data, where=where, limit=limit, foresee=formats.Foreseer())
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.MAYBE):
        try:
            return codecs.decode(codec, data, where=where, limit=limit, foresee=formats.Foreseer())
        except CorruptError as error:
            if error.progress >= _CONVINCING:
                raise
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.UNSIGNED):
        first = codecs.beginning(codec, data, _HEAD)
        if any(known.begins(first) for known in formats.registered().values()):
            return codecs.decode(codec, data, where=where, limit=limit, foresee=formats.Foreseer())
    return None


def _codec_layers(streams: list[codecs.Stream]) -> list[Layer]:
    return [
        Layer(
            kind="codec",
            name=stream.codec.name,
            stored_bytes=len(stream.data),
            decoded_bytes=len(stream.decoded),
            attribution=stream.codec.method if number == 0 == len(streams) - 1 else Method.ESTIMATE,
        )
        for number, stream in enumerate(streams)
    ]


def _price(streams: list[codecs.Stream], regions: tuple[Region, ...]) -> tuple[tuple[int, ...], tuple[Framing, ...]]:
    """Stored bits of each region and of framing; nested codecs split the outer stream by the inner one's bits."""
    if not streams:
        return tuple(8 * len(region.span) for region in regions), ()
    stream = streams[-1]
    order = sorted(range(len(regions)), key=lambda i: regions[i].span)
    boundaries = [0, *(regions[i].span.stop for i in order)] if regions else [0]
    costs = codecs.attribute(stream, boundaries)
    bits = [0] * len(regions)
    for i, cost in zip(order, costs.ranges, strict=True):
        bits[i] = cost
    framing = [Framing(label=f"[{stream.codec.name} framing]", account=Account.CODEC, stored_bits=costs.framing)]
    if costs.trailing:
        label = f"[after the {stream.codec.name} stream]"
        framing.append(Framing(label=label, account=Account.UNMAPPED, stored_bits=costs.trailing))
    if len(streams) == 1:
        return tuple(bits), tuple(framing)
    amounts = [*bits, *(frame.stored_bits for frame in framing)]
    split = apportion(8 * len(streams[0].data), amounts)
    outer = [
        Framing(label=frame.label, account=frame.account, stored_bits=amount)
        for frame, amount in zip(framing, split[len(bits) :], strict=True)
    ]
    return split[: len(bits)], tuple(outer)
