"""Custom binaries, described by their author in a TOML file: `golfbudget inspect model.bin --layout FILE`.

    codec = "brotli"            # only where the file's own bytes do not tell: brotli and deflate have no signature

    [[tensors]]
    name = "embed"
    offset = 36                 # in the decoded bytes; the end of the tensor before it when left out
    dtype = "float16"
    shape = [16384, 16]
    role = "embedding"          # optional: the role rules decide otherwise

    [[parts]]                   # bytes that are no tensor
    label = "header"
    offset = 0
    length = 36
    account = "container"

Bytes that nothing describes are `unmapped`; overlaps and ranges past the end are errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from golfbudget import codecs, configs
from golfbudget.codecs import Buffer, Sniff
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import ConfigError, CorruptError
from golfbudget.formats.base import Contents, Region, StoredTensor, row_major
from golfbudget.ledger import Account, Role, Span

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]


class TensorLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tensor: its bytes follow from dtype and shape, and must equal `length` where that is given."""

    name: str
    dtype: str
    shape: Annotated[tuple[Natural, ...], msgspec.Meta(max_length=16)]
    offset: Natural | None = None
    length: Natural | None = None
    role: Role | None = None


class PartLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bytes that are no tensor."""

    label: str
    length: Natural
    offset: Natural | None = None
    account: Account = Account.CONTAINER


class CustomFormatFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A layout file."""

    tensors: tuple[TensorLine, ...]
    parts: tuple[PartLine, ...] = ()
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class CustomFormat:
    """A format made from a layout file; never registered, since it fits the one binary it was written for."""

    path: Path
    layout: CustomFormatFile
    name: str = "custom"
    suffixes: tuple[str, ...] = ()

    @property
    def codec(self) -> str | None:
        """The codec around the described bytes, where the layout names it."""
        return self.layout.codec

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.MAYBE

    def begins(self, head: bytes) -> bool:
        return False

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        placed = [*self._tensors(), *self._parts()]
        regions: list[Region] = []
        cursor, before = 0, "the start"
        for what, region in sorted(placed, key=lambda pair: pair[1].span):
            span = region.span
            if span.stop > len(data):
                raise CorruptError(
                    f"{where}: {what} of {self.path} lies in bytes [{span.start}, {span.stop}), and there are "
                    f"{len(data)}"
                )
            if span.start < cursor and len(span):
                raise ConfigError(f"{self.path}: {what}, from byte {span.start}, overlaps {before}, to byte {cursor}")
            if span.start > cursor:
                regions.append(_undescribed(cursor, span.start))
            regions.append(region)
            cursor, before = max(cursor, span.stop), what
        if cursor < len(data):
            regions.append(_undescribed(cursor, len(data)))
        return Contents(
            format=self.name,
            regions=tuple(regions),
            tensors=tuple(tensor for tensor, _ in self._stored()),
            roles={line.name: line.role for line in self.layout.tensors if line.role is not None},
        )

    def _stored(self) -> list[tuple[StoredTensor, Span]]:
        found = []
        cursor = 0
        for line in self.layout.tensors:
            start = cursor if line.offset is None else line.offset
            bits = math.prod(line.shape) * DTYPE_BITS[line.dtype]
            stop = start + (bits + 7) // 8
            tensor = StoredTensor(
                name=line.name, dtype=line.dtype, shape=line.shape, strides=row_major(line.shape), offset=start
            )
            found.append((tensor, Span(start, stop)))
            cursor = stop
        return found

    def _tensors(self) -> list[tuple[str, Region]]:
        return [
            (f"tensor {t.name!r}", Region(span=span, account=Account.WEIGHTS, name=t.name, tensor=True))
            for t, span in self._stored()
        ]

    def _parts(self) -> list[tuple[str, Region]]:
        found = []
        cursor = 0
        for line in self.layout.parts:
            start = cursor if line.offset is None else line.offset
            span = Span(start, start + line.length)
            found.append((f"part {line.label!r}", Region(span=span, account=line.account, label=f"[{line.label}]")))
            cursor = span.stop
        return found


def load_layout(path: Path) -> CustomFormat:
    """Read a layout file; `ConfigError` names the file and the key that is wrong."""
    layout = configs.load(path, CustomFormatFile)
    seen: set[str] = set()
    for number, line in enumerate(layout.tensors):
        at = f"{path}: tensors[{number}] ({line.name!r})"
        if line.dtype not in DTYPE_BITS:
            raise ConfigError(f"{at}.dtype: unknown dtype {line.dtype!r}; known: {', '.join(sorted(DTYPE_BITS))}")
        if line.name in seen:
            raise ConfigError(f"{at}.name: the name stands twice")
        seen.add(line.name)
        length = (math.prod(line.shape) * DTYPE_BITS[line.dtype] + 7) // 8
        if line.length is not None and line.length != length:
            raise ConfigError(
                f"{at}.length: {line.dtype} of shape {list(line.shape)} takes {length} bytes, found {line.length}"
            )
    if layout.codec is not None and layout.codec not in codecs.registered():
        raise ConfigError(f"{path}: codec: unknown codec {layout.codec!r}; known: {', '.join(codecs.registered())}")
    return CustomFormat(path=path, layout=layout)


def _undescribed(start: int, stop: int) -> Region:
    return Region(span=Span(start, stop), account=Account.UNMAPPED, label="[not in the layout]")
