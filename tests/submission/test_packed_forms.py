"""A submission whose program is packed in any form gets the report of the same program in any other.

The forms are packed by this package and by hand; what differs is the stub's own length, which lies on disk.
"""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
from support.programs import PADDING
from support.standins import submission

import golfbudget as gb
from golfbudget.code_packing import pack_code

#: A program that needs a helper, a table and a package, and writes a file.
PROGRAM = f"""import helper
from os.path import join
CAP = 16_000_000
table = open(join("tables", "prefix.bin"), "rb").read()
def main():
    helper.train(table)
    open("final_model.int8.ptz", "wb").write(b"x")
{PADDING}
NOISE = "{random.Random(2).randbytes(2_000).hex()}"
main()
""".encode()
ZLIB = zlib.compress(PROGRAM, 9)


def _zipped(source: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", source)
    return out.getvalue()


def _ours(form: str | None, *, packages: tuple[str, ...] = ()) -> bytes:
    allow = [*packages, *([form] if form else [])]
    packed = pack_code(PROGRAM, name="train_gpt.py", minified=False, allow=allow, printable=form is None)
    assert form is None or packed.chosen.spelling == form
    return packed.stub


FORMS: dict[str, Callable[[], bytes]] = {
    "base 85": lambda: _ours(None),
    "base 85 of brotli": lambda: _ours(None, packages=("brotli",)),
    "7-bit": lambda: _ours("7-bit"),
    "latin-1": lambda: _ours("latin-1"),
    "zip": lambda: _zipped(PROGRAM),
    "a zip behind a line": lambda: b"#!/usr/bin/env python3\n" + _zipped(PROGRAM),
    "by hand, ascii85": lambda: (
        b"import zlib,base64\nexec(zlib.decompress(base64.a85decode(%r)))\n" % base64.a85encode(ZLIB)
    ),
    "by hand, base64 of bz2": lambda: (
        b"import bz2,base64\nexec(bz2.decompress(base64.b64decode(%r)))" % base64.b64encode(bz2.compress(PROGRAM))
    ),
    "by hand, joined": lambda: (
        b"import lzma\nexec(lzma.decompress(b''.join([%r,%r])).decode())"
        % (lzma.compress(PROGRAM)[:99], lzma.compress(PROGRAM)[99:])
    ),
    "by hand, a number": lambda: (
        b"import zlib\nexec(zlib.decompress(int('%x',16).to_bytes(%d,'big')))"
        % (int.from_bytes(ZLIB, "big"), len(ZLIB))
    ),
    "by hand, brotli in bytes": lambda: b"import brotli\nexec(brotli.decompress(%r))" % brotli.compress(PROGRAM),
    "by hand, latin-1 under a cookie": lambda: (
        b"# -*- coding: latin-1 -*-\nimport zlib\nexec(zlib.decompress('''"
        + ZLIB.replace(b"\\", b"\\\\").replace(b"\0", b"\\x00").replace(b"\r", b"\\r").replace(b"'", b"\\'")
        + b"'''.encode('latin1')))"
    ),
    "a stub in a zip": lambda: _zipped(_ours(None)),
}


def report(folder: Path, program: bytes) -> dict[str, object]:
    """What check says of the program, its length and its figures by bytes left out."""
    path = submission(
        folder,
        {
            "train_gpt.py": program,
            "helper.py": "import json\ndef train(table): return json.dumps(len(table))\n",
            "unused.py": "print(1)\n",
            "tables/prefix.bin": bytes(range(256)) * 20,
            "final_model.int8.ptz": random.Random(1).randbytes(40_000),
        },
    )
    (found,) = gb.check(path).to_dict()["submissions"]
    shipped = found["conventions"]["shipped"]
    assert {one["path"]: one["bytes"] for one in found["code"]}["train_gpt.py"] == len(program)
    packed = pack_code(PROGRAM, name="train_gpt.py", printable=True)
    return {
        "beyond the stub": shipped["total_bytes"] - len(program),
        # What is shipped counts as packed, too, where it is smaller than base 85.
        "packed beyond it": found["packed_code"]["bytes"] - min(len(program), packed.length),
        "code": [(one["path"], one["how"], one["by"]) for one in found["code"]],
        "files": [(one["path"], one["as"], one["why"].split(", line")[0]) for one in found["files"]],
        "findings": [(finding["severity"], finding["code"]) for finding in found["findings"]],
        "passed": shipped["fits"],
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return report(tmp_path_factory.mktemp("plain"), PROGRAM)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_form_changes_nothing_but_the_stub(form: str, plain: dict[str, object], tmp_path: Path) -> None:
    assert report(tmp_path, FORMS[form]()) == plain


def test_the_report_is_about_what_the_program_needs(plain: dict[str, object]) -> None:
    assert plain["code"] == [
        ("train_gpt.py", "entry", None),
        ("helper.py", "imported", "train_gpt.py"),
        ("tables/prefix.bin", "read", "train_gpt.py"),
    ]
