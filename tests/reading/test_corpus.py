"""Real public artifacts: every one is accounted for to the byte, or refused with a clear message."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from support.command_line import Run

from golfbudget.artifact import open_artifact
from golfbudget.errors import CorruptError
from golfbudget.inspection import inspect_file
from golfbudget.ledger import Account, Role
from golfbudget.recipe.artifacts import artifact_bytes, container_bytes, read_export
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import quantise
from golfbudget.recipe.state import checkpoint_state, read_tensors
from golfbudget.rollup import roll_up

#: Owners whose names say nothing: an array saved by itself, and one called just "bias".
NO_NAME_TELLS = {"npy": {"[array]"}, "pickle": {"bias"}}
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
        outer = [layer for layer in inspection.artifact.layers if layer.member is None]
        assert outer[-1].decoded_bytes == fact.get("decoded_bytes", fact["bytes"]), path
        codecs = [layer.name for layer in outer if layer.kind == "codec"]
        assert (codecs or ["none"]) == [fact["codec"]], path


def test_every_container_is_opened_to_its_tensors(corpus: Path, corpus_facts: list[dict[str, Any]]) -> None:
    opened = 0
    for fact in corpus_facts:
        if fact["container"] in ("opaque", "custom") or fact["file"] == TRUNCATED:
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
        for known in fact.get("head_and_embedding_tensors", []):
            assert list(named[known["name"]].shape) == known["shape"]
            assert named[known["name"]].stored_bytes == known["bytes"]
            (owner,) = {e.owner for e in inspection.assignment.ledger.entries if e.tensor == known["name"]}
            roles = {e.role for e in inspection.assignment.ledger.entries if e.owner == owner}
            assert roles <= {Role.HEAD, Role.EMBEDDING}, (fact["file"], owner)
            assert len(roles) == 1
        unassigned = {e.owner for e in inspection.assignment.ledger.entries if e.role is Role.UNASSIGNED}
        assert unassigned == NO_NAME_TELLS.get(fact["container"], set()), fact["file"]
    assert opened == 14


def test_the_untied_artifact_has_two_heads_and_two_embeddings(corpus: Path) -> None:
    inspection = inspect_file(corpus / "numpy_pickle_in_zlib_untied/conker5_tandem_nonrecord.int6.ptz", cap=16_000_000)
    assert inspection.assignment.tied is False
    weights = {
        entry.owner: entry.role
        for entry in inspection.assignment.ledger.entries
        if entry.account is Account.WEIGHTS and entry.role in (Role.HEAD, Role.EMBEDDING)
    }
    assert weights == {
        "base.linear_embedding.weight": Role.EMBEDDING,
        "base.local_embedding.weight": Role.EMBEDDING,
        "base.linear_readout.out.weight": Role.HEAD,
        "base.local_readout.out.weight": Role.HEAD,
    }
    assert inspection.assignment.models["base.linear_readout.out.weight"].nominal_bits == 6
    assert inspection.assignment.models["base.linear_readout.out.weight"].packed_bits == 8


def test_the_ternary_artifact_has_a_factorised_head_and_bytes_inside_its_pickle(corpus: Path) -> None:
    inspection = inspect_file(corpus / "ternary_xz/model.ternary.ptz", cap=16_000_000)
    entries = inspection.assignment.ledger.entries
    head = {entry.owner for entry in entries if entry.role is Role.HEAD}
    assert head == {"tok_emb.weight", "embed_proj.weight", "embed_proj_rev.weight", "vocab_bias"}
    packed = [entry for entry in entries if entry.dtype == "bytes"]
    assert {entry.account for entry in packed} == {Account.WEIGHTS}
    assert {entry.role for entry in packed} == {Role.TRUNK}
    assert all(entry.parameters for entry in packed)
    # Bytes of a pickle of protocol 2 are text: more of them than were packed.
    assert sum(entry.decoded_bytes for entry in packed) > 900_000
    models = [inspection.assignment.models[entry.owner] for entry in packed]
    assert {round(model.nominal_bits or 0, 3) for model in models} == {1.585}
    # Two bit masks, padded to groups of 128 columns: never under 1.6 bits, and 56 for a matrix of four columns.
    assert min(model.packed_bits or 0 for model in models) > 1.6
    narrow = inspection.assignment.models["skc_block_bank.0.local_conv_weight"]
    assert (narrow.parameters, narrow.packed_bits) == (256 * 4, 8 * 7160 / 1024)


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
    assert len(container_bytes(exported, recipe)) == len(published.leaves[0].data)


def test_a_public_artifact_is_written_again_byte_for_byte(corpus: Path) -> None:
    published = open_artifact(corpus / "int8_zlib_4mb/final_model.int8.ptz")
    export, recipe = read_export(published), load_recipe("int8-zlib")
    container = container_bytes(export, recipe)
    assert container == bytes(published.leaves[0].data)
    assert zlib.decompress(artifact_bytes(export, recipe)) == container
