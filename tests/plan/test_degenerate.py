"""Plans of sources and texts that no training gives: a clear error that names the file and what is wrong, or a plan."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.models import save
from test_plan import planned, refused
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.quality.text import load_text
from golfbudget.report import ReportFormat
from golfbudget.report.plan import document
from golfbudget.report.render import rendered

RECIPE = "int8-zlib-small"
VOCABULARY = 8


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def model(head: Tensor, trunk: Tensor | None = None) -> dict[str, Tensor]:
    matrix = random(72, 64) if trunk is None else trunk
    return {"tok_emb.weight": head, "blocks.0.mlp.fc.weight": matrix}


@pytest.mark.parametrize("shape", [(1, 64), (2, 64), (3, 1), (1, 1)])
def test_a_head_of_few_rows_is_planned(tmp_path: Path, shape: tuple[int, int]) -> None:
    """It has no codebook of two codes or more, so some VQ schemes have nothing to try."""
    plan = planned(
        save(tmp_path, model(random(*shape))),
        recipe=RECIPE,
        schemes=("scalar", "vq-logits", "vq-logits-bias", "tiers", "factorised"),
    )
    assert {t.candidate.name for t in plan.trials} >= {"head-int8", "trunk-int8"}
    for format_ in (ReportFormat.TABLE, ReportFormat.JSON):
        assert rendered(document(plan, details=True), format_)


@pytest.mark.parametrize("value", [0.0, -1e30])
def test_matrices_of_one_value_are_planned(tmp_path: Path, value: float) -> None:
    tensors = model(torch.full((64, 32), value), torch.full((72, 64), value))
    plan = planned(save(tmp_path, tensors), recipe=RECIPE, schemes=("scalar", "vq-logits", "ternary-packed"))
    assert plan.trial("trunk-ternary-packed") is not None
    assert rendered(document(plan, details=True), ReportFormat.TABLE)


def test_a_model_without_a_trunk_is_planned(tmp_path: Path) -> None:
    plan = planned(save(tmp_path, {"tok_emb.weight": random(64, 32)}), schemes=("scalar", "vq-logits"))
    assert any("there are no trunk candidates" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (model(random(0, 64)), r"'tok_emb.weight' has shape \[0, 64\]"),
        (model(random(64, 0)), r"'tok_emb.weight' has shape \[64, 0\]"),
        (model(torch.ones(64, 32, dtype=torch.int64)), "'tok_emb.weight' is of dtype int64"),
    ],
)
def test_a_head_that_is_no_matrix_of_weights_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], expected: str
) -> None:
    assert refused(tmp_path, tensors, recipe=RECIPE).startswith(str(tmp_path))
    with pytest.raises(UsageError, match=expected):
        planned(save(tmp_path, tensors), recipe=RECIPE)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["tok_emb.weight", "blocks.0.mlp.fc.weight"])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, name: str, value: float) -> None:
    tensors = model(random(64, 32))
    tensors[name][3, 5] = value
    said = refused(tmp_path, tensors, recipe=RECIPE)
    assert said.startswith(f"{tmp_path / 'model.safetensors'}: '{name}' holds {value} at row 3, column 5")


def text(folder: Path, token_bytes: Tensor) -> Path:
    path = folder / "text.safetensors"
    tokens = torch.arange(1, 65) % (VOCABULARY - 1)
    save_file({"tokens": tokens, "token_bytes": token_bytes}, path, metadata={"window": "16"})
    return path


def test_a_text_without_bytes_is_refused(tmp_path: Path) -> None:
    path = text(tmp_path, torch.zeros(VOCABULARY, dtype=torch.int64))
    with pytest.raises(UsageError, match="token_bytes gives zero bytes to every token") as caught:
        load_text(path)
    assert str(caught.value).startswith(f"{path}: ")
    # Bytes of a token that the text lacks are no bytes of the text.
    never = torch.zeros(VOCABULARY, dtype=torch.int64)
    never[VOCABULARY - 1] = 3
    with pytest.raises(UsageError, match="token_bytes gives zero bytes"):
        load_text(text(tmp_path, never))


@pytest.mark.parametrize("wrong", [-1, 2**62])
def test_bytes_that_no_token_has_are_refused_by_token(tmp_path: Path, wrong: int) -> None:
    lengths = torch.full((VOCABULARY,), 3)
    lengths[5] = wrong
    with pytest.raises(UsageError, match=rf"token_bytes\[5\] is {wrong}; expected the UTF-8 bytes of the token"):
        load_text(text(tmp_path, lengths))
