"""What a packed program executes, found without running it: a stub's payload, or a zip file's `__main__.py`."""

from __future__ import annotations

import ast

from golfbudget import codecs, formats
from golfbudget.code_packing.source import LONGEST, ProgramSource, read_source
from golfbudget.errors import CorruptError, GolfbudgetError, UsageError
from golfbudget.formats import Inner
from golfbudget.formats.python.archive import MAIN, main_source, runs

#: The format that reads stubs.
STUB = "python-source"
#: Stubs inside of stubs.
_DEEPEST = 6


def executed(stub: bytes, codec: str, *, where: str) -> bytes:
    """What a stub with one payload of that codec executes; `CorruptError` for any other program."""
    inner = _payloads(stub, where)
    # The reader expects source only of what is executed.
    if len(inner) != 1 or inner[0].text is None or (inner[0].codec, inner[0].fallback) != (codec, STUB):
        raise CorruptError(f"{where}: it has {len(inner)} payloads, expected one of {codec} that it executes")
    stream = codecs.decode(codecs.get(codec), inner[0].text[1], where=where, limit=LONGEST)
    if len(stream.trailing):
        raise CorruptError(f"{where}: {len(stream.trailing)} bytes follow the {codec} stream")
    return bytes(stream.decoded)


def unwrapped(data: bytes, *, name: str) -> tuple[ProgramSource, bool]:
    """A program as it was before it was packed, however often it was, and whether it was.

    Raises `UsageError` for what is no program, and for a zip file of several programs.
    """
    unpacked = False
    for _ in range(_DEEPEST):
        inner = _zipped(data, name)
        if inner is None:
            read = read_source(data, name=name)
            inner = _inside(read)
            if inner is None:
                return read, unpacked
        data, unpacked = inner, True
    return read_source(data, name=name), unpacked


def _zipped(data: bytes, name: str) -> bytes | None:
    if not runs(data):
        return None
    try:
        main = main_source(data, where=name, limit=LONGEST)
        contents = formats.get("python-zip").read(data, where=name)
    except GolfbudgetError as error:
        raise UsageError(str(error)) from None
    members = [region.inner.name for region in contents.regions if region.inner is not None] if contents else []
    if members != [MAIN]:
        others = ", ".join(sorted(set(members) - {MAIN}))[:80]
        raise UsageError(f"{name}: a zip file that holds more than {MAIN} ({others}); pack its programs one by one")
    return main


def _inside(read: ProgramSource) -> bytes | None:
    """What a program that is nothing but a stub executes; None for any other, and what cannot be unpacked."""
    if read.tree is None or not _only_a_stub(read.tree):
        return None
    try:
        inner = _payloads(read.data, read.name)
        codec = inner[0].codec if len(inner) == 1 and inner[0].text is not None else None
        return None if codec is None else executed(read.data, codec, where=read.name)
    except GolfbudgetError:
        return None


def _payloads(stub: bytes, where: str) -> list[Inner]:
    contents = formats.get(STUB).read(stub, where=where)
    return [region.inner for region in contents.regions if region.inner is not None] if contents else []


def _only_a_stub(tree: ast.Module) -> bool:
    """Imports, names given to expressions, and one call of `exec`: then the program is what that executes."""
    *before, last = tree.body or [ast.Pass()]
    match last:
        case ast.Expr(value=ast.Call(func=ast.Name(id="exec"), args=[_], keywords=[])):
            return all(isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign)) for node in before)
        case _:
            return False
