"""Names of outputs and tables that public libraries and scripts give, and what only looks like them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_heads import TABLE, WIDTH, matrix, opened, roles

from golfbudget.ledger import Role

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


OTHER_PAIRS = (
    ("embeddings.weight", "lm_head.w_out.weight"),
    ("transformer.vocab_embedding.weight", "lm_head.weight"),
    ("decoder_frontend.embed.weight", "final_proj.weight"),
    ("backbone.vocab_embed.embedding", "backbone.output_layer.linear.weight"),
    ("tok_emb.weight", "out_head.weight"),
    ("gpt.text_embedding.weight", "gpt.text_head.weight"),
    ("text_emb.weight", "text_linear.weight"),
    ("transformer.wtes.0.weight", "lm_heads.0.weight"),
    ("ar_audio_embedding.word_embeddings.weight", "ar_predict_layer.weight"),
    ("talker.model.codec_embedding.weight", "talker.codec_head.weight"),
    ("token_embedding_table.weight", "lm_head.weight"),
    ("tgt_embed.0.lut.weight", "generator.proj.weight"),
    ("0.model.embed_tokens.weight", "0.lm_head.weight"),
    ("embed.W_E", "unembed.W_U"),
    ("params.transformer.wte.embedding", "params.lm_head.kernel"),
    ("params.token_embedder.embedding", "params.decoder.logits_dense.kernel"),
    ("tok_emb.weight", "lm_head.weight_v"),
    ("tok_emb.weight", "lm_head.parametrizations.weight.original1"),
)


@pytest.mark.parametrize(("table", "output"), OTHER_PAIRS)
def test_names_of_other_libraries(tmp_path: Path, table: str, output: str) -> None:
    turned = output.endswith(("kernel", "W_U"))
    found = opened(tmp_path, {table: matrix(), output: matrix().t().contiguous() if turned else matrix()})
    assert found.tied is False, found.tied_reason
    assert roles(found)[table] is Role.EMBEDDING
    assert roles(found)[output] is Role.HEAD


@pytest.mark.parametrize(
    "name", ["params.decoder.layers_0.mlp.output.kernel", "params.img.head.kernel", "vision_tower.fc_out.weight"]
)
def test_a_matrix_of_a_block_or_of_another_tower_is_no_output(tmp_path: Path, name: str) -> None:
    found = opened(tmp_path, {"params.wte.embedding": matrix(), name: matrix(8)})
    assert found.tied is True
    assert roles(found)[name] is Role.TRUNK


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens_per_layer.weight",
        "model.ngram_embeddings.embedders.0.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
    ],
)
def test_tables_beside_the_table_of_tokens(tmp_path: Path, name: str) -> None:
    found = opened(tmp_path, {TABLE: matrix(), name: matrix(), "lm_head.weight": matrix()})
    assert roles(found)[name] is Role.EMBEDDING


def test_heads_that_guess_tokens_ahead_are_head(tmp_path: Path) -> None:
    own = {"medusa_head.0.0.linear.weight": matrix(WIDTH), "medusa_head.0.1.weight": matrix()}
    found = opened(tmp_path, {TABLE: matrix(), "lm_head.weight": matrix(), **own})
    assert {roles(found)[name] for name in own} == {Role.HEAD}


def test_a_matrix_of_numbers_alone_is_of_no_known_role(tmp_path: Path) -> None:
    assert roles(opened(tmp_path, {"0.1.weight": matrix()}))["0.1.weight"] is Role.UNASSIGNED


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
