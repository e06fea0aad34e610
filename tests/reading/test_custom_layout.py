"""Custom binaries described by a layout file."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import brotli
import numpy as np
import pytest
from support.command_line import Run

from golfbudget.artifact import open_artifact
from golfbudget.errors import ConfigError, CorruptError
from golfbudget.formats.custom import load_layout
from golfbudget.ledger import Account, Role
from golfbudget.roles import assign, load_roles

LAYOUT = """
[[tensors]]
name = "embed"
offset = 8
dtype = "float16"
shape = [10, 4]
role = "embedding"

[[tensors]]
name = "blocks.0.w"
dtype = "int8"
shape = [3, 3]

[[parts]]
label = "header"
length = 8
"""


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "model.xyz"
    path.write_bytes(b"MYFORMAT" + np.arange(40, dtype=np.float16).tobytes() + bytes(range(9)) + b"rest")
    (tmp_path / "layout.toml").write_text(LAYOUT)
    return path


def test_described_bytes_are_owned_and_the_rest_is_unmapped(binary: Path) -> None:
    for encode in (bytes, lzma.compress):
        path = binary.with_suffix(".bin")
        path.write_bytes(encode(binary.read_bytes()))
        artifact = open_artifact(path, layout=load_layout(binary.parent / "layout.toml"))
        ledger = assign(artifact, load_roles()).ledger
        rows = [(e.owner, e.role, e.account, e.decoded_bytes, e.parameters) for e in ledger.entries if e.span]
        assert rows == [
            ("[header]", Role.SHARED, Account.CONTAINER, 8, 0),
            ("embed", Role.EMBEDDING, Account.WEIGHTS, 80, 40),
            ("blocks.0.w", Role.TRUNK, Account.WEIGHTS, 9, 9),
            ("[not in the layout]", Role.UNASSIGNED, Account.UNMAPPED, 4, 0),
        ]
        assert artifact.format == "custom"


def test_a_layout_can_name_a_codec_that_has_no_signature(binary: Path) -> None:
    path = binary.with_suffix(".br")
    path.write_bytes(brotli.compress(binary.read_bytes()))
    layout = binary.parent / "layout.toml"
    layout.write_text('codec = "brotli"\n' + LAYOUT)
    artifact = open_artifact(path, layout=load_layout(layout))
    assert [layer.name for layer in artifact.layers] == ["brotli", "custom"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[tensors]]\nname = "a"\ndtype = "int7"\nshape = [1]', r"tensors\[0\] \('a'\)\.dtype: unknown dtype 'int7'"),
        ('[[tensors]]\nname = "a"\ndtype = "int8"\nshape = [-1]', r"shape"),
        ('[[tensors]]\nname = "a"\ndtype = "int8"\nshape = [2]\nlength = 3', "takes 2 bytes, found 3"),
        ('[[tensors]]\nname = "a"\ndtype = "int8"\nshape = [2]\nrole = "tail"', r"role"),
        ('[[tensors]]\nname = "a"\ndtype = "int8"\nshape = [2]\nsize = 3', "size"),
        ('codec = "zap"\ntensors = []', "unknown codec 'zap'"),
        ('[[tensors]]\nname="a"\ndtype="int8"\nshape=[2]\n[[tensors]]\nname="a"\ndtype="int8"\nshape=[2]', "twice"),
        ("[[tensors", "not valid TOML"),
    ],
)
def test_bad_layouts_name_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"bad\.toml.*{message}"):
        load_layout(path)


def test_ranges_that_overlap_or_run_past_the_end_are_refused(binary: Path) -> None:
    layout = binary.parent / "layout.toml"
    layout.write_text(LAYOUT.replace("offset = 8", "offset = 7"))
    with pytest.raises(ConfigError, match=r"tensor 'embed', from byte 7, overlaps part 'header', to byte 8"):
        open_artifact(binary, layout=load_layout(layout))
    layout.write_text(LAYOUT.replace("[3, 3]", "[3, 300]"))
    with pytest.raises(CorruptError, match=r"blocks\.0\.w.*there are 101"):
        open_artifact(binary, layout=load_layout(layout))


CORPUS_LAYOUT = """
[[parts]]
label = "header"
offset = 0
length = 36

[[tensors]]
name = "embed"
offset = 36
dtype = "float16"
shape = [16384, 16]
role = "embedding"

[[tensors]]
name = "W_out"
dtype = "float16"
shape = [16, 1024]
role = "head"

[[tensors]]
name = "third"
dtype = "float16"
shape = [{third}]
role = "trunk"

[[tensors]]
name = "fourth"
dtype = "float16"
shape = [{fourth}]
role = "trunk"
"""


def test_the_public_custom_binary_opens_with_a_layout_written_for_it(
    corpus: Path, tmp_path: Path, golfbudget: Run
) -> None:
    """Four tensors after a header of nine 32-bit words; two are known by name, the rest by their number of bytes."""
    path = corpus / "custom_binary_xz/gs_nmf_hyb_seed42_20260426T193435.hgz"
    layout = tmp_path / "hgz.toml"
    layout.write_text(CORPUS_LAYOUT.format(third=16384 // 2, fourth=(1_622_016 - 524_288 - 32_768 - 16_384) // 2))
    done = golfbudget("inspect", path, "--layout", layout, "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [layer["name"] for layer in report["layers"]] == ["xz", "custom"]
    tensors = [entry for entry in report["entries"] if entry["tensor"]]
    assert len(tensors) == 4
    assert sum(entry["decoded_bytes"] for entry in tensors) == 1_622_016
    assert "unmapped" not in {entry["account"] for entry in report["entries"]}
    assert {entry["role"] for entry in report["entries"]} == {"embedding", "head", "trunk", "shared"}
    assert sum(entry["stored_bytes"] for entry in report["entries"]) == 1_409_096
