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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from golfbudget import codecs, configs
from golfbudget.codecs import Buffer, Sniff
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.errors import ConfigError, CorruptError
from golfbudget.formats.base import Contents, Region, StoredTensor, unmapped
from golfbudget.ledger import Account, Role, Span

_UNKNOWN = "[not in the layout]"
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


_Line = TypeVar("_Line", TensorLine, PartLine)


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
        """The bytes as the layout file divides them, and what it leaves out as unmapped.

        Raises `CorruptError` where a line lies outside the bytes, `ConfigError` where two lines overlap.
        """
        stored = _placed(self.layout.tensors, [_line_bytes(line) for line in self.layout.tensors])
        parts = _placed(self.layout.parts, [line.length for line in self.layout.parts])
        placed = [
            (f"tensor {line.name!r}", Region(span=span, account=Account.WEIGHTS, name=line.name, tensor=True))
            for line, span in stored
        ]
        placed += [
            (f"part {line.label!r}", Region(span=span, account=line.account, label=f"[{line.label}]"))
            for line, span in parts
        ]
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
            regions += [*unmapped(cursor, span.start, _UNKNOWN), region]
            cursor, before = max(cursor, span.stop), what
        regions += unmapped(cursor, len(data), _UNKNOWN)
        roles = {line.name: line.role for line in self.layout.tensors if line.role is not None}
        tensors = tuple(StoredTensor.in_rows(line.name, line.dtype, line.shape, span.start) for line, span in stored)
        return Contents(format=self.name, regions=tuple(regions), tensors=tensors, roles=roles)


def _line_bytes(line: TensorLine) -> int:
    return (math.prod(line.shape) * DTYPE_BITS[line.dtype] + 7) // 8


def _placed(lines: Sequence[_Line], lengths: Sequence[int]) -> list[tuple[_Line, Span]]:
    """Where each line's bytes lie: after those of the line before it where it gives no offset."""
    placed: list[tuple[_Line, Span]] = []
    cursor = 0
    for line, length in zip(lines, lengths, strict=True):
        start = cursor if line.offset is None else line.offset
        cursor = start + length
        placed.append((line, Span(start, cursor)))
    return placed


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
        length = _line_bytes(line)
        if line.length is not None and line.length != length:
            raise ConfigError(
                f"{at}.length: {line.dtype} of shape {list(line.shape)} takes {length} bytes, found {line.length}"
            )
    if layout.codec is not None and layout.codec not in codecs.registered():
        raise ConfigError(f"{path}: codec: unknown codec {layout.codec!r}; known: {', '.join(codecs.registered())}")
    return CustomFormat(path=path, layout=layout)
