"""What a format is: a file grammar whose reader explains every byte and names its tensors; what files begin with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Protocol, cast

from msgspec import Struct, field

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.ledger import Account, Role, Span
from golfbudget.registry import Registry

ZIP, EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
NPY = b"\x93NUMPY"
GGUF = b"GGUF"
PACK = b"GBPK"
PGRP = b"PGRP"
#: Protocols of pickles that are read; protocols 0 and 1 have no signature.
PICKLE_PROTOCOLS = range(2, 6)
PICKLES = tuple(bytes((0x80, protocol)) for protocol in PICKLE_PROTOCOLS)
#: The number that torch's layout before 1.6 begins with, as a pickle.
TORCH_LEGACY = 0x1950A86A20F9469CFC6C
#: Bytes of the length that a safetensors file begins with, and the reference implementation's limit on its header.
SAFETENSORS_LENGTH, SAFETENSORS_HEADER_LIMIT = 8, 100_000_000
#: Longer Python source is not parsed.
LONGEST_SOURCE = 64_000_000


#: No tensor of a model has a longer name; a hostile file's could cost hours.
LONGEST_NAME = 512
_LARGEST_NUMBER = 1 << 63
_PLAIN = (type(None), bool, int, float, str, bytes)


def spelled(key: object) -> str:
    """A dict's key as part of a name: always printable as UTF-8, and "?" for what has no short spelling."""
    if isinstance(key, (str, bytes)):
        key = key[: LONGEST_NAME + 1]
    elif not isinstance(key, _PLAIN) or (isinstance(key, int) and abs(key) >= _LARGEST_NUMBER):
        return "?"
    return str(key).encode("utf-8", errors="backslashreplace").decode("utf-8")


def unique(name: str, taken: dict[str, int]) -> str:
    """The name, cut if no tensor's is as long, numbered if taken (keys 1 and "1"): no tensor hides another."""
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}…"
    made = name
    while made in taken:
        taken[name] += 1
        made = f"{name}#{taken[name]}"
    taken[made] = 1
    return made


#: Key of `Contents.values` for the byte order a container states, which no tensor name can be.
BYTE_ORDER = "[byteorder]"


class Inner(Struct, frozen=True, kw_only=True):
    """A stream that a region holds: a zip member, a stream of a group, a literal of a program.

    `codec` names how it is encoded ("none": as it is); None means that its content is sniffed like a file's.
    `read` explains what it decodes to and checks lengths and checksums (`CorruptError`); None means that the
    formats are tried, and `fallback` where none claims it.  `steps` are the codecs and filters around what is read.
    `text` is the stream itself where the region's bytes only spell it (base 85), with the spelling's name.
    """

    name: str
    codec: str | None = None
    read: Callable[[Buffer, str], Contents] | None = None
    fallback: str = "opaque"
    steps: int = 1
    text: tuple[str, bytes] | None = None


class Region(Struct, frozen=True, kw_only=True):
    """Bytes of a container, explained: `name` is the stored name they serve, None when they serve the whole file.

    `label` says what shared bytes are.  `account` is WEIGHTS for a tensor's own data: roles refine it by name.
    A container with an `inner` stream in any region is a bundle: its streams are leaves of the layer tree, and
    its other regions decode to nothing, as a codec's framing does.
    """

    span: Span
    account: Account
    name: str | None = None
    label: str = ""
    tensor: bool = False
    inner: Inner | None = None


def unmapped(start: int, stop: int, label: str) -> list[Region]:
    """A region of the bytes `[start, stop)` that nothing explains; none where there are none."""
    return [Region(span=Span(start, stop), account=Account.UNMAPPED, label=label)] if stop > start else []


class StoredTensor(Struct, frozen=True, kw_only=True):
    """A tensor as the file names it.

    `offset` is its first element's byte in the container, None when its bytes are compressed inside it;
    `strides` are in elements.  `aliases` are further names for the same bytes.  `block` is set where a dtype packs
    elements of a row into blocks: elements per block and bytes per block.  Such a dtype is not in `DTYPE_BITS`.
    `window` is the storage it looks at and the bytes of that from its first element to its last, where tensors of the
    container may share one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int | None
    aliases: tuple[str, ...] = ()
    block: tuple[int, int] | None = None
    window: tuple[str, Span] | None = None

    @classmethod
    def in_rows(
        cls, name: str, dtype: str, shape: tuple[int, ...], start: int, aliases: tuple[str, ...] = ()
    ) -> StoredTensor:
        """A tensor whose elements stand one after another, row by row."""
        strides = row_major(shape)
        return cls(name=name, dtype=dtype, shape=shape, strides=strides, offset=start, aliases=aliases)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its elements, were they contiguous."""
        if self.block is not None:
            return self.elements // self.block[0] * self.block[1]
        return (self.elements * DTYPE_BITS.get(self.dtype, 8) + 7) // 8

    @property
    def contiguous(self) -> bool:
        return self.elements == 0 or all(
            size == 1 or stride == expected
            for size, stride, expected in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a contiguous array.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return tuple(strides)


class Contents(Struct, frozen=True, kw_only=True):
    """What a reader found: regions that tile the container, its tensors in file order, and plain values by name.

    `roles` holds what the container itself says that a stored name is for; it goes before any rule.  `unpacked` is
    how many bytes the reader decoded on its own, which count against the limit on decoded bytes.  `outer_shapes` has
    the shapes of tensors that are objects made of other tensors (subclasses), whose names begin with it and a slash.
    `notes` say what was found and not understood.
    """

    format: str
    regions: tuple[Region, ...]
    tensors: tuple[StoredTensor, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    unpacked: int = 0
    outer_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Format(Protocol):
    """A registered format."""

    @property
    def name(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File suffixes that claim this format; a file with one is refused when it does not parse."""

    def sniff(self, data: Buffer) -> Sniff:
        """Judge by content; cheap."""

    def begins(self, head: bytes) -> bool:
        """Whether a file of this format could begin with these bytes (at least 16 where there are as many)."""

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        """Explain every byte, or None when the grammar holds but the file is of another kind.

        Raises `CorruptError` (file, offset, found, expected) when the bytes break the grammar.
        """


def _reader(announced: object) -> Format | None:
    """The reader that another package's object is, or the class makes; None when it is something else."""
    if not all(hasattr(announced, attribute) for attribute in ("name", "suffixes", "sniff", "begins", "read")):
        return None
    return cast("Format", announced() if isinstance(announced, type) else announced)


#: In the order in which formats are tried.  Other packages announce theirs as entry points.
_FORMATS: Registry[Format] = Registry("format", group="golfbudget.formats", made=_reader, ours_first=True)
register, registered, get = _FORMATS.register, _FORMATS.registered, _FORMATS.get


def candidates(data: Buffer) -> list[Format]:
    """Formats whose signature the data bears, in the order in which they are tried."""
    return [known for known in registered().values() if known.sniff(data) is Sniff.SURE]


def begins(head: bytes) -> bool:
    """Whether a file of any known format could begin with these bytes."""
    return any(known.begins(head) for known in registered().values())


def claimed_by(name: str | None) -> Format | None:
    """The format that a file's suffix claims."""
    suffix = PurePath(name).suffix if name else ""
    return next((known for known in registered().values() if suffix and suffix in known.suffixes), None)


def others(data: Buffer) -> list[Format]:
    """Formats of other packages that recognise the data.  Only asked when no format of ours does."""
    return [known for known in _FORMATS.load_others() if known.sniff(data) is Sniff.SURE]
