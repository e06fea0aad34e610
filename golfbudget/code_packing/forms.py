"""Programs smaller than base 85 makes them: literals of more characters, and a zip file.

7-bit    a stub whose payload is a literal of nearly seven bits per character: ASCII, with control characters in it
zip      what Python runs by its `__main__.py`, deflated; `__file__` is a path inside of it
latin-1  a stub whose payload is a literal of one character per byte; the file is not UTF-8, so that a program, editor
         or contest that reads it as such fails

The first is tried unasked where the program does not read its own file, the others only when allowed, and never
where it does.
"""

from __future__ import annotations

import ast
import io
import zipfile
import zlib
from collections.abc import Iterator

from golfbudget.code_packing.numerals import numeral, quoted
from golfbudget.code_packing.payload import ProgramPayload

SEVEN, ZIP, LATIN = "7-bit", "zip", "latin-1"
#: What a program may be allowed to be besides printable text.
FORMS = (SEVEN, ZIP, LATIN)
#: Those that no program gets which reads its own file.
UNREADABLE = frozenset((ZIP, LATIN))
#: Names by which a program finds its own text.
_OWN_FILE = frozenset(("__file__", "__loader__", "__spec__", "argv", "getfile", "getsource", "getsourcelines"))
_MAIN = "__main__.py"
#: Longer payloads make no number: working it out takes time by the square of the length, here some two seconds.
LONGEST_NUMBER = 40_000
_LATIN_STUBS = (
    "#coding:l1\nimport {module}\nexec({module}.decompress({literal}.encode('l1'){arguments}))",
    "#coding:l1\nimport {module} as L\nexec(L.decompress({literal}.encode('l1'){arguments}))",
)
_SEVEN_STUBS = tuple(
    f"import {imported},functools as F\nexec({called}.decompress(F.reduce(lambda n,c:n*126+c-(c>13),{{literal}},0)"
    ".to_bytes({length},'big'){arguments}))"
    for imported, called in (("{module}", "{module}"), ("{module} as L", "L"))
)
#: What a literal in three quotes cannot hold as it is.
_ESCAPES = {"\0": "\\0", "\r": "\\r", "\\": "\\\\"}


def reads_itself(tree: ast.Module | None) -> bool:
    """Whether a program may read its own file, or cannot be looked at."""
    if tree is None:
        return True
    arguments = {node.value for node in ast.walk(tree) if isinstance(node, ast.Subscript) and _beyond_first(node.slice)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) if name in _OWN_FILE:
                if node not in arguments:
                    return True
            case ast.Constant(value=str(name)) if name in _OWN_FILE:
                return True
            case _:
                pass
    return False


def _beyond_first(index: ast.expr) -> bool:
    """Whether `argv[index]` leaves the program's own name out."""
    match index:
        case ast.Constant(value=int(number)) | ast.Slice(lower=ast.Constant(value=int(number)), step=None):
            return number > 0
        case _:
            return False


def zipped(source: bytes) -> bytes:
    """A zip file that Python runs; the same for the same source, as its date is fixed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        member = zipfile.ZipInfo(_MAIN)
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, source, compresslevel=zlib.Z_BEST_COMPRESSION)
    return out.getvalue()


def literal_stubs(payload: ProgramPayload, allowed: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Stubs around a literal, the shortest spelling of each form: its name, and the file."""
    held = payload.module, payload.arguments
    if SEVEN in allowed and len(payload.data) <= LONGEST_NUMBER:
        literal = quoted(numeral(payload.data))
        if literal is not None:
            yield SEVEN, _shortest(_SEVEN_STUBS, *held, literal, len(payload.data)).encode("ascii")
    if LATIN in allowed:
        yield LATIN, _shortest(_LATIN_STUBS, *held, latin_literal(payload.data), 0).encode("latin-1")


def _shortest(stubs: tuple[str, ...], module: str, arguments: str, literal: str, length: int) -> str:
    filled = {"module": module, "arguments": arguments, "literal": literal, "length": length}
    return min((stub.format(**filled) for stub in stubs), key=len)


def latin_literal(data: bytes) -> str:
    """A literal with a character for each byte, escaped where source cannot hold it as it is."""
    text = data.decode("latin-1")
    pieces = []
    for at, character in enumerate(text):
        # The escape of a null must not meet a digit.
        follows_digit = character == "\0" and text[at + 1 : at + 2] in tuple("01234567")
        pieces.append("\\000" if follows_digit else _ESCAPES.get(character, character))
    body = "".join(pieces)
    return min((_in_quotes(body, quote) for quote in "\"'"), key=len)


def _in_quotes(body: str, quote: str) -> str:
    """The body in three such quotes: of three in a row, and at the end, one is escaped."""
    body = body.replace(quote * 3, f"{quote * 2}\\{quote}")
    if body.endswith(quote):
        body = f"{body[:-1]}\\{quote}"
    return f"{quote * 3}{body}{quote * 3}"
