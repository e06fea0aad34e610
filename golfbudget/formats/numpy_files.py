"""Inside numpy's files.  .npy: a magic, a version, a header that is a Python dict literal, and the array's bytes.

Specification: numpy's `numpy.lib.format` documentation (NEP 1), versions 1.0, 2.0 and 3.0.  .npz is a zip archive of
.npy members, each a stream of its own: a bundle.  The zip records around an array's stream are charged to it; members
of other kinds are unmapped.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from functools import partial

from golfbudget.codecs.base import Buffer
from golfbudget.errors import AS_OPAQUE, CorruptError, UnsupportedError
from golfbudget.formats import zip_directory as zips
from golfbudget.formats.base import BYTE_ORDER, NPY, Contents, Region, StoredTensor, unique, unmapped
from golfbudget.formats.pickle.arrays import Dtype, dtype_of, strides_of
from golfbudget.formats.pickle.symbols import MOST_DIMENSIONS, MOST_ELEMENTS
from golfbudget.ledger import Account, Span

#: Version to (bytes of the header's length, encoding of the header).
_VERSIONS = {(1, 0): (2, "latin-1"), (2, 0): (4, "latin-1"), (3, 0): (4, "utf-8")}
#: numpy itself evaluates no header above 10,000 characters unless it is told to.
_LONGEST_HEADER = 1 << 16


def read_array(data: Buffer, name: str, *, where: str) -> Contents:
    """Explain an .npy file whose array is called `name`.

    `CorruptError` where the header is not sound or the bytes end too soon, `UnsupportedError` for one that is not read.
    """
    text, start = _header(data, name, where)
    described = _described(text, name, where)
    if isinstance(described, str):
        return _unread(described, name, Span(start, len(data)))
    dtype, shape, fortran = described
    stop = start + math.prod(shape) * dtype.width
    if stop > len(data):
        raise CorruptError(
            f"{where}: array {name!r} {list(shape)} {dtype.name} needs {stop - start} bytes from byte {start} on, the "
            f"file ends at byte {len(data)}; it is truncated"
        )
    regions = [
        Region(span=Span(0, start), account=Account.CONTAINER, name=name, label="[npy header]"),
        Region(span=Span(start, stop), account=Account.WEIGHTS, name=name, tensor=True),
    ]
    regions += unmapped(stop, len(data), "[after the array]")
    strides = strides_of(shape, fortran=fortran)
    tensor = StoredTensor(name=name, dtype=dtype.name, shape=shape, strides=strides, offset=start)
    values: dict[str, object] = {BYTE_ORDER: "big"} if dtype.big else {}
    return Contents(format="npy", regions=tuple(regions), tensors=(tensor,), values=values)


def _unread(what: str, name: str, content: Span) -> Contents:
    """An array whose elements are no plain numbers: its bytes are its own, and that is all that is said of them."""
    regions = (
        Region(span=Span(0, content.start), account=Account.CONTAINER, name=name, label="[npy header]"),
        Region(span=content, account=Account.UNMAPPED, name=name, label="[array of no plain numbers]"),
    )
    note = f"array {name[:80]!r} has {what}, which holds no plain numbers that are read: its bytes are not typed"
    return Contents(format="npy", regions=regions, notes=(note,))


def _read_named(name: str, data: Buffer, where: str) -> Contents:
    return read_array(data, name, where=where)


def _header(data: Buffer, name: str, where: str) -> tuple[str, int]:
    """The header's text, and where the elements start."""
    if bytes(data[:6]) != NPY:
        raise CorruptError(f"{where}: array {name!r} should start with {NPY!r}, found {bytes(data[:6])!r} at byte 0")
    version = tuple(bytes(data[6:8]))
    if len(version) < 2:
        raise CorruptError(f"{where}: array {name!r} ends at byte {len(data)}, before its version; it is truncated")
    known = _VERSIONS.get((version[0], version[1]))
    if known is None:
        raise UnsupportedError(f"{where}: array {name!r} has .npy version {version[0]}.{version[1]}, known: 1.0 to 3.0")
    width, encoding = known
    start, place = 8 + width, f"{where}: the header of array {name!r}"
    length = int.from_bytes(data[8:start], "little")
    if start + length > len(data):
        raise CorruptError(
            f"{place} at byte {start} says {length} bytes, the file ends at byte {len(data)}; it is truncated"
        )
    if length > _LONGEST_HEADER:
        raise UnsupportedError(f"{place} has {length} bytes, at most {_LONGEST_HEADER} are read")
    try:
        return bytes(data[start : start + length]).decode(encoding), start + length
    except UnicodeDecodeError as error:
        raise CorruptError(f"{place} at byte {start} is no text: {error}") from None


def _described(text: str, name: str, where: str) -> tuple[Dtype, tuple[int, ...], bool] | str:
    """(dtype, shape, Fortran order) of a header, or what its elements are where they are no plain numbers.

    Numbers of Python 2 may end in L.
    """
    place = f"{where}: the header of array {name!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Odd escapes in a literal are the file's affair, not the user's.
            header = ast.literal_eval(re.sub(r"(?<=\d)L(?=[,)])", "", text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise CorruptError(f"{place} is no Python literal: {str(error)[:120]}") from None
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise CorruptError(f"{place} must be a dict of descr, fortran_order and shape")
    code, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    sizes = isinstance(shape, tuple) and len(shape) <= MOST_DIMENSIONS
    if not sizes or not all(type(n) is int and 0 <= n < MOST_ELEMENTS for n in shape) or not isinstance(fortran, bool):
        raise CorruptError(f"{place} must give a shape of at most {MOST_DIMENSIONS} whole numbers and an order")
    if math.prod(shape) >= MOST_ELEMENTS:
        raise CorruptError(f"{place} claims more than {MOST_ELEMENTS - 1} elements")
    dtype = dtype_of(code) if isinstance(code, str) else None
    if dtype is None:
        return "a structured dtype" if isinstance(code, (list, tuple)) else f"dtype {str(code)[:40]!r}"
    return dtype, shape, fortran


_SUFFIX = ".npy"


def read_arrays(data: Buffer, *, where: str) -> Contents | None:
    """Explain a zip archive of arrays; None when it holds none, or is torch's.

    `UnsupportedError` for an array that is compressed in an unknown way; other errors as of `read_directory`.
    """
    directory = zips.read_directory(data, where)
    names = [member.name for member in directory.members]
    arrays = not names or any(name.endswith(_SUFFIX) for name in names)
    if not arrays or any(name.endswith("/data.pkl") for name in names):
        return None
    regions = [Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]")]
    taken: dict[str, int] = {}
    for member in directory.members:
        if not member.name.endswith(_SUFFIX):
            label = f"[{member.name}]"
            regions += zips.member_overhead(member, None, label)
            regions.append(Region(span=member.data, account=Account.UNMAPPED, label=label))
            continue
        name = unique(member.name.removesuffix(_SUFFIX), taken)
        if member.method not in zips.METHOD_CODECS:
            known = ", ".join(f"{number} ({codec})" for number, codec in zips.METHOD_CODECS.items())
            raise UnsupportedError(
                f"{where}: zip member {member.name!r} at byte {member.data.start} is compressed by method "
                f"{member.method}, known: {known}; {AS_OPAQUE}"
            )
        regions += zips.member_overhead(member, name, "")
        inner = zips.member_stream(member, partial(_read_named, name), name)
        regions.append(Region(span=member.data, account=Account.WEIGHTS, name=name, inner=inner))
    return Contents(format="npz", regions=tuple(zips.with_gaps(regions, len(data))))
