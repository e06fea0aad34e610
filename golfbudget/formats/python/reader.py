"""Inside Python source: text, and the compressed literals that it unpacks, each a stream of its own.

Nothing is executed: literals are found in the syntax tree (`payload`) and decoded by what their calls say.
Source that cannot be parsed is plain text, and so is source too large to parse in little memory.
"""

from __future__ import annotations

import codecs
import re

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats.base import LONGEST_SOURCE, Contents, Inner, Region
from golfbudget.formats.python.payload import CompressedLiteral, find
from golfbudget.formats.python.syntax import parse
from golfbudget.ledger import Account, Span

#: Characters outside of plain string literals (a literal itself counts two): a syntax tree takes some 700 bytes each.
_MOST_CODE = 1 << 18
_PIECE = 1 << 20
_BOM = codecs.BOM_UTF8

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
    return any(payload.at_once for payload in _payloads(raw))


def read_source(data: Buffer, *, where: str) -> Contents:
    """Explain a program's text and its payloads.  Raises `CorruptError` or `UnsupportedError`."""
    _check_utf8(data, where)
    raw = bytes(data) if len(data) <= LONGEST_SOURCE else b""
    payloads = _payloads(raw) if b"decompress" in raw else []
    regions: list[Region] = []
    at = 0
    for span, inner in _located(payloads, raw, where):
        if span.start > at:
            regions.append(_text(at, span.start))
        regions.append(Region(span=span, account=Account.SOURCE, label=inner.name, inner=inner))
        at = span.stop
    if at < len(data) or not regions:
        regions.append(_text(at, len(data)))
    return Contents(format="python-source", regions=tuple(regions))


def _text(start: int, stop: int) -> Region:
    return Region(span=Span(start, stop), account=Account.SOURCE, label="[source]")


def _check_utf8(data: Buffer, where: str) -> None:
    decoder, at = codecs.getincrementaldecoder("utf-8")(), 0
    for at in range(0, len(data), _PIECE):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(bytes(data[at : at + _PIECE]), final=at + _PIECE >= len(data))
        except UnicodeDecodeError as error:
            raise CorruptError(
                f"{where}: byte {at - held + error.start} is not UTF-8 ({error.reason}), expected Python source"
            ) from None


def _payloads(raw: bytes) -> list[CompressedLiteral]:
    """The payloads of source, none where it cannot be parsed."""
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
        if code_length(text) > _MOST_CODE:
            return []
        return find(parse(text.encode()))
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


def _located(payloads: list[CompressedLiteral], raw: bytes, where: str) -> list[tuple[Span, Inner]]:
    """Each payload's place in the file and the stream it spells.

    One that is executed must be sound: `CorruptError`, or `UnsupportedError` for a form that is not read.  One that
    is not may never be reached, and stays text.
    """
    skipped = len(_BOM) if raw.startswith(_BOM) else 0
    lines = [skipped, *(newline.end() for newline in re.finditer(rb"\r\n|\r|\n", raw))] if payloads else []
    located: list[tuple[Span, Inner]] = []
    for payload in payloads:
        literal = payload.spelled.literal
        start = lines[literal.lineno - 1] + literal.col_offset
        stop = lines[(literal.end_lineno or literal.lineno) - 1] + (literal.end_col_offset or 0)
        quoted = _QUOTED.match(raw, start)
        if quoted is None or raw[stop - 1 : stop] not in (b'"', b"'"):
            return []
        try:
            stream = payload.spelled.raw()
            if not stream:
                raise ValueError("it is empty")
            codec = payload.codec(stream)
        except (ValueError, UnsupportedError) as error:
            if not payload.executed:
                continue
            place = f"{where}: the payload literal at byte {start}"
            if isinstance(error, UnsupportedError):
                raise UnsupportedError(f"{place} cannot be unpacked: {error}") from None
            raise CorruptError(f"{place} is not the {payload.spelled.spelling} it must be: {error}") from None
        number = "" if not located else f" {len(located) + 1}"
        fallback, text = "python-source" if payload.executed else "opaque", (payload.spelled.spelling, stream)
        inner = Inner(name=f"[payload{number}]", codec=codec, fallback=fallback, text=text)
        located.append((Span(start, stop), inner))
    return located
