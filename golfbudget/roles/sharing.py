"""Parameters that several tensors hold: windows on the same bytes, and vectors that every piece of a model repeats."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from golfbudget.artifact import Artifact
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Span

#: How tensors of a model-parallel checkpoint's files are called where several have one name.
_PIECE = re.compile(r"consolidated\.[0-9]+/")


def shared_elements(artifact: Artifact, counted: Collection[str]) -> dict[str, int]:
    """How many elements to count of `counted` tensors whose window overlaps another's, by stored name.

    The first gets all of its own, and each after it what bytes are left of those that they look at together.
    """
    windows: dict[tuple[int, str], list[tuple[Span, StoredTensor]]] = {}
    for number, leaf in enumerate(artifact.leaves):
        for tensor in leaf.contents.tensors:
            if tensor.window is not None and tensor.name in counted:
                key, span = tensor.window
                windows.setdefault((number, key), []).append((span, tensor))
    made: dict[str, int] = {}
    for own in windows.values():
        for cluster in _overlapping(own) if len(own) > 1 else ():
            left = 8 * (max(span.stop for span, _ in cluster) - cluster[0][0].start)
            for _, tensor in cluster:
                width = max(1, 8 * tensor.stored_bytes // tensor.elements)
                made[tensor.name] = min(tensor.elements, left // width)
                left -= made[tensor.name] * width
    return made


def repeated_vectors(artifact: Artifact, counted: Collection[str]) -> set[str]:
    """Stored names of `counted` vectors that repeat that of another piece of a model-parallel checkpoint.

    Such pieces cut matrices, and each has norms of its own that are the same.
    """
    first: dict[tuple[str, str, tuple[int, ...]], bytes] = {}
    repeated = set()
    for leaf, tensor in artifact.placed():
        piece = _PIECE.match(tensor.name)
        if piece is None or tensor.name not in counted or len(tensor.shape) != 1 or not leaf.at_hand:
            continue
        if tensor.offset is None or not tensor.contiguous:
            continue
        values = bytes(leaf.data[tensor.offset : tensor.offset + tensor.stored_bytes])
        key = (tensor.name[piece.end() :], tensor.dtype, tensor.shape)
        if first.setdefault(key, values) is not values and first[key] == values:
            repeated.add(tensor.name)
    return repeated


def _overlapping(windows: list[tuple[Span, StoredTensor]]) -> Iterator[list[tuple[Span, StoredTensor]]]:
    """Groups of several windows that hang together, each in the order of the bytes."""
    group: list[tuple[Span, StoredTensor]] = []
    stop = 0
    for window in sorted(windows, key=lambda one: one[0]):
        if group and window[0].start >= stop:
            if len(group) > 1:
                yield group
            group = []
        group.append(window)
        stop = max(stop, window[0].stop) if len(group) > 1 else window[0].stop
    if len(group) > 1:
        yield group
