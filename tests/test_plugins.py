"""Readers of other packages, announced as entry points: really installed metadata, seen by a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def install(folder: Path, target: str) -> dict[str, str]:
    """Put a package with one entry point on the path of a child process."""
    (folder / "their_reader.py").write_text(READER)
    metadata = folder / "their_reader-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-reader\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[golfbudget.formats]\ntheirs = {target}\n")
    return os.environ | {"PYTHONPATH": str(folder)}


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
    import re

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
