"""Python source, recognised here and read by `python_reader`, which other files need not import."""

from __future__ import annotations

import codecs

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.formats.base import Contents, register

#: Longer source is not parsed.
LONGEST = 64_000_000
_HEAD = 4096


@register
class PythonSource:
    """Text before, between and after the payload literals, and each literal with its quotes."""

    name = "python-source"
    suffixes = (".py",)

    def sniff(self, data: Buffer) -> Sniff:
        """Sure of a program that unpacks and executes itself; other source has nothing to tell it from text."""
        if not 0 < len(data) <= LONGEST or not _is_text(bytes(data[:_HEAD])):
            return Sniff.NO
        raw = bytes(data)
        if b"exec" not in raw or b"decompress" not in raw:
            return Sniff.NO
        from golfbudget.formats.python_reader import unpacks_itself

        return Sniff.SURE if unpacks_itself(raw) else Sniff.NO

    def begins(self, head: bytes) -> bool:
        # Any text could begin a program; these begin nothing else.
        return head.startswith((b"import ", b"from __future__ ", b"#!/usr/bin/env py"))

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        from golfbudget.formats.python_reader import read_source

        return read_source(data, where=where)


def _is_text(head: bytes) -> bool:
    """Whether a file's first bytes are UTF-8 without the null that no source may hold."""
    try:
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
