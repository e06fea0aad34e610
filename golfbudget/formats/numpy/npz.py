"""Inside numpy's .npz: a zip archive of .npy members, each a stream of its own.

A bundle: what an array's stream decodes to is read as .npy, and the zip records around it are charged to it.
Members of other kinds are unmapped.
"""

from __future__ import annotations

from collections.abc import Callable

from golfbudget.codecs.base import Buffer
from golfbudget.errors import UnsupportedError
from golfbudget.formats.base import Contents, Inner, Region
from golfbudget.formats.naming import unique
from golfbudget.formats.numpy.npy import read_array
from golfbudget.formats.zip_directory import (
    METHOD_CODECS,
    ZipMember,
    check_member,
    member_overhead,
    read_directory,
    with_gaps,
)
from golfbudget.ledger import Account

_SUFFIX = ".npy"


def _reader(member: ZipMember, name: str) -> Callable[[Buffer, str], Contents]:
    def read(data: Buffer, where: str) -> Contents:
        check_member(data, member, where)
        return read_array(data, name, where=where)

    return read


def read_arrays(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive of arrays; None when it holds none, or is torch's."""
    directory = read_directory(data, where)
    names = [member.name for member in directory.members]
    if names and not any(name.endswith(_SUFFIX) for name in names):
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return None
    regions = [Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]")]
    taken: dict[str, int] = {}
    for member in directory.members:
        if not member.name.endswith(_SUFFIX):
            label = f"[{member.name}]"
            regions += member_overhead(member, None, label)
            regions.append(Region(span=member.data, account=Account.UNMAPPED, label=label))
            continue
        name = unique(member.name.removesuffix(_SUFFIX), taken)
        codec = METHOD_CODECS.get(member.method)
        if codec is None:
            raise UnsupportedError(
                f"{where}: zip member {member.name!r} at byte {member.data.start} is compressed by method "
                f"{member.method}, known: {', '.join(f'{n} ({m})' for n, m in METHOD_CODECS.items())}; --as opaque "
                "counts the file as a whole"
            )
        regions += member_overhead(member, name, "")
        inner = Inner(name=name, codec=codec, read=_reader(member, name))
        regions.append(Region(span=member.data, account=Account.WEIGHTS, name=name, inner=inner))
    return Contents(format="npz", regions=tuple(with_gaps(regions, len(data))))
