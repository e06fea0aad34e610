"""Inside a zip file that Python runs by its `__main__.py`, whatever stands before it: a #! line, a stub, nothing.

Python finds such a file by the records at its end, and so does this reader; their offsets count from the file's start
or from the archive's.  Members are streams of their own: programs, and whatever else travels with them.
"""

from __future__ import annotations

from golfbudget.codecs.base import Buffer
from golfbudget.errors import AS_OPAQUE, CorruptError, GolfbudgetError, LimitError, UnsupportedError
from golfbudget.formats import zip_directory as zips
from golfbudget.formats.base import Contents, Inner, Region
from golfbudget.formats.python.reader import read_source
from golfbudget.ledger import Account, Span

NAME = "python-zip"
MAIN = "__main__.py"
_SOURCES = (".py", ".pyw")


def runs(data: Buffer) -> bool:
    """Whether Python would run the file as a zip file."""
    try:
        start, size, shift = zips.directory_place(data, "")
    except GolfbudgetError:
        return False
    return start + shift >= 0 and MAIN.encode() in bytes(data[start + shift : start + shift + size])


def read_program(data: Buffer, *, where: str) -> Contents | None:
    """Explain such a file; None where it has no `__main__.py`.  Raises `CorruptError`, `UnsupportedError`."""
    _, _, shift = zips.directory_place(data, where)
    if shift < 0:
        raise CorruptError(f"{where}: its zip directory would start {-shift} bytes further on; the file is truncated")
    directory = zips.read_directory(memoryview(data)[shift:], where)
    if all(member.name != MAIN for member in directory.members):
        return None
    starts = [shift + member.header.start for member in directory.members]
    before = min(starts, default=shift)
    regions = [Region(span=_moved(directory.end, shift), account=Account.CONTAINER, label="[zip end record]")]
    if before:
        regions.append(Region(span=Span(0, before), account=Account.SOURCE, label="[before the zip file]"))
    for member in directory.members:
        label = f"[{member.name}]"
        overhead = zips.member_overhead(member, None, label)
        regions += [_shifted(region, shift) for region in overhead]
        inner = _stream(member, memoryview(data)[shift:], where)
        regions.append(Region(span=_moved(member.data, shift), account=Account.SOURCE, label=label, inner=inner))
    return Contents(format=NAME, regions=tuple(zips.with_gaps(regions, len(data))))


def _stream(member: zips.ZipMember, archive: Buffer, where: str) -> Inner:
    if member.method not in zips.METHOD_CODECS:
        raise UnsupportedError(
            f"{where}: zip member {member.name!r} at byte {member.data.start} is compressed by method {member.method}; "
            f"{AS_OPAQUE}"
        )
    if member.name.endswith(_SOURCES):
        return zips.member_stream(member, lambda data, place: read_source(data, where=place))
    if member.method == zips.STORED:
        zips.check_member(archive[member.data.start : member.data.stop], member, where)
    return Inner(name=member.name, codec=zips.METHOD_CODECS[member.method])


def main_source(data: Buffer, *, where: str, limit: int) -> bytes:
    """What Python executes first of such a file; at most `limit` bytes, else `LimitError`.

    `CorruptError` where there is none.
    """
    _, _, shift = zips.directory_place(data, where)
    archive = memoryview(data)[max(0, shift) :]
    for member in zips.read_directory(archive, where).members:
        if member.name == MAIN:
            if member.decoded_length > limit:
                raise LimitError(f"{where}: {MAIN} has {member.decoded_length} bytes, at most {limit} are read")
            return bytes(zips.member_bytes(archive, member, where))
    raise CorruptError(f"{where}: no zip file with {MAIN}")


def _shifted(region: Region, shift: int) -> Region:
    return Region(span=_moved(region.span, shift), account=region.account, name=region.name, label=region.label)


def _moved(span: Span, shift: int) -> Span:
    return Span(span.start + shift, span.stop + shift)
