"""Decode a compressed stream and attribute its stored bits to ranges of what it decodes to.

Definition: C(p) is how much of the stream a decoder must have read before it can produce the first p decoded
bytes.  A range [a, b) costs C(b) - C(a), so the parts sum to the stream by construction.  This says what the
codec did, not what a tensor is worth: a second copy of a matrix is nearly free, the first one pays.
"""

from __future__ import annotations

import lzma
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isqrt

from msgspec import Struct

from golfbudget.codecs.base import Buffer, Codec, Decoder, Exact, Method, Sniff
from golfbudget.codecs.feeding import Aimed, Even, Feeder, Foresee, Foresight, Growth, Schedule, Strict
from golfbudget.errors import CorruptError, LedgerError, LimitError, UnsupportedError
from golfbudget.ledger import Span

#: Codecs whose bits are estimated are fed in equal pieces of sqrt(stored bytes / this), the estimate's resolution.
_BALANCE = 40
_SHORTEST_FEED = 16
_SKIP = 1 << 16
#: Boundaries this close together, in decoded bytes, are reached in one run of single bytes.
_NEAR = 256
#: A stream whose beginning does not come out of this many stored bytes is not recognised; from `_CAREFUL` bytes on
#: they are fed in ever longer pieces, for a stream can be made of empty blocks.
_SEARCHED, _CAREFUL = 1 << 16, 1 << 10
#: Writers of many members put 64 KiB or more into each; empty ones would cost more memory than what they decode to.
_MOST_MEMBERS = 1 << 16
#: Decoded bytes allowed by default, 64 times the contest's cap.
DECODED_LIMIT = 1 << 30


class Member(Struct, frozen=True, kw_only=True):
    """One member of a stream: where it lies, what it decodes to, and how output grew with input."""

    stored: Span
    header: int
    decoded: Span
    growth: Growth


class Stream(Struct, frozen=True, kw_only=True):
    """A decoded stream.  Members, padding between them and `trailing` bytes tile the stored bytes."""

    codec: Codec
    data: Buffer
    decoded: Buffer
    members: tuple[Member, ...]
    trailing: Span
    where: str = ""


class Costs(Struct, frozen=True, kw_only=True):
    """Stored bits of each range between consecutive boundaries, of framing, and of bytes after the stream."""

    ranges: tuple[int, ...]
    framing: int
    trailing: int


def decode(
    codec: Codec, data: Buffer, *, where: str, limit: int = DECODED_LIMIT, foresee: Foresee | None = None
) -> Stream:
    """Decode every member of `data`.

    `foresee` is asked, as the decoded bytes come out, where boundaries will be; `attribute` then knows what they
    cost without decoding again.  Without it, or where it is wrong, `attribute` only takes longer.

    Raises `CorruptError` (with the stored byte near which decoding failed) for bad or truncated streams and
    `LimitError` as soon as more than `limit` bytes come out.
    """
    decoded, place = bytearray(), f"{where}: the {codec.name} stream"
    schedule: Schedule = Even(max(_SHORTEST_FEED, isqrt(len(data) // _BALANCE)))
    if codec.method is Method.BYTE_EXACT:
        schedule = Aimed(stop=len(data), foresee=foresee, decoded=decoded)
    members: list[Member] = []
    at = 0
    while at < len(data) and (claim := _another_member(codec, data, at) if members else Sniff.SURE) is not Sniff.NO:
        start, made = at + (_zeros(data, at) if members else 0), len(decoded)
        try:
            member = _decode_member(codec, data, start, decoded, schedule, where=where, limit=limit)
        except CorruptError:
            if claim is Sniff.SURE:
                raise
            del decoded[made:]
            break
        members.append(member)
        at = member.stored.stop
        if len(members) > _MOST_MEMBERS:
            raise LimitError(f"{place} has more than {_MOST_MEMBERS} members by byte {at} of {len(data)}")
    if not members:
        raise CorruptError(f"{where}: an empty file is no {codec.name} stream")
    if at < len(data) and not decoded and codec.sniff(bytes(data[:32])) is Sniff.MAYBE:
        raise CorruptError(f"{place} decodes to nothing, and what is at byte {at} is no part of it")
    return Stream(
        codec=codec, data=data, decoded=decoded, members=tuple(members), trailing=Span(at, len(data)), where=where
    )


def _zeros(data: Buffer, at: int) -> int:
    """How many zero bytes lie at `at`: xz and gzip allow such padding between members."""
    start = at
    while piece := bytes(data[at : at + _SKIP]):
        zeros = len(piece) - len(piece.lstrip(b"\0"))
        at += zeros
        if zeros < len(piece):
            break
    return at - start


def _another_member(codec: Codec, data: Buffer, at: int) -> Sniff:
    """How strongly what follows padding claims to be another member; MAYBE is one only if it decodes."""
    at += _zeros(data, at)
    return codec.sniff(bytes(data[at : at + 32])) if codec.many_members else Sniff.NO


def _decode_member(
    codec: Codec, data: Buffer, start: int, decoded: bytearray, schedule: Schedule, *, where: str, limit: int
) -> Member:
    base, place = len(decoded), f"{where}: the {codec.name} stream"
    feeder = Feeder(codec.decoder(), data, start, base=base)

    def keep(piece: Buffer) -> None:
        decoded.extend(piece)
        if len(decoded) > limit:
            raise LimitError(
                f"{place} decodes to more than {limit} bytes (seen by stored byte {start + feeder.at} of {len(data)}); "
                "if that is right, raise --max-decoded"
            )

    retried = False
    while not feeder.decoder.finished:
        try:
            if feeder.feed(schedule, keep):
                continue
        except UnsupportedError as error:
            raise UnsupportedError(f"{place} that starts at byte {start}: {error}") from None
        except codec.failures as error:
            if isinstance(error, lzma.LZMAError) and "emory" in str(error):
                raise LimitError(f"{place} asks for too large a dictionary: {error}") from None
            if codec.method is Method.BYTE_EXACT and not retried and feeder.at - feeder.since > 1:
                retried = True
                del decoded[base + feeder.growth.made[-1] :]
                feeder, schedule = _again(codec, data, start, feeder)
                continue
            near = f"near byte {start + feeder.since} (after {len(decoded) - base} decoded bytes)"
            raise CorruptError(f"{place} is corrupt {near}: {error}", progress=len(decoded)) from None
        end = f"the data ends at byte {len(data)} after {len(decoded) - base} decoded bytes; fetch the file again"
        raise CorruptError(f"{place} that starts at byte {start} is cut short: {end}", progress=len(decoded))
    length = feeder.at - feeder.decoder.unused
    try:
        header = codec.header_length(data, start)
    except IndexError:
        header = 0
    growth = feeder.growth
    growth.fed[-1] = min(growth.fed[-1], length)  # The last piece may reach past the stream's end.
    stored, made = Span(start, start + length), Span(base, len(decoded))
    return Member(stored=stored, header=min(header, length), decoded=made, growth=growth)


def _again(codec: Codec, data: Buffer, start: int, failed: Feeder) -> tuple[Feeder, Schedule]:
    """A feeder that stands before the piece that failed, and a schedule of single bytes to find where in it.

    Some decoders fail on bytes that only follow the stream; fed one by one, such bytes are never fed at all.
    """
    feeder = Feeder(codec.decoder(), data, start)
    schedule = Strict([1 << 62], [start + failed.since])
    while feeder.at < failed.since and feeder.feed(schedule, len):
        pass
    feeder.growth = failed.growth
    return feeder, schedule


def _outputs(decoder: Decoder, chunk: bytes) -> Iterator[bytes]:
    """The pieces that one feed yields; nearly always a single one."""
    yield decoder.feed(chunk)
    while not decoder.drained:
        yield decoder.feed(b"")


def beginning(codec: Codec, data: Buffer, count: int) -> bytes:
    """The first `count` decoded bytes, or as many as come before the stream ends or fails."""
    decoder, decoded, at = codec.decoder(), b"", 0
    try:
        while len(decoded) < count and at < min(len(data), _SEARCHED) and not decoder.finished:
            step = _SHORTEST_FEED if at < _CAREFUL else at
            for piece in _outputs(decoder, bytes(data[at : at + step])):
                decoded += piece[:count]
                if len(decoded) >= count:
                    break
            at += step
    except codec.failures:
        pass
    return decoded[:count]


def attribute(stream: Stream, boundaries: Sequence[int]) -> Costs:
    """What each range between consecutive boundaries costs, in stored bits.

    `boundaries` are decoded offsets that never fall, from 0 to the decoded length.  Codecs of method `exact` read their
    own codes; for those of method `byte-exact` what `decode` saw is used where it saw enough, and the rest is decoded
    again; for `estimate` codecs bits between two observed outputs are split linearly.  The parts always sum to the
    stored bytes.  Raises `LedgerError` for boundaries that fall or do not span the decoded bytes.
    """
    length = len(stream.decoded)
    cuts = list(boundaries)
    if not cuts or cuts[0] != 0 or cuts[-1] != length or any(a > b for a, b in pairwise(cuts)):
        raise LedgerError(f"boundaries must rise from 0 to {length}, found {cuts[:3]} to {cuts[-1:]}")
    costs = _exactly(stream, stream.codec, cuts) if isinstance(stream.codec, Exact) else _by_feeding(stream, cuts)
    if sum(costs.ranges) + costs.framing + costs.trailing != 8 * len(stream.data):
        raise LedgerError(f"{stream.codec.name}: attributed bits do not sum to the stream")
    return costs


def _exactly(stream: Stream, codec: Exact, cuts: Sequence[int]) -> Costs:
    """The codec itself says what each range of each member costs; what it gives to none is framing."""
    ranges = [0] * (len(cuts) - 1)
    framing = stored = 0
    view = memoryview(stream.decoded)
    for member in stream.members:
        first, last = member.decoded.start, member.decoded.stop
        inner = sorted({cut - first for cut in cuts[bisect_right(cuts, first) : bisect_left(cuts, last)]})
        offsets = [0, *inner, last - first] if first < last else [0]
        costs = codec.costs(stream.data, member.stored, view[first:last], offsets, where=stream.where)
        for offset, bits in zip(offsets[:-1], costs, strict=True):
            ranges[bisect_right(cuts, first + offset) - 1] += bits
        left = 8 * len(member.stored) - sum(costs)
        if left < 0 or any(bits < 0 for bits in costs):
            raise LedgerError(f"{stream.codec.name}: more bits were attributed than are stored")
        framing += 8 * (member.stored.start - stored) + left
        stored = member.stored.stop
    return Costs(ranges=tuple(ranges), framing=framing, trailing=8 * len(stream.trailing))


def _by_feeding(stream: Stream, cuts: Sequence[int]) -> Costs:
    ranges = [0] * (len(cuts) - 1)
    framing = stored = 0
    for member in stream.members:
        padding = member.stored.start - stored
        stored = member.stored.stop
        first, last = member.decoded.start, member.decoded.stop
        inner = cuts[bisect_right(cuts, first) : bisect_left(cuts, last)]
        offsets = [0, *(cut - first for cut in inner), last - first]
        positions = _positions(stream, member, offsets)
        framing += 8 * padding + positions[0] + 8 * len(member.stored) - positions[-1]
        for (a, b), (start, stop) in zip(pairwise(offsets), pairwise(positions), strict=True):
            if a < b:
                ranges[bisect_right(cuts, first + a) - 1] += stop - start
            else:
                framing += stop - start
    return Costs(ranges=tuple(ranges), framing=framing, trailing=8 * len(stream.trailing))


def _positions(stream: Stream, member: Member, offsets: Sequence[int]) -> list[int]:
    """C at each offset of the member's output, in stored bits from the member's start; never before its header."""
    estimated = stream.codec.method is Method.ESTIMATE
    found = _interpolate(member, offsets) if estimated else _feed_to(stream, member, offsets)
    return [max(bits, 8 * member.header) for bits in found]


def _interpolate(member: Member, offsets: Sequence[int]) -> list[int]:
    fed, made = member.growth.fed, member.growth.made
    bits = []
    for offset in offsets:
        if offset <= 0:
            bits.append(0)
            continue
        i = bisect_left(made, offset)
        grown = made[i] - made[i - 1]
        step = 8 * (fed[i] - fed[i - 1])
        bits.append(8 * fed[i - 1] + step * (offset - made[i - 1]) // grown)
    return bits


def _feed_to(stream: Stream, member: Member, offsets: Sequence[int]) -> list[int]:
    """Offsets that a feed of more than one byte reached are fed again, up to the last of them.

    First by aiming at them, then, where the expansion jumped over one, from the last feed before it on.
    """
    base, start = member.decoded.start, member.stored.start
    reached = {0: 0}
    missing = _settle(member.growth, [offset for offset in offsets if offset], reached)
    growth = member.growth
    # What follows the member is not its decoder's business: brotli's fails on it.
    stored = memoryview(stream.data)[: member.stored.stop]
    for strict in (False, True):
        if not missing:
            break
        wanted = [base + offset for offset in missing]
        schedule: Schedule
        if strict:
            schedule = Strict(wanted, [start + growth.reaching(offset)[0] for offset in missing])
        else:
            schedule = Aimed(stop=len(stored), foresight=Foresight(dense=_clusters(wanted)))
        feeder = Feeder(stream.codec.decoder(), stored, start, base=base)
        while feeder.made < missing[-1] and feeder.feed(schedule, len):
            pass
        growth = feeder.growth
        missing = _settle(growth, missing, reached)
    return [8 * reached[offset] for offset in offsets]


def _clusters(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Offsets too close together to feed more than single bytes between them, as closed ranges."""
    ranges: list[tuple[int, int]] = []
    for offset in offsets:
        if ranges and offset - ranges[-1][1] <= _NEAR:
            ranges[-1] = (ranges[-1][0], offset)
        else:
            ranges.append((offset, offset))
    return ranges


def _settle(growth: Growth, offsets: Sequence[int], found: dict[int, int]) -> list[int]:
    """Enter the offsets that a feed of one byte reached into `found`; the others are returned."""
    missing = []
    for offset in offsets:
        before, fed = growth.reaching(offset)
        if fed - before == 1:
            found[offset] = fed
        else:
            missing.append(offset)
    return missing
