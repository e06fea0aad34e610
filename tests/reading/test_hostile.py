"""Broken and malicious files through the real command line: one line, exit code 2, and a way to count them anyway.

The second half feeds changed files to the library: a ledger or a golfbudget error comes out, nothing else.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import ONE, archive, at_w, hostile_pickles, opened, pickled_tensor, record, rewritten, saved
from support.blobs import safetensors_file as file
from support.command_line import Run

from golfbudget import codecs
from golfbudget.artifact import open_bytes
from golfbudget.cli.app import run
from golfbudget.errors import GolfbudgetError, LedgerError, LimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file that must be refused: its name, its bytes, what the error must say, and further arguments."""

    file: str
    data: bytes
    message: str
    arguments: tuple[str, ...] = ()


# Streams cut short and streams that unfold without end

SIGNED = ["zlib", "gzip", "xz", "lzma", "bz2", "zstd"]


def artifact_bytes() -> bytes:
    """A safetensors file that compresses somewhat."""
    numbers = torch.randint(0, 16, (3000,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return file("{" + record('"U8"', "[3000]", "[0,3000]") + "}", bytes(numbers.tolist()))


def stored_as(name: str, data: bytes, level: int | None = None) -> bytes:
    codec = codecs.get(name)
    return codec.encode(data, codec.default_level if level is None else level)


def endless(megabytes: int) -> bytes:
    """A raw deflate stream of zeros, a thousandth of its length, with no end."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes


def stream_cases() -> dict[str, Case]:
    made = {}
    for name in SIGNED:
        whole = stored_as(name, artifact_bytes())
        for where, length in (("in the middle", len(whole) // 2), ("at its last byte", len(whole) - 1)):
            message = rf"the {name} stream that starts at byte 0 is cut short: the data ends at byte {length} after"
            made[f"{name} cut {where}"] = Case(file="m.ptz", data=whole[:length], message=message)
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 0xFF
        if name not in ("lzma", "zstd"):  # They carry no checksum by default: a changed stream may decode.
            message = rf"the {name} stream is corrupt near byte \d+ \(after \d+ decoded bytes\)"
            made[f"{name} with a changed byte"] = Case(file="m.ptz", data=bytes(changed), message=message)
        bomb = stored_as(name, bytes(4_000_000))
        message = rf"the {name} stream decodes to more than 1000000 bytes \(seen by stored byte \d+ of {len(bomb)}\)"
        made[f"{name} bomb"] = Case(file="m.ptz", data=bomb, message=message, arguments=("--max-decoded", "1MB"))
    for name, header in (("zlib", "78da"), ("gzip", "1f8b0800000000000003")):
        made[f"{name} of repeated blocks"] = Case(
            file="m.ptz",
            data=bytes.fromhex(header) + endless(20),
            message=rf"the {name} stream decodes to more than 16000000 bytes",
            arguments=("--max-decoded", "16MB"),
        )
    made["a bomb in a stream in a stream"] = Case(
        file="m.ptz",
        data=stored_as("xz", stored_as("zlib", stored_as("gzip", bytes(4_000_000)))),
        message=r"m\.ptz \(inside xz\) \(inside zlib\): the gzip stream decodes to more than 99\d{4} bytes",
        arguments=("--max-decoded", "1MB"),
    )
    made["lzma that asks for 4 GiB"] = Case(
        file="m.ptz",
        data=b"\x5d" + struct.pack("<L", 1 << 30) + b"\xff" * 8 + bytes(40),
        message="the lzma stream (asks for too large a dictionary|is corrupt near byte 0|is cut short)",
    )
    made["zstd that asks for 3.75 TiB"] = Case(
        file="m.ptz",
        data=b"\x28\xb5\x2f\xfd\x00\xff" + bytes(40),
        message="the zstd stream is corrupt near byte",
    )
    return made


# Containers that lie


def safetensors_cases() -> dict[str, Case]:
    huge = "the header length at byte 0 says"
    return {
        "safetensors of a few bytes": Case(file="m.safetensors", data=b"abc", message="3 bytes are too few"),
        "safetensors that is text": Case(file="m.safetensors", data=b"hello, this is text", message=huge),
        "safetensors with a huge header": Case(file="m.safetensors", data=file("{}", length=2**63), message=huge),
        "safetensors with a long header": Case(file="m.safetensors", data=file("{}", length=3), message=huge),
        "safetensors whose header is no JSON": Case(
            file="m.bin", data=file("{x}"), message=r"header \(from byte 8\) is not the JSON object it must be"
        ),
        "safetensors nested deep": Case(
            file="m.bin", data=file('{"w":' + "[" * 100_000), message="from byte 8.*near character"
        ),
        "safetensors with overlapping ranges": Case(
            file="m.bin",
            data=file("{" + ONE + "," + record(name='"v"', offsets="[1,4]") + "}", b"abcd"),
            message=r"bytes \[114, 116\) before tensor 'v' are claimed twice, also by 'w'",
        ),
        "safetensors without a range": Case(
            file="m.bin",
            data=file('{"w":{"dtype":"I8","shape":[3]}}', b"abc"),
            message="record at byte 9.*data_offsets",
        ),
        "safetensors with a lying shape": Case(
            file="m.bin",
            data=file("{" + record(shape="[99]") + "}", b"abc"),
            message="record at byte 9.*takes 792 bits",
        ),
        "safetensors cut short": Case(
            file="m.bin", data=file("{" + ONE + "}", b"a"), message="ends at byte 64, the file at 62; it is truncated"
        ),
        "safetensors of newlines in a name": Case(
            file="m.bin",
            data=file("{" + record(name=r'"a\nb\r\u2028\u0085c"', shape="[5]", dtype='"\\n"') + "}", b"abc"),
            message="record at byte 9",
        ),
        "safetensors cut short inside a codec": Case(
            file="m.ptz",
            data=stored_as("zlib", file("{" + ONE + "}", b"a")),
            message=r"m\.ptz \(inside zlib\): tensor 'w' ends at byte 64, the file at 62",
        ),
    }


class Zip:
    """A small valid archive of torch.save, and where its records stand."""

    def __init__(self) -> None:
        self.data = bytearray(rewritten(saved({"a": torch.arange(5.0), "b": torch.arange(3.0)}), zipfile.ZIP_STORED))
        self.end = len(self.data) - 22
        self.start = struct.unpack_from("<L", self.data, self.end + 16)[0]
        self.record = bytes(self.data).rindex(b"PK\x01\x02", 0, bytes(self.data).rindex(b"archive/data/0"))
        self.local = struct.unpack_from("<L", self.data, self.record + 42)[0]

    def patched(self, *changes: tuple[int, str, int]) -> bytes:
        data = bytearray(self.data)
        for at, kind, value in changes:
            struct.pack_into(kind, data, at, value)
        return bytes(data)


def zip_cases() -> dict[str, Case]:
    z = Zip()
    second = bytes(z.data).rindex(b"PK\x01\x02", 0, bytes(z.data).rindex(b"archive/data/1"))
    pickle_at = bytes(z.data).index(b"PK\x01\x02")
    on_one = bytearray(z.data)
    on_one[second + 42 : second + 46] = struct.pack("<L", z.local)
    on_one[second + 20 : second + 28] = struct.pack("<LL", 20, 20)
    on_one[second + 46 : second + 60] = b"archive/data/0"
    made = {
        "a size beyond the file": (
            z.patched((z.record + 20, "<L", 99_999), (z.record + 24, "<L", 99_999)),
            rf"'archive/data/0' at byte {z.local} claims 99999 bytes, more than the \d+ before the directory",
        ),
        "a size into the next member": (
            z.patched(
                *((z.record + at, "<L", 60) for at in (20, 24)),
                *((z.local + at, "<L", 60) for at in (18, 22)),
            ),
            r"zip member 'archive/data/0' ends at byte \d+ and runs into what starts at \d+",
        ),
        "two sizes": (
            z.patched((z.record + 20, "<L", 12), (z.record + 24, "<L", 12)),
            rf"zip member 'archive/data/0' has 12 bytes by the directory and 20 by its header at byte {z.local}",
        ),
        "a size too small for its tensor": (
            z.patched(
                *((z.record + at, "<L", 16) for at in (20, 24)),
                *((z.local + at, "<L", 16) for at in (18, 22)),
            ),
            r"tensor 'a' \[5\] float32 needs 20 bytes, its storage 'archive/data/0' at byte \d+ has 16",
        ),
        "a decoded size of its own": (
            z.patched((z.record + 24, "<L", 99_999)),
            f"directory record at byte {z.record} says 20 bytes stored and 99999 decoded",
        ),
        "a pickle of another size": (
            z.patched(*((pickle_at + at, "<L", 30) for at in (20, 24)), *((at, "<L", 30) for at in (18, 22))),
            r"'archive/data.pkl' at byte \d+ does not match its checksum",
        ),
        "an offset beyond the file": (
            z.patched((z.record + 42, "<L", 99_999)),
            "zip member 'archive/data/0' should start at byte 99999, where no local header stands",
        ),
        "an offset into the directory": (
            z.patched((z.record + 42, "<L", z.start)),
            rf"should start at byte {z.start}, where no local header stands",
        ),
        "an offset between members": (
            z.patched((z.record + 42, "<L", z.local + 1)),
            rf"should start at byte {z.local + 1}, where no local header stands",
        ),
        "another name in the local header": (
            z.patched((z.local + 30, "<B", ord("X"))),
            rf"the local header at byte {z.local} names another member",
        ),
        "two records on one member": (
            bytes(on_one),
            rf"zip member 'archive/data/0' ends at byte \d+ and runs into what starts at {z.local}",
        ),
        "a member that needs a password": (z.patched((z.record + 8, "<H", 1)), "'archive/data/0' is encrypted"),
        "a record longer than the directory": (
            z.patched((second + 30, "<H", 60_000)),
            rf"the zip directory record at byte {second} runs past the directory",
        ),
        "a record that is none": (z.patched((second, "<B", 0)), rf"expected a zip directory record at byte {second}"),
        "a wrong number of records": (z.patched((z.end + 10, "<H", 9)), r"has \d+ records, its end record says 9"),
        "a directory that starts elsewhere": (
            z.patched((z.end + 16, "<L", z.start - 1)),
            rf"directory is said to be \[{z.start - 1}, {z.end - 1}\), but the record after it starts at byte {z.end}",
        ),
        "a directory of another length": (z.patched((z.end + 12, "<L", 1)), "directory is said to be"),
        "a zip64 record that is missing": (
            z.patched((z.end + 16, "<L", 0xFFFFFFFF)),
            rf"at byte {z.end} needs a zip64",
        ),
        "zip64 sizes that are missing": (
            z.patched((z.record + 20, "<L", 0xFFFFFFFF)),
            f"record at byte {z.record} needs zip64 sizes",
        ),
        "a zip64 locator that points nowhere": (
            bytes(z.data[: z.end]) + struct.pack("<4sLQL", b"PK\x06\x07", 0, 1 << 60, 1) + bytes(z.data[z.end :]),
            f"zip64 locator points to byte {1 << 60}, where no zip64 record stands",
        ),
        "a cut": (bytes(z.data[: z.start + 9]), f"no end-of-directory record is found before byte {z.start + 9}"),
        "a cut in the end record": (bytes(z.data[:-1]), f"no end-of-directory record .* byte {len(z.data) - 1};"),
        "a pickle of gigabytes": (
            _claiming(archive(b"\x80\x02N.", method=zipfile.ZIP_DEFLATED), 3_000_000_000),
            "'archive/data.pkl' at byte 46 claims 3000000000 bytes",
        ),
        "a parameter inside itself": (
            archive(at_w(b"ctorch._utils\n_rebuild_parameter\n]q\x00Rq\x010h\x00h\x01a0h\x01")),
            "tensor 'w' is not described as torch describes tensors: it is wrapped",
        ),
        "a tensor of 2 ** 62 elements": (
            archive(at_w(pickled_tensor(shape=b"\x8a\x08" + struct.pack("<Q", 1 << 62) + b"\x85")), {"0": b"abcd"}),
            f"needs {1 << 64} bytes, its storage 'archive/data/0' at byte",
        ),
    }
    cases = {name: Case(file="m.pt", data=data, message=message) for name, (data, message) in made.items()}
    cases["a pickle without an archive and cut short"] = Case(
        file="m.pt", data=b"\x80\x02}", message="the pickle at byte 0 cannot be read past byte 0: pickle exhausted"
    )
    cases["text in place of an archive"] = Case(file="m.pth", data=b"hello", message="found b'hell' at byte 0")
    return cases


def _claiming(data: bytes, decoded: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<L", changed, data.index(b"PK\x01\x02") + 24, decoded)
    return bytes(changed)


MARKER = "the-pickle-ran"


def pickle_cases() -> dict[str, Case]:
    """Pickles that would create a file in the working directory."""
    chosen = ("os.system, protocol 2", "builtins.eval, protocol 4", "INST", "OBJ", "NEWOBJ_EX")
    made = hostile_pickles(Path(MARKER))
    return {
        name: Case(file="m.pt", data=archive(made[name][0]), message=r"at byte \d+.*nothing was executed")
        for name in chosen
    }


PICKLES = pickle_cases()
CASES = stream_cases() | safetensors_cases() | {f"zip: {n}": c for n, c in zip_cases().items()} | PICKLES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case as a file, in a folder of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    for number, case in enumerate(CASES.values()):
        (folder / str(number)).mkdir()
        (folder / str(number) / case.file).write_bytes(case.data)
    return folder


@pytest.fixture(scope="module")
def paths(folder: Path) -> dict[str, Path]:
    return {name: folder / str(number) / case.file for number, (name, case) in enumerate(CASES.items())}


@pytest.fixture(scope="module")
def outcomes(
    golfbudget: Run, golfbudget_process: Run, paths: dict[str, Path]
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every case inspected; pickles that would run something in a process of its own."""
    return {
        name: (golfbudget_process if name in PICKLES else golfbudget)(
            "inspect", paths[name], *case.arguments, cwd=paths[name].parent
        )
        for name, case in CASES.items()
    }


def check_refusal(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.endswith("\n")
    assert len(done.stderr.splitlines()) == 1
    assert re.match(rf"golfbudget: error: .*{message}", done.stderr), done.stderr


@pytest.mark.parametrize("name", CASES)
def test_refused_in_one_line_that_names_the_file(
    name: str, outcomes: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    check_refusal(outcomes[name], CASES[name].message)
    assert re.search(rf"/{re.escape(CASES[name].file)}[: ]", outcomes[name].stderr)


@pytest.mark.parametrize("name", CASES)
def test_the_same_file_can_be_counted_as_a_whole(
    name: str, paths: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(paths[name]), *CASES[name].arguments, "--as", "opaque"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"opaque ({len(CASES[name].data):,} bytes decoded)" in out


def test_no_pickle_ran(outcomes: dict[str, subprocess.CompletedProcess[str]], folder: Path) -> None:
    assert set(PICKLES) <= set(outcomes)
    assert not list(folder.rglob(MARKER))
    assert not Path(MARKER).exists()


# What is no file, and options that are wrong


def test_an_empty_file(golfbudget: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.touch()
    for arguments in ((), ("--as", "opaque")):
        check_refusal(golfbudget("inspect", path, *arguments), f"{path}: the file is empty, expected a model artifact")


def test_a_broken_file_as_opaque_in_a_process_of_its_own(golfbudget_process: Run, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(file("{", length=9))
    done = golfbudget_process("inspect", tmp_path / "m.safetensors", "--as", "opaque")
    assert (done.returncode, done.stderr) == (0, "")
    assert "opaque (9 bytes decoded)" in done.stdout


def test_a_folder_needs_exactly_one_artifact(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no model")
    check_refusal(golfbudget("inspect", tmp_path), f"{tmp_path}: the folder holds no model file, expected one named")
    (tmp_path / "a.pt").write_bytes(b"x")
    (tmp_path / "b.safetensors").write_bytes(b"y")
    check_refusal(
        golfbudget("inspect", tmp_path), rf"{tmp_path}: the folder holds 2 model files \(a\.pt, b\.safetensors\)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.pt", "there is no such file"), ("x" * 300, "cannot be read: File name too long")],
)
def test_a_path_without_a_file(golfbudget: Run, tmp_path: Path, name: str, message: str) -> None:
    check_refusal(golfbudget("inspect", tmp_path / name), f"{tmp_path / name}: {message}")


def test_what_is_no_regular_file(golfbudget: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_refusal(golfbudget("inspect", tmp_path / "pipe"), f"{tmp_path / 'pipe'}: not a regular file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'PATH'"),
        (("m.bin", "--nonsense"), "No such option"),
        (
            ("m.bin", "--as", "nothing"),
            "no format is called 'nothing'; known: .*npz, opaque, .*torch-legacy, torch-zip",
        ),
        (("m.bin", "--by", "colour"), "'colour' is not one of"),
        (("m.bin", "--format", "yaml"), "'yaml' is not one of"),
        (("m.bin", "--cap", "-3"), "'-3' is no size"),
        (("m.bin", "--cap", "16XB"), "'16XB' is no size"),
        (("m.bin", "--max-decoded", "much"), "'much' is no size"),
        (("m.bin", "--code", "missing.py"), "--code missing.py: neither a file that exists nor a size"),
        (("m.bin", "--roles", "missing.toml"), "missing.toml"),
        (("m.bin", "-o", "missing/out.json"), "missing/out.json: cannot be written: No such file"),
        (("m.bin", "more"), "unexpected extra argument"),
    ],
)
def test_a_wrong_option(golfbudget: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "m.bin").write_bytes(b"bytes")
    check_refusal(golfbudget("inspect", *arguments, cwd=tmp_path), message)


# Brotli has no signature: what it decodes to must begin like a container, and then it is held to it


def test_brotli_that_begins_like_no_container_is_opaque(golfbudget: Run, tmp_path: Path) -> None:
    data = stored_as("brotli", bytes(4_000_000))
    (tmp_path / "m.ptz").write_bytes(data)
    done = golfbudget("inspect", tmp_path / "m.ptz", "--max-decoded", "1MB")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"opaque ({len(data):,} bytes decoded)" in done.stdout


@pytest.mark.parametrize(
    ("cut", "limit", "message"),
    [(9, "1MB", "brotli stream that starts at byte 0 is cut short"), (0, "100", "more than 100 bytes")],
)
def test_brotli_that_begins_like_a_container_is_held_to_it(
    golfbudget: Run, tmp_path: Path, cut: int, limit: str, message: str
) -> None:
    data = stored_as("brotli", artifact_bytes())
    (tmp_path / "m.ptz").write_bytes(data[: len(data) - cut])
    done = golfbudget("inspect", tmp_path / "m.ptz", "--max-decoded", limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("golfbudget: error: ")


def test_the_decoded_limit_is_on_all_layers_together() -> None:
    inner = stored_as("zlib", artifact_bytes())
    nested = stored_as("xz", inner)
    both = len(inner) + len(artifact_bytes())
    assert open_bytes(nested, name="m", limit=both).size == len(nested)
    with pytest.raises(LimitError):
        open_bytes(nested, name="m", limit=both - 1)


def test_names_cannot_steer_the_terminal(golfbudget: Run, tmp_path: Path) -> None:
    header = json.dumps({"a\x1b[2J\n": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    done = golfbudget("inspect", tmp_path / "m.safetensors", "--by", "owner")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "a\\x1b[2J\\n" in done.stdout


@pytest.mark.parametrize("size", ["9" * 5000, "1." + "0" * 5000, "x" * 100_000])
def test_sizes_of_absurd_length_are_refused(golfbudget: Run, tmp_path: Path, size: str) -> None:
    (tmp_path / "m.bin").write_bytes(b"x")
    for option in ("--cap", "--code"):
        done = golfbudget("inspect", tmp_path / "m.bin", option, size)
        assert done.returncode == 2
        assert len(done.stderr) < 300


# Memory

MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "golfbudget", "inspect", sys.argv[1]], capture_output=True, text=True)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(done.stdout + done.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "message", "kilobytes"),
    [
        pytest.param(
            bytes.fromhex("1f8b0800000000000003") + endless(1100),
            "decodes to more than 1073741824 bytes",
            1_400_000,
            marks=pytest.mark.slow,
            id="a gibibyte and more of zeros",
        ),
        pytest.param(b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(9), "the zstd stream", 200_000, id="a window of 2 GiB"),
        pytest.param(
            b"\x5d" + struct.pack("<L", 1 << 29) + b"\xff" * 8 + bytes(40),
            "the lzma stream",
            200_000,
            id="a dictionary of 512 MiB",
        ),
        pytest.param(
            file("{" + record(shape=f"[{2**62}]", offsets=f"[0,{2**62}]") + "}", b"abc"),
            "the file at 1",
            200_000,
            id="a tensor of 4 EiB",
        ),
    ],
)
def test_memory_stays_bounded_by_default(data: bytes, message: str, kilobytes: int, tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
    code, peak, output = done.stdout.split(maxsplit=2)
    assert code == "2"
    assert re.match(rf"golfbudget: error: {path}: .*{message}", output)
    assert int(peak) < kilobytes * (1 if sys.platform != "darwin" else 1024)


# Changed files, in this process

#: Codecs that content or a guess from it can lead to.
FOUND = [name for name in codecs.registered() if name not in ("none", "lzma2-raw", "rans")]
NESTS = [(), *((name,) for name in FOUND), ("zlib", "xz"), ("zstd", "gzip")]


def small_files() -> dict[str, bytes]:
    state = {"tok_emb.weight": torch.arange(12.0).reshape(3, 4), "blocks.0.w": torch.arange(9).to(torch.int8)}
    header = record('"F32"', "[3,4]", "[0,48]", '"tok_emb.weight"') + "," + record('"I8"', "[9]", "[48,57]", '"é.b"')
    return {
        "safetensors": file('{"__metadata__":{"a":"b"},' + header + "}", bytes(range(57))),
        "torch-zip": saved({**state, "tied": state["tok_emb.weight"], "note": "x"}),
        "deflated torch-zip": rewritten(saved(state), zipfile.ZIP_DEFLATED),
    }


def wrapped(data: bytes, nest: tuple[str, ...]) -> bytes:
    for name in nest:
        data = stored_as(name, data)
    return data


SMALL = small_files()
WRAPPED = {(kind, nest): wrapped(data, nest) for kind, data in SMALL.items() for nest in NESTS}
NAMES = st.sampled_from(["m.bin", "m.safetensors", "m.pt", "m.ptz"])


def ledger_or_error(data: bytes, name: str) -> None:
    """Open and make the ledger, whose construction checks the law; a LedgerError would be a reader's mistake."""
    try:
        opened(data, name)
    except LedgerError:
        raise
    except GolfbudgetError as error:
        assert str(error).startswith(name)  # noqa: PT017


@pytest.mark.parametrize(
    ("kind", "nest"), WRAPPED, ids=lambda value: value if isinstance(value, str) else "+".join(value)
)
def test_the_whole_files_are_read(kind: str, nest: tuple[str, ...]) -> None:
    artifact = opened(WRAPPED[kind, nest], "m.bin")
    outer = [layer for layer in artifact.layers if layer.member is None]
    assert [layer.name for layer in outer] == [*reversed(nest), kind.removeprefix("deflated ")]
    assert outer[-1].decoded_bytes == len(SMALL[kind])
    if "deflated" not in kind:
        assert bytes(artifact.leaves[0].data) == SMALL[kind]


KEYS = st.sampled_from(list(WRAPPED))


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(KEYS, st.data(), NAMES)
def test_a_file_cut_anywhere_gives_a_ledger_or_an_error(
    key: tuple[str, tuple[str, ...]], data: st.DataObject, name: str
) -> None:
    whole = WRAPPED[key]
    ledger_or_error(whole[: data.draw(st.integers(1, len(whole) - 1))], name)


@pytest.mark.slow
@settings(max_examples=700, derandomize=True)
@given(KEYS, st.data(), NAMES)
def test_a_file_with_changed_bytes_gives_a_ledger_or_an_error(
    key: tuple[str, tuple[str, ...]], data: st.DataObject, name: str
) -> None:
    changed = bytearray(WRAPPED[key])
    edge = st.integers(0, min(63, len(changed) - 1)) | st.integers(max(0, len(changed) - 99), len(changed) - 1)
    for at in data.draw(st.lists(edge | st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0xFF, changed[at] ^ 1]) | st.integers(0, 255))
    ledger_or_error(bytes(changed), name)


@pytest.mark.slow
@settings(max_examples=200, derandomize=True)
@given(st.sampled_from(list(SMALL)), st.sampled_from(NESTS[1:]), st.data(), NAMES)
def test_a_changed_file_inside_sound_codecs_gives_a_ledger_or_an_error(
    kind: str, nest: tuple[str, ...], data: st.DataObject, name: str
) -> None:
    changed = bytearray(SMALL[kind])
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[at] = data.draw(st.integers(0, 255))
    ledger_or_error(wrapped(bytes(changed), nest), name)


HEADS = [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x80\x02", file("{}"), b"\x1f\x8b\x08", b"\x78\xda", b"\x78\x5e", b"BZh9"]
HEADS += [b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x5d\x00\x00\x80\x00", b"\x5d\x00\x00\x80\x00" + b"\xff" * 8]


@settings(max_examples=400, derandomize=True)
@given(st.sampled_from(HEADS), st.binary(max_size=300), NAMES)
def test_any_bytes_give_a_ledger_or_an_error(head: bytes, rest: bytes, name: str) -> None:
    if head + rest:
        ledger_or_error(head + rest, name)


@settings(max_examples=100, derandomize=True)
@given(KEYS, st.binary(min_size=1, max_size=60))
def test_bytes_after_an_artifact_are_counted_or_refused(key: tuple[str, tuple[str, ...]], rest: bytes) -> None:
    ledger_or_error(WRAPPED[key] + rest, "m.bin")
