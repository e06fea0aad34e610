"""Inside Python source: text, and the compressed literals that it unpacks, each a stream of its own.

Nothing is executed: literals are found in the syntax tree (`payload`) and decoded by what their calls say.
Source that cannot be parsed is plain text, and so is source too large to parse in little memory.
"""

from __future__ import annotations

import ast
import codecs
import re

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats.base import LONGEST_SOURCE, Contents, Inner, Region
from golfbudget.formats.python.payload import CompressedLiteral, find
from golfbudget.formats.python.syntax import parse
from golfbudget.formats.python.text import DeclaredText, declared, source_text
from golfbudget.ledger import Account, Span

#: Characters outside of plain string literals (a literal itself counts two): a syntax tree takes some 700 bytes each.
_MOST_CODE = 1 << 18
_PIECE = 1 << 20
#: Bytes in which an encoding is declared, if it is.
_HEAD = 1024

#: Comments, strings and what stands between them; a quote that opens nothing whole comes last.
_TOKEN = re.compile(
    r"(?P<code>[^#\"']++)"
    r"|(?P<comment>#[^\r\n]*+)"
    r"|(?P<quote>\"\"\"|''')(?P<long>[^\\\"']*+(?:(?:\\.|(?!(?P=quote)).)[^\\\"']*+)*+)(?P=quote)"
    r"|\"(?P<double>[^\"\\\r\n]*+(?:(?:\\\r\n|\\.)[^\"\\\r\n]*+)*+)\""
    r"|'(?P<single>[^'\\\r\n]*+(?:(?:\\\r\n|\\.)[^'\\\r\n]*+)*+)'"
    r"|(?P<broken>[\"'])",
    re.DOTALL,
)
#: What an f-string may hold for its end to be where its first closing quote is, whichever Python reads it.
_TAME = re.compile(r"(?:[^{}]|\{\{|\}\}|\{(?:[^{}'\"]|'[^{}'\"\\]*'|\"[^{}'\"\\]*\")*+\})*+")
_QUOTED = re.compile(rb"[A-Za-z]{0,2}(\"|')")


def unpacks_itself(raw: bytes) -> bool:
    """Whether a program executes something that it unpacks."""
    try:
        return any(payload.at_once for payload in _payloads(source_text(raw)))
    except UnicodeDecodeError:
        return False


def read_source(data: Buffer, *, where: str) -> Contents:
    """Explain a program's text and its payloads.  Raises `CorruptError` or `UnsupportedError`."""
    _check_encoding(data, where)
    raw = bytes(data) if len(data) <= LONGEST_SOURCE else b""
    located: list[tuple[Span, Inner]] = []
    if b"decompress" in raw:
        text = source_text(raw)
        located = _located(_payloads(text), text, where)
    regions: list[Region] = []
    at = 0
    for span, inner in located:
        if span.start > at:
            regions.append(_text(at, span.start))
        regions.append(Region(span=span, account=Account.SOURCE, label=inner.name, inner=inner))
        at = span.stop
    if at < len(data) or not regions:
        regions.append(_text(at, len(data)))
    return Contents(format="python-source", regions=tuple(regions))


def _text(start: int, stop: int) -> Region:
    return Region(span=Span(start, stop), account=Account.SOURCE, label="[source]")


def _check_encoding(data: Buffer, where: str) -> None:
    encoding = declared(bytes(data[:_HEAD]))
    decoder, at = codecs.getincrementaldecoder(encoding)(), 0
    for at in range(0, len(data), _PIECE):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(bytes(data[at : at + _PIECE]), final=at + _PIECE >= len(data))
        except UnicodeDecodeError as error:
            name = encoding.upper() if encoding == "utf-8" else f"{encoding}, which it declares,"
            raise CorruptError(
                f"{where}: byte {at - held + error.start} is not {name} ({error.reason}), expected Python source"
            ) from None


def _payloads(source: DeclaredText) -> list[CompressedLiteral]:
    """The payloads of source, none where it cannot be parsed."""
    try:
        if code_length(source.data.decode()) > _MOST_CODE:
            return []
        return find(parse(source.data))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, SystemError):
        return []


def code_length(text: str) -> int:
    """About how many characters a parser makes nodes of; too many where the text cannot be parsed."""
    length = 0
    for token in _TOKEN.finditer(text):
        if token["broken"]:
            return _MOST_CODE + 1
        if token["code"]:
            length += token.end() - token.start()
        elif not token["comment"]:
            at = token.start()
            prefix = text[max(0, at - 2) : at].lower()
            length += 2
            # The expressions of an f-string are code.  One that may end elsewhere leaves the rest of the file unclear.
            if "f" in prefix or "t" in prefix:
                length += token.end() - at
                body = token["long"] or token["double"] or token["single"] or ""
                if length > _MOST_CODE or not _TAME.fullmatch(body):
                    return length + len(text) - token.end()
        if length > _MOST_CODE:
            break
    return length


def _quoted(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, int)


def _located(payloads: list[CompressedLiteral], text: DeclaredText, where: str) -> list[tuple[Span, Inner]]:
    """Each payload's place in the file and the stream it spells.

    One that is executed must be sound: `CorruptError`, or `UnsupportedError` for a form that is not read.  One that
    is not may never be reached, and stays text.
    """
    raw = text.data
    lines = [0, *(newline.end() for newline in re.finditer(rb"\r\n|\r|\n", raw))] if payloads else []
    located: list[tuple[Span, Inner]] = []
    for payload in payloads:
        first, last = payload.spelled.first, payload.spelled.last
        start = lines[first.lineno - 1] + first.col_offset
        stop = lines[(last.end_lineno or last.lineno) - 1] + (last.end_col_offset or 0)
        if _quoted(first) and _QUOTED.match(raw, start) is None:
            return []
        if _quoted(last) and raw[stop - 1 : stop] not in (b'"', b"'"):
            return []
        span = Span(text.place(start), text.place(stop))
        if located and span.start < located[-1][0].stop:
            continue  # It is spelled with parts of the one before, whose bytes these are.
        try:
            stream = payload.spelled.raw()
            if not stream:
                raise ValueError("it is empty")
            codec = payload.codec(stream)
        except (ValueError, UnsupportedError) as error:
            if not payload.executed:
                continue
            place = f"{where}: the payload literal at byte {span.start}"
            if isinstance(error, UnsupportedError):
                raise UnsupportedError(f"{place} cannot be unpacked: {error}") from None
            raise CorruptError(f"{place} is not the {payload.spelled.spelling} it must be: {error}") from None
        number = "" if not located else f" {len(located) + 1}"
        fallback, spelled = "python-source" if payload.executed else "opaque", (payload.spelled.spelling, stream)
        inner = Inner(name=f"[payload{number}]", codec=codec, fallback=fallback, text=spelled)
        located.append((span, inner))
    return located
