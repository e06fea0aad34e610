"""The head by evidence: which matrix it is, whether it is tied, and when that is not known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from golfbudget.artifact import open_artifact
from golfbudget.ledger import Role
from golfbudget.roles import Assignment, assign, load_roles

ROWS, WIDTH = 96, 16
TABLE = "model.embed_tokens.weight"
Config = Mapping[str, object] | None


def matrix(rows: int = ROWS, width: int = WIDTH) -> Tensor:
    return torch.randn(rows, width)


def opened(folder: Path, tensors: Mapping[str, Tensor], config: Config = None) -> Assignment:
    """A checkpoint of these and a block's matrix, as a folder with its configuration."""
    own = {**tensors, "model.layers.0.mlp.up_proj.weight": matrix(8, WIDTH)}
    save_file(own, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return assign(open_artifact(folder), load_roles())


def roles(found: Assignment) -> dict[str, Role]:
    return {entry.tensor: entry.role for entry in found.ledger.entries if entry.tensor}


PAIRS = (
    ("model.embed_tokens.weight", "lm_head.weight"),
    ("transformer.embedding.word_embeddings.weight", "transformer.output_layer.weight"),
    ("gpt_neox.embed_in.weight", "embed_out.weight"),
    ("transformer.embd.wte.weight", "lm_head.linear.weight"),
    ("model.transformer.wte.weight", "model.transformer.ff_out.weight"),
    ("decoder.embed_tokens.weight", "decoder.output_projection.weight"),
    ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    ("token_emb.emb.weight", "to_logits.weight"),
    ("tok_emb.weight", "head.weight"),
    ("tok_embeddings.weight", "output.weight"),
    ("backbone.embeddings.weight", "lm_head.weight"),
    ("emb.weight", "head.weight"),
    ("shared.weight", "lm_head.weight"),
    ("encoder.embedding.weight", "generator.weight"),
    ("language_model.embedding.word_embeddings.weight", "language_model.output_layer.weight"),
    ("token_embd.weight", "output.weight"),
    ("decoder.embeddings.weight", "generator.0.weight"),
    ("transformer.word_embedding.weight", "lm_loss.weight"),
)
PREFIXES = ("", "module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model.", "thinker.", "actor.", "student.")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("table", "output"), PAIRS)
def test_public_names_under_any_prefix(tmp_path: Path, table: str, output: str, prefix: str) -> None:
    found = opened(tmp_path, {prefix + table: matrix(), prefix + output: matrix()})
    assert found.tied is False, found.tied_reason
    assert roles(found)[prefix + table] is Role.EMBEDDING
    assert roles(found)[prefix + output] is Role.HEAD


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.attention.output_layer.weight", "model.layers.0.mlp.base_layer.weight", "h.3.attn.head.weight"],
)
def test_names_inside_blocks_are_the_blocks(tmp_path: Path, name: str) -> None:
    found = opened(tmp_path, {TABLE: matrix(), name: matrix(8)})
    assert roles(found)[name] is Role.TRUNK


def test_patterns_match_whole_components(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "x.output_layer_7.w": matrix(8), "x.my_base_layer.w": matrix(8)})
    assert roles(found)["x.output_layer_7.w"] is roles(found)["x.my_base_layer.w"] is Role.UNASSIGNED


def test_a_classifier_is_no_head(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "head.weight": matrix(3)})
    assert found.head.rejected.keys() == {"head.weight"}
    assert roles(found)["head.weight"] is Role.UNASSIGNED


def test_a_numbered_part_that_no_rule_names_claims_no_matrix_of_the_vocabulary(tmp_path: Path) -> None:
    assert opened(tmp_path, {TABLE: matrix(), "decode.0.weight": matrix()}).tied is None


@pytest.mark.parametrize(("table", "output"), [(1000, 1024), (1024, 1000), (1000, 1008), (512, 576), (50, 64)])
def test_padded_rows_are_the_vocabularys(tmp_path: Path, table: int, output: int) -> None:
    found = opened(
        tmp_path, {TABLE: matrix(table), "lm_head.weight": matrix(output)}, {"vocab_size": min(table, output)}
    )
    assert found.tied is False
    assert roles(found)["lm_head.weight"] is Role.HEAD


def test_a_padded_matrix_that_no_rule_claims_makes_it_unknown(tmp_path: Path) -> None:
    assert opened(tmp_path, {TABLE: matrix(1000), "last.weight": matrix(1024)}).tied is None


def test_pieces_of_an_output_are_no_tie(tmp_path: Path) -> None:
    pieces = {f"lm_head.{n}.weight": matrix(ROWS // 2) for n in range(2)}
    found = opened(tmp_path, {TABLE: matrix(), **pieces})
    assert found.tied is None
    assert "may be a piece of one" in found.tied_reason


def test_a_matrix_of_the_vocabulary_that_no_rule_claims_makes_it_unknown(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "last.weight": matrix()})
    assert found.tied is None
    assert "last.weight [96, 16] has a dimension of the vocabulary" in found.tied_reason
    assert roles(found)[TABLE] is Role.EMBEDDING


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": "false"}, False),
        ({"text_config": {"tie_word_embeddings": False}}, False),
        ({"llm_config": {"tie_word_embeddings": True}}, True),
        ({"thinker_config": {"text_config": {"tie_word_embeddings": False}}}, False),
        ({"vision_config": {"tie_word_embeddings": False}}, True),
        ({"architectures": ["LlamaForSequenceClassification"]}, None),
        ({"architectures": ["LlamaModel"]}, None),
        ({"architectures": ["GPT2LMHeadModel"]}, True),
        ({}, True),
        (None, True),
    ],
)
def test_what_a_configuration_says_where_no_output_is_stored(
    tmp_path: Path, config: Config, *, tied: bool | None
) -> None:
    assert opened(tmp_path, {TABLE: matrix()}, config).tied is tied


def test_two_matrices_that_differ_are_untied_whatever_the_configuration_says(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "lm_head.weight": matrix()}, {"tie_word_embeddings": True})
    assert found.tied is False
    assert found.head.redundant_bytes == 0


@pytest.mark.parametrize("config", [None, {"tie_word_embeddings": True}, {"model_type": "llama"}])
def test_a_head_stored_twice_is_tied_and_said_to_be_redundant(tmp_path: Path, config: Config) -> None:
    table = matrix()
    found = opened(tmp_path, {TABLE: table, "lm_head.weight": table.clone()}, config)
    assert found.tied is True
    assert found.head.redundant_bytes == ROWS * WIDTH * 4
    assert f"{ROWS * WIDTH * 4:,} bytes redundant" in found.tied_reason
    assert roles(found)[TABLE] is roles(found)["lm_head.weight"] is Role.HEAD
    assert sum(entry.parameters for entry in found.ledger.entries) == ROWS * WIDTH + 8 * WIDTH


def test_equal_matrices_are_two_where_the_configuration_says_untied(tmp_path: Path) -> None:
    table = matrix()
    found = opened(tmp_path, {TABLE: table, "lm_head.weight": table.clone()}, {"tie_word_embeddings": False})
    assert found.tied is False
    assert sum(entry.parameters for entry in found.ledger.entries) == 2 * ROWS * WIDTH + 8 * WIDTH


def test_matrices_that_were_never_trained_are_no_copies(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: torch.ones(ROWS, WIDTH), "lm_head.weight": torch.ones(ROWS, WIDTH)})
    assert found.tied is False


def test_tables_of_an_encoder_and_a_decoder_that_repeat_the_shared_one(tmp_path: Path) -> None:
    table = matrix()
    names = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    found = opened(tmp_path, {**{name: table.clone() for name in names}, "lm_head.weight": matrix()})
    assert found.tied is False
    assert {roles(found)[name] for name in names} == {Role.EMBEDDING}
    assert found.head.redundant_bytes == 2 * ROWS * WIDTH * 4
    assert sum(entry.parameters for entry in found.ledger.entries) == 2 * ROWS * WIDTH + 8 * WIDTH


def test_what_masked_models_put_before_their_output_is_head(tmp_path: Path) -> None:
    own = {"cls.predictions.transform.dense.weight": matrix(WIDTH), "cls.predictions.bias": torch.randn(ROWS)}
    found = opened(tmp_path, {"bert.embeddings.word_embeddings.weight": matrix(), **own})
    assert found.tied is True
    assert {roles(found)[name] for name in own} == {Role.HEAD}


def test_the_text_table_is_the_one_that_is_tied(tmp_path: Path) -> None:
    own = {"vision_tower.embeddings.weight": matrix(12), "language_model.model.embed_tokens.weight": matrix()}
    found = opened(tmp_path, own, {"text_config": {"vocab_size": ROWS, "tie_word_embeddings": True}})
    assert found.head.table == "language_model.model.embed_tokens.weight"
    assert roles(found)["vision_tower.embeddings.weight"] is not Role.HEAD
