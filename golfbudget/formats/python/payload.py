"""Compressed literals in Python source: `decompress(b85decode("…"))`, found in the syntax tree and decoded here.

The program is never run: what its calls would return is worked out for the spellings below, and for no others.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from golfbudget.codecs.standard import DICTIONARY
from golfbudget.errors import UnsupportedError
from golfbudget.formats.python.arithmetic import LiteralArithmetic
from golfbudget.formats.python.names import Names, NotStaticError
from golfbudget.formats.python.spellings import SPELLINGS, coding, encoding

#: A literal that is only unpacked, not executed, must be longer than this many characters.
SHORTEST = 64
#: Wrappers around a payload: `compile(x.decode(), …)`.
_MOST_WRAPPERS = 16
_XZ = b"\xfd7zXZ\x00"
_FORMAT_AUTO, _FORMAT_XZ, _FORMAT_ALONE, _FORMAT_RAW = range(4)
_LZMA2 = 0x21
#: Codecs that the content shows, so that one inside another can be found.
_SIGNED = ("zlib", "gzip", "xz", "lzma", "bz2", "zstd")
_KEEP_ASCII = ("utf-8", "ascii", "latin-1")

#: Functions of the data and options, and makers of decompressors of the options alone.
_FUNCTIONS = {
    "zlib.decompress": "zlib", "lzma.decompress": "lzma", "bz2.decompress": "bz2", "gzip.decompress": "gzip",
    "brotli.decompress": "brotli", "zstandard.decompress": "zstd", "zstd.decompress": "zstd",
    "pyzstd.decompress": "zstd",
}  # fmt: skip
_MAKERS = {
    "zlib.decompressobj": "zlib", "lzma.LZMADecompressor": "lzma", "bz2.BZ2Decompressor": "bz2",
    "zstandard.ZstdDecompressor": "zstd", "zstd.ZstdDecompressor": "zstd", "pyzstd.ZstdDecompressor": "zstd",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpelledLiteral:
    """Literals from the first to the last, and how they spell bytes.  `raw` raises `ValueError` where they do not.

    `length` is in characters.
    """

    first: ast.expr
    last: ast.expr
    spelling: str
    length: int
    raw: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class CompressedLiteral:
    """A compressed literal.  `executed` says that the program runs what it unpacks to; `at_once`, on import.

    `layered` says that what it unpacks to is unpacked again.
    """

    spelled: SpelledLiteral
    family: str
    options: tuple[tuple[str, object], ...]
    executed: bool
    at_once: bool
    layered: bool

    def codec(self, raw: bytes) -> str | None:
        """The codec's registered name; None: what is inside shows it.  `UnsupportedError` where there is none."""
        name = self._named(raw)
        if not self.layered:
            return name
        if name not in _SIGNED:
            raise UnsupportedError(f"{name} around another codec is not read")
        return None

    def _named(self, raw: bytes) -> str:
        options = dict(self.options)
        if self.family == "zlib":
            # The window's bits (0: the header says), plus 16 for gzip, or 32 for whichever of the two it is.
            wbits = options.get("wbits", 15)
            framing, window = divmod(wbits, 16) if isinstance(wbits, int) else (-1, 0)
            if isinstance(wbits, int) and -15 <= wbits <= -8:
                return "deflate"  # Without header and checksum.
            if not 0 <= framing <= 2 or 0 < window < 8:
                raise UnsupportedError(f"zlib with wbits={wbits!r} is not read: no window that zlib has")
            return "gzip" if framing == 1 or (framing == 2 and raw[:2] == b"\x1f\x8b") else "zlib"
        if self.family != "lzma":
            return self.family
        form = options.get("format", _FORMAT_AUTO)
        if form == _FORMAT_RAW:
            _check_filters(options.get("filters"))
            return "lzma2-raw"
        if form == _FORMAT_AUTO:
            return "xz" if raw[:6] == _XZ else "lzma"
        if form in (_FORMAT_XZ, _FORMAT_ALONE):
            return "xz" if form == _FORMAT_XZ else "lzma"
        raise UnsupportedError(f"lzma format {form!r} is not read")


def _check_filters(filters: object) -> None:
    """Of the raw filters, LZMA2 alone, with a dictionary that the registered codec holds."""
    if isinstance(filters, list) and len(filters) == 1 and isinstance(filters[0], dict):
        size = filters[0].get("dict_size", 0)
        if filters[0].get("id") == _LZMA2 and isinstance(size, int) and size <= DICTIONARY:
            return
    raise UnsupportedError(f"lzma filters {repr(filters)[:80]} are not read, only a single LZMA2")


def find(tree: ast.Module) -> list[CompressedLiteral]:
    """The payloads of a module, in the order in which their literals stand; a literal counts once."""
    names = Names(tree)
    calls = {node: call for node, _ in _calls(tree) if (call := _decompression(node, names))}
    inner: dict[ast.expr, ast.expr] = {node: names.expression(node.args[0]) for node in calls}
    layered = set(inner.values())
    executed: dict[ast.expr, bool] = {}
    for node, at_once in _calls(tree):
        if names.dotted(node.func) == "exec" and node.args:
            called = _unwrapped(node.args[0], names)
            for _ in range(_MOST_WRAPPERS):
                if inner.get(called) not in inner:
                    break
                called = inner[called]
            executed[called] = at_once or executed.get(called, False)
    payloads: dict[ast.expr, CompressedLiteral] = {}
    for node, (family, options) in calls.items():
        spelled = _spelled(node.args[0], names)
        if spelled is None or (node not in executed and spelled.length <= SHORTEST):
            continue
        made = CompressedLiteral(spelled, family, options, node in executed, executed.get(node, False), node in layered)
        before = payloads.get(spelled.first)
        if before is None or (made.executed, made.at_once) > (before.executed, before.at_once):
            payloads[spelled.first] = made
    return sorted(payloads.values(), key=lambda payload: _place(payload.spelled.first))


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, bool]]:
    """Every call, and whether it runs when the module does: it stands in no function."""
    todo: list[tuple[ast.AST, bool]] = [(tree, True)]
    while todo:
        node, at_once = todo.pop()
        if isinstance(node, ast.Call):
            yield node, at_once
        at_once &= not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        todo += [(child, at_once) for child in ast.iter_child_nodes(node)]


def _decompression(call: ast.Call, names: Names) -> tuple[str, tuple[tuple[str, object], ...]] | None:
    """The family and the options of a call that decompresses its first argument; None for any other call."""
    if not call.args or isinstance(call.args[0], ast.Starred):
        return None
    family = _FUNCTIONS.get(names.dotted(call.func) or "")
    arguments, keywords = call.args[1:], call.keywords
    if family is None and isinstance(call.func, ast.Attribute) and call.func.attr == "decompress":
        maker = names.expression(call.func.value)
        if isinstance(maker, ast.Call):
            family = _MAKERS.get(names.dotted(maker.func) or "")
            arguments, keywords = maker.args, maker.keywords
            if family != "lzma" and (len(arguments) > 1 or {k.arg for k in keywords} & {None, "zdict", "dict_data"}):
                return None
    if family is None:
        return None
    options = {"zlib": ("wbits",), "lzma": ("format", "memlimit", "filters")}.get(family, ())
    if options and any(keyword.arg is None for keyword in keywords):
        return None
    try:
        known = {name: names.constant(value) for name, value in zip(options, arguments, strict=False)}
        known |= {k.arg: names.constant(k.value) for k in keywords if k.arg is not None and k.arg in options}
    except NotStaticError:
        return None
    return family, tuple(known.items())


def _unwrapped(node: ast.expr, names: Names) -> ast.expr:
    """The bytes from which `compile(…)`, `str(…)`, `bytes(…)` and `.decode(…)` make what is executed."""
    for _ in range(_MOST_WRAPPERS):
        node = names.expression(node)
        if not isinstance(node, ast.Call):
            break
        if isinstance(node.func, ast.Attribute) and node.func.attr == "decode" and names.dotted(node.func) is None:
            node = node.func.value
        elif names.dotted(node.func) in ("compile", "str", "bytes") and node.args:
            node = node.args[0]
        else:
            break
    return node


def _spelled(node: ast.expr, names: Names) -> SpelledLiteral | None:
    """The literal behind an expression of bytes, when it is one of the spellings."""
    node = names.expression(node)
    called = names.dotted(node.func) if isinstance(node, ast.Call) else None
    inner = node
    if isinstance(node, ast.Call) and called in ("bytes", "bytearray") and len(node.args) == 1:
        inner = names.expression(node.args[0])
    if isinstance(inner, ast.Constant) and isinstance(inner.value, bytes):
        return _literal(inner, "bytes", bytes)
    found = None
    if isinstance(node, ast.Call):
        found = _latin(node, names) if called is None else _digits(node, called, names)
    return found or _worked_out(node, names)


def _literal(literal: ast.Constant, spelling: str, function: Callable[..., bytes]) -> SpelledLiteral | None:
    """A single literal of text or bytes, and the function that it is given to."""
    value = literal.value
    if not isinstance(value, (str, bytes)):
        return None

    def raw() -> bytes:
        try:
            return function(value)
        except (ValueError, TypeError, AssertionError, LookupError, OverflowError) as error:
            raise ValueError(str(error) or type(error).__name__) from None

    return SpelledLiteral(literal, literal, spelling, len(value), raw)


def _latin(call: ast.Call, names: Names) -> SpelledLiteral | None:
    """`"…".encode("latin-1")`: a character for each byte."""
    literal = _text(call, names)
    if literal is None or not isinstance(literal.value, str) or _encoding(call, names) != "latin-1":
        return None
    return _literal(literal, "latin-1", lambda text: bytes(text, "latin-1"))


def _digits(call: ast.Call, called: str, names: Names) -> SpelledLiteral | None:
    """A literal of digits under one of the decoding functions."""
    literal = _text(call.args[0], names) if call.args else None
    if literal is None or any(keyword.arg is None for keyword in call.keywords):
        return None
    try:
        arguments = tuple(names.constant(argument) for argument in call.args[1:])
        keywords = {str(k.arg): names.constant(k.value) for k in call.keywords}
    except NotStaticError:
        return None
    found = SPELLINGS.get(called)
    if called == "codecs.decode" and arguments:
        found, arguments = coding(arguments[0]), arguments[1:]
    if found is None:
        return None
    spelling, function = found
    return _literal(literal, spelling, lambda text: function(text, *arguments, **keywords))


def _worked_out(node: ast.expr, names: Names) -> SpelledLiteral | None:
    """Literals under any operations that can be done here; those of a few characters are their options."""
    evaluation = LiteralArithmetic(names)
    failed: str | None = None
    data = b""
    try:
        data = evaluation.data(node)
    except NotStaticError:
        return None
    except ValueError as error:
        failed = str(error)

    def raw() -> bytes:
        if failed is not None:
            raise ValueError(failed)
        return data

    literals = {literal: _length(literal) for literal in evaluation.literals}
    if not literals:
        return None
    least = min(SHORTEST, max(literals.values()))
    held = sorted((literal for literal, length in literals.items() if length >= least), key=_place)
    return SpelledLiteral(held[0], held[-1], evaluation.spelling, sum(literals[one] for one in held), raw)


def _length(literal: ast.expr) -> int:
    match literal:
        case ast.Constant(value=str() | bytes() as value):
            return len(value)
        case ast.Constant(value=int(number)):
            return number.bit_length() // 4
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return len(elements)
        case _:
            return 0


def _text(node: ast.expr, names: Names) -> ast.Constant | None:
    """A literal of text or bytes, perhaps under `.encode(…)`, which changes nothing in text of ASCII."""
    node = names.expression(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
        node = names.expression(node.func.value) if _encoding(node, names) else node
    return node if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) else None


def _encoding(call: ast.Call, names: Names) -> str | None:
    """The encoding that `.encode(…)` names, of those that keep ASCII; None for any other call."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "encode" or call.keywords or len(call.args) > 1:
        return None
    named = names.expression(call.args[0]) if call.args else ast.Constant("utf-8")
    if not isinstance(named, ast.Constant) or not isinstance(named.value, str):
        return None
    known = encoding(named.value)
    return known if known in _KEEP_ASCII else None
