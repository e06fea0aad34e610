"""Other ways to spell a payload: arithmetic, joins, encodings and zip files, against what running them would execute.

Every program is made here; a child process runs it with `exec` replaced by a function that keeps what it is given.
"""

from __future__ import annotations

import ast
import base64
import bz2
import io
import json
import lzma
import random
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import opened
from support.programs import damaged

from golfbudget import formats
from golfbudget.artifact import open_bytes
from golfbudget.code_packing.forms import latin_literal
from golfbudget.code_packing.numerals import BASE, numeral, quoted
from golfbudget.codecs import Sniff
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, LimitError, UnsupportedError
from golfbudget.formats.python.arithmetic import LiteralArithmetic
from golfbudget.formats.python.names import Names, NotStaticError
from golfbudget.ledger import Account, check_tiling

SOURCE = 'print("été", 1 + 1)\nfor i in range(10):\n    x = i\n'.encode() * 8
ZL, BZ = zlib.compress(SOURCE), bz2.compress(SOURCE)
B85 = base64.b85encode(ZL).decode()
HALF = len(ZL) // 2
SEVEN = bytes(int(f"{int.from_bytes(ZL, 'big'):0{-(-len(ZL) * 8 // 7) * 7}b}"[at : at + 7], 2)
              for at in range(0, -(-len(ZL) * 8 // 7) * 7, 7))  # fmt: skip
EXEC = "import zlib, base64, functools\nexec(zlib.decompress({}))"
FOLD = "functools.reduce(lambda n, c: {}, {}, 0).to_bytes(%d, 'big')" % len(ZL)  # noqa: UP031  (braces stay)

#: Program, codec, spelling.
SIBLINGS: dict[str, tuple[bytes, str]] = {
    name: (EXEC.format(call).encode(), spelling)
    for name, (call, spelling) in {
        "digits of 126": (FOLD.format("n*126+c-(c>13)", quoted(numeral(ZL))), "base 126"),
        "digits of 126, little": (
            f"functools.reduce(lambda n,c:n*126+c-(c>13),{numeral(ZL[::-1])!r},0).to_bytes({len(ZL)},'little')",
            "base 126",
        ),
        "digits of 128 by shifts": (FOLD.format("n << 7 | c", repr(SEVEN)), "base 128"),
        "digits of 128 in text": (FOLD.format("(n << 7) + ord(c)", repr(SEVEN.decode())), "base 128"),
        "digits of 16": (FOLD.format("n * 16 + (c - 48 if c < 58 else c - 87)", repr(ZL.hex().encode())), "base 16"),
        "bits joined": (
            f"int(''.join(f'{{c:07b}}' for c in {SEVEN!r}), 2).to_bytes({len(ZL)}, 'big')",
            "base 2",
        ),
        "bits joined by format": (
            f"int(''.join(format(ord(c), '07b') for c in {SEVEN.decode()!r}), 2).to_bytes({len(ZL)}, 'big')",
            "base 2",
        ),
        "bits joined by bin": (
            f"int(''.join([bin(c)[2:].zfill(7) for c in {SEVEN!r}]), 2).to_bytes(length={len(ZL)}, byteorder='big')",
            "base 2",
        ),
        "a number": (f"0x{ZL.hex()}.to_bytes({len(ZL)}, 'big')", "number"),
        "a number in text": (f"int('{ZL.hex()}', 16).to_bytes({len(ZL)}, 'big')", "base 16"),
        "a number from bytes": (f"int.from_bytes({ZL[::-1]!r}, 'little').to_bytes({len(ZL)}, 'big')", "number"),
        "a list of numbers": (f"bytes({list(ZL)})", "bytes"),
        "numbers of characters": (f"bytes(map(ord, {ZL.decode('latin-1')!r}))", "bytes"),
        "numbers by a lambda": (
            f"bytes(map(lambda c: ord(c) ^ 7, {bytes(b ^ 7 for b in ZL).decode('l1')!r}))",
            "bytes",
        ),
        "numbers by a generator": (f"bytes((c - 1) % 256 for c in {bytes((b + 1) % 256 for b in ZL)!r})", "bytes"),
        "joined bytes": (f"b''.join(({ZL[:HALF]!r}, {ZL[HALF:]!r}))", "bytes"),
        "joined text": (f"base64.b85decode(''.join(['{B85[:90]}',\n  '{B85[90:]}']))", "base85"),
        "added bytes": (f"{ZL[:HALF]!r} + {ZL[HALF:]!r}", "bytes"),
        "bytes by encoding": (f"bytes({ZL.decode('latin-1')!r}, 'latin1')", "latin-1"),
        "an encoding by keyword": (f"{ZL.decode('latin-1')!r}.encode(encoding='iso-8859-1')", "latin-1"),
        "another encoding": (f"{ZL.decode('cp437')!r}.encode('cp437')", "cp437"),
        "an alias of latin-1": (f"{ZL.decode('latin-1')!r}.encode('l1')", "latin-1"),
        "backwards": (f"base64.b85decode('{B85[::-1]}'[::-1])", "base85"),
        "backwards by reversed": (f"bytes(reversed({ZL[::-1]!r}))", "bytes"),
        "white space": (f"base64.b85decode('''\n {B85[:80]}\n{B85[80:]}\n'''.replace('\\n', '').strip())", "base85"),
        "words": (f"base64.b85decode(''.join('{B85[:80]} {B85[80:]}'.split()))", "base85"),
        "a part": (f"base64.b85decode('abc{B85}'[3:])", "base85"),
    }.items()
}
SIBLINGS |= {
    "lzma of joined parts": (
        b"import lzma\nexec(lzma.decompress(b''.join([%r,%r])))"
        % (lzma.compress(SOURCE)[:50], lzma.compress(SOURCE)[50:]),
        "bytes",
    ),
    "bz2 of digits": (
        f"import bz2,functools as F\nexec(bz2.decompress(F.reduce(lambda n,c:n*126+c-(c>13),{quoted(numeral(BZ))},0)"
        f".to_bytes({len(BZ)},'big')))".encode(),
        "base 126",
    ),
    "parts under names": (
        f"A = '{B85[:99]}'\nB = '{B85[99:]}'\n{EXEC.format('base64.b85decode(A + B)')}".encode(),
        "base85",
    ),
    "Latin-1": (
        f"#coding:l1\nimport zlib\nexec(zlib.decompress({latin_literal(ZL)}.encode('l1')))".encode("latin-1"),
        "latin-1",
    ),
    "Latin-9 in line two, text beyond ASCII around": (
        (
            "#!/usr/bin/env python3\n# -*- coding: iso-8859-15 -*-\n"
            f"é = '€'; import zlib; exec(zlib.decompress({ZL!r})); ü = é\n"
        ).encode("iso-8859-15"),
        "bytes",
    ),
    "UTF-8 declared": (f"# coding: utf-8\né = '漢'; import zlib; exec(zlib.decompress({ZL!r}))".encode(), "bytes"),
    "UTF-8 declared to be latin-1": (
        f"# coding: latin-1\nx = '漢'; import zlib; exec(zlib.decompress({ZL!r}))".encode(),
        "bytes",
    ),
}
#: Runs every program of a JSON list, keeping what it would execute.
CHILD = """
import base64, builtins, bz2, functools, json, lzma, sys, zlib
run, make = builtins.exec, builtins.compile
kept = []
builtins.exec = lambda source, *rest: (
    kept.append(source.decode()) if isinstance(source, bytes) else run(source, *rest)  # Importing executes too.
)
for program in json.load(sys.stdin):
    run(make(bytes.fromhex(program), "<program>", "exec"), {"__name__": "__main__"})
json.dump(kept, sys.stdout)
"""


def test_what_running_a_program_would_execute_is_what_its_stream_decodes_to() -> None:
    request = json.dumps([program.hex() for program, _ in SIBLINGS.values()])
    done = subprocess.run([sys.executable, "-c", CHILD], input=request, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [SOURCE.decode()] * len(SIBLINGS)


@pytest.mark.parametrize("name", SIBLINGS)
def test_a_spelling_is_read_and_every_byte_is_counted_once(name: str) -> None:
    program, spelling = SIBLINGS[name]
    assert formats.get("python-source").sniff(program) is Sniff.SURE
    artifact = opened(program, "x.bin")
    assert [bytes(leaf.data) for leaf in artifact.leaves] == [SOURCE]
    assert artifact.layers[1].name == spelling
    contents = formats.get("python-source").read(program, where="x")
    assert contents is not None
    check_tiling(len(program), [region.span for region in contents.regions], "x")
    assert {region.account for region in contents.regions} == {Account.SOURCE}
    (place,) = (region.span for region in contents.regions if region.inner is not None)
    # The literals and nothing before or after them: what stands around is the program without its payload.
    assert len(program) - len(place) < 300
    assert b"exec" not in program[place.start : place.stop]


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_digits_and_characters_give_back_any_bytes(data: bytes) -> None:
    number = 0
    for character in numeral(data):
        assert 0 < character < 128
        assert character != ord("\r")
        number = number * BASE + character - (character > ord("\r"))
    assert number.to_bytes(len(data), "big") == data
    literal = quoted(numeral(data))
    assert literal is None or ast.literal_eval(literal) == numeral(data)
    assert ast.literal_eval(latin_literal(data)).encode("latin-1") == data


@pytest.mark.parametrize(
    "text", [b'"""', b"'''", b'"', b"'", b"\\", b'"\\', b"'\\\\", b'""""', b"\n\\n", b"", b"\x01\x1a\x7f"]
)
def test_quotes_and_backslashes_are_held_where_they_stand(text: bytes) -> None:
    literal = quoted(text)
    assert literal is not None
    assert ast.literal_eval(literal) == text
    assert (
        ast.literal_eval(latin_literal(text + b"\0" + text + b"\x001\r")) == (text + b"\0" + text + b"\x001\r").decode()
    )


@pytest.mark.parametrize("text", [b"\"\"\"'''", b'"""x\'', b"'''x\""])
def test_no_quotes_hold_both_kinds(text: bytes) -> None:
    assert quoted(text) is None


PLAIN = {
    "a number known at run time": f"n=int(input())\nexec(zlib.decompress(bytes(c ^ n for c in {ZL!r})))",
    "a function of its own": f"def f(c): return c\nexec(zlib.decompress(bytes(map(f, {ZL!r}))))",
    "a base that changes": f"exec(zlib.decompress(functools.reduce(lambda n,c:n*c+1,{ZL!r},0).to_bytes(9,'big')))",
    "a square": f"exec(zlib.decompress(functools.reduce(lambda n,c:n*n+c,{ZL!r},0).to_bytes(9,'big')))",
    "no base": f"exec(zlib.decompress(functools.reduce(lambda n,c:n+c,{ZL!r},0).to_bytes(9,'big')))",
    "a condition": f"exec(zlib.decompress(bytes(c for c in {ZL!r} if c)))",
    "two loops": f"exec(zlib.decompress(bytes(c for d in [{ZL!r}] for c in d)))",
    "text of too many": f"exec(zlib.decompress(b''.join([{ZL!r}, 'x'])))",
    "an encoding of another kind": "exec(zlib.decompress('abc'.encode('utf-16')))",
    "errors left out": f"exec(zlib.decompress({ZL.decode('l1')!r}.encode('l1', 'ignore')))",
    "a width": f"exec(zlib.decompress(''.join(f'{{c:999999999d}}' for c in {ZL!r}).encode('l1')))",
    "repeated": f"exec(zlib.decompress({ZL!r} * 99999999999))",
    "a shift": "exec(zlib.decompress(bytes(1 << 99999999999 for c in b'abc')))",
    "too large a number": "exec(zlib.decompress((2 ** 99999999999).to_bytes(9, 'big')))",
    "too long a number": "exec(zlib.decompress((5).to_bytes(99999999999, 'big')))",
    "doubled for ever": "\n".join(f"P{n} = P{n - 1} + P{n - 1}" if n else f"P0 = {ZL!r}" for n in range(40))
    + "\nexec(zlib.decompress(P39))",
    "joined for ever": f"exec(zlib.decompress({ZL!r}.join([b'a'] * 999999999)))",
    "a decompressor inside": f"exec(zlib.decompress(b''.join([zlib.decompress({ZL!r})])))",
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_only_running_could_tell_is_text(name: str) -> None:
    data = f"import zlib, functools\n{PLAIN[name]}\n".encode()
    assert [(len(leaf.data), leaf.contents.format) for leaf in opened(data, "x.py").leaves] == [
        (len(data), "python-source")
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("(2 ** 3).to_bytes(1, 'big')", None),
        ("int('zz', 16).to_bytes(1, 'big')", "invalid literal for int"),
        ("(300).to_bytes(1, 'big')", "int too big to convert"),
        ("(5).to_bytes(1, 'up')", "a byte order is"),
        ("bytes([256])", "range"),
        ("bytes(c // 0 for c in b'abc')", "zero"),
        ("'é漢'.encode('l1')", "latin-1"),
    ],
)
def test_what_python_refuses_is_refused_with_its_place(call: str, message: str | None) -> None:
    data = f"import zlib\nexec(zlib.decompress({call}))\n".encode()
    if message is None:
        assert opened(data, "x.py").leaves[0].data == data
        return
    with pytest.raises(CorruptError, match=rf"^x\.py: the payload literal at byte \d+ is not .*{message}"):
        opened(data, "x.py")


def test_a_number_of_many_digits_is_read_at_once_and_a_longer_one_is_text() -> None:
    digits = bytes(random.Random(1).choices(range(1, 13), k=(1 << 18) + 1))
    names = Names(ast.parse("import functools"))

    def worked_out(literal: bytes) -> bytes:
        call = f"functools.reduce(lambda n,c:n*126+c,{literal!r},0).to_bytes({len(literal)},'big')"
        return LiteralArithmetic(names).data(ast.parse(call, mode="eval").body)

    assert len(worked_out(digits[1:])) == 1 << 18
    with pytest.raises(NotStaticError):
        worked_out(digits)


@settings(max_examples=200, derandomize=True)
@given(
    data=st.sampled_from([program for program, _ in SIBLINGS.values()]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=3),
)
def test_changed_programs_give_a_ledger_or_a_golfbudget_error(
    data: bytes, cut: float, flips: list[tuple[float, int]]
) -> None:
    for made in damaged(data, cut, flips):
        try:
            opened(made, "x.py")
        except LedgerError:
            raise
        except GolfbudgetError as error:
            assert str(error).startswith("x.py")  # noqa: PT017  (most changes are not refused)


# Encodings


def test_text_that_is_not_in_its_encoding_is_refused() -> None:
    with pytest.raises(CorruptError, match=r"^x\.py: byte 20 is not cp1252, which it declares,"):
        opened(b"# coding: cp1252\nx='\x81'\n", "x.py")
    with pytest.raises(CorruptError, match="byte 19 is not UTF-8"):
        opened(b"x = 1\n\n#coding:l1\n#\xe9\n", "x.py")  # Declared too late.


@pytest.mark.parametrize("name", ["klingon", "hex", "utf-16", "utf-7"])
def test_an_encoding_that_is_not_read_is_taken_for_utf_8(name: str) -> None:
    data = f"#coding:{name}\nimport zlib\nexec(zlib.decompress({ZL!r}))".encode()
    assert bytes(opened(data, "x.py").leaves[0].data) == SOURCE


# Zip files


def zipped(*, method: int = zipfile.ZIP_DEFLATED, before: bytes = b"", **members: bytes) -> bytes:
    """A zip file of the source and other members, written behind what stands before it."""
    out = io.BytesIO()
    out.write(before)
    with zipfile.ZipFile(out, "a", method) as archive:
        for name, data in ({"__main__": SOURCE} | members).items():
            archive.writestr(f"{name}.py" if name.startswith("_") else f"{name}.bin", data)
    return out.getvalue()


SHEBANG = b"#!/usr/bin/env python3\n"
ZIPS: dict[str, Callable[[], bytes]] = {
    "deflated": zipped,
    "stored": lambda: zipped(method=zipfile.ZIP_STORED),
    "bzip2": lambda: zipped(method=zipfile.ZIP_BZIP2),
    "behind a line, offsets from the archive": lambda: SHEBANG + zipped(),
    "behind a line, offsets from the file": lambda: zipped(before=SHEBANG),
    "behind a stub": lambda: b"import sys\nprint('not a zip file', file=sys.stderr)\n" + zipped(),
    "with a comment": lambda: _commented(zipped()),
}


def _commented(data: bytes) -> bytes:
    return data[:-2] + (5).to_bytes(2, "little") + b"hello"


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.parametrize("file", ["x.py", "x.pyz", "x.bin", "train_gpt"])
def test_a_zip_file_that_runs_is_read_whatever_its_name(name: str, file: str) -> None:
    data = ZIPS[name]()
    artifact = opened(data, file)
    assert artifact.format == "python-zip"
    assert [bytes(leaf.data) for leaf in artifact.leaves] == [SOURCE]
    assert all(part.code for part in artifact.parts)
    assert sum(part.stored_bits for part in artifact.parts) == 8 * len(data)


@pytest.mark.parametrize("name", [name for name in ZIPS if name != "bzip2"])
def test_python_runs_what_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(ZIPS[name]())
    done = subprocess.run([sys.executable, path], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("été 2\n")


def test_what_travels_with_the_program_is_told_by_its_content() -> None:
    weights = random.Random(1).randbytes(5000)
    stub = EXEC.format(repr(ZL)).encode()
    data = zipped(__init__=stub, weights=zlib.compress(weights), noise=weights)
    artifact = opened(data, "x")
    assert [bytes(leaf.data) for leaf in artifact.leaves] == [SOURCE, SOURCE, weights, weights]


def test_another_zip_file_is_none_that_runs() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", SOURCE)
    assert formats.get("python-zip").sniff(out.getvalue()) is Sniff.NO
    assert formats.get("python-zip").read(out.getvalue(), where="x") is None


def test_a_zip_file_that_contradicts_itself_is_refused() -> None:
    data = zipped(method=zipfile.ZIP_STORED, noise=b"abcdef")
    with pytest.raises(CorruptError, match="does not match its checksum"):
        opened(data.replace(b"abcdef", b"abcdeg", 1), "x.py")
    with pytest.raises(CorruptError, match=r"^x\.pyz: its zip directory would start 40 bytes further on"):
        opened(data[40:], "x.pyz")
    lzma_zip = zipped(method=zipfile.ZIP_LZMA)
    with pytest.raises(UnsupportedError, match=r"'__main__.py' at byte \d+ is compressed by method 14"):
        opened(lzma_zip, "x.py")


def test_a_zip_file_cannot_exhaust_memory() -> None:
    bomb = zipped(__init__=bytes(1 << 24))
    with pytest.raises(LimitError, match="decodes to more than"):
        open_bytes(bomb, name="x.py", limit=1 << 20)
