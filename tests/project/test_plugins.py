"""Readers and schemes of other packages, announced as entry points: installed metadata, seen by a real process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import golfbudget

READER = """
from golfbudget.codecs import Sniff
from golfbudget.formats import Contents, Region, StoredTensor
from golfbudget.ledger import Account, Span


class Theirs:
    name = "theirs"
    suffixes = (".theirs",)

    def sniff(self, data):
        return Sniff.SURE if bytes(data[:6]) == b"THEIRS" else Sniff.NO

    def begins(self, head):
        return head[:6] == b"THEIRS"

    def read(self, data, *, where):
        tensor = StoredTensor(name="blocks.0.w", dtype="int8", shape=(len(data) - 6,), strides=(1,), offset=6)
        return Contents(
            format=self.name,
            regions=(
                Region(span=Span(0, 6), account=Account.CONTAINER, label="[magic]"),
                Region(span=Span(6, len(data)), account=Account.WEIGHTS, name="blocks.0.w", tensor=True),
            ),
            tensors=(tensor,),
        )
"""


SCHEME = """
import torch

from golfbudget.ledger import Account
from golfbudget.schemes import Encoded, Scheme, Table, get


class Halves(Scheme):
    name = "halves"
    summary = "fp16 as it is"
    formula = "2 V d"
    decoder_source = "w=t['halves'].astype('f')"

    def encode(self, matrix, options, context):
        table = Table(name="halves", account=Account.WEIGHTS, tensor=matrix.half(), bits=16, shape=tuple(matrix.shape))
        return Encoded(scheme=self.name, shape=tuple(matrix.shape), tables=(table,))

    def decode(self, encoded):
        return encoded.tensor("halves").float()

    def raw_bytes(self, shape, options):
        return 2 * shape[0] * shape[1]


class Unfinished(Scheme):
    name = "unfinished"


class Scalar(Halves):
    name = "scalar"


made = Halves()
"""


def install(folder: Path, target: str, group: str = "golfbudget.formats") -> dict[str, str]:
    """Put a package with one entry point on the path of a child process."""
    (folder / "their_reader.py").write_text(READER)
    (folder / "their_scheme.py").write_text(SCHEME)
    metadata = folder / "their_reader-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-reader\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\ntheirs = {target}\n")
    checkout = str(Path(golfbudget.__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), checkout))}


def inspect(path: Path, env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "golfbudget", "inspect", str(path), "--format", "json", *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("--as", "theirs")])
def test_an_installed_reader_is_used_where_none_of_ours_fits(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "model.theirs"
    path.write_bytes(b"THEIRS" + bytes(50))
    done = inspect(path, install(tmp_path, "their_reader:Theirs"), *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["layers"][-1]["name"] == "theirs"
    assert [(e["owner"], e["role"], e["stored_bytes"]) for e in report["entries"]] == [
        ("[magic]", "shared", 6),
        ("blocks.0.w", "trunk", 50),
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("their_reader:Absent", "entry point 'theirs' .* cannot be loaded"),
        ("no_such_module:X", "entry point 'theirs' .* cannot be loaded"),
        ("their_reader:Span", "is no format"),
    ],
)
def test_a_broken_reader_is_named(tmp_path: Path, target: str, message: str) -> None:
    path = tmp_path / "model.xyz"
    path.write_bytes(b"nothing of ours")
    done = inspect(path, install(tmp_path, target))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr


def test_our_own_readers_come_first(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "a.npy", np.zeros(3, np.int8))
    done = inspect(tmp_path / "a.npy", install(tmp_path, "no_such_module:X"))
    assert done.returncode == 0, done.stderr


# Schemes


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "golfbudget", "schemes", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["their_scheme:Halves", "their_scheme:made"])
def test_an_installed_scheme_is_listed_computed_and_found(tmp_path: Path, target: str) -> None:
    env = install(tmp_path, target, "golfbudget.schemes")
    done = run(env, "--shape", "10x3", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["schemes"]}
    assert rows["halves"]["raw_bytes"] == 60
    assert len(rows) > 10
    code = "from golfbudget import schemes; print('halves' in schemes.registered(), schemes.get('halves').summary)"
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert found.stdout == "False fp16 as it is\n", found.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("their_scheme:Absent", "entry point 'theirs' .* cannot be loaded"),
        ("their_scheme:Unfinished", "'theirs' of golfbudget.schemes is no scheme"),
        ("their_scheme:torch", "'theirs' of golfbudget.schemes is no scheme"),
        ("their_scheme:Scalar", "a scheme 'scalar' is there already"),
    ],
)
def test_a_broken_scheme_is_named(tmp_path: Path, target: str, message: str) -> None:
    env = install(tmp_path, target, "golfbudget.schemes")
    done = run(env)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr


@pytest.mark.slow
def test_our_own_schemes_need_no_others(tmp_path: Path) -> None:
    env = install(tmp_path, "no_such_module:X", "golfbudget.schemes")
    code = "from golfbudget import schemes; print(schemes.get('scalar').name)"
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert found.stdout == "scalar\n", found.stderr
