"""Stored bits through all layers: what each range of a container costs where its bytes are kept.

One codec alone is as exact as the codec; filters keep that.  A codec inside another is priced by its own bits,
scaled to what the outer one charges for it: an estimate, and labelled so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from golfbudget import codecs
from golfbudget.artifact.peel import PeeledStep, TextEncoded
from golfbudget.codecs import Costs, Method, Stream
from golfbudget.errors import LimitError
from golfbudget.filters import Filtered
from golfbudget.ledger import Span, apportion

#: Spans that a filter may scatter the parts of a container over; a thousand tensors in four planes take 12,000.
_MOST_SPANS = 1 << 20


def attribute_through(steps: Sequence[PeeledStep], cuts: Sequence[int], where: str) -> Costs:
    """Bits of the ranges between consecutive cuts (decoded offsets, from 0 to the end), in the outermost stream."""
    if not steps:
        return Costs(ranges=tuple(8 * (b - a) for a, b in pairwise(cuts)), framing=0, trailing=0)
    *outer, step = steps
    if isinstance(step, Filtered):
        return _through_filter(outer, step, cuts, where)
    if isinstance(step, TextEncoded):
        split = apportion(8 * len(step.data), [b - a for a, b in pairwise(cuts)])
        return Costs(ranges=split, framing=0, trailing=0)
    inner = codecs.attribute(step, cuts)
    around = attribute_through(outer, [0, len(step.data)], where)
    split = apportion(around.ranges[0], [*inner.ranges, inner.framing, inner.trailing])
    return Costs(ranges=split[:-2], framing=split[-2] + around.framing, trailing=split[-1] + around.trailing)


def methods(steps: Sequence[PeeledStep]) -> list[Method | None]:
    """How each step's bits are known; None for what is no codec."""
    found: list[Method | None] = []
    nested = sum(isinstance(step, Stream) for step in steps) > 1
    for step in steps:
        method = step.codec.method if isinstance(step, Stream) else None
        found.append(Method.ESTIMATE if nested and method is not None else method)
    return found


def _through_filter(outer: Sequence[PeeledStep], step: Filtered, cuts: Sequence[int], where: str) -> Costs:
    """Price the spans where a filter put each range; they tile what is behind its header."""
    if len(step.planes(0, 0)) * len(cuts) > _MOST_SPANS:
        raise LimitError(
            f"{where}: {step.name} scatters {len(cuts) - 1} parts over more than {_MOST_SPANS} places; --as opaque "
            "counts the file as a whole"
        )
    spans: list[tuple[Span, int]] = []
    for number, (start, stop) in enumerate(pairwise(cuts)):
        spans += [(span, number) for span in step.planes(start, stop) if len(span)]
    outer_cuts = sorted(
        {0, step.header, len(step.data), *(edge for span, _ in spans for edge in (span.start, span.stop))}
    )
    costs = attribute_through(outer, outer_cuts, where)
    bits = [0] * (len(cuts) - 1)
    for span, number in spans:
        bits[number] += sum(costs.ranges[bisect_left(outer_cuts, span.start) : bisect_left(outer_cuts, span.stop)])
    header = sum(costs.ranges[: bisect_left(outer_cuts, step.header)])
    return Costs(ranges=tuple(bits), framing=costs.framing + header, trailing=costs.trailing)
