"""Programs smaller than base 85 allows, for those who allow them: literals of more characters, and a zip file.

7-bit    a stub whose payload is a literal of seven bits per character: ASCII, with control characters in it
zip      what Python runs by its `__main__.py`, deflated; `__file__` is a path inside of it
latin-1  a stub whose payload is a literal of one character per byte; the file is not UTF-8, so that a program, editor
         or contest that reads it as such fails

The last two are left out where the program reads its own file.
"""

from __future__ import annotations

import ast
import io
import zipfile
import zlib
from collections.abc import Iterator

from golfbudget import codecs
from golfbudget.code_packing.payload import ProgramPayload
from golfbudget.errors import CorruptError

SEVEN, ZIP, LATIN = "7-bit", "zip", "latin-1"
#: What a program may be allowed to be besides printable text.
FORMS = (SEVEN, ZIP, LATIN)
#: Those that no program gets which reads its own file.
UNREADABLE = frozenset((ZIP, LATIN))
#: Names by which a program finds its own text.
_OWN_FILE = frozenset(("__file__", "__loader__", "__spec__", "argv", "getfile", "getsource", "getsourcelines"))
_MAIN = "__main__.py"
_STUB = '#coding:latin1\nimport {module}\nexec({module}.decompress("{text}".encode("latin1"){arguments}))'
_SEVEN_STUB = (
    "import {module}\nexec({module}.decompress(int(''.join(f'{{c:07b}}'for c in b\"{text}\"),2)"
    ".to_bytes({length},'big'){arguments}))"
)
#: What a literal cannot hold as it is.
_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\r"): "\\r"}


def reads_itself(tree: ast.Module | None) -> bool:
    """Whether a program may read its own file, or cannot be looked at."""
    if tree is None:
        return True
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) if name in _OWN_FILE:
                return True
            case ast.Constant(value=str(name)) if name in _OWN_FILE:
                return True
            case _:
                pass
    return False


def zipped(source: bytes) -> bytes:
    """A zip file that Python runs; the same for the same source, as its date is fixed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        member = zipfile.ZipInfo(_MAIN)
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, source, compresslevel=zlib.Z_BEST_COMPRESSION)
    return out.getvalue()


def unzipped(stub: bytes, *, where: str) -> bytes:
    """What Python executes of such a file."""
    try:
        with zipfile.ZipFile(io.BytesIO(stub)) as archive:
            return archive.read(_MAIN)
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise CorruptError(f"{where}: no zip file with {_MAIN}: {error}") from None


def latin_stub(payload: ProgramPayload) -> bytes:
    """A stub in Latin-1."""
    filled = {"module": payload.module, "text": _escaped(payload.data), "arguments": payload.arguments}
    return _STUB.format(**filled).encode("latin-1")


def seven_stub(payload: ProgramPayload) -> bytes:
    """A stub in ASCII; its characters hold the bits of the payload, with zeros before them where seven do not fit."""
    length = len(payload.data)
    number, count = int.from_bytes(payload.data, "big"), -(-length * 8 // 7)
    bits = f"{number:0{count * 7}b}"
    text = _escaped(bytes(int(bits[at : at + 7], 2) for at in range(0, len(bits), 7)) if length else b"\0")
    filled = {"module": payload.module, "text": text, "length": length, "arguments": payload.arguments}
    return _SEVEN_STUB.format(**filled).encode("ascii")


def _escaped(data: bytes) -> str:
    """A literal's text.  A null is the one byte that source cannot hold, and its escape must not meet a digit."""
    text = data.decode("latin-1")
    pieces = []
    for character, following in zip(text, f"{text[1:]} ", strict=False):
        if character == "\0":
            pieces.append("\\000" if following in "01234567" else "\\0")
        else:
            pieces.append(_ESCAPES.get(ord(character), character))
    return "".join(pieces)


def unpack_form(stub: bytes, codec: str, *, where: str) -> bytes:
    """What a stub of either literal executes, by its syntax tree."""
    literals = list(_literals(ast.parse(stub)))
    if len(literals) != 1:
        raise CorruptError(f"{where}: it has {len(literals)} payloads, expected one of {codec} that it executes")
    stream = codecs.decode(codecs.get(codec), literals[0], where=where)
    if len(stream.trailing):
        raise CorruptError(f"{where}: {len(stream.trailing)} bytes follow the {codec} stream")
    return bytes(stream.decoded)


def _literals(tree: ast.Module) -> Iterator[bytes]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="encode")):
                yield text.encode("latin-1")
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Call(
                        args=[ast.Call(args=[ast.GeneratorExp(generators=[ast.comprehension(iter=found)])]), _]
                    ),
                    attr="to_bytes",
                ),
                args=[ast.Constant(value=int(length)), _],
            ) if isinstance(found, ast.Constant) and isinstance(found.value, bytes):
                yield int("".join(f"{byte:07b}" for byte in found.value), 2).to_bytes(length, "big")
            case _:
                pass
