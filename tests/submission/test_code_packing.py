"""Programs packed: the same program comes out, by child processes that run it and by the standard library's decoders.

The oracle is the unpacked original, run beside the packed one.  The tool itself runs nothing.
"""

from __future__ import annotations

import ast
import base64
import functools
import importlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import types
import zipfile
import zlib
from pathlib import Path
from random import Random
from unittest.mock import Mock

import brotli
import pytest
from bench_submissions import modules
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.blobs import opened
from support.command_line import Run
from support.programs import PADDING, PROGRAMS, by_hand, by_minifier

from golfbudget.cli.output import write
from golfbudget.code_packing import FORMS, PackedProgram, load, minifier, pack, pack_code, payload
from golfbudget.code_packing.forms import UNREADABLE, reads_itself
from golfbudget.code_packing.numerals import numeral
from golfbudget.code_packing.payload import ProgramPayload
from golfbudget.code_packing.source import lost, parse, read_source, same
from golfbudget.errors import CorruptError, UsageError

LIBRARY = Path(ast.__file__).parent
#: Modules of the standard library, and something to do with each that shows what it does.
MODULES = {
    "argparse": """
p = m.ArgumentParser(prog="x", description="d", epilog="e")
p.add_argument("files", nargs="*", help="some files")
p.add_argument("--n", type=int, default=3, choices=range(9), help="%(default)s of %(choices)s")
s = p.add_mutually_exclusive_group()
s.add_argument("-a", action="store_true"), s.add_argument("-b", action="append_const", const=1)
p.exit_on_error = False
result = [p.format_help(), p.format_usage(), repr(p.parse_args(["f", "g", "--n", "4", "-a"]))]
try:
    p.parse_args(["--n", "44"])
except m.ArgumentError as error:
    result.append(str(error))
""",
    "typing": """
class Row(m.NamedTuple):
    size: int
    name: str = "x"
class Options(m.TypedDict, total=False):
    n: m.Required[int]
T = m.TypeVar("T", bound=int)
class Box(m.Generic[T]):
    pass
result = [repr(x) for x in (
    Row(1), Row._field_defaults, m.get_type_hints(Row), Options.__required_keys__, Options.__annotations__,
    m.Optional[m.Union[int, str]], Box[bool], m.get_args(m.Callable[[int], m.Literal["a"]]), m.cast.__doc__,
    m.get_type_hints(m.get_type_hints), m.runtime_checkable(m.SupportsInt), sorted(m.__all__), T.__bound__,
)]
""",
    "tarfile": """
import io
file = io.BytesIO()
with m.open(fileobj=file, mode="w:gz", format=m.PAX_FORMAT) as tar:
    for name, size in (("a/" + "long" * 60, 3), ("b", 2000)):
        info = m.TarInfo(name)
        info.size, info.mtime = size, 1.5
        tar.addfile(info, io.BytesIO(b"x" * size))
file.seek(0)
with m.open(fileobj=file) as tar:
    result = [[i.name, i.size, i.mtime, i.mode, repr(i.isfile()), i.pax_headers] for i in tar]
    result.append(len(tar.extractfile("b").read()))
result += [m.TarInfo("x").tobuf().hex()[:300], repr(m.is_tarfile(io.BytesIO(b"no")))]
try:
    m.open(fileobj=io.BytesIO(b"no"))
except m.ReadError as error:
    result.append(str(error))
""",
}


def executed(stub: bytes) -> bytes:
    """What Python itself executes of a packed program: the value that its `exec` is given, or the zip's main member."""
    if stub.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(stub)) as archive:
            return archive.read("__main__.py")
    *before, last = ast.parse(stub).body
    assert isinstance(last, ast.Expr)
    assert isinstance(last.value, ast.Call)
    assert ast.unparse(last.value.func) == "exec"
    space: dict[str, bytes] = {}
    assigned = ast.Assign(targets=[ast.Name(id="source", ctx=ast.Store())], value=last.value.args[0])
    run = ast.fix_missing_locations(ast.Module(body=[*before, assigned], type_ignores=[]))
    types.FunctionType(compile(run, "stub", "exec"), space)()
    return space["source"]


def inside(packed: PackedProgram) -> bytes:
    return packed.stub if packed.chosen.codec == "none" else executed(packed.stub)


def noise(length: int) -> str:
    """Text that no compressor makes smaller than its six bits per character."""
    return base64.b64encode(os.urandom(length)).decode()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer settings of the compressors, where it is not about the last byte."""
    monkeypatch.setattr(payload, "_SEARCHES", payload._SEARCHES[:1])


def run_program(path: Path, *arguments: str) -> tuple[int, str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, path.name, *arguments],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def library() -> dict[str, PackedProgram]:
    """The standard library's modules, packed."""
    return {name: pack_code(load(LIBRARY / f"{name}.py"), name=f"{name}.py") for name in MODULES}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_packed_module_does_what_the_module_does(
    library: dict[str, PackedProgram], name: str, tmp_path: Path
) -> None:
    packed = library[name]
    results = []
    for folder, data in (("original", (LIBRARY / f"{name}.py").read_bytes()), ("packed", packed.stub)):
        place = tmp_path / folder
        place.mkdir()
        (place / f"{name}.py").write_bytes(data)
        (place / "use.py").write_text(
            f"import json, os, {name} as m\nassert os.path.dirname(os.path.abspath(m.__file__)) == os.getcwd()\n"
            f"{MODULES[name]}\nprint(json.dumps(result))\n"
        )
        results.append(run_program(place / "use.py"))
    assert results[0] == results[1]
    assert results[0][0] == 0, results[0][2]
    assert len(json.loads(results[0][1])) > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_packed_module_is_small_and_counted(library: dict[str, PackedProgram], name: str) -> None:
    packed = library[name]
    size = (LIBRARY / f"{name}.py").stat().st_size
    assert packed.minified
    assert packed.refusal is None
    assert packed.original_bytes == size
    assert packed.length == len(packed.stub) == packed.chosen.length == min(step.length for step in packed.steps)
    assert packed.length + packed.saved == size
    assert packed.length < size // 4
    assert {step.codec for step in packed.steps} == {"none", "lzma", "lzma2-raw", "xz", "deflate", "bz2"}
    assert packed.minified_bytes == len(packed.source) == len(inside(packed))
    assert inside(packed) == packed.source
    ast.parse(packed.stub, feature_version=(3, 10))


@pytest.mark.slow
def test_the_ledger_of_a_packed_file_holds_its_source(library: dict[str, PackedProgram]) -> None:
    packed = library["argparse"]
    artifact = opened(packed.stub, "argparse.py")
    assert artifact.size == packed.length
    assert bytes(artifact.leaves[0].data) == packed.source


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_packed_program_prints_what_the_program_prints(
    monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(payload, "_SEARCHES", payload._SEARCHES[:2])  # It is not about the last byte here.
    newline = b"\r\n" if b"\r\n" in PROGRAMS[name] else b"\r" if b"\r" in PROGRAMS[name] else b"\n"
    source = PROGRAMS[name].rstrip() + newline + PADDING.encode().replace(b"\n", newline)
    source = source if PROGRAMS[name].endswith((b"\n", b"\r")) else source.rstrip()
    files = {"original": source}
    for minified in (True, False):
        packed = pack_code(source, name=name, minified=minified)
        assert packed.chosen.codec != "none"
        assert packed.minified is minified, packed.refusal
        assert inside(packed) == packed.source
        files["minified" if minified else "packed"] = packed.stub
    results = {}
    for folder, data in files.items():
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "program.py"
        program.write_bytes(data)
        results[folder] = run_program(program, "one", "two")
    assert results["original"][1], results["original"][2]
    assert results["minified"] == results["packed"] == results["original"]


def test_source_that_is_not_minified_is_packed_as_it_is() -> None:
    source = f"# A comment that stays.\n{PADDING}".encode()
    packed = pack_code(source, name="x.py", minified=False)
    assert packed.source == source
    assert (packed.minified, packed.minified_bytes, packed.refusal) == (False, None, None)
    assert "python-minifier" not in dict(packed.tools)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python has type statements")
def test_syntax_newer_than_this_python_is_packed_unminified_and_said_so() -> None:
    source = f"type X = int\n{PADDING}".encode()
    packed = pack_code(source, name="x.py")
    assert packed.source == inside(packed) == source
    assert not packed.minified
    assert packed.refusal is not None
    assert "cannot parse it (invalid syntax, line 1), a newer one may" in packed.refusal
    assert packed.length < len(source)


def test_source_that_no_minifier_takes_is_packed_unminified_and_said_so() -> None:
    # Deeper than a minifier that recurses can go, though Python itself compiles it.
    source = f"x = {'+'.join(['1'] * 3000)}\nprint(x)\n{PADDING}".encode()
    packed = pack_code(source, name="x.py")
    assert packed.source == inside(packed) == source
    assert packed.refusal is not None


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("def f(x): pass\na.b", "definition g, 1 times before and 0 after"),
        ("def f(x): pass\ndef g(x, y): pass\na.b", "parameters 0/1()=0+0, 2 times before and 1 after"),
        ("def f(x): pass\ndef g(x): pass", "attribute b, 1 times before and 0 after"),
        ("def (", "SyntaxError"),
        (ValueError("no luck"), "ValueError: no luck"),
        ("'\ud800'", "UnicodeEncodeError"),
    ],
)
def test_a_minifier_that_fails_or_loses_something_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, result: str | Exception, message: str
) -> None:
    monkeypatch.setattr("python_minifier.minify", Mock(side_effect=[result]))
    source = b"def f(x): pass\ndef g(x): pass\na.b"
    packed = pack_code(source, name="x.py")
    assert packed.source == source
    assert packed.refusal is not None
    assert message in packed.refusal


def test_a_missing_minifier_is_an_error_and_never_another_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minifier, "PACKAGE", "no-such-package-as-this")
    with pytest.raises(UsageError, match=r"no-such-package-as-this is not installed.*--no-minify"):
        pack_code(b"x = 1\n", name="x.py")
    assert pack_code(b"x = 1\n", name="x.py", minified=False).stub == b"x = 1\n"


def test_every_setting_of_the_minifier_is_decided_here() -> None:
    known = inspect.signature(importlib.import_module("python_minifier").minify).parameters.keys()
    decided = {"remove_annotations", "remove_literal_statements", "rename_locals"}
    assert set(minifier.SETTINGS) | decided == known - {"source", "filename", "preserve_locals", "preserve_globals"}


def test_annotations_go_only_when_allowed() -> None:
    source = "".join(f"def f{n}(x: int = {n}) -> str: return x\n" for n in range(40)) + "class A:\n    x: int\n"
    kept = pack_code(source.encode(), name="x.py")
    gone = pack_code(source.encode(), name="x.py", unannotated=True)
    assert kept.source.count(b"int") == 41
    assert gone.refusal is None
    assert gone.source.count(b"int") == 1
    assert gone.length < kept.length


@pytest.mark.slow
def test_brotli_is_used_only_when_allowed(tmp_path: Path) -> None:
    source = load(LIBRARY / "textwrap.py") + b"\nprint(shorten('some text', 7))\n"
    plain = pack_code(source, name="x.py")
    allowed = pack_code(source, name="x.py", allow=["brotli"])
    assert not any(step.codec == "brotli" for step in plain.steps)
    assert b"brotli" not in plain.stub
    assert allowed.chosen.codec == "brotli"
    assert allowed.length < plain.length
    assert inside(allowed) == allowed.source
    assert dict(allowed.tools)["brotli"] == brotli.__version__
    assert "the packed file needs the brotli package where it runs" in allowed.notes
    (tmp_path / "x.py").write_bytes(allowed.stub)
    code, output, _ = run_program(tmp_path / "x.py")
    assert (code, output.splitlines()[-1]) == (0, "[...]")
    with pytest.raises(UsageError, match="'zopfli' is nothing to allow; there is brotli, 7-bit, zip, latin-1"):
        pack_code(source, name="x.py", allow=["zopfli"])


@pytest.mark.usefixtures("quick")
def test_printable_text_is_asked_for_or_a_smaller_form_allowed() -> None:
    source = f"{PADDING}print(1)".encode()
    printable, smaller = pack_code(source, name="x.py", printable=True), pack_code(source, name="x.py")
    assert printable.stub.decode("ascii").replace("\n", "").isprintable()
    assert "7-bit" not in {step.spelling for step in printable.steps}
    assert "7-bit" in {step.spelling for step in smaller.steps}
    with pytest.raises(UsageError, match="latin-1 is not printable text, which alone is asked for"):
        pack_code(source, name="x.py", printable=True, allow=["brotli", "latin-1"])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("open(__file__)", True),
        ("sys.argv[0]", True),
        ("sys.argv", True),
        ("sys.argv[n]", True),
        ("sys.argv[-1]", True),
        ("sys.argv[:2]", True),
        ("sys.argv[1]", False),
        ("sys.argv[1:]", False),
        ("globals()['__file__']", True),
        ("inspect.getsource(f)", True),
        ("print(1)", False),
    ],
)
def test_what_may_read_its_own_file_stays_printable(line: str, *, reads: bool) -> None:
    assert reads_itself(ast.parse(line)) is reads
    packed = pack_code(f"{PADDING}{line}".encode(), name="x.py", minified=False)
    assert any(step.spelling == "7-bit" for step in packed.steps) is not reads
    told = pack_code(f"{PADDING}{line}".encode(), name="x.py", minified=False, allow=["7-bit"])
    assert any(step.spelling == "7-bit" for step in told.steps)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["main", "dataclasses", "arguments and exit", "its own file"])
def test_a_smaller_form_is_used_where_it_may_be_and_does_the_same(form: str, name: str, tmp_path: Path) -> None:
    source = PROGRAMS[name].rstrip() + b"\n" + PADDING.encode() + b"# " + noise(6000).encode()
    plain = pack_code(source, name="x.py", minified=False, printable=True)
    packed = pack_code(source, name="x.py", minified=False, allow=[form])
    assert form not in {step.spelling for step in plain.steps}
    if name == "its own file" and form in UNREADABLE:
        assert packed == plain  # It may look for its own file.
        return
    assert packed.chosen.spelling == form
    assert packed.length < plain.length
    assert any("packed file is" in note for note in packed.notes)
    results = []
    for folder, data in (("original", source), ("packed", packed.stub)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "program.py").write_bytes(data)
        results.append(run_program(tmp_path / folder / "program.py", "one"))
    assert results[0] == results[1]
    assert results[0][:2] != (0, "")


@pytest.mark.usefixtures("quick")
def test_the_form_without_allowance_is_utf_8_without_what_line_ends_change() -> None:
    source = f"{PADDING}# {noise(6000)}".encode()
    packed = pack_code(source, name="x.py", minified=False)
    assert packed.chosen.spelling == "7-bit"
    assert max(packed.stub) < 128
    assert not {0, ord("\r")} & set(packed.stub)
    # A checkout that writes DOS line ends changes no literal.
    assert executed(packed.stub.replace(b"\n", b"\r\n")) == packed.source


@pytest.mark.usefixtures("quick")
def test_a_payload_too_long_for_a_number_stays_in_base_85() -> None:
    source = b"# " + noise(60_000).encode()
    packed = pack_code(source, name="x.py", minified=False)
    assert packed.length > 60_000
    assert "7-bit" not in {step.spelling for step in packed.steps}


@pytest.mark.usefixtures("quick")
def test_a_payload_that_no_quotes_hold_stays_in_base_85(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golfbudget.code_packing.forms.numeral", lambda data: numeral(data) + b"\"\"\"'''")
    packed = pack_code(f"{PADDING}# {noise(3000)}".encode(), name="x.py", minified=False)
    assert "7-bit" not in {step.spelling for step in packed.steps}


@functools.cache
def pythons() -> list[str]:
    """Every Python 3.8 or later that starts, of the PATH and /usr/bin."""
    folders = dict.fromkeys((*os.get_exec_path(), "/usr/bin"))
    found = {name: None for folder in folders for name in sorted(map(str, Path(folder).glob("python3.*")))}
    return [name for name in found if re.fullmatch(r"3\.(8|9|1\d)", name.rpartition("python")[2]) and _starts(name)]


def _starts(python: str) -> bool:
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", ["printable", *FORMS])
def test_every_form_runs_on_every_python_at_hand(form: str, tmp_path: Path) -> None:
    source = f"{PADDING}print(__name__, pad_3([7]))\n# {noise(6000)}".encode()
    allow, plain = ([], True) if form == "printable" else ([form], False)
    packed = pack_code(source, name="x.py", minified=False, allow=allow, printable=plain)
    assert packed.chosen.spelling == form or plain
    (tmp_path / "x.py").write_bytes(packed.stub)
    for python in dict.fromkeys((sys.executable, *pythons())):
        done = subprocess.run([python, tmp_path / "x.py"], check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"__main__ {[[7] * 3] * 3}\n"), (python, done.stderr)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", ["printable", *FORMS])
@pytest.mark.parametrize("minified", [True, False])
def test_a_program_packed_in_any_form_is_unpacked_and_its_source_packed(form: str, *, minified: bool) -> None:
    source = f"# why\n{PADDING}text = '{noise(3000)}'".encode()
    allow, plain = ([], True) if form == "printable" else ([form], False)
    once = pack_code(source, name="x.py", minified=False, allow=allow, printable=plain)
    again = pack_code(once.stub, name="x.py", minified=minified)
    direct = pack_code(source, name="x.py", minified=minified)
    assert again.stub == direct.stub
    assert again.original_bytes == once.length
    assert "the source unpacks itself already: what it unpacks is packed" in again.notes
    # A stub inside of a stub.
    twice = f"import zlib\nexec(zlib.decompress({zlib.compress(once.stub)!r}))".encode()
    assert pack_code(twice, name="x.py", minified=minified).stub == direct.stub


def test_a_zip_file_of_several_programs_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__main__.py", "import other")
        archive.writestr("other.py", "print(1)")
    with pytest.raises(UsageError, match=r"x.py: a zip file that holds more than __main__.py \(other.py\); pack its"):
        pack_code(out.getvalue(), name="x.py")
    with pytest.raises(UsageError, match=r"x.py: .*__main__.py.* does not match its checksum"):
        pack_code(
            out.getvalue().replace(b"import other", b"import 0ther").replace(b"other.py", b"other.PY"), name="x.py"
        )


def test_a_packed_program_is_unpacked_and_its_source_packed() -> None:
    source = f"# why\n{PADDING}".encode()
    text = base64.b85encode(zlib.compress(source)).decode()
    stub = f'import zlib,base64\nexec(zlib.decompress(base64.b85decode("{text}")))\n'.encode()
    again, direct = pack_code(stub, name="x.py"), pack_code(source, name="x.py")
    assert again.stub == direct.stub
    assert again.original_bytes == len(stub)
    assert "the source unpacks itself already: what it unpacks is packed" in again.notes
    more = pack_code(stub + b"print(1)\n", name="x.py")  # Not the stub alone: it stays.
    assert b"b85decode" in more.source


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_smaller_by_hand(library: dict[str, PackedProgram], name: str) -> None:
    packed = library[name]
    assert packed.length <= min(map(len, by_hand(packed.source)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["textwrap", "imaplib"])
def test_brotli_is_no_larger_than_by_hand(name: str) -> None:
    packed = pack_code(load(LIBRARY / f"{name}.py"), name="x.py", allow=["brotli"])
    assert packed.length <= min(map(len, by_hand(packed.source, with_brotli=True)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contextlib", "fractions"])
def test_brotli_is_no_larger_than_what_minifies_with_less_care(name: str) -> None:
    source = load(LIBRARY / f"{name}.py")
    packed = pack_code(source, name="x.py", allow=["brotli"])
    assert packed.chosen.spelling == "7-bit"
    assert packed.length <= min(map(len, by_hand(by_minifier(source), with_brotli=True)))
    assert inside(packed) == packed.source


def check_module(path: Path) -> None:
    """In every form: no larger than by hand, and Python executes the source that was proved."""
    source = path.read_bytes()
    for allow in ((), ("brotli",), ("latin-1",), ("zip",)):
        packed = pack_code(source, name=path.name, allow=allow)
        assert inside(packed) == packed.source
        for hand in (by_minifier(source), packed.source):
            assert packed.length <= min(map(len, by_hand(hand, with_brotli="brotli" in allow)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heapq"])
def test_a_module_is_packed_no_larger_than_by_hand(name: str) -> None:
    check_module(LIBRARY / f"{name}.py")


@pytest.mark.record
@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_every_module_is_packed_no_larger_than_by_hand(path: Path) -> None:
    check_module(path)


@pytest.mark.slow
def test_packing_depends_on_no_hash_seed() -> None:
    program = (
        "import sys, hashlib; from golfbudget.code_packing import pack_code; "
        "p = pack_code(open(sys.argv[1], 'rb').read(), name='x'); print(hashlib.sha256(p.stub).hexdigest(), p.steps)"
    )
    outputs = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(pack.__file__).parents[2])}
        command = [sys.executable, "-c", program, str(LIBRARY / "dataclasses.py")]
        outputs.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert len(outputs) == 1


NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
VALUES = st.one_of(
    NAMES, st.integers(-999, 999).map(str), st.text(st.characters(codec="utf-8"), max_size=20).map(repr),
    st.binary(max_size=20).map(repr), st.floats(allow_nan=False, allow_infinity=False).map(repr),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}, {pair[1]},)"),
        st.tuples(inner, inner).map(lambda pair: f"[{pair[0]} for _ in range(2) if {pair[1]}]"),
        inner.map(lambda value: f"(lambda alpha=1: {value})()"),
        inner.map(lambda value: f"{{'k': {value}}}['k']"),
        inner.map(lambda value: f"str({value})"),
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} = {t[1]}"),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(
        lambda t: (
            f"def function({t[0]}):\n    'Doc.'\n    local = {t[0]}, {t[2]}\n    return local, local\n"
            f"{t[1]} = function(4)"
        )
    ),
    st.tuples(EXPRESSIONS, NAMES).map(lambda t: f"if {t[0]}:\n    {t[1]} = 0  # why\nelse:\n    pass"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"class {t[0].title()}:\n    field: int = {t[1]}\n    pass"),
    EXPRESSIONS.map(lambda value: f"for alpha in (1, 2):\n    beta = {value}"),
)


def names_after(source: bytes) -> dict[str, object]:
    """What a program binds, classes by what they define."""
    space: dict[str, object] = {"__name__": "x", "alpha": 1, "beta": "b", "gamma": (), "delta": 0.5}
    types.FunctionType(compile(source, "x", "exec"), space)()
    return {
        name: value.__dict__["field"] if isinstance(value, type) else value
        for name, value in space.items()
        if not name.startswith("__") and not isinstance(value, types.FunctionType)
    }


@pytest.mark.slow
@given(
    statements=st.lists(STATEMENTS, min_size=1, max_size=8),
    newline=st.sampled_from(["\n", "\r\n"]),
    minified=st.booleans(),
)
@settings(max_examples=60)
@example(statements=["'Doc.'", "x = '\\0\\r\\n\\x85\\u2028\\ufeff'"], newline="\n", minified=True)
@example(statements=["# nothing"], newline="\n", minified=True)
def test_small_programs_bind_the_same_names_to_the_same_values(
    statements: list[str], newline: str, *, minified: bool
) -> None:
    source = newline.join("\n".join(statements).split("\n")).encode()
    packed = pack_code(source, name="x.py", minified=minified)
    assert packed.length <= len(source)
    assert inside(packed) == packed.source
    assert names_after(packed.source) == names_after(source)
    assert pack_code(source, name="x.py", minified=minified) == packed


def test_a_program_too_small_to_wrap_stays_plain() -> None:
    packed = pack_code(b"print(1)  # one\n", name="x.py")
    assert packed.stub == packed.source == b"print(1)"
    assert packed.chosen.codec == "none"
    assert packed.notes == ("no compressor is worth its stub: the packed file is plain source",)


def test_a_stub_that_holds_other_source_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ProgramPayload(
        codec="deflate", settings="", data=zlib.compress(b"x = 1")[2:-4], module="zlib", arguments=",-15"
    )
    monkeypatch.setattr(pack, "payloads", lambda *_, **__: [other])
    with pytest.raises(CorruptError, match=r"^x.py: the packed file holds 5 bytes of other source"):
        pack_code(PADDING.encode(), name="x.py")


@pytest.mark.parametrize(
    ("stub", "payloads"),
    [
        ('import {module},base64\nexec({module}.decompress(base64.b85decode("{text}"){arguments})+b"#")', 1),
        ('import {module},base64\nx={module}.decompress(base64.b85decode("{text}"){arguments})\nexec("x=1")', 1),
        ("exec('x=1')", 0),
    ],
)
def test_a_stub_that_executes_other_source_is_an_error(
    monkeypatch: pytest.MonkeyPatch, stub: str, payloads: int
) -> None:
    monkeypatch.setattr(pack, "SPELLINGS", {"x": stub})
    monkeypatch.setattr(pack, "literal_stubs", lambda *_: [])
    with pytest.raises(CorruptError, match=rf"^x\.py, packed: it has {payloads} payloads, expected one of"):
        pack_code(PADDING.encode(), name="x.py")


def test_another_tree_in_the_stub_is_an_error() -> None:
    read = read_source(PADDING.encode(), name="x.py")
    other = read_source(b"x = 1\n", name="x.py")
    step = pack_code(b"x = 1\n", name="x.py", minified=False).chosen
    with pytest.raises(CorruptError, match="another syntax tree"):
        pack._verify(step, other.data, other.data, read, None)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("x=(1)", "x = 1", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "y = 1", False),
        ("f(1)", "f(1, 2)", False),
        ("'a' 'b'", "'ab'", True),
        ("+".join(["1"] * 2000), "+".join(["1"] * 2000), True),
        ("+".join(["1"] * 2000), "+".join(["1"] * 1999 + ["2"]), False),
    ],
)
def test_trees_are_compared_by_what_they_say(one: str, other: str, *, equal: bool) -> None:
    assert same(parse(one), parse(other.encode())) is equal


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("import a\nimport b", "import a,b", None),
        ("def f(x):\n    'Doc.'\n    return None", "def f(A):return", None),
        ("f(x=1)", "f(y=1)", "keyword x"),
        ("f(**x)", "f(*x)", "keyword"),
        ("from .a import b", "from a import b", "import .a:b"),
        ("def f(*, x): pass", "def f(*, y): pass", "parameters"),
        ("def f(x, /): pass", "def f(x): pass", "parameters"),
        ("def f(x=1): pass", "def f(x): pass", "parameters"),
        ("assert x", "x", "statement Assert"),
        ("for a in b: pass", "b", "statement For"),
        ("class A:\n    def f(self): pass", "class A:\n    def g(self): pass", "definition f"),
        ("x: a.b = 1", "x = 1", "attribute b"),
    ],
)
def test_what_minifying_may_never_change_is_noticed(before: str, after: str, message: str | None) -> None:
    found = lost(parse(before), parse(after), annotations=True)
    assert (found is None) == (message is None)
    assert message is None or message in str(found)


def test_annotations_may_be_lost_when_they_may_go() -> None:
    assert lost(parse("x: a.b = 1"), parse("x = 1"), annotations=False) is None
    assert lost(parse("x = 1"), parse("x = a.b"), annotations=False) is not None
    assert lost(parse("assert a.b"), parse("a.b"), annotations=False) is not None


NOTES = {
    "import triton": "the source mentions triton: code executed from memory has no source lines to be found",
    "from triton.language import load": "the source mentions triton.language",
    "import inspect\ninspect.getsource(print)": "the source mentions getsource:",
    "print(__file__)": "the source mentions __file__, which is the packed file when that runs",
    "print(__doc__)": "docstrings are kept, as the source mentions __doc__",
    "import typer": "docstrings are kept, as the source mentions typer",
    "print(f.f_locals)": "local names are kept, as the source mentions f_locals",
    "t.query('x > @y')": "local names are kept, as the source mentions query",
    "#!/usr/bin/python3\nx = 1": "the packed file has no #! line: start it with python",
    'import zlib\nexec(zlib.decompress(b"x\\x9cK*\\xa8\\x04\\x00\\x02K\\x01!"))': "the source unpacks itself already",
}  # fmt: skip


@pytest.mark.parametrize("line", NOTES)
def test_what_the_user_must_know_is_noted(line: str) -> None:
    packed = pack_code(f"{line}\n{PADDING}".encode(), name="x.py")
    assert [note for note in packed.notes if note.startswith(NOTES[line])]
    assert not pack_code(PADDING.encode(), name="x.py").notes


REFUSED = {
    "empty": (b"", "the file is empty, expected Python source"),
    "nulls": (b"x = 1\n\0", "byte 6 is null, expected Python source, which is text"),
    "not UTF-8": (b"x = 1\n\n\ny = '\xff'\n", r"byte 13 is not utf-8 \(invalid start byte\), expected Python source"),
    "not UTF-8 at once": (b"x = '\xff'\n", "byte 5 is not UTF-8"),
    "UTF-16": ("x = 1\n".encode("utf-16"), "is null"),
    "an unknown encoding": (b"# coding: klingon\n", "unknown encoding: klingon"),
    "an encoding that is none of text": (b"# coding: hex\nx\n", "hex"),
    "not what it declares": (b"# coding: ascii\nx = '\xe9'\n", "byte 21 is not ascii"),
    "half a surrogate pair": (b"# coding: unicode_escape\nx = '\\ud800'\n", "expected Python source"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_python_takes_is_refused(name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises(UsageError, match=rf"^x\.py: .*{message}"):
        pack_code(data, name="x.py")


def test_source_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="16000001 bytes; source of up to 16000000 bytes is packed"):
        pack_code(b"#" * 16_000_001, name="x.py")
    with (tmp_path / "x.py").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="1099511627776 bytes"):
        load(tmp_path / "x.py")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
@settings(max_examples=100)
def test_any_bytes_are_packed_or_refused(data: bytes) -> None:
    try:
        packed = pack_code(data, name="x.py")
    except UsageError as error:
        assert str(error).startswith("x.py: ")  # noqa: PT017  (either end is right)
    else:
        assert packed.length <= len(data)
        assert inside(packed) == packed.source


def test_the_command_writes_what_it_counts(golfbudget: Run, tmp_path: Path) -> None:
    source, packed = tmp_path / "x.py", tmp_path / "packed.py"
    source.write_text(f"# Why.\nprint('works')\n{PADDING}")
    counted = golfbudget("pack-code", source)
    assert counted.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.py"]
    written = golfbudget("pack-code", source, "-o", packed, "--format", "json")
    assert written.returncode == 0, written.stderr
    found = json.loads(written.stdout)
    assert found["schema"] == "golfbudget/pack-code/1"
    assert found["source"] == {"path": str(source), "bytes": source.stat().st_size}
    assert found["packed_bytes"] == packed.stat().st_size == found["chosen"]["bytes"]
    assert found["packed_bytes"] + found["saved_bytes"] == source.stat().st_size
    assert found["chosen"] in found["tried"]
    assert found["tools"]["python-minifier"] == importlib.import_module("importlib.metadata").version("python-minifier")
    assert found["tools"]["zlib"] == zlib.ZLIB_RUNTIME_VERSION
    assert found["minified"] is True
    assert found["not_minified_because"] is None
    assert written.stderr == f"golfbudget: wrote {packed}: {found['packed_bytes']:,} bytes\n"
    assert f"{found['packed_bytes']:,} bytes" in counted.stdout
    assert f"python-minifier {found['tools']['python-minifier']}" in counted.stdout
    assert "the length depends on these and their versions" in counted.stdout
    assert counted.stdout.count("\n* ") == 1
    assert run_program(packed)[1] == "works\n"
    printable = golfbudget("pack-code", source, "--printable", "--format", "json")
    assert {step["spelling"] for step in json.loads(printable.stdout)["tried"]} <= {"", "import", "import as"}


def test_the_command_says_that_it_did_not_minify(golfbudget: Run, tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("No Python at all.\n")
    done = golfbudget("pack-code", source)
    assert done.returncode == 0
    assert done.stderr.startswith(f"golfbudget: {source}: packed without minifying: Python 3.")
    assert "minified  no: Python 3." in done.stdout
    assert "saved     0 bytes" in done.stdout
    quiet = golfbudget("pack-code", source, "--no-minify", "-q")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "minified  no: not asked for" in quiet.stdout


def test_the_command_refuses_what_cannot_be_right(golfbudget: Run, tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to(source)
    for arguments, message in (
        ((tmp_path / "none.py",), "none.py: no such file"),
        ((tmp_path,), ": not a file"),
        ((source, "-o", source), "is read here, and the result would replace it"),
        ((source, "-o", tmp_path / "link.py"), "is read here"),
        ((source, "-o", tmp_path / "none" / "y.py"), "cannot be written"),
        ((source, "-o", tmp_path / ("y" * 300)), "cannot be written"),
        ((source, "--allow", "zopfli"), "'zopfli'"),
        ((source, "--allow", "unannotated", "--no-minify"), "give one of them"),
        ((source, "--allow", "zip", "--printable"), "zip is not printable text"),
    ):
        done = golfbudget("pack-code", *arguments)
        assert done.returncode == 2, arguments
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert source.read_text() == "x = 1\n"


def test_writing_leaves_no_temporary_file(tmp_path: Path) -> None:
    write(tmp_path / "y.py", pack_code(PADDING.encode(), name="x.py").stub)
    assert [path.name for path in tmp_path.iterdir()] == ["y.py"]


@pytest.mark.parametrize(("digits", "tried"), [(True, 3), (False, 94)])
def test_a_program_that_is_mostly_data_is_not_searched(
    monkeypatch: pytest.MonkeyPatch, *, digits: bool, tried: int
) -> None:
    text = base64.b85encode(Random(3).randbytes(60_000)) if digits else b"step = 1\n" * 10_000
    compress = Mock(return_value=b"x")
    monkeypatch.setattr("lzma.compress", compress)
    list(payload.payloads(text, frozenset(), search=True))
    assert compress.call_count == tried
