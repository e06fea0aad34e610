"""Artifacts of several streams: per-group containers, checkpoints in shards, and the laws of the layer tree."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import pytest
import safetensors.numpy
import torch
from support.blobs import opened
from support.command_line import Run

from golfbudget.artifact import open_artifact
from golfbudget.errors import CorruptError, UsageError
from golfbudget.ledger import Account, Role
from golfbudget.roles import Assignment, assign, load_roles


def saved(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def pgrp(streams: list[bytes]) -> bytes:
    return struct.pack(f"<4sI{len(streams)}I", b"PGRP", len(streams), *map(len, streams)) + b"".join(streams)


def per_group() -> tuple[bytes, list[bytes]]:
    """Seven streams that only lrzip can read, one brotli of torch.save, one of 16-bit permutations."""
    rng = np.random.default_rng(0)
    remainder = saved(
        {
            "r": {
                "tok_emb.weight.scale": torch.rand(64).half(),
                "tok_emb.weight.lqA_a": torch.ones(64, 4, dtype=torch.int8),
                "blocks.0.attn.c_q.weight.scale": torch.rand(16).half(),
                "final_norm.weight": torch.rand(16).half(),
            },
            "m": {"tok_emb.weight": "gptq (int7)+lqer_asym"},
        }
    )
    streams = [b"LRZI\0\x06" + rng.bytes(200 + 31 * i) for i in range(7)]
    streams += [brotli.compress(remainder, lgwin=24), brotli.compress(rng.permutation(64).astype("<u2").tobytes())]
    return pgrp(streams), streams


def ledger_of(data: bytes) -> Assignment:
    return assign(opened(data, "model.ptz"), load_roles())


def test_each_group_is_a_layer_with_the_role_of_its_group() -> None:
    data, streams = per_group()
    artifact = opened(data, "model.ptz")
    assignment = assign(artifact, load_roles())
    containers = [(layer.name, layer.member) for layer in artifact.layers if layer.kind == "container"]
    assert containers[:3] == [("pgrp", None), ("opaque", "tok_emb.weight.q"), ("opaque", "attn.c_k")]
    assert containers[-2:] == [("torch-zip", "remainder"), ("opaque", "permutations")]
    by_owner: dict[str, list[tuple[Role, Account, int]]] = {}
    for entry in assignment.ledger.entries:
        by_owner.setdefault(entry.owner, []).append((entry.role, entry.account, entry.stored_bits))
    # The group's stream and, from the remainder, its scales, factors and overhead are the head's.
    head = by_owner["tok_emb.weight"]
    assert {role for role, _, _ in head} == {Role.HEAD}
    assert (Role.HEAD, Account.UNMAPPED, 8 * len(streams[0])) in head
    assert Account.SCALES in {account for _, account, _ in head}
    assert by_owner["mlp.fc"] == [(Role.TRUNK, Account.UNMAPPED, 8 * len(streams[5]))]
    assert by_owner["[pgrp header]"] == [(Role.SHARED, Account.CONTAINER, 8 * 44)]
    assert (Role.SHARED, Account.MAPPING) in {(role, account) for role, account, _ in by_owner["[permutations]"]}
    assert sum(len(s) for s in streams) + 44 == artifact.size


def test_groups_that_can_be_decoded_are() -> None:
    import zstandard

    state = {"blocks.0.mlp.fc.weight": np.zeros((30, 30), np.float16)}
    data = pgrp([zstandard.compress(safetensors.numpy.save(state)), b"\x00anything", b""])
    artifact = opened(data + b"tail", "m")
    assert [layer.name for layer in artifact.layers] == ["pgrp", "zstd", "safetensors", "opaque", "opaque"]
    (tail,) = [part for part in artifact.parts if part.label == "[after the streams]"]
    assert (tail.account, tail.stored_bits) == (Account.UNMAPPED, 32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PGRP", "count of streams at byte 0"),
        (struct.pack("<4sI", b"PGRP", 0), "says 0 streams"),
        (struct.pack("<4sI", b"PGRP", 2**32 - 1), "says 4294967295 streams"),
        (struct.pack("<4sII", b"PGRP", 1, 99), "end at byte 111"),
    ],
)
def test_lying_groups_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        opened(data, "m")


# Shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A Hugging Face folder: two shards, the index, a configuration, and files that are no weights."""
    parts: list[dict[str, np.ndarray[Any, Any]]] = [
        {"model.embed_tokens.weight": np.ones((50, 8), np.float16)},
        {
            "model.layers.0.mlp.up_proj.weight": np.zeros((9, 8), np.float32),
            "model.norm.weight": np.ones(8, np.float32),
        },
    ]
    files = [f"model-{i + 1:05}-of-00002.safetensors" for i in range(2)]
    for file, part in zip(files, parts, strict=True):
        (tmp_path / file).write_bytes(safetensors.numpy.save(part))
    index = {"metadata": {}, "weight_map": {n: f for f, part in zip(files, parts, strict=True) for n in part}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text(json.dumps({"tie_word_embeddings": True}))
    (tmp_path / "README.md").write_text("no weights here")
    return tmp_path


def inspect(path: Path, golfbudget: Run) -> dict[str, Any]:
    done = golfbudget("inspect", path, "--format", "json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_checkpoint_in_shards_is_one_artifact(shards: Path, golfbudget: Run) -> None:
    counted = [*shards.glob("*.safetensors"), shards / "model.safetensors.index.json"]
    for path in (shards, shards / "model.safetensors.index.json"):
        report = inspect(path, golfbudget)
        assert report["source"]["bytes"] == sum(file.stat().st_size for file in counted)
        assert sum(entry["stored_bytes"] for entry in report["entries"]) == report["source"]["bytes"]
        assert report["parameters"] == 50 * 8 + 9 * 8 + 8
        assert report["tied"] is True
        roles = {entry["owner"]: entry["role"] for entry in report["entries"]}
        assert roles["model.embed_tokens.weight"] == "head"
        assert roles["model.layers.0.mlp.up_proj.weight"] == "trunk"
        assert roles["[model.safetensors.index.json]"] == "shared"


def test_a_configuration_decides_whether_the_head_is_tied(shards: Path) -> None:
    def tied() -> tuple[bool | None, Role]:
        assignment = assign(open_artifact(shards), load_roles())
        (entry,) = (e for e in assignment.ledger.entries if e.tensor == "model.embed_tokens.weight")
        return assignment.tied, entry.role

    assert tied() == (True, Role.HEAD)
    (shards / "config.json").write_text('{"text_config": {"tie_word_embeddings": false}}')
    assert tied() == (False, Role.EMBEDDING)
    (shards / "config.json").unlink()
    assert tied() == (True, Role.HEAD)


def test_a_configuration_beside_a_single_file_counts_for_the_folder_and_the_file(tmp_path: Path) -> None:
    state = {"wte.weight": np.ones((5, 2), np.float32), "other.weight": np.ones((5, 2), np.float32)}
    (tmp_path / "model.safetensors").write_bytes(safetensors.numpy.save(state))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}')
        assert open_artifact(path).config == {"tie_word_embeddings": True}
        assert assign(open_artifact(path), load_roles()).tied is True
        (tmp_path / "config.json").write_text('{"tie_word_embeddings": false}')
        assert assign(open_artifact(path), load_roles()).tied is False


def test_torch_shards_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model-00001-of-00001.bin").write_bytes(saved({"wte.weight": torch.ones(4, 3)}))
    index = {"weight_map": {"wte.weight": "pytorch_model-00001-of-00001.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    artifact = open_artifact(tmp_path)
    assert [tensor.name for tensor in artifact.tensors] == ["wte.weight"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "weight_map"),
        ('{"weight_map": {}}', "weight_map"),
        ('{"weight_map": {"a": 1}}', "weight_map"),
        ('{"weight_map": {"a": "../../etc/passwd"}}', "no file of the same folder"),
        ('{"weight_map": {"a": "absent.safetensors"}}', "not there"),
        ('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}', "lists 'a' there"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_bad_indexes_are_refused(shards: Path, index: str, message: str) -> None:
    (shards / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CorruptError, match=message):
        open_artifact(shards)


def test_a_tensor_in_two_shards_is_refused(shards: Path) -> None:
    one, two = sorted(shards.glob("*.safetensors"))
    both = {"model.embed_tokens.weight": np.ones(3, np.float32), "y": np.ones(3, np.float32)}
    two.write_bytes(safetensors.numpy.save(both))
    index = {"weight_map": {"model.embed_tokens.weight": one.name, "y": two.name}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptError, match="two streams hold"):
        open_artifact(shards)


def test_two_indexes_are_ambiguous(shards: Path) -> None:
    (shards / "other.safetensors.index.json").write_text("{}")
    (shards / "model.safetensors.index.json").rename(shards / "another.safetensors.index.json")
    with pytest.raises(UsageError, match="2 indexes"):
        open_artifact(shards)
