"""Storages and the windows on them: which bytes are whose when tensors share, skip or overlap."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from golfbudget.dtypes import packing
from golfbudget.formats.base import Region, StoredTensor
from golfbudget.ledger import Account, Span

#: Bytes of the widest element there is, and how many narrow ones can share a byte.
_WIDEST, _SHARED = 16, (2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageView:
    """A tensor as a window on the storage called `key`; `first` and `strides` are in elements.

    `block` is (elements, bytes) of the smallest run of whole bytes, where the dtype's name does not say it.  A dtype
    that is not known has none until `settled` finds it; `held` is how many elements its storage has, if that is said.
    """

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int = 0
    block: tuple[int, int] | None = None
    unknown: bool = False
    held: int | None = None

    def elements(self) -> Span:
        """Elements of the storage between the view's first and last."""
        if 0 in self.shape:
            return Span(self.first, self.first)
        last = self.first + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return Span(self.first, last + 1)

    def extent(self) -> Span:
        """Bytes of the storage that hold those elements."""
        count, width = self.block or packing(self.dtype)
        elements = self.elements()
        return Span(elements.start // count * width, -(-elements.stop // count) * width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Views whose widths are known, the name of the first view on each storage of no known width, and notes."""

    views: list[StorageView]
    untyped: Mapping[str, str]
    notes: tuple[str, ...]


def settled(views: list[StorageView], lengths: Mapping[str, int]) -> Settled:
    """Give views of unknown dtypes the width that the lengths of their storages in bytes say, where it is exact."""
    unknown = by_storage([view for view in views if view.unknown])
    blocks = {key: _block(mine, lengths.get(key, 0)) for key, mine in unknown.items()}
    notes: dict[tuple[str, tuple[int, int] | None], list[str]] = {}
    kept: list[StorageView] = []
    untyped: dict[str, str] = {}
    for view in views:
        if not view.unknown:
            kept.append(view)
            continue
        block = blocks[view.key]
        notes.setdefault((view.dtype, block), []).append(view.name)
        if block is None:
            untyped.setdefault(view.key, view.name)
        else:
            kept.append(replace(view, block=block, unknown=False))
    known = {view.key for view in kept}
    said = tuple(_unknown_note(dtype, block, names) for (dtype, block), names in notes.items())
    return Settled(views=kept, untyped={k: n for k, n in untyped.items() if k not in known}, notes=said)


def _block(views: list[StorageView], length: int) -> tuple[int, int] | None:
    """(elements, bytes) by a storage's length and the elements it has; None where they do not divide."""
    needed = max(view.elements().stop for view in views)
    count = next((view.held for view in views if view.held is not None), needed)
    if not needed <= count or not count or not length:
        return (1, 1) if not needed else None
    if length % count == 0 and length // count <= _WIDEST:
        return 1, length // count
    return (count // length, 1) if count % length == 0 and count // length in _SHARED else None


def _unknown_note(dtype: str, block: tuple[int, int] | None, names: list[str]) -> str:
    many = f"{len(names)} tensors have" if len(names) > 1 else f"tensor {names[0][:80]!r} has"
    if block is None:
        width = "their bytes are not typed"
    elif block[0] > 1:
        width = f"by the lengths of their storages {block[0]} elements take a byte"
    else:
        width = f"by the lengths of their storages an element takes {block[1]} bytes"
    return f"{many} dtype {dtype[:80]!r}, which is not known; {width}"


def by_storage(views: list[StorageView]) -> dict[str, list[StorageView]]:
    """The views of each storage, in the order found."""
    views_of: dict[str, list[StorageView]] = {}
    for view in views:
        views_of.setdefault(view.key, []).append(view)
    return views_of


def split_storage(data: Span, views: list[StorageView], orphan: str, untyped: str | None = None) -> list[Region]:
    """Cut a storage among its views: bytes of one view are its own, slack goes to the first view.

    Bytes of several views go to the one that starts first.  A storage of no view is unmapped, labelled `orphan`; one
    of elements whose width is not known is unmapped under the name `untyped`.
    """
    if not views:
        label = orphan if untyped is None else "[unknown dtype]"
        return [Region(span=data, account=Account.UNMAPPED, name=untyped, label=label)]
    regions: list[Region] = []
    extents = sorted({view.extent(): view.name for view in reversed(views)}.items(), reverse=True)
    cuts = sorted({0, len(data), *(edge for extent, _ in extents for edge in (extent.start, extent.stop))})
    # The views that started before the cut, the earliest on top; those that have ended leave when they get there.
    open_views: list[tuple[Span, str]] = []
    for start, stop in pairwise(cuts):
        while extents and extents[-1][0].start <= start:
            heapq.heappush(open_views, extents.pop())
        while open_views and open_views[0][0].stop <= start:
            heapq.heappop(open_views)
        span = Span(data.start + start, data.start + stop)
        if open_views:
            owner = open_views[0][1]
            regions.append(Region(span=span, account=Account.WEIGHTS, name=owner, tensor=True))
        else:
            regions.append(Region(span=span, account=Account.CONTAINER, name=views[0].name, label="[slack]"))
    if not len(data):
        regions.append(Region(span=data, account=Account.WEIGHTS, name=views[0].name, tensor=True))
    return regions


def stored_tensors(views: list[StorageView], starts: Mapping[str, int | None]) -> Iterator[StoredTensor]:
    """One tensor per distinct window; further names of the same window are its aliases.

    `starts` says where each storage begins in the container, None where it is compressed or spelled otherwise.
    """
    groups: dict[tuple[object, ...], list[StorageView]] = {}
    for view in views:
        # An empty window shares nothing: every empty tensor stays a tensor of its own.
        own = view.name if 0 in view.shape else None
        same = (view.key, view.dtype, view.block, view.shape, view.strides, view.first, own)
        groups.setdefault(same, []).append(view)
    for first, *others in groups.values():
        start = starts[first.key]
        yield StoredTensor(
            name=first.name,
            dtype=first.dtype,
            shape=first.shape,
            strides=first.strides,
            offset=None if start is None else start + first.extent().start,
            aliases=tuple(view.name for view in others),
            block=first.block,
            window=(first.key, first.extent()),
        )
