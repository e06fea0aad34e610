"""Foresee where a container's boundaries will be while it is still coming out of its codec.

Nothing here is believed for more than the pace of decoding: a header that lies costs time and changes no figure,
so the bytes are read loosely, nothing is refused, and the readers proper check everything afterwards.
"""

from __future__ import annotations

import re
from typing import Protocol

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.feeding import Foresight
from golfbudget.formats.base import PICKLES, ZIP
from golfbudget.formats.base import SAFETENSORS_LENGTH as _LENGTH

#: Longer headers are not searched; a model of a thousand tensors has 100 kB.
_HEADER_LIMIT = 1 << 24
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*(\d{1,15})\s*,\s*(\d{1,15})\s*\]')


class Scan(Protocol):
    """Follows one container; called with ever longer beginnings of it."""

    def __call__(self, prefix: Buffer) -> Foresight: ...


class Foreseer:
    """Foresight for one stream, of whatever container it turns out to hold."""

    def __init__(self) -> None:
        self._scan: Scan | None = None

    def __call__(self, prefix: Buffer) -> Foresight | None:
        if self._scan is None:
            head = bytes(prefix[:16])
            if head[:4] == ZIP:
                from golfbudget.formats.foresight.scans import ZipScan

                self._scan = ZipScan()
            elif head[:2] in PICKLES:
                from golfbudget.formats.foresight.scans import PickleScan

                self._scan = PickleScan()
            elif head[_LENGTH : _LENGTH + 1] == b"{" and int.from_bytes(head[:_LENGTH], "little") <= _HEADER_LIMIT:
                self._scan = _safetensors
            else:
                return None
        return self._scan(prefix)


def _safetensors(prefix: Buffer) -> Foresight:
    """Every byte of the header, then the ends of the tensors that it lists."""
    start = _LENGTH + int.from_bytes(prefix[:_LENGTH], "little")
    if len(prefix) < start:
        return Foresight(dense=[(0, start)], horizon=start)
    edges = {start + int(edge) for offsets in _OFFSETS.finditer(prefix, _LENGTH, start) for edge in offsets.groups()}
    return Foresight(dense=[(edge, edge) for edge in sorted(edges)])
