"""Archives of torch.export, written by torch itself."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golfbudget.artifact import open_bytes
from golfbudget.errors import CorruptError, GolfbudgetError
from golfbudget.ledger import Role
from golfbudget.roles import assign, load_roles


class LanguageModel(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tok_emb, self.lm_head = torch.nn.Embedding(64, 8), torch.nn.Linear(8, 64, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.lm_head(self.tok_emb(tokens))
        return logits


@pytest.fixture(scope="module")
def exported() -> bytes:
    out = BytesIO()
    torch.export.save(torch.export.export(LanguageModel(), (torch.zeros(1, 3, dtype=torch.long),)), out)
    return out.getvalue()


def test_tensors_are_those_of_the_state_dict(exported: bytes) -> None:
    artifact = open_bytes(exported, name="m.pt2")
    state = torch.export.load(BytesIO(exported)).state_dict
    assert {t.name: t.shape for t in artifact.tensors} == {name: tuple(w.shape) for name, w in state.items()}
    for leaf, tensor in artifact.placed():
        raw = bytes(leaf.data[tensor.offset : (tensor.offset or 0) + tensor.stored_bytes])
        assert raw == state[tensor.name].detach().numpy().tobytes()


def test_its_head_is_found_and_its_program_is_code(exported: bytes) -> None:
    found = assign(open_bytes(exported, name="m.pt2"), load_roles())
    assert found.tied is False
    roles = {entry.owner: entry.role for entry in found.ledger.entries if entry.parameters}
    assert roles == {"tok_emb.weight": Role.EMBEDDING, "lm_head.weight": Role.HEAD}
    assert Role.CODE in {entry.role for entry in found.ledger.entries}


def rewritten(exported: bytes, change: dict[str, object]) -> bytes:
    """The archive with other words about the first tensor."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(exported)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("model_weights_config.json"):
                config = json.loads(content)
                next(iter(config["config"].values()))["tensor_meta"].update(change)
                content = json.dumps(config).encode()
            new.writestr(info.filename, content)
    return out.getvalue()


def test_a_tensor_that_runs_past_its_member_is_refused(exported: bytes) -> None:
    with pytest.raises(CorruptError, match=r"needs 4096 bytes, its member .* has 2048"):
        open_bytes(rewritten(exported, {"sizes": [{"as_int": 128}, {"as_int": 8}]}), name="m.pt2")


@pytest.mark.parametrize("change", [{"dtype": 99}, {"sizes": [{"as_expr": "s0"}]}, {"strides": None}])
def test_a_tensor_of_another_kind_is_noted(exported: bytes, change: dict[str, object]) -> None:
    artifact = open_bytes(rewritten(exported, change), name="m.pt2")
    assert len(artifact.tensors) == 1
    assert any("is not stored as plain numbers" in note for note in artifact.notes)
    assert sum(part.stored_bits for part in artifact.parts) == 8 * artifact.size


@settings(max_examples=60)
@given(st.data())
def test_damage_gives_a_ledger_or_an_error(exported: bytes, data: st.DataObject) -> None:
    damaged = bytearray(exported)
    damaged[data.draw(st.integers(0, len(exported) - 1))] ^= data.draw(st.integers(1, 255))
    stop = data.draw(st.one_of(st.just(len(exported)), st.integers(0, len(exported))))
    try:
        artifact = open_bytes(bytes(damaged[:stop]), name="m.pt2")
    except GolfbudgetError:
        return
    assert assign(artifact, load_roles()).ledger.size == stop
