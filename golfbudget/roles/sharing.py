"""Parameters of tensors that are windows on the same bytes: what several look at is counted once."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from golfbudget.artifact import Artifact
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Span


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
