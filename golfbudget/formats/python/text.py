"""The text of a source file by the encoding that it declares, as UTF-8, and where its bytes lie in the file.

Specification: PEP 263.  Read are UTF-8 and encodings of one byte per character.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from golfbudget.formats.python.spellings import encoding

BOM = codecs.BOM_UTF8
#: A declaration in the first line, or in the second if the first is a comment or empty.
_COOKIE = re.compile(
    rb"\A(?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))??[ \t\f]*#[^\r\n]*?(?P<word>coding)[:=][ \t]*(?P<name>[-\w.]+)"
)
_UTF8, _ASCII = "utf-8", "ascii"


@dataclass(frozen=True, slots=True)
class DeclaredText:
    """`data` is the text in UTF-8, without byte order mark, its declaration made a comment like any other.

    `skipped` bytes stand before it in the file, where each character takes a single byte if `narrow`.
    """

    data: bytes
    skipped: int = 0
    narrow: bool = False

    def place(self, at: int) -> int:
        """The byte in the file where byte `at` of the text in UTF-8 lies."""
        return self.skipped + (len(self.data[:at].decode()) if self.narrow else at)


def declared(head: bytes) -> str:
    """The encoding of source with such first lines; UTF-8 where it names none that is read."""
    found = _COOKIE.match(head)
    name = None if found is None else encoding(found["name"].decode("ascii", "replace"))
    return _UTF8 if name in (None, _ASCII) or head.startswith(BOM) else str(name)


def source_text(raw: bytes) -> DeclaredText:
    """The text of a file; `UnicodeDecodeError` where it is not in its encoding."""
    name = declared(raw)
    skipped = len(BOM) if raw.startswith(BOM) else 0
    data = raw[skipped:] if name == _UTF8 else raw.decode(name).encode()
    if name == _UTF8:
        data.decode()
    found = _COOKIE.match(data)
    if found is not None:
        data = b"".join((data[: found.start("word")], b"x" * len(found["word"]), data[found.end("word") :]))
    return DeclaredText(data, skipped, narrow=name != _UTF8)
