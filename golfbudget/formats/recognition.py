"""Every format of ours: what a file of it looks like.  What reads it is imported only when one is opened.

In the order in which formats are tried: torch's old layout begins with a pickle and comes before plain pickles,
programs in zip files and torch's archives come before other zips, and `opaque` is last.
"""

from __future__ import annotations

import codecs
from typing import ClassVar

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.errors import CorruptError
from golfbudget.formats import base
from golfbudget.formats.base import Contents, Region, register
from golfbudget.ledger import Account, Span

#: Bytes at the end of a file that hold a zip file's end record and the longest comment.
_ZIP_TAIL = (1 << 16) + 22


def _unexpected(data: Buffer, where: str, expected: str) -> CorruptError:
    return CorruptError(f"{where}: expected {expected}, found {bytes(data[:4])!r} at byte 0")


class _Signed:
    """A format whose files begin with its signature."""

    signature: ClassVar[bytes]
    suffixes: tuple[str, ...] = ()

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if self.begins(bytes(data[: len(self.signature)])) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.signature)


@register
class Safetensors:
    """Every byte belongs to the length field, a record, the header's punctuation and padding, or a tensor."""

    name = "safetensors"
    suffixes = (".safetensors",)

    def sniff(self, data: Buffer) -> Sniff:
        length = base.SAFETENSORS_LENGTH
        whole = 2 <= int.from_bytes(data[:length], "little") <= len(data) - length
        return Sniff.SURE if whole and self.begins(bytes(data[: length + 1])) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        length = base.SAFETENSORS_LENGTH
        header = int.from_bytes(head[:length], "little")
        return head[length : length + 1] == b"{" and header <= base.SAFETENSORS_HEADER_LIMIT

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.safetensors import read_safetensors

        return read_safetensors(data, where=where)


@register
class PythonZip:
    """A zip file that Python runs: each member a stream of its own, and what stands before the first."""

    name = "python-zip"
    suffixes = (".pyz", ".pyzw")

    def sniff(self, data: Buffer) -> Sniff:
        if base.EMPTY_ZIP not in bytes(data[-_ZIP_TAIL:]):
            return Sniff.NO
        from golfbudget.formats.python.archive import runs

        return Sniff.SURE if runs(data) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return head.startswith(base.ZIP)

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.python.archive import read_program

        return read_program(data, where=where)


@register
class TorchZip(_Signed):
    """One pickle, one member per storage, a few small members that say how to read them."""

    name = "torch-zip"
    suffixes = (".pt", ".pth", ".pt2")
    signature = base.ZIP

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        """A zip archive of arrays is read as such, and so is a pickle: their files share suffix or signature."""
        if bytes(data[:2]) in base.PICKLES:
            legacy = TorchLegacy()
            known = legacy if legacy.sniff(data) is Sniff.SURE else BarePickle()
            return known.read(data, where=where)
        if bytes(data[:4]) != base.ZIP:
            raise _unexpected(data, where, "a zip archive or a pickle as torch.save writes them")
        from golfbudget.formats.numpy_files import read_arrays
        from golfbudget.formats.torch_export import read_export
        from golfbudget.formats.torch_files import read_archive

        readers = (read_archive, read_export, read_arrays)
        return next((read for reader in readers if (read := reader(data, where=where)) is not None), None)


@register
class Npz(_Signed):
    """Arrays by the names of their members, without the suffix."""

    name = "npz"
    suffixes = (".npz",)
    signature = base.ZIP

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        if bytes(data[:4]) not in (base.ZIP, base.EMPTY_ZIP):
            raise _unexpected(data, where, "a zip archive as numpy.savez writes it")
        from golfbudget.formats.numpy_files import read_arrays

        return read_arrays(data, where=where)


@register
class Npy(_Signed):
    """Header and padding are the array's container; bytes after its elements are unmapped."""

    name = "npy"
    suffixes = (".npy",)
    signature = base.NPY

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.numpy_files import read_array

        return read_array(data, "[array]", where=where)


#: LONG1 and the magic's ten bytes; from protocol 4 on, a frame of 13 or 14 bytes (with a memo) comes before it.
_LONG = b"\x8a\x0a" + base.TORCH_LEGACY.to_bytes(10, "little")
_LEGACY_STARTS = tuple(start + _LONG for start in base.PICKLES) + tuple(
    bytes((0x80, protocol, 0x95, length)) + bytes(7) + _LONG for protocol in (4, 5) for length in (13, 14)
)


@register
class TorchLegacy:
    """torch.save's layout before 1.6, which torch still writes on request (`_use_new_zipfile_serialization=False`).

    Pickle bytes belong to the items they describe; a storage and its count to the tensors on it.
    """

    name = "torch-legacy"
    #: `.pt` and `.pth` are claimed by the zip layout, which hands pickles over; others are known by the magic alone.
    suffixes: tuple[str, ...] = ()

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.SURE if bytes(data[:32]).startswith(_LEGACY_STARTS) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        return len(head) >= 14 and any(head.startswith(start[: len(head)]) for start in _LEGACY_STARTS)

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        if self.sniff(data) is not Sniff.SURE:
            raise _unexpected(data, where, "a pickle of torch's magic number")
        from golfbudget.formats.torch_files import read_pickles

        return read_pickles(data, where=where)


_FRAME = 0x95
#: No frame is longer; Python starts a new one after 64 KiB.
_LONGEST_FRAME = 1 << 40
#: Opcodes after which more must follow, and those that follow an empty container in what picklers write.
_OPENERS, _FOLLOWERS = b"}])", b"qr(.\x94\x85\x86\x87Xa]}MKJNscGtu\x8c\x88\x89"


@register
class BarePickle:
    """One pickle; whatever follows it is unmapped."""

    name = "pickle"
    suffixes = (".pkl", ".pickle")

    def sniff(self, data: Buffer) -> Sniff:
        head = bytes(data[:128])
        if self.begins(head):
            return Sniff.SURE
        return Sniff.MAYBE if len(head) > 2 and head.startswith(base.PICKLES) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        """A protocol, and opcodes with which a pickle of data starts: a frame, an empty container, or a name."""
        if len(head) < 4 or not head.startswith(base.PICKLES):
            return False
        if head[2] == _FRAME:
            return head[1] >= 4 and len(head) > 11 and int.from_bytes(head[3:11], "little") < _LONGEST_FRAME
        if head[2] in _OPENERS:
            return head[3] in _FOLLOWERS
        module = head[3:].split(b"\n")[0].decode("latin-1")  # Perhaps only the beginning of one.
        return head[2:3] == b"c" and all(part.isidentifier() for part in module.removesuffix(".").split("."))

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.pickle.tensors import read_bare

        return read_bare(data, where=where)


@register
class Gguf(_Signed):
    """Every byte belongs to the header's fixed part, a key-value, a tensor record, padding, or a tensor."""

    name = "gguf"
    suffixes = (".gguf",)
    signature = base.GGUF

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.gguf import read_gguf

        return read_gguf(data, where=where)


@register
class Pgrp(_Signed):
    """Weights in groups of tensors of one kind, each group its own compressed stream, a leaf of its own."""

    name = "pgrp"
    signature = base.PGRP

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.pgrp import read_groups

        return read_groups(data, where=where)


@register
class GolfbudgetPack(_Signed):
    """What `golfbudget repack` writes: a directory of streams, the first of which begins with the header."""

    name = "golfbudget-pack"
    suffixes = (".gbpk",)
    signature = base.PACK

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.pack import read_pack

        return read_pack(data, where=where)


_SOURCE_HEAD = 4096


@register
class PythonSource:
    """Text before, between and after the payload literals, and each literal with its quotes."""

    name = "python-source"
    suffixes = (".py",)

    def sniff(self, data: Buffer) -> Sniff:
        """Sure of a program that unpacks and executes itself; other source has nothing to tell it from text."""
        if not 0 < len(data) <= base.LONGEST_SOURCE or not _is_text(bytes(data[:_SOURCE_HEAD])):
            return Sniff.NO
        raw = bytes(data)
        if b"exec" not in raw or b"decompress" not in raw:
            return Sniff.NO
        from golfbudget.formats.python.reader import unpacks_itself

        return Sniff.SURE if unpacks_itself(raw) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        # Any text could begin a program; these begin nothing else.
        return head.startswith((b"import ", b"from __future__ ", b"#!/usr/bin/env py"))

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.python.reader import read_source

        return read_source(data, where=where)


def _is_text(head: bytes) -> bool:
    """Whether a file's first bytes are in their encoding, without the null that no source may hold."""
    encoding = "utf-8"
    if b"coding" in head[:_SOURCE_HEAD]:
        from golfbudget.formats.python.text import declared

        encoding = declared(head)
    try:
        return "\0" not in codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False


@register
class Opaque:
    """The format of last resort: it accepts anything, explains nothing, and says so (all bytes `unmapped`)."""

    name = "opaque"
    suffixes: tuple[str, ...] = ()

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.MAYBE

    def begins(self, head: bytes) -> bool:
        return False

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        return self.whole(len(data))

    def whole(self, size: int) -> Contents:
        """A file of so many bytes, none of them read."""
        region = Region(span=Span(0, size), account=Account.UNMAPPED, label="[opaque]")
        return Contents(format=self.name, regions=(region,))
