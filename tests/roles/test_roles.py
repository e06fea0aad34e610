"""Roles: what a stored name is for, and when one matrix is both input table and output head."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from golfbudget.artifact import Artifact, open_artifact, open_bytes
from golfbudget.errors import ConfigError
from golfbudget.ledger import Account, Role
from golfbudget.roles import Assignment, assign, load_roles
from golfbudget.rollup import roll_up, total


def saved(tensors: object) -> Artifact:
    out = io.BytesIO()
    torch.save(tensors, out)
    return open_bytes(out.getvalue(), name="test.pt")


def assigned(tensors: object) -> Assignment:
    return assign(saved(tensors), load_roles())


def weight() -> torch.Tensor:
    return torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("lm_head.weight", Role.HEAD),
        ("head.weight", Role.HEAD),
        ("output.weight", Role.HEAD),
        ("model.lm_head.weight", Role.HEAD),
        ("embed_out.weight", Role.HEAD),
        ("base.linear_readout.out.weight", Role.HEAD),
        ("embed_proj.weight", Role.HEAD),
        ("vocab_bias", Role.HEAD),
        ("model.embed_tokens.weight", Role.EMBEDDING),
        ("transformer.wte.weight", Role.EMBEDDING),
        ("transformer.wpe.weight", Role.EMBEDDING),
        ("bigram.embed.weight", Role.EMBEDDING),
        ("ve_shared.embed.weight", Role.EMBEDDING),
        ("value_embeds.0.weight", Role.EMBEDDING),
        ("blocks.3.attn.c_q.weight", Role.TRUNK),
        ("model.layers.0.mlp.down_proj.weight", Role.TRUNK),
        ("transformer.h.1.ln_1.weight", Role.TRUNK),
        ("model.norm.weight", Role.TRUNK),
        ("skip_weights", Role.TRUNK),
        ("blocks.0.attn.head.weight", Role.TRUNK),
        ("something_else", Role.UNASSIGNED),
    ],
)
def test_public_names(name: str, role: Role) -> None:
    # A separate head keeps the token table an input table.
    entries = assigned({name: weight(), "lm_head.weight": weight()}).ledger.entries
    assert {entry.role for entry in entries if entry.owner == name} == {role}


def test_a_table_without_output_matrix_is_the_tied_head() -> None:
    found = assigned({"tok_emb.weight": weight(), "blocks.0.mlp.fc.weight": weight()})
    assert found.tied is True
    assert {e.role for e in found.ledger.entries if e.owner == "tok_emb.weight"} == {Role.HEAD}


def test_a_table_beside_an_output_matrix_is_an_embedding() -> None:
    found = assigned({"model.embed_tokens.weight": weight(), "lm_head.weight": weight()})
    assert found.tied is False
    roles = roll_up(found.ledger, lambda e: e.role)
    assert roles[Role.HEAD].parameters == roles[Role.EMBEDDING].parameters == 12


def test_two_names_on_one_storage_are_tied_and_charged_once() -> None:
    shared = weight()
    found = assigned({"model.embed_tokens.weight": shared, "lm_head.weight": shared})
    assert found.tied is True
    roles = roll_up(found.ledger, lambda e: e.role)
    assert roles[Role.HEAD].parameters == 12
    assert Role.EMBEDDING not in roles


def test_without_any_table_tying_is_not_known() -> None:
    assert assigned({"blocks.0.weight": weight()}).tied is None


def test_scales_headers_padding_and_pickle_records_belong_to_their_tensor() -> None:
    layout = {
        "quantized": {"tok_emb.weight": torch.zeros(4, 3, dtype=torch.int8)},
        "scales": {"tok_emb.weight": torch.ones(4, dtype=torch.float16)},
        "dtypes": {"tok_emb.weight": "float32"},
    }
    ledger = assigned(layout).ledger
    own = roll_up(ledger, lambda e: (e.owner, e.account))
    assert own["tok_emb.weight", Account.WEIGHTS].parameters == 12
    assert own["tok_emb.weight", Account.SCALES].decoded_bytes == 8
    assert own["tok_emb.weight", Account.SCALES].parameters == 0
    # Two local headers, two directory records, two descriptors, and pickle items of all three dictionaries.
    containers = [e for e in ledger.entries if e.owner == "tok_emb.weight" and e.account is Account.CONTAINER]
    assert len(containers) >= 9


def test_a_scale_needs_its_matrix_beside_it() -> None:
    entries = assigned({"w": {"bigram.scale": torch.ones(1), "a.q": weight(), "a.scale": torch.ones(4)}}).ledger.entries
    accounts = {(e.owner, e.account) for e in entries if e.tensor}
    assert ("a", Account.SCALES) in accounts
    assert ("a", Account.WEIGHTS) in accounts
    assert ("bigram.scale", Account.WEIGHTS) in accounts


def test_the_overhead_of_a_scale_belongs_to_its_matrix_too() -> None:
    entries = assigned({"w": {"a.q": weight(), "a.scale": torch.ones(4)}, "m": {"a": "int6"}}).ledger.entries
    assert not [e for e in entries if e.owner != "a" and not e.owner.startswith("[")]
    # Local header, descriptor and directory record of both storages, and their pickle items.
    assert len([e for e in entries if e.owner == "a" and e.account is Account.CONTAINER]) >= 8


@given(st.lists(st.sampled_from(["tok_emb.weight", "lm_head.weight", "blocks.0.w", "x", "vocab_bias"]), unique=True))
def test_assigning_roles_moves_no_byte(names: list[str]) -> None:
    artifact = saved({name: torch.zeros(3, 2) for name in names})
    ledger = assign(artifact, load_roles()).ledger
    assert total(roll_up(ledger, lambda e: e.role).values()).stored_bytes == artifact.size
    assert [e.span for e in ledger.entries] == [r.span for r in artifact.contents.regions]
    assert [e.stored_bits for e in ledger.entries] == [part.stored_bits for part in artifact.parts]


def test_own_rules_replace_the_default_ones(tmp_path: Path) -> None:
    rules = tmp_path / "roles.toml"
    rules.write_text('[[roles]]\nmatch = "^x$"\nrole = "head"\nmatrix = "output"\n', encoding="utf-8")
    ledger = assign(saved({"x": weight(), "lm_head.weight": weight()}), load_roles(rules)).ledger
    assert {e.owner for e in ledger.entries if e.role is Role.HEAD} == {"x"}
    assert {e.owner for e in ledger.entries if e.role is Role.UNASSIGNED} == {"lm_head.weight"}


def test_own_rules_that_extend_the_shipped_ones_stand_before_them(tmp_path: Path) -> None:
    rules = tmp_path / "roles.toml"
    rules.write_text('extends = "default"\n[[roles]]\nmatch = "^x$"\nrole = "head"\n', encoding="utf-8")
    roles = load_roles(rules)
    ledger = assign(saved({"x": weight(), "blocks.0.w": weight()}), roles).ledger
    assert {e.owner: e.role for e in ledger.entries if e.tensor} == {"x": Role.HEAD, "blocks.0.w": Role.TRUNK}
    assert len(roles.roles) == len(load_roles().roles) + 1


def named(tensors: object) -> dict[str, str]:
    """Owners by stored name."""
    return {e.tensor: e.owner for e in assigned(tensors).ledger.entries if e.tensor}


@pytest.mark.parametrize(
    "wrapper", ["module.", "_orig_mod.", "_fsdp_wrapped_module.", "module._orig_mod.", "base_model.model."]
)
def test_what_wraps_names_is_no_part_of_owners(wrapper: str) -> None:
    assert named({f"{wrapper}blocks.0.w": weight(), f"{wrapper}x": weight()}) == {
        f"{wrapper}blocks.0.w": "blocks.0.w",
        f"{wrapper}x": "x",
    }


@pytest.mark.parametrize("pair", [("x.w", "module.x.w"), ("module.x.w", "_orig_mod.x.w"), ("x.w", "x.base_layer.w")])
def test_a_wrapper_stays_where_two_owners_would_become_one(pair: tuple[str, str]) -> None:
    found = named({pair[0]: weight(), pair[1]: weight()})
    assert len(set(found.values())) == 2


def test_models_of_one_file_are_told_apart_by_all_their_names() -> None:
    pair = {"student": {"w": weight(), "a": weight()}, "teacher": {"w": weight(), "b": weight()}}
    assert set(named(pair).values()) == {"student.w", "student.a", "teacher.w", "teacher.b"}


TRAINED = {
    "optimizer": {"state": {0: {"exp_avg": torch.ones(4, 3)}}},
    "ema": {"x": torch.ones(4, 3)},
    "rng_state": torch.zeros(16, dtype=torch.uint8),
    "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(4, 3)}}}],
}


def test_what_training_keeps_is_no_part_of_the_model() -> None:
    ledger = assigned({"model": {"x": weight(), "blocks.0.w": weight()}, **TRAINED}).ledger
    by_role = roll_up(ledger, lambda e: e.role)
    assert by_role[Role.TRAINING].parameters == 0
    assert by_role[Role.TRAINING].decoded_bytes > 3 * 48
    assert sum(entry.parameters for entry in ledger.entries) == 24
    assert {e.role for e in ledger.entries if e.tensor and not e.tensor.startswith("model/")} == {Role.TRAINING}


def test_an_average_of_the_weights_is_the_model_where_there_is_no_other() -> None:
    ledger = assigned({"ema": {"blocks.0.w": weight()}, "optimizer": TRAINED["optimizer"]}).ledger
    assert {e.owner: e.parameters for e in ledger.entries if e.parameters} == {"blocks.0.w": 12}


def test_the_state_of_an_optimizer_by_itself_has_no_parameters() -> None:
    parameter = torch.nn.Parameter(weight())
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    ledger = assigned(optimizer.state_dict()).ledger
    assert {e.role for e in ledger.entries if e.tensor} == {Role.TRAINING}
    assert not any(e.parameters for e in ledger.entries)


def test_the_shipped_rules_tell_no_digits_apart() -> None:
    """So that a name is matched once for all blocks and experts."""
    assert load_roles().any_digit


def test_rules_that_tell_digits_apart_are_not_remembered_by_their_shape(tmp_path: Path) -> None:
    rules = tmp_path / "roles.toml"
    text = '[[roles]]\nmatch = "^blocks.1"\nrole = "head"\n[[roles]]\nmatch = "^blocks"\nrole = "trunk"\n'
    rules.write_text(text, encoding="utf-8")
    ledger = assign(saved({f"blocks.{i}": weight() for i in range(4)}), load_roles(rules)).ledger
    assert {e.owner for e in ledger.entries if e.role is Role.HEAD} == {"blocks.1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "mine"', r"extends"),
        (
            '[[roles]]\nmatch = "x"\nrole = "hed"\n',
            r"roles\.toml: Invalid enum value 'hed' - at `\$\.roles\[0\]\.role`",
        ),
        ('[[roles]]\nmatch = "x"\n', "missing required field `role`"),
        ('[[roles]]\nmatch = "x"\nrole = "head"\nrol = 1\n', "unknown field `rol`"),
        ("roles = 3", r"at `\$\.roles`"),
        ("roles = [", "not valid TOML"),
    ],
)
def test_a_wrong_roles_file_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    rules = tmp_path / "roles.toml"
    rules.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_roles(rules)


def test_a_pattern_that_is_no_expression_is_refused(tmp_path: Path) -> None:
    rules = tmp_path / "roles.toml"
    rules.write_text('[[roles]]\nmatch = "("\nrole = "head"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="no regular expression"):
        assign(saved({"x": weight()}), load_roles(rules))


def test_training_is_known_however_deep_it_is_nested() -> None:
    state = {"state": {0: {"exp_avg": torch.zeros(4)}}}
    kept = {"trainer": {"optim": state}, "last_optimizer_state": state, "grads": {"w": torch.zeros(4)},
            "best_val_loss": torch.tensor(3.0)}  # fmt: skip
    found = assigned({"model": {"lm_head.weight": torch.ones(4, 3)}, **kept})
    assert sum(e.parameters for e in found.ledger.entries) == 12
    assert {e.role for e in found.ledger.entries if e.tensor and e.tensor != "model/lm_head.weight"} == {Role.TRAINING}


def test_random_states_are_no_maps_and_their_neighbours_no_codebooks() -> None:
    found = assigned({"up.weight": torch.randn(256, 4), "rng_state": torch.randint(0, 256, (5056,)).to(torch.uint8)})
    assert not found.detected


def test_nested_dicts_are_paths() -> None:
    tensors = {"embed_tokens": {"weight": torch.randn(8, 3)}, "lm_head": {"weight": torch.randn(8, 3)}}
    found = assigned(tensors)
    assert found.tied is False
    assert {e.owner for e in found.ledger.entries if e.tensor} == {"embed_tokens/weight", "lm_head/weight"}


def test_modules_pickled_whole_have_the_names_of_their_states(tmp_path: Path) -> None:
    model = torch.nn.Sequential()
    model.add_module("embed_tokens", torch.nn.Embedding(8, 3))
    model.add_module("lm_head", torch.nn.Linear(3, 8, bias=False))
    torch.save(model, tmp_path / "model.pt")
    found = assign(open_artifact(tmp_path / "model.pt"), load_roles())
    assert found.tied is False
    assert {e.owner for e in found.ledger.entries if e.tensor} == {"embed_tokens.weight", "lm_head.weight"}


def test_numbers_that_several_tensors_look_at_are_counted_once() -> None:
    both = torch.randn(100)
    assert sum(e.parameters for e in assigned({"a": both[:60], "b": both[40:]}).ledger.entries) == 100


def test_whole_numbers_that_may_be_packed_are_said() -> None:
    found = assigned({"x.weight": torch.randint(0, 9, (4, 4), dtype=torch.int32)})
    assert found.notes == ("x.weight hold whole numbers and are counted one parameter each; packed ones would be more",)


def test_truths_are_counted_and_said_and_maps_between_vocabularies_are_no_parameters() -> None:
    """A matrix of signs may be stored so, a mask as well: nothing in the file tells which."""
    tensors = {"x.weight": torch.rand(4, 4) < 0.5, "d2t": torch.arange(5), "t2d": torch.rand(9) < 0.5}
    found = assigned(tensors)
    assert found.notes == ("x.weight hold true or false and are counted one parameter each; masks would be none",)
    assert sum(entry.parameters for entry in found.ledger.entries) == 16
    maps = [entry for entry in found.ledger.entries if entry.owner in ("d2t", "t2d") and entry.tensor]
    assert {(entry.role, entry.account) for entry in maps} == {(Role.HEAD, Account.MAPPING)}


@pytest.mark.parametrize(
    "key", ["model_ema_state_dict", "ema_net", "master_weights", "fp32_master_weights", "train_dataloader_state"]
)
def test_further_copies_and_states_of_training_are_no_part_of_the_model(key: str) -> None:
    found = assigned({"model": {"x": weight()}, key: {"x": torch.ones(4, 3)}, "generator": torch.ones(5056)})
    assert sum(entry.parameters for entry in found.ledger.entries) == 12
    assert {e.role for e in found.ledger.entries if e.tensor and e.tensor != "model/x"} == {Role.TRAINING}


@pytest.mark.parametrize("key", ["train_state", "down_sampler", "generator"])
def test_words_of_training_do_not_hide_a_model(key: str) -> None:
    found = assigned({key: {"params": {"x": weight()}}})
    assert sum(entry.parameters for entry in found.ledger.entries) == 12


def test_a_mask_of_a_pruned_matrix_is_a_map_and_holds_no_parameters() -> None:
    found = assigned({"lm_head.weight_orig": weight(), "lm_head.weight_mask": weight(), "x.weight_mask": weight()})
    own = {e.tensor: (e.owner, e.account, e.parameters) for e in found.ledger.entries if e.tensor}
    assert own == {
        "lm_head.weight_orig": ("lm_head.weight", Account.WEIGHTS, 12),
        "lm_head.weight_mask": ("lm_head.weight", Account.MAPPING, 0),
        "x.weight_mask": ("x.weight_mask", Account.WEIGHTS, 12),
    }


@pytest.mark.parametrize("name", ["weight_fake_quant.scale", "activation_post_process.min_val"])
def test_what_training_for_a_quantiser_watches_holds_no_parameters(name: str) -> None:
    found = assigned({"blocks.0.fc.weight": weight(), f"blocks.0.fc.{name}": torch.ones(4)})
    assert sum(entry.parameters for entry in found.ledger.entries) == 12


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blocks.0.sa.tril", (4, 4)),
        ("h.0.attn.bias", (1, 1, 4, 4)),
        ("blocks.0.att.mask", (4, 4)),
        ("rotary.cos", (4, 4)),
        ("freqs_cis", (4, 4)),
    ],
)
def test_tables_that_are_computed_hold_no_parameters(name: str, shape: tuple[int, ...]) -> None:
    found = assigned({"blocks.0.w": weight(), "h.0.attn.c_proj.bias": torch.ones(4), name: torch.ones(shape)})
    assert sum(entry.parameters for entry in found.ledger.entries) == 16


def test_an_importance_matrix_is_no_model() -> None:
    found = assigned({"output.weight.in_sum2": weight(), "output.weight.counts": torch.ones(1)})
    assert {e.role for e in found.ledger.entries if e.tensor} == {Role.TRAINING}
    assert not any(entry.parameters for entry in found.ledger.entries)


@pytest.mark.parametrize("same", [True, False])
def test_vectors_that_pieces_of_a_model_repeat_are_counted_once(tmp_path: Path, *, same: bool) -> None:
    for piece in range(2):
        norm = torch.arange(3.0) + (0 if same else piece)
        torch.save({"norm.weight": norm, "layers.0.wq.weight": weight()}, tmp_path / f"consolidated.0{piece}.pth")
    found = assign(open_artifact(tmp_path), load_roles())
    assert sum(entry.parameters for entry in found.ledger.entries) == (27 if same else 30)
