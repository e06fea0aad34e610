"""`PGRP`: weights in groups of tensors of one kind, each group its own compressed stream.

A public script's layout, described in its run's notes: the magic, a little-endian count of streams, one 32-bit
length for each, then the streams.  Seven are weight groups coded by lrzip (zpaq inside), which this package does
not decode; then one brotli stream of everything else (torch.save), and one of the row permutations.
"""

from __future__ import annotations

import struct

from golfbudget.codecs import Buffer
from golfbudget.errors import CorruptError
from golfbudget.formats.base import PGRP, Contents, Inner, Region, unmapped
from golfbudget.ledger import Account, Span

_COUNT = struct.Struct("<4sI")
#: What the streams of the public layout hold, in order.
GROUPS = ("tok_emb.weight.q", "attn.c_k", "attn.c_q", "attn.c_v", "attn.proj", "mlp.fc", "mlp.proj")
REMAINDER, PERMUTATIONS = "remainder", "permutations"
_NAMES = (*GROUPS, REMAINDER, PERMUTATIONS)
_MOST = 4096
LRZIP = b"LRZI"


def read_groups(data: Buffer, *, where: str) -> Contents:
    """Explain a bundle by the lengths of its streams.  Raises `CorruptError`."""
    lengths = _lengths(data, where)
    header = _COUNT.size + 4 * len(lengths)
    names = _NAMES if len(lengths) == len(_NAMES) else tuple(f"stream {i}" for i in range(len(lengths)))
    regions = [Region(span=Span(0, header), account=Account.CONTAINER, label="[pgrp header]")]
    at = header
    for name, length in zip(names, lengths, strict=True):
        regions.append(_stream(data, name, Span(at, at + length)))
        at += length
    regions += unmapped(at, len(data), "[after the streams]")
    return Contents(format="pgrp", regions=tuple(regions))


def _lengths(data: Buffer, where: str) -> tuple[int, ...]:
    head = bytes(data[: _COUNT.size])
    if len(head) < _COUNT.size or head[:4] != PGRP:
        raise CorruptError(f"{where}: expected {PGRP!r} and a count of streams at byte 0, found {head!r}")
    _, count = _COUNT.unpack(head)
    if not 0 < count <= _MOST or _COUNT.size + 4 * count > len(data):
        raise CorruptError(
            f"{where}: the count at byte 4 says {count} streams, expected 1 to {_MOST} whose lengths fit {len(data)} "
            "bytes"
        )
    lengths = struct.unpack(f"<{count}I", bytes(data[_COUNT.size : _COUNT.size + 4 * count]))
    stop = _COUNT.size + 4 * count + sum(lengths)
    if stop > len(data):
        raise CorruptError(f"{where}: {count} streams end at byte {stop} by their lengths, the file at {len(data)}")
    return lengths


def _stream(data: Buffer, name: str, span: Span) -> Region:
    """A stream: opened by its content, or kept whole where it is lrzip's."""
    account = Account.MAPPING if name == PERMUTATIONS else Account.UNMAPPED

    def whole(inner: Buffer, _where: str) -> Contents:
        region = Region(span=Span(0, len(inner)), account=account, name=name, label=f"[{name}]")
        return Contents(format="opaque", regions=(region,))

    head = bytes(data[span.start : span.start + 4])
    if head == LRZIP or not len(span):
        inner = Inner(name=name, codec="none", read=whole)
    elif name == PERMUTATIONS:
        inner = Inner(name=name, codec="brotli", read=whole)
    else:
        inner = Inner(name=name, codec="brotli" if name == REMAINDER else None)
    return Region(span=span, account=Account.CONTAINER, name=name, label=f"[{name}]", inner=inner)
