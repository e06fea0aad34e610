"""The zip grammar as far as byte accounting needs it: where every header, member and directory record lies.

The central directory is the truth (local headers of streamed members hold no sizes).  Specification: PKWARE
APPNOTE 6.3.10, sections 4.3 to 4.5.  Nothing is decompressed here but a small member that is asked for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, replace

from golfbudget.codecs.base import Buffer
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError, UnsupportedError
from golfbudget.formats.base import Contents, Inner, Region, unmapped
from golfbudget.ledger import Account, Span

LOCAL, CENTRAL, DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"

_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
_CENTRAL_FIELDS = struct.Struct("<4s6H3L5H2L")
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64_FIELDS = struct.Struct("<4sLQL")

_ENCRYPTED, _STREAMED = 0x1, 0x8
_ZIP64_EXTRA = 0x0001
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
STORED, DEFLATED, BZIP2 = 0, 8, 12
#: Codecs whose streams are exactly what a zip member of the method holds; method 14 puts a header before LZMA.
METHOD_CODECS = {STORED: "none", DEFLATED: "deflate", BZIP2: "bz2"}
#: A member that is decoded here at once; a pickle of a model's names is kilobytes, of packed weights megabytes.
_MEMBER_LIMIT = 1 << 28
#: Far above any model's number of tensors; each member takes about a kilobyte of memory.
_MOST_MEMBERS = 1 << 17


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One member: its local header (with alignment padding), its data as stored, an optional data descriptor."""

    name: str
    method: int
    crc: int
    decoded_length: int
    _: KW_ONLY
    header: Span
    data: Span
    descriptor: Span
    record: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipDirectory:
    """Members in file order and the spans of the records that end the file."""

    members: tuple[ZipMember, ...]
    end: Span


def read_directory(data: Buffer, where: str) -> ZipDirectory:
    """Parse the whole directory; `CorruptError` when any offset, size or name contradicts another."""
    end_at = _find_end(data, where)
    locator = _locator(data, end_at)
    entries, size, start = _end_record(data, end_at, locator, where)
    tail = end_at if locator is None else locator
    if start + size != tail:
        raise CorruptError(
            f"{where}: the zip directory is said to be [{start}, {start + size}), but the record after it starts at "
            f"byte {tail}"
        )
    members = sorted(_members(data, start, tail, where), key=lambda member: member.header)
    if len(members) != entries:
        raise CorruptError(f"{where}: the zip directory has {len(members)} records, its end record says {entries}")
    stops = [member.header.start for member in members[1:]] + [start] * bool(members)
    checked = []
    for member, stop in zip(members, stops, strict=True):
        if member.data.stop > stop:
            raise CorruptError(
                f"{where}: zip member {member.name!r} ends at byte {member.data.stop} and runs into what starts at "
                f"{stop}"
            )
        checked.append(_with_descriptor(data, member, stop))
    return ZipDirectory(members=tuple(checked), end=Span(tail, len(data)))


def directory_place(data: Buffer, where: str) -> tuple[int, int, int]:
    """(offset as said, length, shift) of the directory: it lies `shift` bytes later where something stands before.

    Raises `CorruptError` where the file ends with no such record.
    """
    end_at = _find_end(data, where)
    locator = _locator(data, end_at)
    _, size, start = _end_record(data, end_at, locator, where)
    return start, size, (end_at if locator is None else locator) - size - start


def _find_end(data: Buffer, where: str) -> int:
    """The end record's offset: the last signature whose comment reaches exactly to the end of the file."""
    window = max(0, len(data) - _END_FIELDS.size - _FULL16)
    tail = bytes(data[window:])
    at = tail.rfind(END)
    while at >= 0:
        if at + _END_FIELDS.size <= len(tail):
            comment = _END_FIELDS.unpack_from(tail, at)[-1]
            if at + _END_FIELDS.size + comment == len(tail):
                return window + at
        at = tail.rfind(END, 0, at)
    raise CorruptError(
        f"{where}: it starts like a zip archive but no end-of-directory record is found before byte {len(data)}; the "
        "file is truncated"
    )


def _end_record(data: Buffer, at: int, locator: int | None, where: str) -> tuple[int, int, int]:
    """(number of entries, directory length, directory offset), from the zip64 record where there is one."""
    _, disk, _, _, entries, size, start, _ = _END_FIELDS.unpack_from(data, at)
    if locator is not None:
        if locator + _END64_FIELDS.size > at or bytes(data[locator : locator + 4]) != END64:
            raise CorruptError(f"{where}: the zip64 locator points to byte {locator}, where no zip64 record stands")
        *_, entries, size, start = _END64_FIELDS.unpack_from(data, locator)
    elif _FULL16 in (disk, entries) or _FULL32 in (size, start):
        raise CorruptError(f"{where}: the zip end record at byte {at} needs a zip64 record, and there is none")
    return entries, size, start


def _locator(data: Buffer, end_at: int) -> int | None:
    at = end_at - _LOCATOR64_FIELDS.size
    located = at >= 0 and bytes(data[at : at + 4]) == LOCATOR64
    return int(_LOCATOR64_FIELDS.unpack_from(data, at)[2]) if located else None


def _members(data: Buffer, start: int, stop: int, where: str) -> Iterator[ZipMember]:
    at, count = start, 0
    while at < stop:
        count += 1
        if count > _MOST_MEMBERS:
            raise LimitError(
                f"{where}: the zip directory has more than {_MOST_MEMBERS} records by byte {at}; {AS_OPAQUE}"
            )
        if at + _CENTRAL_FIELDS.size > stop or bytes(data[at : at + 4]) != CENTRAL:
            raise CorruptError(f"{where}: expected a zip directory record at byte {at}")
        fields = _CENTRAL_FIELDS.unpack_from(data, at)
        flags, method, crc = fields[3], fields[4], fields[7]
        stored, decoded, name_length, extra_length, comment_length = fields[8:13]
        offset = fields[16]
        name_at = at + _CENTRAL_FIELDS.size
        record_stop = name_at + name_length + extra_length + comment_length
        if record_stop > stop:
            raise CorruptError(f"{where}: the zip directory record at byte {at} runs past the directory")
        raw_name = bytes(data[name_at : name_at + name_length])
        extra = bytes(data[name_at + name_length : name_at + name_length + extra_length])
        decoded, stored, offset = _zip64(extra, (decoded, stored, offset), where, at)
        name = raw_name.decode("utf-8", errors="backslashreplace")
        if flags & _ENCRYPTED:
            raise UnsupportedError(f"{where}: zip member {name!r} is encrypted")
        if method == STORED and stored != decoded:
            raise CorruptError(
                f"{where}: zip member {name!r} is stored as it is, but its directory record at byte {at} says {stored} "
                f"bytes stored and {decoded} decoded"
            )
        header = _local_header(data, offset, raw_name, (stored, flags), start, where)
        span, none = Span(header.stop, header.stop + stored), Span(header.stop + stored, header.stop + stored)
        record = Span(at, record_stop)
        yield ZipMember(name, method, crc, decoded, header=header, data=span, descriptor=none, record=record)
        at = record_stop


def _zip64(extra: bytes, values: tuple[int, int, int], where: str, at: int) -> tuple[int, int, int]:
    """Replace the fields that are all ones by the zip64 extra field's, in their fixed order."""
    if _FULL32 not in values:
        return values
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        if kind == _ZIP64_EXTRA:
            numbers = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            sizes = [next(numbers, -1) if value == _FULL32 else value for value in values]
            if -1 not in sizes:
                return sizes[0], sizes[1], sizes[2]
        position += 4 + length
    raise CorruptError(f"{where}: the zip directory record at byte {at} needs zip64 sizes, and has none")


def _local_header(data: Buffer, at: int, name: bytes, central: tuple[int, int], limit: int, where: str) -> Span:
    """The member's local header and padding; its name and, unless streamed, its size must match the directory."""
    stored, flags = central
    shown = name.decode("utf-8", errors="backslashreplace")
    if at + _LOCAL_FIELDS.size > limit or bytes(data[at : at + 4]) != LOCAL:
        raise CorruptError(f"{where}: zip member {shown!r} should start at byte {at}, where no local header stands")
    fields = _LOCAL_FIELDS.unpack_from(data, at)
    local_stored, name_length, extra_length = fields[7], fields[9], fields[10]
    name_at, place = at + _LOCAL_FIELDS.size, f"{where}: zip member {shown!r}"
    stop = name_at + name_length + extra_length
    if stop + stored > limit:
        raise CorruptError(
            f"{place} at byte {at} claims {stored} bytes, more than the {max(0, limit - stop)} before the directory"
        )
    if bytes(data[name_at : name_at + name_length]) != name:
        raise CorruptError(f"{where}: the local header at byte {at} names another member than {shown!r}")
    if local_stored not in (stored, _FULL32) and not (flags & _STREAMED and local_stored == 0):
        raise CorruptError(f"{place} has {stored} bytes by the directory and {local_stored} by its header at byte {at}")
    return Span(at, stop)


def _with_descriptor(data: Buffer, member: ZipMember, stop: int) -> ZipMember:
    """Attach the data descriptor (16 bytes, 24 with zip64 sizes) if one stands between the data and `stop`."""
    at = member.data.stop
    gap = stop - at
    length = 24 if gap >= 24 else 16
    if gap < length or bytes(data[at : at + 4]) != DESCRIPTOR:
        return member
    if gap > length or length == 24:
        narrow = bytes(data[at + 8 : at + 16])
        length = 16 if narrow == struct.pack("<LL", len(member.data), member.decoded_length) else length
    return replace(member, descriptor=Span(at, at + length))


def member_bytes(data: Buffer, member: ZipMember, where: str) -> Buffer:
    """A whole member, stored (then nothing is copied) or deflated, checked against its directory record.

    Raises `CorruptError` for bytes that contradict the record, `LimitError` for a member that is too long to be
    inflated at once, `UnsupportedError` for another method.
    """
    place = f"{where}: {member.name!r} at byte {member.data.start}"
    if member.decoded_length > _MEMBER_LIMIT and member.method != STORED:
        raise LimitError(
            f"{place} claims {member.decoded_length} bytes, at most {_MEMBER_LIMIT} are decoded at once ({AS_OPAQUE})"
        )
    raw: Buffer = memoryview(data)[member.data.start : member.data.stop]
    if member.method == DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = inflate.decompress(raw, member.decoded_length + 1)
        except zlib.error as error:
            raise CorruptError(f"{place} does not inflate: {error}") from None
    elif member.method != STORED:
        raise UnsupportedError(f"{where}: zip member {member.name!r} is compressed by method {member.method}")
    check_member(raw, member, where)
    return raw


def check_member(decoded: Buffer, member: ZipMember, where: str) -> None:
    """`CorruptError` unless a member's decoded bytes have the length and checksum of its directory record.

    A checksum of 0 says that none was computed, as torch writes it when told to save the time.
    """
    place, expected = f"{where}: {member.name!r} at byte {member.data.start}", member.decoded_length
    if len(decoded) != expected:
        raise CorruptError(f"{place} holds {len(decoded)} bytes, its directory record says {expected}")
    if member.crc and zlib.crc32(decoded) != member.crc:
        raise CorruptError(f"{place} does not match its checksum")


def member_stream(member: ZipMember, explain: Callable[[Buffer, str], Contents], name: str | None = None) -> Inner:
    """A member as a stream of its own; what it decodes to is checked before `explain` is asked about it."""

    def read(data: Buffer, where: str) -> Contents:
        check_member(data, member, where)
        return explain(data, where)

    return Inner(name=name or member.name, codec=METHOD_CODECS[member.method], read=read)


def member_overhead(member: ZipMember, name: str | None, label: str) -> list[Region]:
    """Local header with padding, directory record and descriptor, all for `name`."""
    spans = [member.header, member.record, member.descriptor]
    return [Region(span=s, account=Account.CONTAINER, name=name, label=label) for s in spans if len(s)]


def with_gaps(regions: list[Region], length: int) -> Iterator[Region]:
    """The regions in file order; bytes that no zip record explains become unmapped, never dropped."""
    cursor = 0
    for region in sorted(regions, key=lambda r: r.span):
        yield from unmapped(cursor, region.span.start, "[zip gap]")
        yield region
        cursor = max(cursor, region.span.stop)
    yield from unmapped(cursor, length, "[zip gap]")
