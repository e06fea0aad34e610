"""Which stored tensors make one model tensor: the layouts of public artifacts, written by torch and read back."""

from __future__ import annotations

import io
import math

import pytest
import torch
from support.blobs import opened

from golfbudget.errors import UsageError
from golfbudget.ledger import Account, Role
from golfbudget.roles import Assignment, assign, load_roles
from golfbudget.roles.explain import explain
from golfbudget.rollup import roll_up

INT8 = torch.int8


def assigned(state: object) -> Assignment:
    out = io.BytesIO()
    torch.save(state, out)
    return assign(opened(out.getvalue()), load_roles())


def accounts(assignment: Assignment, owner: str) -> dict[str, Account]:
    return {e.tensor: e.account for e in assignment.ledger.entries if e.owner == owner and e.tensor is not None}


def parameters(assignment: Assignment) -> dict[str, int]:
    by_owner = roll_up(assignment.ledger, lambda entry: entry.owner)
    return {owner: totals.parameters for owner, totals in by_owner.items() if not owner.startswith("[")}


def test_quantized_and_scales() -> None:
    found = assigned(
        {
            "quantized": {"tok_emb.weight": torch.ones(10, 4, dtype=INT8)},
            "scales": {"tok_emb.weight": torch.ones(10).half()},
            "passthrough": {"blocks.0.attn_scale": torch.ones(4)},
            "qmeta": {"tok_emb.weight": {"scheme": "per_row", "axis": 0}},
        }
    )
    assert parameters(found) == {"tok_emb.weight": 40, "blocks.0.attn_scale": 4}
    assert found.models["tok_emb.weight"].nominal_bits == 8
    assert found.models["tok_emb.weight"].packed_bits == 8


def test_w_and_m_with_low_rank_factors_and_gate_rows() -> None:
    found = assigned(
        {
            "w": {
                "tok_emb.weight.q": torch.ones(10, 64, dtype=INT8),
                "tok_emb.weight.scale": torch.ones(10).half(),
                "tok_emb.weight.lqA_a": torch.ones(10, 4, dtype=INT8),
                "tok_emb.weight.lqAs_a": torch.ones(()).half(),
                "tok_emb.weight.lqB_a": torch.ones(4, 64, dtype=INT8),
                "tok_emb.weight.lqBs_a": torch.ones(4).half(),
                "blocks.1.attn.attn_gate_w.gq": torch.ones(8, 3, dtype=INT8),
                "blocks.1.attn.attn_gate_w.gs": torch.ones(8).half(),
                "blocks.1.mlp.fc.weight.q": torch.ones(4, 4, dtype=INT8),
                "blocks.1.mlp.fc.weight.scale": torch.ones(4).half(),
                "skip_weights": torch.ones(3).half(),
            },
            "m": {
                "tok_emb.weight": "gptq (int7)+lqer_asym",
                "blocks.1.mlp.fc.weight": {"type": "int6", "bits": 6},
                "blocks.1.attn.attn_gate_w": "gate_int8_row",
                "skip_weights": "passthrough (float16)",
            },
        }
    )
    assert parameters(found) == {
        "tok_emb.weight": 640,
        "blocks.1.attn.attn_gate_w": 24,
        "blocks.1.mlp.fc.weight": 16,
        "skip_weights": 3,
    }
    assert accounts(found, "tok_emb.weight") == {
        "w/tok_emb.weight.q": Account.WEIGHTS,
        "w/tok_emb.weight.scale": Account.SCALES,
        "w/tok_emb.weight.lqA_a": Account.WEIGHTS,
        "w/tok_emb.weight.lqAs_a": Account.SCALES,
        "w/tok_emb.weight.lqB_a": Account.WEIGHTS,
        "w/tok_emb.weight.lqBs_a": Account.SCALES,
    }
    head = found.models["tok_emb.weight"]
    assert (head.nominal_bits, head.packed_bits) == (7, 8 * (640 + 40 + 256) / 640)
    assert found.models["blocks.1.mlp.fc.weight"].nominal_bits == 6
    assert found.models["skip_weights"].nominal_bits == 16
    assert found.models["blocks.1.attn.attn_gate_w"].nominal_bits == 8
    # Everything that serves a matrix, its meta record too, is one owner's.
    owners = {e.owner for e in found.ledger.entries if e.tensor is None}
    assert owners >= {"tok_emb.weight", "blocks.1.mlp.fc.weight"}


@pytest.mark.parametrize(
    ("kind", "bits"), [("ternary", math.log2(3)), ("ternary_bitmask", math.log2(3)), ("binary", 1.0)]
)
@pytest.mark.parametrize("shape", [torch.Size([12, 20]), [12, 20], (12, 20)])
def test_bytes_packed_inside_the_pickle_count_their_parameters(kind: str, bits: float, shape: object) -> None:
    found = assigned(
        {
            "blocks.0.mlp.fc.weight": {
                "type": kind,
                "packed": bytes(range(200, 248)),
                "scale": torch.ones(4).half(),
                "shape": [12, 128],
                "orig_shape": shape,
                "n_trits": 12 * 128,
            },
            "vocab_bias": {"type": "fp16", "data": torch.ones(30).half()},
        }
    )
    model = found.models["blocks.0.mlp.fc.weight"]
    assert (model.parameters, model.nominal_bits) == (240, bits)
    assert model.packed_bits == 8 * 48 / 240
    (entry,) = [e for e in found.ledger.entries if e.dtype == "bytes"]
    assert (entry.owner, entry.role, entry.account) == ("blocks.0.mlp.fc.weight", Role.TRUNK, Account.WEIGHTS)
    assert entry.decoded_bytes > 48
    assert roll_up(found.ledger, lambda e: e.owner)["blocks.0.mlp.fc.weight"].bits_per_parameter is not None


def test_packed_bytes_of_unknown_shape_leave_the_parameters_open() -> None:
    found = assigned({"blocks.0.w": {"packed": b"\x80" * 40, "scale": torch.ones(2)}})
    assert found.models["blocks.0.w"].parameters == 0
    totals = roll_up(found.ledger, lambda e: e.owner)["blocks.0.w"]
    assert not totals.complete
    assert totals.bits_per_parameter is None


def test_factorised_head_and_input_tables() -> None:
    names = {
        "tok_emb.weight": Role.HEAD,
        "embed_proj.weight": Role.HEAD,
        "embed_proj_rev.weight": Role.HEAD,
        "vocab_bias": Role.HEAD,
        "bigram.embed.weight": Role.EMBEDDING,
        "ve_shared.embed.weight": Role.EMBEDDING,
        "bigram_hash.table": Role.EMBEDDING,
        "value_embeds.0.weight": Role.EMBEDDING,
        "wpe.weight": Role.EMBEDDING,
        "final_norm.weight": Role.TRUNK,
        "blocks.3.attn.c_q.weight": Role.TRUNK,
    }
    found = assigned({name: torch.ones(4, 3) for name in names})
    assert {e.owner: e.role for e in found.ledger.entries if e.tensor} == names


# Maps and codebooks


def codes(vocabulary: int, count: int) -> torch.Tensor:
    return torch.arange(vocabulary) % count


def test_a_map_is_known_by_its_values_where_a_codebook_is_present() -> None:
    state = {
        "vocab_bias": torch.zeros(50),
        "head_codebook": torch.randn(7, 4),
        "which": codes(50, 7).to(torch.int16),
        "token_counts": codes(50, 7),
        "buckets": torch.full((50,), 99),
    }
    found = assigned(state)
    kinds = {e.tensor: (e.role, e.account) for e in found.ledger.entries if e.tensor}
    assert kinds["which"] == (Role.HEAD, Account.MAPPING)
    assert kinds["head_codebook"][1] is Account.CODEBOOK
    assert kinds["token_counts"][1] is Account.WEIGHTS
    assert kinds["buckets"][1] is Account.WEIGHTS
    assert "at most 6, index the 7 rows of head_codebook" in found.detected["which"][1]


def test_a_codebook_is_known_by_its_map_where_neither_has_a_name() -> None:
    found = assigned({"vocab_bias": torch.zeros(50), "alpha": torch.randn(7, 4), "beta": codes(50, 7)})
    kinds = {e.tensor: (e.role, e.account) for e in found.ledger.entries if e.tensor}
    assert kinds["beta"] == (Role.HEAD, Account.MAPPING)
    assert kinds["alpha"] == (Role.HEAD, Account.CODEBOOK)
    assert parameters(found)["beta"] == 0
    assert parameters(found)["alpha"] == 28


@pytest.mark.parametrize(
    "vector",
    [codes(50, 6), codes(49, 7), codes(50, 8), codes(50, 7) - 1, codes(50, 7).float()],
    ids=["codes unused", "not one per token", "past the rows", "negative", "no integers"],
)
def test_what_is_not_exactly_a_map_is_none(vector: torch.Tensor) -> None:
    found = assigned({"vocab_bias": torch.zeros(50), "alpha": torch.randn(7, 4), "beta": vector})
    assert not found.detected


def test_permutations_and_maps_by_name() -> None:
    found = assigned({"blocks.0.mlp.fc.weight": torch.ones(4, 3), "blocks.0.mlp.fc.weight.perm": codes(4, 4)})
    assert accounts(found, "blocks.0.mlp.fc.weight")["blocks.0.mlp.fc.weight.perm"] is Account.MAPPING


# Explanations


def test_explain_names_the_rule_or_the_evidence() -> None:
    out = io.BytesIO()
    state = {
        "w": {"tok_emb.weight.q": torch.ones(50, 4, dtype=INT8), "tok_emb.weight.scale": torch.ones(50).half()},
        "x": {"alpha": torch.randn(7, 4), "beta": codes(50, 7), "gamma": torch.ones(2)},
    }
    torch.save(state, out)
    artifact = opened(out.getvalue())
    assignment = assign(artifact, load_roles())
    found = explain("tok_emb.weight", artifact, assignment)
    assert found.role is Role.HEAD
    assert "[[roles]] rule" in found.reason
    assert "the head is tied: tok_emb.weight is an input table and no output matrix is stored" in found.reason
    assert "account = 'scales'" in {s.stored: s.reason for s in found.stored}["w/tok_emb.weight.scale"]
    assert explain("w/tok_emb.weight.q", artifact, assignment) == found
    assert "index the 7 rows of x/alpha" in explain("beta", artifact, assignment).reason
    assert "rules matches; write one" in explain("gamma", artifact, assignment).reason
    assert "serves the whole file" in explain("[data.pkl]", artifact, assignment).reason
    with pytest.raises(UsageError, match=r"near it: .*tok_emb\.weight"):
        explain("tok_embed.weight", artifact, assignment)
