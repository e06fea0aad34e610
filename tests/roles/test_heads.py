"""The head by evidence: which matrix it is, whether it is tied, and when that is not known."""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from golfbudget.artifact import open_artifact
from golfbudget.ledger import Role
from golfbudget.roles import Assignment, assign, load_roles
from golfbudget.roles.config_json import ConfigJson
from golfbudget.roles.what_is_here import encoder_of

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


def test_a_classifier_is_no_head(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "head.weight": matrix(3), "head.bias": torch.randn(3)})
    assert found.head.rejected.keys() == {"head.weight"}
    assert roles(found)["head.weight"] is roles(found)["head.bias"] is Role.UNASSIGNED


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


def test_a_factorised_output_is_head_and_no_tie(tmp_path: Path) -> None:
    halves = {"lm_head.0.weight": matrix(4), "lm_head.1.weight": matrix(ROWS, 4)}
    found = opened(tmp_path, {TABLE: matrix(), **halves})
    assert found.tied is False
    assert {roles(found)[name] for name in halves} == {Role.HEAD}


def test_a_factorised_output_under_names_of_its_own_leaves_the_tie_open(tmp_path: Path) -> None:
    halves = {"lm_head.down.weight": matrix(4), "lm_head.up.weight": matrix(ROWS, 4)}
    assert opened(tmp_path, {TABLE: matrix(), **halves}).tied is None


def test_an_output_that_guesses_several_tokens_is_as_many_times_as_long(tmp_path: Path) -> None:
    found = opened(tmp_path, {TABLE: matrix(), "lm_head.weight": matrix(8 * ROWS)})
    assert found.tied is False
    assert roles(found)["lm_head.weight"] is Role.HEAD


@pytest.mark.parametrize("config", [None, {"vocab_size": ROWS, "draft_vocab_size": 33}])
def test_a_draft_has_an_output_over_a_vocabulary_of_its_own(tmp_path: Path, config: Config) -> None:
    maps = {"d2t": torch.arange(33), "t2d": torch.ones(ROWS, dtype=torch.bool)}
    found = opened(tmp_path, {TABLE: matrix(), "lm_head.weight": matrix(33), **maps}, config)
    assert found.tied is False
    assert roles(found)["lm_head.weight"] is Role.HEAD


def test_a_matrix_of_another_tables_form_makes_it_unknown(tmp_path: Path) -> None:
    own = {"text.word_embeddings.weight": matrix(), "sound.word_embeddings.weight": matrix(33)}
    assert opened(tmp_path, {**own, "last.weight": matrix(33)}).tied is None


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
        ({"tie_word_embeddings": 0}, False),
        ({"tie_embeddings": False}, False),
        ({"weight_tying": True}, True),
        ({"untie_embeddings_and_output_weights": True}, False),
        ({"untie_embeddings_and_output_weights": True, "tie_word_embeddings": True}, True),
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


def test_the_settings_in_a_checkpoint_say_it_too(tmp_path: Path) -> None:
    settings = argparse.Namespace(untie_embeddings_and_output_weights=True)
    torch.save({"model": {TABLE: matrix()}, "args": settings}, tmp_path / "model_optim_rng.pt")
    found = assign(open_artifact(tmp_path / "model_optim_rng.pt"), load_roles())
    assert found.tied is False
    assert "args/untie_embeddings_and_output_weights: true is in the checkpoint" in found.tied_reason


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


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"model.layers.0.q_proj.lora_A.weight": (8, WIDTH)}, "this is an adapter (lora_A)"),
        ({"score.weight": (3, WIDTH)}, "score.weight ends a model that has none"),
        ({"bert.pooler.dense.weight": (WIDTH, WIDTH)}, "ends a model that has none"),
        ({"v_head.weight": (1, WIDTH)}, "v_head.weight ends a model that has none"),
        ({"reward_head.weight": (1, WIDTH)}, "reward_head.weight ends a model that has none"),
        ({"regression_layer.weight": (19, WIDTH)}, "regression_layer.weight ends a model that has none"),
        ({"fc.weight": (WIDTH, 2 * WIDTH)}, "fc.weight joins several hidden states"),
        ({"head.weight": (3, WIDTH)}, "head.weight is named like one and is none"),
        ({"lm_head.projection.weight": (ROWS, WIDTH)}, "lm_head.projection.weight [96, 16] has the input table's form"),
        ({"adapter.out.weight": (ROWS, WIDTH)}, "adapter.out.weight [96, 16] has the input table's form"),
    ],
)
def test_what_stands_beside_a_table_may_leave_the_tie_open(
    tmp_path: Path, tensors: Mapping[str, tuple[int, int]], reason: str
) -> None:
    found = opened(tmp_path, {TABLE: matrix(), **{name: torch.randn(shape) for name, shape in tensors.items()}})
    assert found.tied is None
    assert reason in found.tied_reason
    assert roles(found)[TABLE] is Role.EMBEDDING


@pytest.mark.parametrize(
    "names",
    [
        ("embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"),
        ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"),
        ("text_model.embeddings.token_embedding.weight", "text_model.encoder.layers.0.self_attn.q_proj.weight"),
    ],
)
def test_an_encoder_alone_does_not_say_how_it_would_give_logits(tmp_path: Path, names: tuple[str, str]) -> None:
    save_file({names[0]: matrix(), names[1]: matrix(WIDTH)}, tmp_path / "model.safetensors")
    found = assign(open_artifact(tmp_path), load_roles())
    assert found.tied is None
    assert "all blocks are an encoder's" in found.tied_reason


def test_megatron_calls_the_blocks_of_a_language_model_an_encoder(tmp_path: Path) -> None:
    block = "language_model.encoder.layers.0.mlp.dense_h_to_4h.weight"
    table = "language_model.embedding.word_embeddings.weight"
    save_file({table: matrix(), block: matrix(8)}, tmp_path / "model.safetensors")
    assert assign(open_artifact(tmp_path), load_roles()).tied is True


def test_an_adapter_beside_its_matrix_is_a_model(tmp_path: Path) -> None:
    own = {"model.layers.1.q.weight": matrix(8), "model.layers.1.q.lora_A.default.weight": matrix(8)}
    assert opened(tmp_path, {TABLE: matrix(), **own}).tied is True


def test_a_layer_of_a_pipeline_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "layer_00-model_00-model_states.pt"
    torch.save({"word_embeddings.weight": matrix()}, file)
    found = assign(open_artifact(file), load_roles())
    assert found.tied is None
    assert "layer 0 of a checkpoint in a file for every layer" in found.tied_reason


def test_a_square_output_may_have_the_vocabularys_rows(tmp_path: Path) -> None:
    found = opened(tmp_path, {"decoder.embed_tokens.0.weight": matrix(65, 64), "lm_heads.0.weight": matrix(64, 64)})
    assert found.tied is False
    assert roles(found)["lm_heads.0.weight"] is Role.HEAD


def test_pieces_of_a_table_have_the_vocabulary_together(tmp_path: Path) -> None:
    pieces = {f"model.embed_tokens.{n}.weight": matrix(ROWS // 2) for n in range(2)}
    found = opened(tmp_path, {**pieces, "lm_head.weight": matrix()})
    assert roles(found)["lm_head.weight"] is Role.HEAD


def test_all_pieces_of_a_tied_table_are_the_head(tmp_path: Path) -> None:
    pieces = {f"model.embed_tokens.{n}.weight": matrix(ROWS // 2) for n in range(2)}
    found = opened(tmp_path, pieces)
    assert found.tied is True
    assert {roles(found)[name] for name in pieces} == {Role.HEAD}


@pytest.mark.parametrize("names", ["lm_head.heads.{}.weight", "lm_head_{}.weight"])
def test_numbered_matrices_with_a_row_for_every_token_are_no_tie(tmp_path: Path, names: str) -> None:
    found = opened(tmp_path, {TABLE: matrix(), **{names.format(n): matrix(ROWS // 4) for n in range(4)}})
    assert found.tied is None
    assert "have a row for every token together" in found.tied_reason


def test_a_table_of_few_characters_is_wider_than_long(tmp_path: Path) -> None:
    wide = {f"model.layers.{n}.w.weight": matrix(ROWS, ROWS) for n in range(2)}
    found = opened(tmp_path, {TABLE: matrix(33, ROWS), "last.weight": matrix(ROWS, ROWS), **wide})
    assert found.tied is True, found.tied_reason


def test_an_output_that_repeats_a_table_of_no_known_name_is_tied(tmp_path: Path) -> None:
    table = matrix()
    found = opened(tmp_path, {"first.weight": table, "unembed.weight": table.clone()})
    assert found.tied is True
    assert roles(found)["first.weight"] is roles(found)["unembed.weight"] is Role.HEAD


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("rows", [ROWS, WIDTH])
def test_a_transposed_copy_is_one_matrix_too(tmp_path: Path, rows: int, *, same: bool) -> None:
    table = matrix(rows)
    output = table.t().contiguous()
    output[-1, -1] += 0 if same else 1
    found = opened(tmp_path, {"tok_emb.weight": table, "lm_head.weight": output})
    assert found.tied is same
    assert ("repeats the" in found.tied_reason) is same
    assert found.head.redundant_bytes == (4 * rows * WIDTH if same else 0)


def test_a_copy_written_column_by_column_is_one_matrix_too(tmp_path: Path) -> None:
    table = matrix().numpy()
    for name, array in (("tok_emb.weight", table), ("lm_head.weight", np.asfortranarray(table))):
        with zipfile.ZipFile(tmp_path / "m.npz", "a") as archive, archive.open(f"{name}.npy", "w") as member:
            np.save(member, array)
    found = assign(open_artifact(tmp_path / "m.npz"), load_roles())
    assert found.tied is True
    assert "lm_head.weight repeats the values of tok_emb.weight" in found.tied_reason


def test_an_output_on_one_storage_with_a_matrix_of_no_known_name_is_tied(tmp_path: Path) -> None:
    table = matrix()
    torch.save({"encoder.weight": table, "rnn.w": matrix(8), "decoder.weight": table}, tmp_path / "m.pt")
    found = assign(open_artifact(tmp_path / "m.pt"), load_roles())
    assert found.tied is True
    assert found.head.table == "encoder.weight"


@pytest.mark.parametrize("differs", ["", "values", "scales"])
def test_packed_tables_are_compared_too(tmp_path: Path, differs: str) -> None:
    values, scales = torch.randint(-128, 127, (ROWS, WIDTH), dtype=torch.int8), torch.rand(ROWS, 1)
    other = values.flip(0).contiguous() if differs == "values" else values.clone()
    others = scales * 2 if differs == "scales" else scales.clone()
    own = {TABLE: values, f"{TABLE}_scale": scales, "lm_head.weight": other, "lm_head.weight_scale": others}
    found = opened(tmp_path, {**own, "lm_head.input_scale": torch.ones(1)})
    same = not differs
    assert found.tied is same
    assert found.head.redundant_bytes == (ROWS * WIDTH + 4 * ROWS + 4 if same else 0)


def test_an_output_packed_in_an_unknown_way_is_an_output(tmp_path: Path) -> None:
    words = torch.randint(0, 1 << 20, (4, 2, 8, 4), dtype=torch.int32)
    assert opened(tmp_path, {TABLE: matrix(), "lm_head.weight": words}).tied is False


@pytest.mark.parametrize("window", ["transposed", "without padded rows"])
def test_windows_on_one_storage_are_one_matrix(tmp_path: Path, window: str) -> None:
    table = matrix()
    output = table.t() if window == "transposed" else table[: ROWS - 2]
    torch.save({TABLE: table, "lm_head.weight": output, "model.norm.weight": torch.ones(WIDTH)}, tmp_path / "m.pt")
    found = assign(open_artifact(tmp_path / "m.pt"), load_roles())
    assert found.tied is True
    assert sum(entry.parameters for entry in found.ledger.entries) == ROWS * WIDTH + WIDTH


@pytest.mark.parametrize(
    ("key", "value"),
    [("general.architecture", "t5encoder"), ("llama.pooling_type", 1), ("llama.attention.causal", False)],
)
def test_a_gguf_file_says_that_it_gives_no_logits(key: str, value: object) -> None:
    values = {"general.architecture": "llama", key: value}
    assert encoder_of(values) is not None
    assert encoder_of({"general.architecture": "llama", "llama.attention.causal": True}) is None


def test_a_configuration_of_many_keys_takes_no_time() -> None:
    wide: Config = {f"k{n}": {"a": {}} for n in range(200_000)}
    start = time.perf_counter()
    ConfigJson.of(wide)
    assert time.perf_counter() - start < 5
