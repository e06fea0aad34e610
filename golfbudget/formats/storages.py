"""Storages and the windows on them: which bytes are whose when tensors share, skip or overlap."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from golfbudget.dtypes import element_bytes
from golfbudget.formats.base import Region, StoredTensor
from golfbudget.ledger import Account, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageView:
    """A tensor as a window on the storage called `key`; `first` and `strides` are in elements."""

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int = 0

    def extent(self) -> Span:
        """Bytes of the storage between the view's first and last element."""
        width = element_bytes(self.dtype)
        if 0 in self.shape:
            return Span(self.first * width, self.first * width)
        last = self.first + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return Span(self.first * width, (last + 1) * width)


def by_storage(views: list[StorageView]) -> dict[str, list[StorageView]]:
    """The views of each storage, in the order found."""
    views_of: dict[str, list[StorageView]] = {}
    for view in views:
        views_of.setdefault(view.key, []).append(view)
    return views_of


def split_storage(data: Span, views: list[StorageView], orphan: str) -> list[Region]:
    """Cut a storage among its views: bytes of one view are its own, slack goes to the first view.

    Bytes of several views go to the one that starts first.  A storage of no view is unmapped, labelled `orphan`.
    """
    if not views:
        return [Region(span=data, account=Account.UNMAPPED, label=orphan)]
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
        groups.setdefault((view.key, view.dtype, view.shape, view.strides, view.first, own), []).append(view)
    for first, *others in groups.values():
        start = starts[first.key]
        (name, dtype, shape), aliases = (first.name, first.dtype, first.shape), tuple(view.name for view in others)
        offset = None if start is None else start + first.first * element_bytes(dtype)
        yield StoredTensor(name=name, dtype=dtype, shape=shape, strides=first.strides, offset=offset, aliases=aliases)
