"""The program to pack: its bytes, its text by its own encoding, and its syntax tree where this Python has one."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

from golfbudget.code_packing.trees import UNPARSED, parse
from golfbudget.errors import UsageError

#: Longer source is refused: the limit of what reading the pack back takes lies beyond it.
LONGEST = 16_000_000
#: An encoding declaration, by PEP 263 a comment in one of the first two lines.
_COOKIE = re.compile(r"\A((?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))?[ \t\f]*)#[^\r\n]*?coding[:=][ \t]*[-\w.]+[^\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSource:
    """A program.  `data` is what is packed when nothing is minified: the file itself wherever it is UTF-8.

    `tree` is None where this Python cannot parse the text, and `refusal` then says why.
    """

    name: str
    original_bytes: int
    data: bytes
    text: str
    tree: ast.Module | None
    refusal: str | None = None
    notes: tuple[str, ...] = ()


def load(path: Path) -> bytes:
    """The bytes of a source file.  `UsageError` where there is none, or a longer one than is packed."""
    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
        size = path.stat().st_size
        if size > LONGEST:
            raise UsageError(f"{path}: {size} bytes; source of up to {LONGEST} bytes is packed")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def read_source(data: bytes, *, name: str) -> ProgramSource:
    """Decode and parse a program.

    `UsageError` for what no Python takes: nothing at all, bytes that are not text, nulls.  Text that this Python
    cannot parse may be fine for a newer one: it has no tree.
    """
    if not data:
        raise UsageError(f"{name}: the file is empty, expected Python source")
    if len(data) > LONGEST:
        raise UsageError(f"{name}: {len(data)} bytes; source of up to {LONGEST} bytes is packed")
    if (null := data.find(b"\0")) >= 0:
        raise UsageError(f"{name}: byte {null} is null, expected Python source, which is text")
    encoding, text = _decoded(data, name)
    kept, notes = data, []
    if not _is_utf8(data, text):
        kept = _COOKIE.sub(r"\1#", text, count=1).encode()
        notes.append(f"the source is in {encoding}; what is packed is the same text in UTF-8")
    tree, refusal = None, None
    try:
        tree = parse(text)
    except UNPARSED as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        version = ".".join(map(str, sys.version_info[:3]))
        refusal = f"Python {version} cannot parse it ({what}{line}), a newer one may"
    if data.startswith(b"#!"):
        notes.append("the packed file has no #! line: start it with python")
    return ProgramSource(
        name=name, original_bytes=len(data), data=kept, text=text, tree=tree, refusal=refusal, notes=tuple(notes)
    )


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    """The encoding that Python would take, and the text."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        text.encode()  # A text with half of a surrogate pair cannot be packed.
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}: byte {error.start} is not {error.encoding} ({error.reason}), expected Python source"
        ) from None
    except (SyntaxError, UnicodeError, LookupError, ValueError) as error:
        place = _first_bad_byte(data)
        raise UsageError(f"{name}: {place or error}, expected Python source in UTF-8") from None
    return encoding, text


def _first_bad_byte(data: bytes) -> str | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} is not UTF-8 ({error.reason})"
    return None


def _is_utf8(data: bytes, text: str) -> bool:
    """Whether the bytes are the text in UTF-8, a byte order mark aside."""
    try:
        return data.decode("utf-8-sig") == text
    except UnicodeDecodeError:
        return False
