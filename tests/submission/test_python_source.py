"""Programs that unpack themselves: literals found without running them, against what running them unpacks.

Every stub is made here; a child process runs it with `exec` replaced by a function that keeps what it is given.
"""

from __future__ import annotations

import ast
import base64
import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import opened
from support.programs import damaged

from golfbudget import codecs, formats
from golfbudget.artifact import open_bytes
from golfbudget.codecs import Sniff
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, UnsupportedError
from golfbudget.formats import Contents
from golfbudget.formats.base import LONGEST_SOURCE, Inner
from golfbudget.formats.python.syntax import parse
from golfbudget.ledger import Account, check_tiling

READER = formats.get("python-source")
SOURCE = 'print("été", 1 + 1)\nfor i in range(10):\n    x = i\n'.encode() * 8


def read(data: bytes) -> Contents:
    contents = READER.read(data, where="x.py")
    assert contents is not None
    check_tiling(len(data), [region.span for region in contents.regions], "x.py")
    assert {region.account for region in contents.regions} == {Account.SOURCE}
    assert contents.tensors == ()
    return contents


def inners(data: bytes) -> list[Inner]:
    return [region.inner for region in read(data).regions if region.inner is not None]


def unpacked(inner: Inner) -> bytes:
    """What an inner stream decodes to, by the registered codec or, where none is named, by what it shows."""
    assert inner.text is not None
    if inner.codec is None:
        return bytes(open_bytes(inner.text[1], name="inner").leaves[0].data)
    stream = codecs.decode(codecs.get(inner.codec), inner.text[1], where="inner")
    assert len(stream.trailing) == 0
    return bytes(stream.decoded)


def raw_lzma2(data: bytes, **options: int) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, **options}])


def alone(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def lines(text: str, width: int = 40) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


LZ, ZL, BZ = lzma.compress(SOURCE), zlib.compress(SOURCE), bz2.compress(SOURCE)
ALONE, ADOBE = b85(alone(SOURCE)), base64.a85encode(ZL, adobe=True)
RAW = raw_lzma2(SOURCE)
RAW_OPTIONS = 'format=L.FORMAT_RAW,filters=[{"id":L.FILTER_LZMA2}]'
CONTINUED = "\\\n".join(lines(b85(RAW)))
ADJACENT = "\n  ".join(f"'{line}' # part" for line in lines(b85(RAW)))

#: Stub, codec, spelling.
STUBS: dict[str, tuple[str, str | None, str]] = {
    "aliases": (f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(LZ)}")))', "xz", "base85"),
    "raw LZMA2": (
        f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{b85(RAW)}"),{RAW_OPTIONS}))',
        "lzma2-raw",
        "base85",
    ),
    "raw LZMA2 with a dictionary, positional options": (
        (
            f"import lzma, base64\nF = {{'id': 0x21, 'dict_size': 1048576}},\nexec(lzma.decompress(base64.b85decode("
            f"'{b85(raw_lzma2(SOURCE, dict_size=1 << 20))}'), lzma.FORMAT_RAW, None, F))"
        ),
        "lzma2-raw",
        "base85",
    ),
    "line continuations": (
        f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{CONTINUED}"),{RAW_OPTIONS}))',
        "lzma2-raw",
        "base85",
    ),
    "adjacent literals": (
        f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode(\n  {ADJACENT}\n),{RAW_OPTIONS}))",
        "lzma2-raw",
        "base85",
    ),
    "from imports": (
        f"from base64 import b85decode as d\nfrom zlib import decompress\nexec(decompress(d(b'{b85(ZL)}')).decode())",
        "zlib",
        "base85",
    ),
    "star imports": (
        (
            f"from lzma import *\nfrom base64 import *\nexec(decompress(b85decode('{b85(RAW)}'),"
            "FORMAT_RAW,filters=[{'id':FILTER_LZMA2}]))"
        ),
        "lzma2-raw",
        "base85",
    ),
    "__import__": (
        f"exec(__import__('zlib').decompress(__import__('base64').b64decode('{b64(ZL)}')))",
        "zlib",
        "base64",
    ),
    "importlib and builtins": (
        (
            "import importlib, builtins\nbuiltins.exec(importlib.import_module('zlib').decompress("
            f"bytes.fromhex('{ZL.hex()}')))"
        ),
        "zlib",
        "hex",
    ),
    "codecs.decode": (
        f"import codecs, zlib\nexec(zlib.decompress(codecs.decode(b'{b64(ZL)}', 'base64')))",
        "zlib",
        "base64",
    ),
    "codecs.decode of hex": (
        f"import codecs, zlib\nexec(zlib.decompress(codecs.decode('{ZL.hex()}', 'hex_codec')))",
        "zlib",
        "hex",
    ),
    "ascii85": (
        f"import zlib, base64\nexec(zlib.decompress(base64.a85decode({base64.a85encode(ZL).decode()!r})))",
        "zlib",
        "ascii85",
    ),
    "ascii85 as Adobe writes it": (
        f"import zlib, base64\nexec(zlib.decompress(base64.a85decode({ADOBE!r}, adobe=True)))",
        "zlib",
        "ascii85",
    ),
    "base32": (
        f"import bz2, base64\nexec(bz2.decompress(base64.b32decode('{base64.b32encode(BZ).decode()}')))",
        "bz2",
        "base32",
    ),
    "url-safe base64": (
        (
            f"import gzip, base64\nexec(gzip.decompress(base64.urlsafe_b64decode("
            f"'{base64.urlsafe_b64encode(gzip.compress(SOURCE)).decode()}')))"
        ),
        "gzip",
        "base64",
    ),
    "bytes literal": (f"import zlib\nexec(zlib.decompress({ZL!r}))", "zlib", "bytes"),
    "bytes literal in an object": (f"import zlib\nexec(zlib.decompressobj(15).decompress({ZL!r}))", "zlib", "bytes"),
    "latin-1": (f"import zlib\nexec(zlib.decompress({ZL.decode('latin-1')!r}.encode('latin-1')))", "zlib", "latin-1"),
    "encoded text": (
        f"import zlib, binascii\nexec(zlib.decompress(binascii.a2b_base64('{b64(ZL)}'.encode())))",
        "zlib",
        "base64",
    ),
    "brotli": (
        f"import brotli, base64\nexec(brotli.decompress(base64.b85decode('{b85(brotli.compress(SOURCE))}')))",
        "brotli",
        "base85",
    ),
    "zstandard": (
        f"import zstandard, base64\nexec(zstandard.decompress(base64.b85decode('{b85(zstandard.compress(SOURCE))}')))",
        "zstd",
        "base85",
    ),
    "a zstandard object": (
        (
            "import zstandard as z, base64\nexec(z.ZstdDecompressor().decompress(base64.b85decode("
            f"'{b85(zstandard.compress(SOURCE))}')))"
        ),
        "zstd",
        "base85",
    ),
    "an lzma object": (
        f"import lzma as L, base64 as B\nexec(L.LZMADecompressor({RAW_OPTIONS}).decompress(B.b85decode('{b85(RAW)}')))",
        "lzma2-raw",
        "base85",
    ),
    "alone": (
        f"import lzma, base64\nexec(lzma.decompress(base64.b85decode('{ALONE}')))",
        "lzma",
        "base85",
    ),
    "alone, said": (
        f"import lzma as L, base64\nexec(L.decompress(base64.b85decode('{ALONE}'), format=L.FORMAT_ALONE))",
        "lzma",
        "base85",
    ),
    "xz, said": (
        f"import lzma as L, base64\nexec(L.decompress(base64.b85decode('{b85(LZ)}'), L.FORMAT_XZ))",
        "xz",
        "base85",
    ),
    "gzip by zlib": (
        f"import zlib\nexec(zlib.decompress({gzip.compress(SOURCE)!r}, 16 + zlib.MAX_WBITS))",
        "gzip",
        "bytes",
    ),
    "gzip or zlib by zlib": (f"import zlib\nexec(zlib.decompress({ZL!r}, wbits=zlib.MAX_WBITS|32))", "zlib", "bytes"),
    "deflate without a header": (
        f"import zlib,base64\nexec(zlib.decompress(base64.b85decode('{b85(ZL[2:-4])}'),-15))",
        "deflate",
        "base85",
    ),
    "compile": (
        (
            "import zlib, base64\nexec(compile(zlib.decompress(base64.b85decode("
            f"'{b85(ZL)}')).decode('utf-8'), '<x>', 'exec'), globals())"
        ),
        "zlib",
        "base85",
    ),
    "str": (f"import zlib\nexec(str(zlib.decompress({ZL!r}), 'utf-8'))", "zlib", "bytes"),
    "a name": (
        f"import zlib, base64\nP = (\n'{b85(ZL)}')\nexec(zlib.decompress(base64.b85decode(P)))",
        "zlib",
        "base85",
    ),
    "names all the way": (
        (
            f"import zlib as z, base64\nd: object = z.decompress\nP = '''{b85(ZL)}'''\nraw = base64.b85decode(P)\n"
            "code = d(raw).decode()\nif __name__ == '__main__':\n    exec(code)\n"
        ),
        "zlib",
        "base85",
    ),
    "two layers": (
        f"import zlib, lzma\nexec(zlib.decompress(lzma.decompress({lzma.compress(zlib.compress(SOURCE))!r})))",
        None,
        "bytes",
    ),
    "text beyond ASCII before it on its line": (
        f"import zlib; é = 'ü漢🏌'; exec(zlib.decompress({ZL!r})); è = 1",
        "zlib",
        "bytes",
    ),
    "DOS line ends": (
        '# x\r\nimport lzma as L,base64 as B\r\nexec(L.decompress(B.b85decode("'
        + CONTINUED.replace("\n", "\r\n")
        + f'"),{RAW_OPTIONS}))\r\n',
        "lzma2-raw",
        "base85",
    ),
    "old Macintosh line ends": (f"# x\rimport zlib\rexec(zlib.decompress({ZL!r}))\r", "zlib", "bytes"),
    "a byte order mark": (f"\ufeff# x\nimport zlib\nexec(zlib.decompress({ZL!r}))", "zlib", "bytes"),
}

#: Runs every stub of a JSON list, keeping what it would execute.
CHILD = """
import encodings.base64_codec, encodings.hex_codec  # Importing executes too.
import base64, binascii, brotli, builtins, bz2, codecs, gzip, importlib, json, lzma, sys, zlib, zstandard
run, make = builtins.exec, builtins.compile
kept = []
builtins.compile = lambda source, *rest: source
builtins.exec = lambda source, *rest: kept.append(source if isinstance(source, str) else source.decode())
for stub in json.load(sys.stdin):
    run(make(stub.encode(), "<stub>", "exec"), {"__name__": "__main__"})
json.dump(kept, sys.stdout)
"""


def test_what_running_a_stub_would_execute_is_what_its_stream_decodes_to() -> None:
    request = json.dumps([stub for stub, _, _ in STUBS.values()])
    done = subprocess.run([sys.executable, "-c", CHILD], input=request, capture_output=True, text=True, check=True)
    kept = json.loads(done.stdout)
    assert len(kept) == len(STUBS)
    for (name, (stub, _, _)), source in zip(STUBS.items(), kept, strict=True):
        assert source.encode() == SOURCE, name
        (inner,) = inners(stub.encode())
        assert unpacked(inner) == source.encode(), name


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_is_recognised_and_its_literal_is_a_region(name: str) -> None:
    stub, codec, spelling = STUBS[name]
    data = stub.encode()
    assert READER.sniff(data) is Sniff.SURE
    assert READER.sniff(memoryview(data)) is Sniff.SURE
    contents = read(data)
    assert [region.label for region in contents.regions] == ["[source]", "[payload]", "[source]"]
    (region,) = (region for region in contents.regions if region.inner)
    literal = data[region.span.start : region.span.stop]
    assert literal[:1] in b"rb'\""
    assert literal[-1:] in b"'\""
    value = ast.literal_eval(f"({literal.decode()})".replace("\r\n", "\n"))
    inner = region.inner
    assert inner is not None
    assert inner.text is not None
    assert (inner.name, inner.codec, inner.fallback, inner.read) == ("[payload]", codec, "python-source", None)
    assert inner.text[0] == spelling
    again = {
        "base85": base64.b85decode,
        "base64": lambda text: base64.b64decode(text, b"-_" if "-" in str(text) or "_" in str(text) else None),
        "hex": bytes.fromhex,
        "bytes": bytes,
    }.get(spelling)
    assert again is None or again(value) == inner.text[1]


# Generated stubs

COMPRESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zlib": ("zlib.decompress({})", zlib.compress),
    "gzip": ("gzip.decompress({})", gzip.compress),
    "bz2": ("bz2.decompress({})", bz2.compress),
    "xz": ("lzma.decompress({})", lzma.compress),
    "lzma": ("lzma.decompress({}, format=lzma.FORMAT_ALONE)", alone),
    "lzma2-raw": ("lzma.decompress({}, format=lzma.FORMAT_RAW, filters=[{{'id': lzma.FILTER_LZMA2}}])", raw_lzma2),
    "brotli": ("brotli.decompress({})", brotli.compress),
    "zstd": ("zstandard.decompress({})", zstandard.compress),
}
SPELL: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "base85": ("base64.b85decode({})", b85),
    "ascii85": ("base64.a85decode({})", base64.a85encode),
    "base64": ("base64.b64decode({})", base64.b64encode),
    "base32": ("base64.b32decode({})", lambda data: base64.b32encode(data).decode()),
    "hex": ("bytes.fromhex({})", bytes.hex),
    "bytes": ("{}", bytes),
}


@st.composite
def stubs(draw: st.DrawFn) -> tuple[bytes, str, str, bytes]:
    """A program, its codec, its spelling, and the source inside: literals in one piece, in parts, or under a name."""
    inside = draw(st.text(max_size=300)).encode()
    codec, spelling = draw(st.sampled_from(sorted(COMPRESS))), draw(st.sampled_from(sorted(SPELL)))
    value = SPELL[spelling][1](COMPRESS[codec][1](inside))
    parts = 1 if draw(st.booleans()) else draw(st.integers(1, 5))
    assert isinstance(value, (str, bytes))
    width = max(1, -(-len(value) // parts))
    joint = draw(st.sampled_from([" ", "\n", "\r\n", "  # more\n", "\\\n"]))
    literal = joint.join(repr(value[at : at + width]) for at in range(0, len(value), width))
    named = draw(st.booleans()) and "\\" not in joint
    # A comment or string before it moves it about, in bytes and characters.
    before = (
        "#" + draw(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=9)) + "\n"
    )
    before += "import zlib, gzip, bz2, lzma, brotli, zstandard, base64\n"
    if named:
        before += f"P = ({literal})\n"
    call = COMPRESS[codec][0].format(SPELL[spelling][0].format("P" if named else literal))
    after = draw(st.sampled_from(["", "\n", "; é = 'ü'\n", "\nx = 1 # 'é"]))
    return f"{before}exec({call}){after}".encode(), codec, spelling, inside


@settings(max_examples=150, derandomize=True)
@given(stubs())
def test_any_generated_stub_gives_back_what_was_put_in(stub: tuple[bytes, str, str, bytes]) -> None:
    data, codec, spelling, inside = stub
    (inner,) = inners(data)
    assert inner.codec == codec
    assert inner.text is not None
    assert inner.text[0] == spelling
    assert unpacked(inner) == inside
    assert READER.sniff(data) is Sniff.SURE


SMALL = [STUBS[name][0].encode() for name in ("raw LZMA2", "from imports", "names all the way", "adjacent literals")]


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(
    data=st.sampled_from(SMALL),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=3),
    name=st.sampled_from(["x.py", "x.bin"]),
)
def test_changed_stubs_give_a_ledger_or_a_golfbudget_error(
    data: bytes, cut: float, flips: list[tuple[float, int]], name: str
) -> None:
    for made in damaged(data, cut, flips):
        try:
            opened(made, name)
            read(made)
        except LedgerError:
            raise
        except GolfbudgetError as error:
            assert str(error).startswith(("x.py", "x.bin"))  # noqa: PT017  (most changes are not refused)


# Plain source

LONG = b64(os.urandom(90))
PLAIN: dict[str, str] = {
    "nothing": "",
    "a program": "import zlib\nprint(zlib.decompress(b''))\n",
    "another file": "import zlib\nexec(zlib.decompress(open('x.bin', 'rb').read()))\n",
    "a rebound name": f"import zlib\nP = {ZL!r}\nP = P[1:]\nexec(zlib.decompress(P))",
    "a parameter of that name": f"import zlib\nP = {ZL!r}\ndef f(P):\n    exec(zlib.decompress(P))",
    "a name bound in a branch": f"import zlib\nif input():\n    P = {ZL!r}\nexec(zlib.decompress(P))",
    "another zlib": f"import zlib\nimport other as zlib\nexec(zlib.decompress({ZL!r}))",
    "a zlib of the program's": f"class zlib:\n    decompress = print\nexec(zlib.decompress({ZL!r}))",
    "a relative zlib": f"from . import zlib\nexec(zlib.decompress({ZL!r}))",
    "an unknown codec": f"import other\nexec(other.decompress({ZL!r}))",
    "options known at run time": f"import zlib, sys\nexec(zlib.decompress({ZL!r}, int(sys.argv[1])))",
    "decoder options known at run time": (
        f"import zlib, base64 as b, sys\nexec(zlib.decompress(b.b64decode('{b64(ZL)}', sys.argv[1])))"
    ),
    "a dictionary": f"import zlib\nexec(zlib.decompressobj(zdict=b'x').decompress({ZL!r}))",
    "an f-string": f"import zlib, base64\nx = 1\nexec(zlib.decompress(base64.b85decode(f'{{x}}{LONG}')))",
    "newer syntax": f"import zlib\nexec(zlib.decompress({ZL!r}))\ntype type = match for ever\n",
    "a null byte": f"import zlib\nexec(zlib.decompress({ZL!r}))\n\0",
    "an open string": f"import zlib\nexec(zlib.decompress({ZL!r}))\n'''",
    "a comment": f"# exec(zlib.decompress({ZL!r}))\n",
    "a string": "x = '''exec(zlib.decompress(b'x'))'''\n",
    "itself": "import zlib\nx = zlib.decompress(x)\nexec(x)\n",
    "two names of each other": "import zlib\nx = y\ny = x\nexec(zlib.decompress(x))\nexec(x.y.decompress(y))",
    "no arguments": "import zlib\nexec()\nexec(zlib.decompress())\nexec(zlib.decompress(*a))\nexec(*a, **b)",
    "deep parentheses": "exec;decompress;" + "(" * 50_000,
    "deep operators": "exec;decompress;" + "-" * 100_000 + "1",
    "a long sum": "exec;decompress;" + "1+" * 50_000 + "1",
    "deep attributes": "exec;decompress;a" + ".b" * 900,
    "deep calls": "import zlib\nexec(zlib.decompress(" + "a(" * 80 + ")" * 80 + "))",
    "too much code": f"import zlib\nexec(zlib.decompress({ZL!r}))\n" + "f(1)\n" * 60_000,
    "too much code in strings of code": f"import zlib\nexec(zlib.decompress({ZL!r}))\nf'{{{'f(1),' * 60_000}}}'\n",
}


@pytest.mark.parametrize("name", PLAIN)
def test_source_whose_payload_cannot_be_told_is_one_region(name: str) -> None:
    data = PLAIN[name].encode()
    assert READER.sniff(data) is Sniff.NO
    assert [(r.span.start, r.span.stop, r.label) for r in read(data).regions] == [(0, len(data), "[source]")]


def test_any_source_of_the_standard_library_is_read() -> None:
    folder = Path(ast.__file__).parent
    for path in sorted(folder.glob("*.py"))[::4]:
        data = path.read_bytes()
        if READER.sniff(data) is Sniff.SURE:
            raise AssertionError(path)
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            continue
        assert read(data).regions[0].span.start == 0


def test_a_file_that_is_no_text_is_never_taken_for_source() -> None:
    for head in (b"\x80abc", b"\0", b"PK\x03\x04", b"\x1b[2J", os.urandom(99) + b"\xff\0"):
        assert READER.sniff(head + STUBS["aliases"][0].encode()) is Sniff.NO
    assert READER.sniff(b"") is Sniff.NO


def test_text_that_is_not_utf_8_is_refused_under_the_suffix() -> None:
    for before in (b"", b"x = 1\n", b"#" * ((1 << 20) - 1), b"#" * (1 << 20)):
        with pytest.raises(CorruptError, match=rf"^x\.py: byte {len(before)} is not UTF-8"):
            opened(before + b"\xff\n", "x.py")
        # A character cut short at the end of the file, whichever piece it begins in.
        with pytest.raises(CorruptError, match=rf"byte {len(before)} is not UTF-8"):
            read(before + b"\xe6\xbc")
    whole = b"#" * ((1 << 20) - 1) + "漢".encode()
    assert read(whole).regions[0].span.stop == len(whole)


def test_source_beyond_the_limit_is_text() -> None:
    data = STUBS["aliases"][0].encode() + b"\n" + b"#" * LONGEST_SOURCE
    assert READER.sniff(data) is Sniff.NO
    assert len(read(data).regions) == 1


# Payloads that are not executed


def test_weights_in_the_source_are_streams_too() -> None:
    weights = os.urandom(200)
    text = (
        "import zlib, lzma\nfrom base64 import b64decode, b85decode\n"
        f"W = zlib.decompress(b64decode('{b64(zlib.compress(weights))}'))\n"
        f"def late():\n    return lzma.decompress(b85decode(V))\nexec(zlib.decompress({ZL!r}))\n"
        f"short = zlib.decompress(b'{'x' * 64}')\n"
        f"V = '{b85(lzma.compress(weights))}'\n"
    )
    found = inners(text.encode())
    assert [(i.name, i.codec, i.fallback) for i in found] == [
        ("[payload]", "zlib", "opaque"),
        ("[payload 2]", "zlib", "python-source"),
        ("[payload 3]", "xz", "opaque"),
    ]
    assert [unpacked(i) for i in found] == [weights, SOURCE, weights]
    assert READER.sniff(text.encode()) is Sniff.SURE


def test_a_program_that_only_carries_data_is_not_sniffed_but_read() -> None:
    data = f"import zlib, base64\nW = zlib.decompress(base64.b64decode('{LONG}'))\n# exec".encode()
    assert READER.sniff(data) is Sniff.NO
    assert [i.fallback for i in inners(data)] == ["opaque"]


def test_what_runs_later_is_unpacked_but_does_not_make_a_stub() -> None:
    data = f"import zlib\ndef main():\n    exec(zlib.decompress({ZL!r}))\n".encode()
    assert READER.sniff(data) is Sniff.NO
    assert [i.fallback for i in inners(data)] == ["python-source"]


def test_a_literal_used_twice_is_one_region_and_executing_it_counts() -> None:
    data = f"import zlib\nP = {ZL!r}\nn = len(zlib.decompress(P))\nexec(zlib.decompress(P))".encode()
    assert [(i.name, i.fallback) for i in inners(data)] == [("[payload]", "python-source")]


# Refusals

REFUSALS: dict[str, tuple[str, type[GolfbudgetError], str]] = {
    "no base 85": (
        "import zlib, base64\nexec(zlib.decompress(base64.b85decode('a b')))",
        CorruptError,
        "the payload literal at byte 58 is not the base85 it must be: bad base85 character",
    ),
    "no hex": ("import zlib\nexec(zlib.decompress(bytes.fromhex('abc')))", CorruptError, "is not the hex it must be"),
    "an argument that is refused": (
        "import zlib, base64\nexec(zlib.decompress(base64.b64decode('abcd', b'+')))",
        CorruptError,
        "is not the base64",
    ),
    "base 64 of text where bytes are needed": (
        f"import zlib, codecs\nexec(zlib.decompress(codecs.decode('{LONG}', 'base64')))",
        CorruptError,
        "is not the base64",
    ),
    "ascii85 that would take much memory": (
        f"import zlib, base64\nexec(zlib.decompress(base64.a85decode('{'5' * (8 << 20)}5')))",
        UnsupportedError,
        "ascii85 of 8388609 characters is not read",
    ),
    "an empty payload": ("import zlib\nexec(zlib.decompress(b''))", CorruptError, "it is empty"),
    "a window that zlib has not": (
        f"import zlib\nexec(zlib.decompress({ZL!r}, -7))",
        UnsupportedError,
        "the payload literal at byte 33 cannot be unpacked: zlib with wbits=-7",
    ),
    "raw LZMA1": (
        f"import lzma as L\nexec(L.decompress({RAW!r}, L.FORMAT_RAW, filters=[{{'id': L.FILTER_LZMA1}}]))",
        UnsupportedError,
        "only a single LZMA2",
    ),
    "two filters": (
        (
            f"import lzma as L\nexec(L.decompress({RAW!r}, format=L.FORMAT_RAW, "
            "filters=[{'id': L.FILTER_DELTA, 'dist': 4}, {'id': L.FILTER_LZMA2}]))"
        ),
        UnsupportedError,
        "only a single LZMA2",
    ),
    "a dictionary of a gigabyte": (
        f"import lzma as L\nexec(L.decompress({RAW!r}, 3, None, [{{'id': 33, 'dict_size': 1 + 1073741823}}]))",
        UnsupportedError,
        "only a single LZMA2",
    ),
    "no filters": (f"import lzma as L\nexec(L.decompress({RAW!r}, L.FORMAT_RAW))", UnsupportedError, "filters None"),
    "another lzma format": (f"import lzma\nexec(lzma.decompress({RAW!r}, 7))", UnsupportedError, "lzma format 7"),
    "raw LZMA2 around another codec": (
        f"import lzma as L, zlib\nexec(zlib.decompress(L.decompress({RAW!r}, {RAW_OPTIONS})))",
        UnsupportedError,
        "lzma2-raw around another codec",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_executed_payload_that_cannot_be_unpacked_is_refused_by_content_and_by_name(name: str) -> None:
    text, kind, message = REFUSALS[name]
    for file in ("x.py", "x.bin"):
        with pytest.raises(kind, match=rf"^{file}: .*{message}"):
            opened(text.encode(), file)
    # The same call without exec may be there to fail: it stays text.
    plain = text.replace("exec(", "    (").replace("\n    ", "\n")
    assert inners(plain.encode()) == []


def test_nothing_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    stub = (
        f"import zlib\nopen({str(marker)!r}, 'w')\n"
        f"exec(zlib.decompress({zlib.compress(f'open({str(marker)!r}, chr(119))'.encode())!r}))"
    )
    data = stub.encode()
    assert READER.sniff(data) is Sniff.SURE
    assert unpacked(inners(data)[0]).startswith(b"open(")
    assert not marker.exists()


def test_source_in_utf_16_is_refused_at_once() -> None:
    data = ("x = '" + "ab1" * 100_000).encode("utf-16-le")
    with pytest.raises(SyntaxError):
        parse(data)
