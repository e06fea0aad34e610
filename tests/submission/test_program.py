"""What a program needs: every file of a folder, counted as what, or not counted and why, on every Python alike."""

from __future__ import annotations

import ast
import base64
import io
import json
import lzma
import zipfile
import zlib
from pathlib import Path

import brotli
import pytest
from support.standins import log_text, submission

from golfbudget.formats.python import newer
from golfbudget.formats.python.syntax import parse
from golfbudget.rules import Convention, load_rules
from golfbudget.submission import Checked, check_submission
from golfbudget.submission.file_uses import file_uses
from golfbudget.submission.megabytes import binary_caps
from golfbudget.submission.nodes import nodes

RULES = load_rules()
BLOB = bytes(range(256)) * 40
#: Syntax of Python 3.12 to 3.14 that imports what lies beside it.
NEWER = {
    "quotes in an f-string": 'import helper\nx = {"a": 1}\nprint(f"{x["a"]}")\n',
    "backslash in an f-string": "import helper\nprint(f\"{'\\n'.join(['a'])}\")\n",
    "type statement": "import helper\ntype X = int\n",
    "type parameters": "import helper\ndef f[T](a: T) -> T: return a\nclass A[T]: pass\n",
    "default of a type parameter": "import helper\ntype X[T = int] = list[T]\n",
    "exceptions without brackets": "try:\n    import helper\nexcept ValueError, TypeError:\n    pass\n",
    "template string": 'import helper\nx = t"{1}"\n',
}


def check(folder: Path, files: dict[str, str | bytes], *code: str) -> Checked:
    submission(folder, {"train.log": log_text(code=100, model=1_000_000), **files})
    return check_submission(folder, RULES, code=[Path(name) for name in code])


def counted(found: Checked) -> dict[str, str | None]:
    return {use.file.path: use.counted_as for use in file_uses(found) if use.counted_as}


def codes(found: Checked) -> set[str]:
    return {finding.code for finding in found.findings}


# --- newer syntax ---


@pytest.mark.parametrize("source", NEWER.values(), ids=NEWER)
@pytest.mark.parametrize("packed", [False, True])
def test_newer_syntax_is_understood_on_every_python(tmp_path: Path, source: str, *, packed: bool) -> None:
    program = source
    if packed:
        digits = base64.b85encode(lzma.compress(source.encode())).decode()
        program = f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{digits}")))\n'
    found = check(tmp_path, {"train_gpt.py": program, "helper.py": "y = 1\n"})
    assert counted(found) == {"train_gpt.py": "program", "helper.py": "helper"}
    assert not codes(found) & {"GB206", "GB208"}


def test_what_no_parser_takes_is_an_error(tmp_path: Path) -> None:
    found = check(tmp_path, {"train_gpt.py": "import helper\nx = = 3\n"})
    (finding,) = [finding for finding in found.findings if finding.code == "GB208"]
    assert "line 2" in finding.message
    assert not found.passed()


@pytest.mark.parametrize("source", ["print 'x'\n", "exec 'x'\n", "def f(:\n", "x = = 3\n", "{ a b\n", "\0"])
def test_refusals_are_syntax_errors(source: str) -> None:
    with pytest.raises(SyntaxError):
        parse(source.encode())


def _facts(tree: ast.Module) -> set[tuple[object, ...]]:
    facts: set[tuple[object, ...]] = set()
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            facts.add(("call", node.lineno, node.col_offset, len(node.args), len(node.keywords)))
        elif isinstance(node, ast.BinOp):
            facts.add(("operator", node.lineno, type(node.op).__name__))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            facts.add(("import", node.lineno, tuple((alias.name, alias.asname) for alias in node.names)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in inside:
            facts.add(("string", node.value, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset))
    return facts


@pytest.mark.parametrize("module", [ast, json, lzma, zipfile, base64])
def test_both_parsers_tell_the_same(module: object) -> None:
    source = Path(str(getattr(module, "__file__", ""))).read_bytes()
    assert _facts(newer.parse_newer(source)) == _facts(ast.parse(source))


# --- files that a program needs ---

NEEDED = {
    "joined by a slash": ('from pathlib import Path\nD = Path(__file__).parent / "k"\nS = D / "a.cu"\n', "k/a.cu"),
    "joined by os.path": (
        'import os\nT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "k", "a.cu")\n', "k/a.cu"),
    "f-string": ('import os\nH = os.path.dirname(__file__)\nn = "a"\nopen(f"{H}/k/{n}.dat").read()\n', "k/a.dat"),
    "sum": ('import os\nH = os.path.dirname(__file__)\nopen(H + "/k/" + "a.dat").read()\n', "k/a.dat"),
    "with_suffix": ("from pathlib import Path\nPath(__file__).with_suffix('.dat').read_bytes()\n", "train_gpt.dat"),
    "with_name": ("from pathlib import Path\nPath(__file__).with_name('pre').read_bytes()\n", "pre"),
    "glob": ("import glob\nX = [open(x) for x in glob.glob('tables/*.dat')]\n", "tables/a.dat"),
    "path glob": ("from pathlib import Path\nX = list(Path(__file__).parent.joinpath('t').glob('*'))\n", "t/blob"),
    "listed folder": ("import os\nfor x in os.listdir('tables'): open('tables/' + x)\n", "tables/a.bin"),
    "extension sources": ("import cpp_extension as c\nc.load(name='x', sources=['k/a.cpp'])\n", "k/a.cpp"),
    "loop over names": (
        "from pathlib import Path\nR = Path(__file__).parent\nfor n in ('a', 'b'): load(R / 'k' / f'{n}.cu')\n",
        "k/a.cu"),
    "function": ("import numpy as np\ndef get(n): return np.load(f'tab/{n}.npy')\nget('a')\n", "tab/a.npy"),
    "option": ("import numpy as np\np.add_argument('--table-path', default='t.npy')\nnp.load(args.table_path)\n",
               "t.npy"),
    "environment": ("import os, torch\nclass H: p = os.environ.get('P', 'pre.pt')\ntorch.load(H.p)\n", "pre.pt"),
    "table of numpy": ("import numpy as np\nT = np.fromfile('t.bin', dtype=np.uint8)\n", "t.bin"),
    "counts of the text": ("import numpy as np\nT = np.fromfile('fineweb_bigrams.bin')\n", "fineweb_bigrams.bin"),
    "json": ("import json\nT = json.load(open('vocab_map.json'))\n", "vocab_map.json"),
    "text": ("from pathlib import Path\nP = Path('prefix.txt').read_text()\n", "prefix.txt"),
    "argument of a class": ("class A:\n def __init__(self, p): self.p = p\nopen(A('w.txt').p)\n", "w.txt"),
    "argument of a lambda": ("f = lambda p: open(p).read()\nT = f('words.txt')\n", "words.txt"),
    "library": ("import ctypes\nL = ctypes.CDLL('./libx.so')\n", "libx.so"),
    "library of a Mac": ("import ctypes\nL = ctypes.CDLL('./libx.dylib')\n", "libx.dylib"),
    "built module": ("import fast\n", "fast.cpython-312-x86_64-linux-gnu.so"),
    "built module of Windows": ("import fast\n", "fast.pyd"),
    "built module of Windows for one Python": ("import fast\n", "fast.cp312-win_amd64.pyd"),
    "command": ("import subprocess\nsubprocess.run(['bash', 'build.sh'])\n", "build.sh"),
    "command in one string": ("import os\nos.system('nvcc -o x k/a.cu')\n", "k/a.cu"),
    "path of modules": (
        "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nimport mod\n",
                        "lib/mod.py"),
    "file of a package": ("from importlib import resources\nresources.files('p.q').joinpath('a.dat').read_bytes()\n",
                          "p/q/a.dat"),
    "data of a package": ("import pkgutil\nT = pkgutil.get_data('p', 'a.dat')\n", "p/a.dat"),
    "another working folder": ("import os\nos.chdir('sub')\nopen('a.dat').read()\n", "sub/a.dat"),
    "no text in a .txt": ("T = open('table.txt', 'rb').read()\n", "table.txt"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "needed"), NEEDED.values(), ids=NEEDED)
def test_files_that_the_program_needs_count(tmp_path: Path, source: str, needed: str) -> None:
    content: str | bytes = "y = 1\n" if needed.endswith((".py", ".sh", ".cu", ".cpp", "x.txt")) else BLOB
    found = check(tmp_path, {"train_gpt.py": source, needed: content, "other.dat": BLOB})
    row = found.tallies[Convention.SHIPPED].largest
    assert row is not None
    assert set(counted(found)) == {"train_gpt.py", needed}
    assert row.total == 1_000_000 + len(source) + len(content)
    (helper,) = [finding.message for finding in found.findings if finding.code == "GB203"]
    assert "train_gpt.py, line " in helper


NOT_NEEDED = {
    "data": ("import glob\nX = glob.glob('data/datasets/x/fineweb_val_*.bin')\n",
             "data/datasets/x/fineweb_val_0.bin", "validation data"),
    "tokenizer": ("open('tokenizers/a.model')\n", "tokenizers/a.model", "tokenizer"),
    "written": ("import torch\ntorch.save({}, 'final_model.pt')\ntorch.load('final_model.pt')\n", "final_model.pt",
                "written by train_gpt.py, line 2"),
    "opened for writing": ("p = 'out.dat'\nwith open(p, 'wb') as f: f.write(b'')\n", "out.dat",
                           "written by train_gpt.py, line 2"),
    "log": ("with open('run.txt', 'a') as f: f.write('')\n", "run.txt", "written by"),
    "words": ("print('step ' + str(1))\nx = 'notes'\n", "notes", "no known kind"),
    "readme": ("open('README.md').read()\n", "README.md", "rules leave it out"),
    "comment": ("'t.dat'\n", "t.dat", "no known kind"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "path", "why"), NOT_NEEDED.values(), ids=NOT_NEEDED)
def test_other_files_are_listed_with_a_reason(tmp_path: Path, source: str, path: str, why: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source, path: "" if path.endswith(".txt") else BLOB})
    assert counted(found) == {"train_gpt.py": "program"}
    (use,) = [use for use in file_uses(found) if use.file.path == path]
    assert why in use.why
    assert ("GB209" in codes(found)) == use.unknown


@pytest.mark.parametrize(
    ("pattern", "path", "counts"),
    [
        ("chunk_{i:02d}.txt", "chunk_07.txt", True),
        ("part{i}.json", "part0.json", True),
        ("train_{i}.txt", "train_1.txt", False),
        ("{i}.txt", "words.txt", False),
    ],
)
def test_texts_that_a_pattern_tells_count(tmp_path: Path, pattern: str, path: str, *, counts: bool) -> None:
    source = f"for i in range(9): open(f'{pattern}')\n"
    assert (path in counted(check(tmp_path, {"train_gpt.py": source, path: "y" * 999}))) == counts


@pytest.mark.parametrize(
    "source",
    [
        "A=open\nA('table.txt')\n",
        "A,B=print,open\nC='table.txt'\ndef f(A):\n    return B(C)\n",
        "import functools\nfunctools.partial(open, 'table.txt')\n",
        "list(map(open, ['table.txt']))\n",
        "import numpy as np\npool.map(np.fromfile, ['table.txt'])\n",
        "import pandas as pd\npd.read_pickle('table.txt')\n",
        "A=exec\nA('open(\"table.txt\")')\n",
    ],
)
def test_a_reader_counts_by_any_name_and_handed_on(tmp_path: Path, source: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source, "table.txt": "y" * 999})
    assert set(counted(found)) == {"train_gpt.py", "table.txt"}


def test_another_name_for_exec_is_seen_through_unless_it_means_more(tmp_path: Path) -> None:
    hidden = "A=exec\nA(input())\n"
    assert "GB210" in codes(check(tmp_path / "a", {"train_gpt.py": hidden, "helper.py": "y = 1\n"}))
    shared = f"{hidden}def f(A): return A(2)\n"
    assert "GB210" not in codes(check(tmp_path / "b", {"train_gpt.py": shared, "helper.py": "y = 1\n"}))


def test_what_a_package_offers_counts(tmp_path: Path) -> None:
    files = {"train_gpt.py": "from kernels import *\n", "kernels/__init__.py": "__all__ = ['attn', 'VERSION']\n"}
    found = check(tmp_path, {**files, "kernels/attn.py": "y = 1\n", "kernels/old.py": "y = 1\n"})
    assert set(counted(found)) == {*files, "kernels/attn.py"}
    assert "GB211" not in codes(found)


def test_what_helpers_need_counts_too(tmp_path: Path) -> None:
    files = {
        "train_gpt.py": "import a\n",
        "a.py": "load(sources=['k.cu'])\n",
        "k.cu": '#include "k.h"\n',
        "k.h": "//\n",
    }
    assert set(counted(check(tmp_path, dict(files)))) == set(files)


def test_every_file_is_in_the_list(tmp_path: Path) -> None:
    found = check(tmp_path, {"train_gpt.py": "1\n", "x/y.dat": b"1", "README.md": "hi", "submission.json": "{}"})
    assert [use.file.path for use in file_uses(found)] == [file.path for file in found.folder.files]
    assert all(use.why for use in file_uses(found))


# --- the entry ---

BODY = "import helper\nprint('x')\n"


def _archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("__main__.py", BODY)
    return made.getvalue()


BESIDE = {
    "lzma": ("import lzma\nfrom pathlib import Path\nexec(lzma.open(Path(__file__).with_suffix('.py.lzma')).read())\n",
             ".py.lzma", lzma.compress(BODY.encode(), format=lzma.FORMAT_ALONE)),
    "xz by name": ("import lzma\nexec(lzma.decompress(open('train_gpt.xz','rb').read()))\n", ".xz",
                   lzma.compress(BODY.encode())),
    "zlib": ("import zlib,os\nD=os.path.dirname(__file__)\nexec(zlib.decompress(open(D+'/train_gpt.z','rb').read()))\n",
             ".z", zlib.compress(BODY.encode())),
    "brotli": ("import brotli\nexec(brotli.decompress(open('train_gpt.py.br','rb').read()))\n", ".py.br",
               brotli.compress(BODY.encode())),
    "base85": ("import zlib,base64\nexec(zlib.decompress(base64.b85decode(open('train_gpt.b85').read())))\n", ".b85",
               base64.b85encode(zlib.compress(BODY.encode()))),
    "digits alone": ("import base64\nexec(base64.b64decode(open('train_gpt.b64').read()))\n", ".b64",
                     base64.b64encode(BODY.encode())),
    "zip": ("import runpy\nfrom pathlib import Path\nrunpy.run_path(Path(__file__).with_suffix('.pyz'))\n", ".pyz",
            _archive()),
    "plain": ("exec(open(__file__.replace('.py', '_body.py')).read())\n", "_body.py", BODY.encode()),
}  # fmt: skip


@pytest.mark.parametrize(("stub", "suffix", "content"), BESIDE.values(), ids=BESIDE)
def test_a_stub_and_what_it_unpacks_are_the_program(tmp_path: Path, stub: str, suffix: str, content: bytes) -> None:
    found = check(tmp_path, {"train_gpt.py": stub, f"train_gpt{suffix}": content, "helper.py": "y = 1\n"})
    assert set(counted(found)) == {"train_gpt.py", f"train_gpt{suffix}", "helper.py"}
    assert "GB204" in codes(found)
    assert "GB208" not in codes(found)


@pytest.mark.parametrize("name", ["b85decode", "b64decode", "a85decode", "b32decode", "fromhex"])
def test_a_program_of_digits_that_no_compressor_made_is_read(tmp_path: Path, name: str) -> None:
    digits = (
        BODY.encode().hex() if name == "fromhex" else getattr(base64, name.replace("decode", "encode"))(BODY.encode())
    )
    module = "bytes" if name == "fromhex" else "base64"
    found = check(
        tmp_path, {"train_gpt.py": f"import base64\nX = {digits!r}\nexec({module}.{name}(X))\n", "helper.py": ""}
    )
    assert set(counted(found)) == {"train_gpt.py", "helper.py"}
    assert not codes(found) & {"GB208", "GB210"}


@pytest.mark.parametrize("digits", ["zzzzzzzzzzzzzzzzzzzz", "YWJjZGVmZ2hpamtsbW5vcA==", "                    "])
def test_digits_of_no_program_are_not_known(tmp_path: Path, digits: str) -> None:
    source = f"import base64\nexec(base64.b64decode({digits!r}))\n"
    assert "GB208" in codes(check(tmp_path, {"train_gpt.py": source}))


def test_a_zip_that_runs_is_the_program_and_not_its_helper(tmp_path: Path) -> None:
    found = check(tmp_path, {"train_gpt.pyz": _archive(), "helper.py": "y = 1\n"})
    assert counted(found) == {"train_gpt.pyz": "program", "helper.py": "helper"}
    asked = check(tmp_path, {"train_gpt.py": "import os\n"})
    assert "2 files could be the program (train_gpt.py (10 bytes), train_gpt.pyz" in asked.chosen.reason


def test_a_stub_beside_another_program_is_asked_for(tmp_path: Path) -> None:
    stub, suffix, content = BESIDE["lzma"]
    files: dict[str, str | bytes] = {
        "submission.py": stub, f"submission{suffix}": content, "train_gpt.py": BODY, "helper.py": "",
    }  # fmt: skip
    found = check(tmp_path, files)
    assert found.chosen.fits is None
    assert "submission.py (" in found.chosen.reason
    assert "train_gpt.py (" in found.chosen.reason
    assert found.tallies[Convention.LOGGED].fits
    assert "GB201" not in codes(found)
    named = check(tmp_path, files, "submission.py")
    assert set(counted(named)) == {"submission.py", f"submission{suffix}", "helper.py"}


@pytest.mark.parametrize("source", ["", "\n\n", "  \n"])
def test_an_empty_program_is_an_error(tmp_path: Path, source: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source})
    assert "GB207" in codes(found)
    assert not found.passed()


@pytest.mark.parametrize(
    "source",
    ["exec(open('gone.py').read())\n", "import zlib\nx = get()\nexec(zlib.decompress(x))\n"],
)
def test_what_is_run_and_not_found_is_an_error(tmp_path: Path, source: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source})
    assert "GB208" in codes(found)
    assert not found.passed()


def test_weights_unpacked_and_not_run_are_no_program(tmp_path: Path) -> None:
    digits = base64.b85encode(lzma.compress(BLOB)).decode()
    source = f'import base64, lzma\nmodel.eval()\nW = lzma.decompress(base64.b85decode("{digits}"))\n'
    assert not codes(check(tmp_path, {"train_gpt.py": source})) & {"GB206", "GB208"}


def test_a_zip_of_endless_zeros_is_not_unpacked(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("__main__.py", bytes(1 << 25))
    stub = "import runpy\nrunpy.run_path('p.pyz')\n"
    assert "GB208" in codes(check(tmp_path, {"train_gpt.py": stub, "p.pyz": made.getvalue()}))


# --- caps in MiB ---


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("TARGET_MB = 16\nlimit = TARGET_MB * 1024 * 1024\n", [2]),
        ("TARGET_MB = 15.9\nif size > TARGET_MB * 1024 * 1024: pass\n", [2]),
        ("import os\nmb = float(os.environ.get('MB', '16'))\ncap = int(mb * 1024**2)\n", [3]),
        ("MB = 1 << 20\nassert size <= 16 * MB\n", [2]),
        ("def f(max_bytes=16 * 1024 * 1024): pass\n", [1]),
        ("prune(limit=16 << 20)\n", [1]),
        ("size_mb = n / 1024 / 1024\nif size_mb > 16: pass\n", [2]),
        ("if n / (1024 * 1024) < 16.0: pass\n", [1]),
        ("MB = 10**6\nlimit = 16 * MB\n", []),
        ("TARGET_MB = 15\nlimit = TARGET_MB * 1024 * 1024\n", []),
        ("if layers > 16: pass\n", []),
    ],
)
def test_caps_worked_out_in_mebibytes(source: str, lines: list[int]) -> None:
    assert [line for line, _ in binary_caps(nodes(ast.parse(source)), RULES.cap)] == lines


def test_the_finding_names_file_and_line(tmp_path: Path) -> None:
    found = check(tmp_path, {"train_gpt.py": "import a\n", "a.py": "MB = 1024**2\nlimit = 16 * MB\n"})
    (finding,) = [finding.message for finding in found.findings if finding.code == "GB305"]
    assert finding.startswith("a.py, line 2: the code has a limit of 16,777,216 bytes: that is 16 MiB")


def test_without_a_program_what_the_log_says_is_still_counted(tmp_path: Path) -> None:
    found = check(tmp_path, {"train.log": log_text(seed=7, code=50_000, model=15_900_000)})
    largest = found.tallies[Convention.LOGGED].largest
    assert largest is not None
    assert largest.total == 15_950_000
    assert not found.chosen.rows
    assert "no code at all" in found.chosen.reason
    assert not found.passed()
