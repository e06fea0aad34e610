"""Every refusal of a file's bytes says once that they can be counted all the same, and only where that helps."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from support.blobs import saved
from support.command_line import Run
from test_gguf import file as gguf_file

from golfbudget.artifact import open_bytes
from golfbudget.errors import AS_OPAQUE, CorruptError, LimitError

WHOLE = saved({"w": torch.arange(3000.0)})
REFUSED = {
    "m.safetensors": (9).to_bytes(8, "little") + b"{",
    "m.pt": WHOLE[: len(WHOLE) // 2],
    "m.npz": b"text",
    "m.npy": b"\x93NUMPY\x01\0\xff\xff",
    "m.gguf": gguf_file(version=9),
    "m.gz": gzip.compress(WHOLE)[:300],
    "m.pkl": b"\x80\x04}\x94\x8c\x01a\x94\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94s.",
    "m.py": b"\xff",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_can_be_counted(tmp_path: Path, name: str, golfbudget: Run) -> None:
    path = tmp_path / name
    path.write_bytes(REFUSED[name])
    done = golfbudget("inspect", path)
    assert done.returncode == 2
    assert done.stderr.count(AS_OPAQUE) == 1
    counted = golfbudget("inspect", path, "--as", "opaque")
    assert (counted.returncode, counted.stderr) == (0, "")


def test_a_broken_shard_can_be_counted_with_the_others(tmp_path: Path, golfbudget: Run) -> None:
    (tmp_path / "a.bin").write_bytes(WHOLE)
    (tmp_path / "b.safetensors").write_bytes(REFUSED["m.safetensors"])
    for listed in ('{"weight_map": {"w": "a.bin", "v": "b.safetensors"}}', '{"weight_map": {"absent": "a.bin"}}'):
        (tmp_path / "model.safetensors.index.json").write_text(listed)
        done = golfbudget("inspect", tmp_path)
        assert done.returncode == 2
        assert done.stderr.count(AS_OPAQUE) == 1
        assert golfbudget("inspect", tmp_path, "--as", "opaque").returncode == 0


def test_the_kind_of_error_and_what_it_carries_are_kept() -> None:
    with pytest.raises(LimitError, match="raise --max-decoded; --as opaque counts"):
        open_bytes(gzip.compress(WHOLE), name="m.gz", limit=100)
    with pytest.raises(CorruptError) as caught:
        open_bytes(gzip.compress(WHOLE)[:300], name="m.gz")
    assert caught.value.progress > 0


def test_where_it_would_not_help_it_is_not_said(tmp_path: Path, golfbudget: Run) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"w": "absent.bin"}}')
    for path in (tmp_path / "empty.pt", tmp_path / "missing.pt", tmp_path):
        done = golfbudget("inspect", path)
        assert done.returncode == 2
        assert "--as opaque" not in done.stderr
