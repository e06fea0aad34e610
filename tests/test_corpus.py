"""Real public artifacts: every one is accounted for to the byte, or refused with a clear message."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run

from golfbudget.artifact import open_artifact
from golfbudget.errors import CorruptError
from golfbudget.inspection import inspect_file
from golfbudget.ledger import Account, Role
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.int8_layout import artifact_bytes, container_bytes, quantise, read_export
from golfbudget.recipe.state import checkpoint_state, read_tensors
from golfbudget.rollup import roll_up

OPENED = ("torch-zip", "safetensors")
TRUNCATED = "bad_truncated_xz/truncated.ternary.ptz"


def test_every_file_is_a_ledger_that_sums_to_it(corpus: Path, corpus_facts: list[dict[str, Any]]) -> None:
    assert len(corpus_facts) >= 19
    for fact in corpus_facts:
        path = corpus / fact["file"]
        if fact["file"] == TRUNCATED:
            with pytest.raises(CorruptError, match=r"cut short: the data ends at byte 261120 after 387381 decoded"):
                inspect_file(path, cap=16_000_000)
            continue
        inspection = inspect_file(path, cap=16_000_000)
        ledger = inspection.assignment.ledger
        assert ledger.size == fact["bytes"] == path.stat().st_size, path
        assert sum(entry.stored_bits for entry in ledger.entries) == 8 * fact["bytes"], path
        assert sum(len(leaf.data) for leaf in inspection.artifact.leaves) == fact.get("decoded_bytes", fact["bytes"]), (
            path
        )
        codecs = [layer.name for layer in inspection.artifact.layers if layer.kind == "codec"]
        assert (codecs or ["none"]) == [fact["codec"]], path


def test_every_torch_zip_and_safetensors_file_is_really_opened(
    corpus: Path, corpus_facts: list[dict[str, Any]]
) -> None:
    opened = 0
    for fact in corpus_facts:
        if fact["container"] not in OPENED or fact["file"] == TRUNCATED:
            continue
        opened += 1
        inspection = inspect_file(corpus / fact["file"], cap=16_000_000)
        tensors = inspection.artifact.tensors
        assert inspection.artifact.format == fact["container"]
        assert len(tensors) == fact["n_tensors"], fact["file"]
        data = [entry for entry in inspection.assignment.ledger.entries if entry.shape is not None]
        assert sum(entry.decoded_bytes for entry in data) == fact["tensor_bytes"], fact["file"]
        by_account = roll_up(inspection.assignment.ledger, lambda entry: entry.account)
        assert Account.UNMAPPED not in by_account, fact["file"]
        named = {tensor.name: tensor for tensor in tensors}
        for known in fact["head_and_embedding_tensors"]:
            assert list(named[known["name"]].shape) == known["shape"]
        roles = roll_up(inspection.assignment.ledger, lambda entry: entry.role)
        assert Role.HEAD in roles
        assert Role.UNASSIGNED not in roles, fact["file"]
    assert opened == 11


def test_unknown_containers_are_opaque_inside_their_codec(corpus: Path, corpus_facts: list[dict[str, Any]]) -> None:
    for fact in corpus_facts:
        if fact["container"] in ("custom", "opaque"):
            artifact = open_artifact(corpus / fact["file"])
            assert artifact.format == "opaque", fact["file"]
            assert {region.account for region in artifact.contents.regions} == {Account.UNMAPPED}


def test_the_tied_head_of_the_four_megabyte_artifact(corpus: Path, golfbudget: Run) -> None:
    done = golfbudget("inspect", corpus / "int8_zlib_4mb/final_model.int8.ptz", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (entry,) = [e for e in report["entries"] if e["tensor"] == "quantized/tok_emb.weight"]
    assert (entry["owner"], entry["role"], entry["account"]) == ("tok_emb.weight", "head", "weights")
    assert (entry["parameters"], entry["shape"], entry["dtype"]) == (524_288, [1024, 512], "int8")
    assert report["tied"] is True


def test_torch_agrees_on_every_tensor_of_the_corpus(corpus: Path, corpus_facts: list[dict[str, Any]]) -> None:
    """The library that made the files is the oracle; its safe loader reads them without executing anything."""
    compared = 0
    for fact in corpus_facts:
        if fact["container"] != "torch-zip" or fact["codec"] not in ("none", "zlib"):
            continue
        import io

        path = corpus / fact["file"]
        raw = path.read_bytes()
        loaded = torch.load(
            io.BytesIO(raw if fact["codec"] == "none" else zlib.decompress(raw)), weights_only=True, map_location="cpu"
        )
        ours = read_tensors(open_artifact(path))
        theirs = dict(_flatten(loaded, ""))
        assert ours.keys() == theirs.keys(), path
        for name, tensor in ours.items():
            assert tensor.dtype == theirs[name].dtype
            assert torch.equal(tensor, theirs[name]), name
        compared += len(ours)
    assert compared > 150


def _flatten(value: object, path: str) -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(path, value)]
    if isinstance(value, dict):
        return [pair for key, child in value.items() for pair in _flatten(child, f"{path}/{key}" if path else str(key))]
    return []


@pytest.mark.parametrize("folder", ["fp16_zlib_pair", "fp16_zlib_exact_ledger"])
def test_the_recipe_reproduces_public_exports_from_their_checkpoints(corpus: Path, folder: str) -> None:
    """The public baseline's own script made both files of a pair: its container is the oracle of ours."""
    recipe = load_recipe("int8-zlib")
    exported = quantise(checkpoint_state(open_artifact(corpus / folder / "final_model.pt")), recipe)
    published = open_artifact(corpus / folder / "final_model.int8.ptz")
    theirs = read_export(published)
    assert list(exported.passthrough) == list(theirs.passthrough)
    assert all(torch.equal(exported.passthrough[name], theirs.passthrough[name]) for name in theirs.passthrough)
    assert exported.kept_dtypes == theirs.kept_dtypes
    assert len(container_bytes(exported)) == len(published.leaves[0].data)


def test_a_public_artifact_is_written_again_byte_for_byte(corpus: Path) -> None:
    published = open_artifact(corpus / "int8_zlib_4mb/final_model.int8.ptz")
    export = read_export(published)
    container = container_bytes(export)
    assert container == bytes(published.leaves[0].data)
    assert zlib.decompress(artifact_bytes(export, load_recipe("int8-zlib"))) == container
