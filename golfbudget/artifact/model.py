"""What opening a file gives: its layers, its leaves, and every part of it with its price in stored bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from golfbudget.codecs import Buffer, Method, Stream
from golfbudget.formats import Beginning, Contents, StoredTensor
from golfbudget.ledger import Account, Span


class Layer(Struct, frozen=True, kw_only=True):
    """One step of the nesting, outermost first; `member` names the stream inside a container that it belongs to.

    `kind` is `codec`, `filter` or `container`; `stored_bytes` and `attribution` are a codec's only.
    """

    kind: str
    name: str
    decoded_bytes: int
    stored_bytes: int | None = None
    attribution: Method | None = None
    member: str | None = None


class Leaf(Struct, frozen=True, kw_only=True):
    """A stream at the end of the layer tree, decoded, and what a reader made of it; `streams` are the codecs around it.

    `name` is the member it was found in, "" for the file itself.  `held` may be a file's beginning alone: what wants
    values asks whether they are `at_hand`, or gets an error from `data`.
    """

    name: str
    held: Buffer | Beginning
    contents: Contents
    streams: tuple[Stream, ...] = ()

    @property
    def data(self) -> Buffer:
        """All its bytes; `NotAtHandError` where they were not fetched."""
        if isinstance(self.held, Beginning):
            raise self.held.unread(self.held.size)
        return self.held

    @property
    def at_hand(self) -> bool:
        """Whether the values of its tensors can be read."""
        return not isinstance(self.held, Beginning)

    def sample(self, start: int, stop: int) -> bytes:
        """A few of its bytes, `[start, stop)`, fetched where they are not at hand; errors as of `Beginning.sample`."""
        if isinstance(self.held, Beginning):
            return self.held.sample(start, stop)
        return bytes(memoryview(self.held)[start:stop])

    @property
    def size(self) -> int:
        """How many bytes it has, at hand or not."""
        return len(self.held)


class Part(Struct, frozen=True, kw_only=True):
    """Bytes that belong together, and the bits they cost on disk.

    `name` is the stored name they serve (None: the whole file), `label` says what shared bytes are.  Bytes of a
    leaf have their number and span; framing (codec headers, the structure of a bundle) decodes to nothing.
    """

    account: Account
    stored_bits: int
    name: str | None = None
    label: str = ""
    tensor: bool = False
    leaf: int | None = None
    span: Span | None = None
    code: bool = False


class OpenedFile(Struct, frozen=True, kw_only=True):
    """One file that was opened, and its length."""

    path: Path
    size: int


class RemoteFile(Struct, frozen=True, kw_only=True):
    """One file of a repository of which only what was needed was read, its length as the server states it.

    `sha256` is what the server states, or what the bytes have where all were read; None where neither is known.
    """

    address: str
    size: int
    sha256: str | None = None


class Remote(Struct, frozen=True, kw_only=True):
    """An artifact whose values were left on a server; `way` is what to do to have them.

    `received` counts the bytes that came, more of them where a few values were asked for after opening.
    """

    received: Callable[[], int]
    way: str

    @property
    def downloaded(self) -> int:
        """Bytes that came until now."""
        return self.received()

    @property
    def missing(self) -> str:
        """What is not known for want of values, and what tells."""
        return (
            f"values were not downloaded ({self.downloaded:,} bytes were: headers and what stands beside them): "
            f"entropy, hashes, repeated matrices and maps of tokens are not known; {self.way}"
        )


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An opened artifact: the stored bits of its parts sum to its size.

    `format` is the outermost container's.  `config` is the configuration beside the weights (`config.json`), None
    where there is none.  `part_of` says of what larger checkpoint this is known to be only a part, None where it is
    whole for all that is known.  `remote` is there where values were left on a server.
    """

    path: str
    size: int
    format: str
    layers: tuple[Layer, ...]
    leaves: tuple[Leaf, ...]
    parts: tuple[Part, ...]
    files: tuple[OpenedFile | RemoteFile, ...] = ()
    config: Mapping[str, object] | None = None
    part_of: str | None = None
    notes: tuple[str, ...] = ()
    bundle: tuple[Contents, ...] = ()
    remote: Remote | None = None

    @cached_property
    def containers(self) -> tuple[Contents, ...]:
        """What was found in each container, those around others first."""
        return (*self.bundle, *(leaf.contents for leaf in self.leaves))

    @property
    def contents(self) -> Contents:
        """What the reader of the outermost container found; of the first file where there are several."""
        return self.containers[0]

    @property
    def local_files(self) -> tuple[OpenedFile, ...]:
        """The files that lie here, whole."""
        return tuple(file for file in self.files if isinstance(file, OpenedFile))

    @cached_property
    def tensors(self) -> tuple[StoredTensor, ...]:
        """All tensors, in file order."""
        return tuple(tensor for _, tensor in self.placed())

    def placed(self) -> Iterator[tuple[Leaf, StoredTensor]]:
        """All tensors, each with the leaf its offset counts in."""
        return ((leaf, tensor) for leaf in self.leaves for tensor in leaf.contents.tensors)

    @cached_property
    def values(self) -> Mapping[str, object]:
        """Plain values by name, of every container."""
        return {name: value for contents in self.containers for name, value in contents.values.items()}

    @cached_property
    def outer_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the tensors that are made of other tensors, by name."""
        return {name: shape for contents in self.containers for name, shape in contents.outer_shapes.items()}
