"""Take one stream apart from the outside in, and price what is inside: codecs and filters, until a container is left.

They are recognised by content.  Stored bits go through all layers: what each range of a container costs where its bytes
are kept.  One codec alone is as exact as the codec; filters keep that.  A codec inside another is priced by its own
bits, scaled to what the outer one charges for it: an estimate, and labelled so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from golfbudget import codecs, filters, formats
from golfbudget.codecs import Buffer, Costs, Method, Sniff, Stream
from golfbudget.errors import CorruptError, LimitError
from golfbudget.filters import Filtered
from golfbudget.formats.foresight.foreseer import Foreseer
from golfbudget.ledger import apportion

#: Codecs and filters around one container; public files have at most three.
_DEEPEST = 6
#: A weak signature whose stream yields this much before it fails was no coincidence.
_CONVINCING = 64
#: Decoded bytes by which a container is recognised where the codec has no signature.
_HEAD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoded:
    """Text that stands for bytes, as a base-85 literal does: `data` is the text, `decoded` what it spells."""

    name: str
    data: Buffer
    decoded: Buffer


PeeledStep = Stream | Filtered | TextEncoded


@dataclass(slots=True)
class Allowance:
    """Decoded bytes that may still be made: the limit is on all layers together, since all are held at once."""

    limit: int
    made: int = 0

    def spend(self, count: int, where: str) -> None:
        """Take `count` decoded bytes; `LimitError` where fewer are left."""
        self.made += count
        if self.made > self.limit:
            raise LimitError(
                f"{where}: decodes to more than {self.limit} bytes in all layers together; if that is right, raise "
                "--max-decoded"
            )

    @property
    def left(self) -> int:
        return self.limit - self.made


def step_name(step: PeeledStep) -> str:
    """The codec's name, the filter's or the spelling's."""
    return step.codec.name if isinstance(step, Stream) else step.name


def peel(
    data: Buffer, *, where: str, allowance: Allowance, codec: str | None = None, most: int = _DEEPEST
) -> tuple[list[PeeledStep], str]:
    """At most so many steps from `data` inward, and how messages name what is left.

    `codec` names the first one where that is known.
    """
    steps: list[PeeledStep] = []
    named = codec
    while len(steps) < most:
        step: PeeledStep | None
        if named is not None:
            step = codecs.decode(codecs.get(named), data, where=where, limit=allowance.left, foresee=Foreseer())
        elif formats.candidates(data):
            break
        else:
            step = _undo(data) or _decode(data, where=where, limit=allowance.left)
        if step is None:
            break
        allowance.spend(len(step.decoded), where)
        steps.append(step)
        named = step.codec if isinstance(step, Filtered) else None
        data, where = step.decoded, f"{where} (inside {step_name(step)})"
    return steps, where


def innermost(data: Buffer, steps: Sequence[PeeledStep]) -> Buffer:
    """What is left when all steps are undone."""
    return steps[-1].decoded if steps else data


def known(head: bytes) -> bool:
    """Whether decoded bytes begin like a container or a filter's header."""
    return formats.begins(head) or any(one.begins(head) for one in filters.registered().values())


def _undo(data: Buffer) -> Filtered | None:
    undone = (one.undo(data, known) for one in filters.registered().values())
    return next((filtered for filtered in undone if filtered is not None), None)


def _decode(data: Buffer, *, where: str, limit: int) -> Stream | None:
    """Decode by the codec whose signature matches, or by a weaker candidate that works; None when there is none."""
    head = bytes(data[:32])
    claims = {codec: codec.sniff(head) for codec in codecs.registered().values()}
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.SURE):
        return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.MAYBE):
        try:
            return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
        except CorruptError as error:
            if error.progress >= _CONVINCING:
                raise
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.UNSIGNED):
        if known(codecs.beginning(codec, data, _HEAD)):
            return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
    return None


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
    nested = sum(isinstance(step, Stream) for step in steps) > 1
    stated = (step.codec.method if isinstance(step, Stream) else None for step in steps)
    return [Method.ESTIMATE if nested and method is not None else method for method in stated]


def _through_filter(outer: Sequence[PeeledStep], step: Filtered, cuts: Sequence[int], where: str) -> Costs:
    """Price the spans where a filter put each range; they tile what is behind its header."""
    if len(step.planes(0, 0)) * len(cuts) > _MOST_SPANS:
        raise LimitError(f"{where}: {step.name} scatters {len(cuts) - 1} parts over more than {_MOST_SPANS} places")
    spans = [(span, n) for n, part in enumerate(pairwise(cuts)) for span in step.planes(*part) if len(span)]
    edges = {edge for span, _ in spans for edge in (span.start, span.stop)}
    outer_cuts = sorted({0, step.header, len(step.data), *edges})
    costs = attribute_through(outer, outer_cuts, where)
    bits = [0] * (len(cuts) - 1)
    for span, number in spans:
        bits[number] += sum(costs.ranges[bisect_left(outer_cuts, span.start) : bisect_left(outer_cuts, span.stop)])
    header = sum(costs.ranges[: bisect_left(outer_cuts, step.header)])
    return Costs(ranges=tuple(bits), framing=costs.framing + header, trailing=costs.trailing)
