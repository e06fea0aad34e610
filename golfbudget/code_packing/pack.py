"""The search for the smallest program that does what a source does, and the proof that it holds that source.

The length depends on the minifier's and the compressors' versions, so these are part of the result.
"""

from __future__ import annotations

import ast
import base64
import platform
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from msgspec import Struct, field

from golfbudget import codecs, formats
from golfbudget.code_packing.forms import FORMS, LATIN, SEVEN, UNREADABLE, ZIP, literal_stubs, reads_itself, zipped
from golfbudget.code_packing.minifier import PACKAGE, Minified, MinifierError, minifier_version, minify
from golfbudget.code_packing.payload import OPTIONAL, SPELLINGS, compressor_versions, payloads
from golfbudget.code_packing.source import UNPARSED, ProgramSource, parse, same
from golfbudget.code_packing.unpacking import STUB, executed, unwrapped
from golfbudget.errors import CorruptError, UsageError
from golfbudget.formats.python.archive import main_source


class PackingStep(Struct, frozen=True, kw_only=True):
    """One program that does what the source does, of `length` bytes.

    `codec` is "none" for source that is not wrapped at all; `spelling` says how a stub names the modules it needs.
    """

    minified: bool
    codec: str
    settings: str
    spelling: str
    length: int = field(name="bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedProgram:
    """The smallest of the programs tried, unpacked again and compared.

    `stub` is its file and `source` what that executes.  `minified_bytes` is None where nothing was minified, and
    `refusal` then says why it could not be; both are None where it was not asked for.
    """

    name: str
    original_bytes: int
    minified_bytes: int | None
    stub: bytes
    source: bytes
    chosen: PackingStep
    steps: tuple[PackingStep, ...]
    tools: tuple[tuple[str, str], ...]
    refusal: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        return len(self.stub)

    @property
    def saved(self) -> int:
        return self.original_bytes - self.length

    @property
    def minified(self) -> bool:
        return self.chosen.minified


#: What a program cannot do when it is executed from memory: find its own text.
_READ_SOURCE = frozenset(("getsource", "getsourcelines", "getsourcefile", "findsource", "getblock"))
_NEED_SOURCE = frozenset(("triton", "taichi"))


def pack_code(
    source: bytes,
    *,
    name: str,
    minified: bool = True,
    unannotated: bool = False,
    allow: Collection[str] = (),
    printable: bool = False,
) -> PackedProgram:
    """Pack a program; deterministic for given versions of the tools.

    `minified=False` packs the source as it is, and so it is where the minifier cannot take it
    (`PackedProgram.refusal`).  `unannotated` lets annotations go that a decorator could read.  `allow` names
    compressors that need a package where the packed program runs (`OPTIONAL`), and `FORMS` that are not printable
    text.  The first of these, which is ASCII, needs no allowance where the program does not read its own file, unless
    the result must be `printable`.  A source that is a stub already, of whatever form, is unpacked first.  What cannot
    be packed at all raises `UsageError`.
    """
    unknown = sorted(set(allow) - {*OPTIONAL, *FORMS})
    if unknown:
        raise UsageError(f"{unknown[0]!r} is nothing to allow; there is {', '.join((*OPTIONAL, *FORMS))}")
    allowed = frozenset(allow)
    if printable and not allowed.isdisjoint(FORMS):
        raise UsageError(f"{min(allowed & set(FORMS))} is not printable text, which alone is asked for")
    read, unpacked = unwrapped(source, name=name)
    if reads_itself(read.tree):
        allowed -= UNREADABLE
    elif not printable:
        allowed |= {SEVEN}
    small, refusal = None, None
    if minified:
        try:
            small = minify(read, unannotated=unannotated)
        except MinifierError as error:
            refusal = str(error)
    tried = [] if small is None else _programs(small.data, allowed, minified=True)
    tried += _programs(read.data, allowed, minified=False, search=small is None)
    chosen, stub, inside = min(tried, key=lambda program: program[0].length)
    _verify(chosen, stub, inside, read, small)
    notes = [] if not unpacked else ["the source unpacks itself already: what it unpacks is packed"]
    notes += [*read.notes, *(small.notes if small is not None and chosen.minified else ()), *_warnings(read, chosen)]
    tools = [("python", platform.python_version())]
    if small is not None:
        tools.append((PACKAGE, minifier_version()))
    return PackedProgram(
        name=name,
        original_bytes=len(source),
        minified_bytes=None if small is None else len(small.data),
        stub=stub,
        source=inside,
        chosen=chosen,
        steps=tuple(step for step, _, _ in tried),
        tools=(*tools, *compressor_versions(allowed)),
        refusal=refusal,
        notes=tuple(notes),
    )


def _programs(
    source: bytes, allowed: frozenset[str], *, minified: bool, search: bool = True
) -> list[tuple[PackingStep, bytes, bytes]]:
    """The source itself, and its stubs, for each compressor the shortest spelling: step, file, what it executes."""
    plain = PackingStep(minified=minified, codec="none", settings="", spelling="", length=len(source))
    made = [(plain, source, source)]
    if ZIP in allowed:
        stub = zipped(source)
        made.append((_step(minified, ZIP, "deflate level=9", ZIP, stub), stub, source))
    for payload in payloads(source, allowed, search=search):
        text = base64.b85encode(payload.data).decode()
        filled = {"module": payload.module, "text": text, "arguments": payload.arguments}
        stubs = {name: program.format(**filled).encode() for name, program in SPELLINGS.items()}
        spelling, stub = min(stubs.items(), key=lambda item: len(item[1]))
        made.append((_step(minified, payload.codec, payload.settings, spelling, stub), stub, source))
        for form, stub in literal_stubs(payload, allowed):
            made.append((_step(minified, payload.codec, payload.settings, form, stub), stub, source))
    return made


def _step(minified: bool, codec: str, settings: str, spelling: str, stub: bytes) -> PackingStep:  # noqa: FBT001
    return PackingStep(minified=minified, codec=codec, settings=settings, spelling=spelling, length=len(stub))


def _verify(chosen: PackingStep, stub: bytes, inside: bytes, read: ProgramSource, small: Minified | None) -> None:
    """Unpack the stub as any artifact is read; `CorruptError` where bytes or syntax tree are others than packed."""
    where = f"{read.name}, packed"
    if chosen.codec == "none":
        unpacked = stub
    elif chosen.spelling == ZIP:
        unpacked = main_source(stub, where=where, limit=len(inside))
    else:
        unpacked = executed(stub, chosen.codec, where=where)
    if unpacked != inside:
        raise CorruptError(f"{read.name}: the packed file holds {len(unpacked)} bytes of other source than was packed")
    expected = small.tree if chosen.minified and small is not None else read.tree
    if expected is None:
        return  # Nothing that this Python can parse: the bytes are the same.
    try:
        tree = parse(unpacked)
    except UNPARSED as error:
        raise CorruptError(f"{read.name}: what the packed file executes does not parse: {error}") from None
    if not same(tree, expected):
        raise CorruptError(f"{read.name}: what the packed file executes has another syntax tree than its source")


def _warnings(read: ProgramSource, chosen: PackingStep) -> Iterator[str]:
    if chosen.codec == "none":
        yield "no compressor is worth its stub: the packed file is plain source"
    if chosen.spelling == ZIP:
        yield "the packed file is a zip file, no text: python runs it, and __file__ is a path inside of it"
    if chosen.spelling == SEVEN:
        yield "the packed file is ASCII with control characters: Python 3.8 and later run it; --printable does without"
    if chosen.spelling == LATIN:
        yield "the packed file is Latin-1, not UTF-8: what reads it as UTF-8 fails; python runs it everywhere"
    if chosen.codec in OPTIONAL:
        yield f"the packed file needs the {chosen.codec} package where it runs"
    if read.tree is None:
        return
    if chosen.codec != "none":
        if formats.get(STUB).sniff(read.data) is codecs.Sniff.SURE:
            yield "the source unpacks itself already: what it unpacks is packed once more, not minified"
        if any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(read.tree)):
            yield "the source mentions __file__, which is the packed file when that runs"
        reader = _needs_text(read.tree)
        if reader is not None:
            yield f"the source mentions {reader}: code executed from memory has no source lines to be found"


def _needs_text(tree: ast.Module) -> str | None:
    """The first thing a program uses that reads the program's own source lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) if name in _READ_SOURCE:
                return name
            case ast.alias(name=name) if name.partition(".")[0] in _NEED_SOURCE:
                return name
            case ast.ImportFrom(module=str(name)) if name.partition(".")[0] in _NEED_SOURCE:
                return name
            case _:
                pass
    return None
