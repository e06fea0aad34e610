"""Files that one rank of several wrote: what is in them is a share of a model, and is said to be one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from golfbudget.artifact import open_artifact
from golfbudget.roles import assign, load_roles

NAMES = ("mp_rank_{}/model_optim_rng.pt", "model_world_size_2_rank_{}.pt", "step/mp_rank_{}_model_states.pt")


def shares(folder: Path, name: str, ranks: int) -> Path:
    """Write shares and give the path of the first."""
    for rank in reversed(range(ranks)):
        file = folder / name.format(f"{rank:02}")
        file.parent.mkdir(exist_ok=True)
        torch.save({"model": {"embedding.word_embeddings.weight": torch.randn(8, 4)}}, file)
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_share_is_said_to_be_one_and_tells_no_tie(tmp_path: Path, name: str) -> None:
    first = shares(tmp_path, name, 2)
    found = open_artifact(first)
    assert found.part_of == "the share of rank 0 of 2 that are here"
    assert assign(found, load_roles()).tied is None


@pytest.mark.parametrize("name", NAMES)
def test_the_only_rank_has_all(tmp_path: Path, name: str) -> None:
    assert open_artifact(shares(tmp_path, name, 1)).part_of is None


def test_the_folder_of_a_rank_is_its_share(tmp_path: Path) -> None:
    first = shares(tmp_path, NAMES[0], 3)
    assert open_artifact(first.parent).part_of == "the share of rank 0 of 3 that are here"


def test_a_piece_of_an_output_beside_a_whole_table_is_named(tmp_path: Path) -> None:
    for rank in range(2):
        own = {"transformer.vocab_embedding.weight": torch.randn(192, 4), "lm_head.weight": torch.randn(96, 4)}
        torch.save(own, tmp_path / f"mp_rank_0{rank}_model_states.pt")
    found = assign(open_artifact(tmp_path / "mp_rank_00_model_states.pt"), load_roles())
    assert found.tied is None
    assert found.tied_reason.startswith("lm_head.weight [96, 4] is named like an output matrix and may be a piece")
