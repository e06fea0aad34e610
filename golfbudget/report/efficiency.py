"""What `inspect --entropy` says of the bytes that are left: where most are, and tensor by tensor by which lever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from golfbudget.efficiency.results import Efficiency, LeftIn, TensorEfficiency, left_in
from golfbudget.report import document as doc
from golfbudget.report.numbers import count, percent, printable, signed

_CODER = "stored values minus the floor, below 0 where the codec found more; exact against that floor"
_QUANTISER = (
    "the floor over the rate-distortion limit of Gaussian rows, ½·log2(σ²/D); modelled: weights are not Gaussian"
)
_CONTAINER = "stored bytes of tensors' own headers, names, records and padding, exact"
#: Tensors that are listed one by one, where not all are.
_MOST_TENSORS = 10
_NAMES = {LeftIn.CODER: "the coder", LeftIn.QUANTISER: "the quantiser", LeftIn.CONTAINER: "the container"}


def left_line(found: Efficiency) -> str:
    """Where most is left, first; what is not known is said to be."""
    left = found.left
    amounts = {
        LeftIn.QUANTISER: left.quantiser_bytes,
        LeftIn.CODER: left.coder_bytes,
        LeftIn.CONTAINER: left.container_bytes,
    }
    texts = {
        one: f"{one} {_how(one, amount)}"
        for one, amount in amounts.items()
        if amount is not None and one != left.most_in
    }
    most = amounts.get(left.most_in)
    first = "nothing that is known" if most is None else f"most in {_NAMES[left.most_in]}: {_how(left.most_in, most)}"
    unknown = "" if left.quantiser_bytes is not None else f"; the quantiser's is not known{_way(found)}"
    return f"{first}; {', '.join(texts.values())}{unknown}"


def _how(one: LeftIn, amount: int) -> str:
    return f"{count(amount)} bytes{' (modelled)' if one is LeftIn.QUANTISER else ''}"


def _way(found: Efficiency) -> str:
    return " (--original CHECKPOINT)" if found.original is None else ""


def left_grid(found: Efficiency, *, whole: bool) -> doc.Grid:
    """The tensors that have most left, or all of them; then the others, and the sum."""
    tensors = sorted(found.tensors, key=lambda one: (-one.left_bytes, one.owner))
    shown = tensors if whole or len(tensors) <= _MOST_TENSORS + 1 else tensors[:_MOST_TENSORS]
    rows = [doc.line(*_cells(printable(one.owner), [one], one.most_in)) for one in shown]
    rest = tensors[len(shown) :]
    if rest:
        rows.append(doc.line(*_cells(f"{count(len(rest))} others", rest)))
    rows.append(doc.sum_line(*_cells("all tensors", tensors)))
    return doc.grid(_columns("what is left"), rows)


def candidates_grid(found: Mapping[str, Efficiency]) -> doc.Grid:
    """Candidates by name, each with the sum of the tensors that it encodes."""
    rows = (doc.line(*_cells(name, one.tensors)) for name, one in found.items())
    return doc.grid(_columns("what is left\nin its tensors"), rows)


def _columns(first: str) -> tuple[doc.Column, ...]:
    return (
        doc.name(first),
        doc.number("floor\nbits", rank=1),
        doc.number("coder\nbits"),
        doc.number("over\nfloor", rank=3),
        doc.number("quantiser\nbits"),
        doc.number("scales\nbytes", rank=2),
        doc.number("container\nbytes"),
        doc.name("most in"),
        doc.number("bytes"),
    )


def _cells(name: str, tensors: Sequence[TensorEfficiency], most: LeftIn | None = None) -> tuple[str | doc.Cell, ...]:
    """One tensor, or several as their sum; bits are per weight, the quantiser's over those where it is known."""
    weights, floor = sum(one.weights for one in tensors), sum(one.stored_bytes - one.coder_bytes for one in tensors)
    sure = [one for one in tensors if one.coder_sure]
    coder = sum(one.coder_bytes for one in sure) if sure else None
    container = sum(one.container_bytes for one in tensors)
    known = [one for one in tensors if one.quantiser_bytes is not None]
    gap = sum(one.quantiser_bytes or 0 for one in known) if known else None
    most = most or left_in(coder=coder, quantiser=gap, container=container)
    left = max(0, coder or 0, container, gap or 0)
    return (
        name,
        _bits(floor, weights),
        _bits(coder, sum(one.weights for one in sure)),
        _share(coder, sum(one.stored_bytes - one.coder_bytes for one in sure)),
        _bits(gap, sum(one.weights for one in known)),
        doc.amount(sum(one.scales_bytes for one in tensors)),
        doc.amount(container),
        str(most),
        doc.amount(left),
    )


def _bits(amount: int | None, weights: int) -> doc.Cell:
    bits = 8 * amount / weights if amount is not None and weights else None
    return doc.Cell(text=doc.DASH if bits is None else f"{bits:.3f}", value=bits)


def _share(part: int | None, whole: int) -> str:
    if part is None:
        return doc.DASH
    return f"-{percent(-part, whole)}" if part < 0 else percent(part, whole)


def left_facts(found: Efficiency) -> Iterator[tuple[str, str]]:
    """What the columns mean, what is not known and why, and slack by codec."""
    yield "what is left", f"bits are per weight; {_floor(found.tensors)}"
    yield "  coder", _CODER
    if unsure := sum(not one.coder_sure for one in found.tensors):
        yield (
            "",
            f"of {_several(unsure, 'tensor')} not known: too few numbers for how many differ, so no code is near it",
        )
    yield "  quantiser", _QUANTISER
    yield "  container", f"{_CONTAINER}; the top line adds the whole file's"
    yield "  most in", "the largest of the three that are known"
    reasons = Counter(one.reason for one in found.tensors if one.reason is not None)
    if found.original is not None:
        yield from ((f"  {_several(number, 'tensor')}", printable(str(why))) for why, number in reasons.most_common())
    slack = ", ".join(f"{one.codec} {signed(one.slack_bytes)}" for one in found.coders)
    yield "slack by codec", f"{slack or 'no tensors'} bytes, scales included"


def candidates_legend(found: Mapping[str, Efficiency]) -> tuple[str, ...]:
    """What the columns mean where candidates are rows."""
    tensors = [tensor for one in found.values() for tensor in one.tensors]
    return (
        f"bits are per weight; {_floor(tensors)}",
        f"coder: {_CODER}",
        f"quantiser: {_QUANTISER}",
    )


def _floor(tensors: Sequence[TensorEfficiency]) -> str:
    text = "floor: the order-0 entropy of a tensor's values, scales apart"
    states = [one for one in tensors if one.state_floor_bytes is not None]
    if not states:
        return text
    saved = sum(one.floor_bytes - (one.state_floor_bytes or 0) for one in states)
    return (
        f"{text}; of {_several(len(states), 'trellis tensor')} the entropy given the parity of the state, which the "
        f"decoder knows, {count(saved)} bytes below their order-0 entropy"
    )


def _several(number: int, word: str) -> str:
    return f"{count(number)} {word}{'' if number == 1 else 's'}"
